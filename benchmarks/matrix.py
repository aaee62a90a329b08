"""The linear problem as one sparse matrix, and the floor: that matrix passed straight to HiGHS.

Written apart from the engine, so that it can be its judge: power of every vehicle and step of its stay, unmet energy at
a price above all others, every row of the tree in every step, and one column for a peak that costs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from scheduling.engine import Problem
from scheduling.engine.arrays import FloatArray, IntArray

UNMET_PRICE = 1000.0
"""EUR per kWh unmet; the instances measured have one priority."""
TIME_LIMIT_S = 60.0


class TooSlow(RuntimeError):
    """No optimum within the time limit."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """min cost @ x, 0 <= x <= upper, rows (CSR) between lower and right.

    Columns: power in kW by vehicle and step, unmet kWh per vehicle, then kW of new peak if that costs, then one binary
    per power if `binaries`. Rows: energy balances (equal), limits of the tree, peaks.
    """

    problem: Problem
    ev: IntArray  # (n_powers,) vehicle of a power column
    step: IntArray  # (n_powers,)
    cost: FloatArray  # (n_columns,)
    upper: FloatArray  # (n_columns,)
    start: IntArray  # (n_rows + 1,)
    column: IntArray  # (n_entries,)
    value: FloatArray  # (n_entries,)
    lower: FloatArray  # (n_rows,)
    right: FloatArray  # (n_rows,)
    binaries: int = 0

    @staticmethod
    def of(problem: Problem) -> Matrix:
        """All rows, whether they can bind or not; neither sun, battery nor vehicles that give."""
        n, steps = problem.shape
        ev, step = np.nonzero(problem.most_power > 0)
        powers, hours = np.arange(len(ev)), problem.hours[step]
        peak = len(ev) + n
        blocks = [(ev, powers, hours), (np.arange(n), len(ev) + np.arange(n), np.ones(n))]
        lower, right = [problem.need_kwh], [problem.need_kwh]
        rows = n
        for coefficients, limit in zip(problem.rows.coefficients, problem.rows.limits, strict=True):
            below = powers[coefficients[ev] > 0]
            blocks.append((rows + step[below], below, coefficients[ev[below]]))
            lower.append(np.full(steps, -np.inf))
            right.append(limit)
            rows += steps
        cost = [hours * problem.steering_price[step], np.full(n, UNMET_PRICE)]
        upper = [problem.most_power[ev, step], problem.need_kwh]
        for charge in problem.site.demand_charges:
            building = np.zeros(steps) if problem.site.building_kw is None else problem.site.building_kw
            blocks += [(rows + step, powers, np.ones(len(ev)))]
            blocks += [(rows + np.arange(steps), np.full(steps, peak), np.full(steps, -1.0))]
            lower.append(np.full(steps, -np.inf))
            right.append(charge.peak_so_far_kw - building)
            cost.append(np.array([charge.price_per_kw]))
            upper.append(np.array([np.inf]))
            rows, peak = rows + steps, peak + 1
        row, column, value = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        order = np.argsort(row, kind="stable")
        return Matrix(
            problem=problem,
            ev=ev,
            step=step,
            cost=np.concatenate(cost),
            upper=np.concatenate(upper),
            start=np.searchsorted(row[order], np.arange(rows + 1)),
            column=column[order],
            value=value[order],
            lower=np.concatenate(lower),
            right=np.concatenate(right),
        )

    def with_binaries(self) -> Matrix:
        """The same with power 0 or at least the minimum: two rows and one binary per power column."""
        n, columns = len(self.ev), len(self.cost)
        power, switch = np.arange(n), columns + np.arange(n)
        column = np.stack([power, switch, power, switch], axis=1).ravel()
        least, most = self.problem.min_power[self.ev], self.upper[:n]
        value = np.stack([np.ones(n), -most, np.ones(n), -least], axis=1).ravel()
        return replace(
            self,
            cost=np.concatenate([self.cost, np.zeros(n)]),
            upper=np.concatenate([self.upper, np.ones(n)]),
            start=np.concatenate([self.start, self.start[-1] + 2 * np.arange(1, 2 * n + 1)]),
            column=np.concatenate([self.column, column]),
            value=np.concatenate([self.value, value]),
            lower=np.concatenate([self.lower, np.tile([-np.inf, 0.0], n)]),
            right=np.concatenate([self.right, np.tile([0.0, np.inf], n)]),
            binaries=n,
        )

    def without_money(self) -> Matrix:
        """The same with unmet energy as the only objective."""
        powers = len(self.ev)
        cost = np.zeros_like(self.cost)
        cost[powers : powers + len(self.problem.evs)] = UNMET_PRICE
        return replace(self, cost=cost)

    def power_of(self, values: FloatArray) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps), from the values of all columns."""
        power = self.problem.zeros()
        power[self.ev, self.step] = values[: len(self.ev)]
        return power


def solve_directly(
    matrix: Matrix,
    method: Literal["simplex", "ipm", "choose"] = "choose",
    *,
    time_limit_s: float = TIME_LIMIT_S,
    gap: float = 1e-3,
) -> FloatArray:
    """Values of all columns from HiGHS on one thread, the matrix handed over in one piece; TooSlow without an optimum.

    A mixed-integer programme may end `gap` (money) from its bound, or at the limit with the best it has.
    """
    import highspy  # not beside OR-tools in one process

    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    for option, setting in {
        "output_flag": False,
        "threads": 1,
        "solver": method,
        "time_limit": time_limit_s,
        "mip_rel_gap": 0.0,
        "mip_abs_gap": gap,
    }.items():
        solver.setOptionValue(option, setting)
    solver.passModel(_model(highspy, matrix))
    solver.run()
    status = solver.getModelStatus()
    values = np.array(solver.getSolution().col_value)
    ended_early = matrix.binaries > 0 and status == highspy.HighsModelStatus.kTimeLimit and values.size > 0
    if status != highspy.HighsModelStatus.kOptimal and not ended_early:
        raise TooSlow(f"HiGHS ({method}) ended with {status} after {time_limit_s:.0f} s.")
    return values


def _model(highspy: Any, matrix: Matrix) -> Any:
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(matrix.cost), len(matrix.right)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = matrix.cost, np.zeros(len(matrix.cost)), matrix.upper
    lp.row_lower_, lp.row_upper_ = matrix.lower, matrix.right
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.start, matrix.column, matrix.value
    if matrix.binaries:
        continuous = len(matrix.cost) - matrix.binaries
        kinds = [highspy.HighsVarType.kContinuous] * continuous + [highspy.HighsVarType.kInteger] * matrix.binaries
        lp.integrality_ = kinds
    return lp
