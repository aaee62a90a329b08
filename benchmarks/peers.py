"""How others would plan the same depot, and how we do: each a function that makes a planner of a problem.

What is prepared outside the planner is not measured: the floor and SciPy get the finished matrix, modelling tools build
their model in the measured time, ours begins at the problem. Formulations of other projects are written anew from their
mathematics.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np

from benchmarks.matrix import TIME_LIMIT_S, UNMET_PRICE, Matrix, TooSlow, solve_directly
from scheduling.engine import Options, Problem, algorithm, algorithm_names
from scheduling.engine.arrays import FloatArray

Planner = Callable[[], FloatArray]
"""Plans once: kW, shape (n_ev, steps)."""


class NotThere(RuntimeError):
    """An algorithm that the registry does not know."""


def highs(method: Literal["simplex", "ipm"], problem: Problem) -> Planner:
    """The floor: the matrix straight into HiGHS."""
    matrix = Matrix.of(problem)
    return lambda: matrix.power_of(solve_directly(matrix, method))


def highs_milp(problem: Problem) -> Planner:
    """The same with a binary per power."""
    matrix = Matrix.of(problem).with_binaries()
    return lambda: matrix.power_of(solve_directly(matrix, time_limit_s=20.0))


def scipy_linprog(problem: Problem) -> Planner:
    """SciPy's linprog with its HiGHS."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    matrix = Matrix.of(problem)
    shape = (len(matrix.right), len(matrix.cost))
    rows = csr_array((matrix.value, matrix.column, matrix.start), shape=shape)
    equal = np.isfinite(matrix.lower)
    bounds = np.column_stack([np.zeros(len(matrix.cost)), matrix.upper])

    def plan() -> FloatArray:
        done = linprog(
            matrix.cost, rows[~equal], matrix.right[~equal], rows[equal], matrix.right[equal], bounds, "highs"
        )
        return matrix.power_of(np.asarray(done.x))

    return plan


def cvxpy_clarabel(problem: Problem) -> Planner:
    """CVXPY with Clarabel, one vector of powers and sparse products, as its manual advises."""
    import cvxpy
    from scipy.sparse import csr_array

    matrix = Matrix.of(problem)
    shape = (len(matrix.right), len(matrix.cost))
    rows = csr_array((matrix.value, matrix.column, matrix.start), shape=shape)
    equal, bounded = np.isfinite(matrix.lower), np.isfinite(matrix.upper)

    def plan() -> FloatArray:
        values = cvxpy.Variable(len(matrix.cost), nonneg=True)
        constraints = [
            rows[equal] @ values == matrix.right[equal],
            rows[~equal] @ values <= matrix.right[~equal],
            values[bounded] <= matrix.upper[bounded],
        ]
        cvxpy.Problem(cvxpy.Minimize(matrix.cost @ values), constraints).solve(solver=cvxpy.CLARABEL)
        return matrix.power_of(np.asarray(values.value))

    return plan


def pulp_lp(solver: Literal["HiGHS", "CBC"], problem: Problem) -> Planner:
    """PuLP, expressions built from lists of pairs."""
    matrix = Matrix.of(problem)
    return lambda: matrix.power_of(_through_pulp(matrix, solver))


def _through_pulp(matrix: Matrix, solver: str) -> FloatArray:
    import pulp

    model = pulp.LpProblem("depot", pulp.LpMinimize)
    most = [None if np.isinf(bound) else bound for bound in matrix.upper]
    columns = [pulp.LpVariable(f"x{k}", 0, bound) for k, bound in enumerate(most)]
    model += pulp.LpAffineExpression(zip(columns, matrix.cost.tolist(), strict=True))
    for row, right in enumerate(matrix.right.tolist()):
        entries = slice(matrix.start[row], matrix.start[row + 1])
        pairs = [(columns[c], v) for c, v in zip(matrix.column[entries], matrix.value[entries].tolist(), strict=True)]
        sense = pulp.LpConstraintEQ if np.isfinite(matrix.lower[row]) else pulp.LpConstraintLE
        if pairs:
            model += pulp.LpConstraint(pulp.LpAffineExpression(pairs), sense, rhs=right)
    tool = pulp.HiGHS if solver == "HiGHS" else pulp.PULP_CBC_CMD
    model.solve(tool(msg=False, threads=1, timeLimit=TIME_LIMIT_S))
    if model.sol_status != pulp.LpSolutionOptimal:
        raise TooSlow(f"PuLP with {solver} has no optimum after {TIME_LIMIT_S:.0f} s.")
    return np.array([column.value() for column in columns])


def ortools_flow(problem: Problem) -> Planner:
    """OR-tools' min-cost flow in mWh: vehicle -> feeder -> board -> site -> sink in every step; no demand charge."""
    from ortools.graph.python.min_cost_flow import SimpleMinCostFlow

    n, steps = problem.shape
    below = problem.tree.membership(problem.evs)
    row = {node.name: k for k, node in enumerate(problem.tree.nodes)}
    leaf = np.array([row[ev.nodes[0]] if ev.nodes else 0 for ev in problem.evs])
    nodes, sink = len(row), n + len(row) * steps
    limit = np.array([node.limit_kw for node in problem.tree.nodes])
    above = np.array([-1 if node.parent is None else row[node.parent] for node in problem.tree.nodes])

    def plan() -> FloatArray:
        whole = problem.hours * 1e6
        ev, step = np.nonzero(problem.most_power > 0)
        need = np.rint(problem.need_kwh * 1e6).astype(np.int64)
        euros = np.rint(problem.steering_price * 1e4).astype(np.int64)
        flow = SimpleMinCostFlow()
        most = np.rint(problem.most_power[ev, step] * whole[step]).astype(np.int64)
        zero = np.zeros(len(ev), dtype=np.int64)
        arcs = flow.add_arcs_with_capacity_and_unit_cost(ev, n + leaf[ev] * steps + step, most, zero)
        late = np.full(n, int(UNMET_PRICE * 1e4))
        flow.add_arcs_with_capacity_and_unit_cost(np.arange(n), np.full(n, sink), need, late)
        for node in range(nodes):
            here = n + node * steps + np.arange(steps)
            there = np.full(steps, sink) if above[node] < 0 else n + above[node] * steps + np.arange(steps)
            cost = euros if above[node] < 0 else np.zeros(steps, dtype=np.int64)
            flow.add_arcs_with_capacity_and_unit_cost(
                here, there, np.floor(limit[node] * whole + 1e-6).astype(np.int64), cost
            )
        flow.set_nodes_supplies(np.arange(n), need)
        flow.set_nodes_supplies(np.array([sink]), np.array([-need.sum()]))
        if flow.solve() != flow.OPTIMAL:
            raise TooSlow("OR-tools found no optimum.")
        power = problem.zeros()
        power[ev, step] = flow.flows(arcs) / whole[step]
        return power

    assert below[0].all()
    return plan


def smartcharging(binaries: bool, problem: Problem) -> Planner:
    """The day-ahead LP or MILP of smartcharging in CVXPY: state of energy per vehicle, one price, one site limit.

    It knows neither a tree nor prices in time: its plan is judged on the true ones. Unmet energy costs 100 per battery,
    which is taken as the need here.
    """
    import cvxpy

    n, steps = problem.shape
    here, hours = problem.present.T.astype(float), float(problem.hours[0])
    limit = next(node.limit_kw for node in problem.tree.nodes if node.parent is None)
    price, need = float(problem.price_per_kwh.mean()), problem.need_kwh

    def plan() -> FloatArray:
        power = cvxpy.Variable((steps, n), nonneg=True)
        energy = cvxpy.Variable((steps + 1, n), nonneg=True)
        unmet = cvxpy.Variable(n, nonneg=True)
        most = here * problem.max_power
        constraints = [
            energy[0] == 0,
            energy[1:] == energy[:-1] + hours * power,
            energy[steps] == need - unmet,
            cvxpy.sum(power, axis=1) <= limit,
        ]
        if binaries:
            on = cvxpy.Variable((steps, n), boolean=True)
            constraints += [power <= cvxpy.multiply(most, on)]
        else:
            constraints += [power <= most]
        cost = price * hours * cvxpy.sum(power) + 100.0 * cvxpy.sum(unmet / need)
        tool: dict[str, Any] = {"solver": cvxpy.CLARABEL}
        if binaries:
            tool = {"solver": cvxpy.SCIPY, "scipy_options": {"time_limit": TIME_LIMIT_S}}
        cvxpy.Problem(cvxpy.Minimize(cost), constraints).solve(**tool)
        return np.asarray(power.value).T.copy()

    return plan


def flow_alone(problem: Problem) -> Planner:
    """Our exact linear stage."""
    from scheduling.engine import flow

    return lambda: flow.solve(problem).power


def flow_and_shape(problem: Problem) -> Planner:
    """Our linear stage, then minimum power and few periods."""
    from scheduling.engine import flow, shape

    return lambda: shape.shaped(problem, flow.solve(problem).power)


def ours(name: str, problem: Problem) -> Planner:
    """A whole run of an algorithm of the product: problem, plan, checker, shortfalls."""
    if name not in algorithm_names():
        raise NotThere(f"The registry has no algorithm {name!r}.")
    kind = algorithm(name)

    def plan() -> FloatArray:
        run = kind(
            problem.evs,
            horizon=problem.horizon,
            tree=problem.tree,
            price_per_kwh=problem.price_per_kwh,
            site=problem.site,
            options=Options(time_limit_s=TIME_LIMIT_S),
        )
        run.calculate()
        if not run.result.ok and name != "uncontrolled":
            raise RuntimeError(f"{name}: {len(run.result.violations)} violations, first: {run.result.violations[0]}")
        return run.result.power

    return plan


METHODS: dict[str, Callable[[Problem], Planner]] = {
    "HiGHS simplex": partial(highs, "simplex"),
    "HiGHS ipm": partial(highs, "ipm"),
    "HiGHS MILP": highs_milp,
    "SciPy linprog": scipy_linprog,
    "CVXPY Clarabel": cvxpy_clarabel,
    "PuLP HiGHS": partial(pulp_lp, "HiGHS"),
    "PuLP CBC": partial(pulp_lp, "CBC"),
    "OR-tools min-cost flow": ortools_flow,
    "smartcharging LP": partial(smartcharging, False),
    "smartcharging MILP": partial(smartcharging, True),
    "Opti-VGI LP": partial(ours, "pulp-numerical"),
    "Opti-VGI Go": partial(ours, "go"),
    "flow": flow_alone,
    "flow and shape": flow_and_shape,
    "optimal": partial(ours, "optimal"),
}
