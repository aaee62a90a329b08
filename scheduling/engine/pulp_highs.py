"""A linear or mixed-integer model through PuLP: bulk expressions in, HiGHS in memory or CBC behind."""

from __future__ import annotations

from dataclasses import dataclass
from shutil import which
from typing import Any

import numpy as np

from scheduling.engine.arrays import FloatArray
from scheduling.engine.model import LinearModel

# PuLP and HiGHS are imported where they are used: a planner that solves flows starts without them.

_LARGE_ROWS = 3000  # limits that can bind
GAP = 1e-4
"""Relative distance to the bound at which a mixed-integer optimum counts as proven."""


class SolverFailed(RuntimeError):
    """The solver has no usable point; the message says what it reported."""


@dataclass(frozen=True, eq=False)
class Answer:
    """Values of all columns, and whether they are a proven optimum or only the best point in the time given."""

    values: FloatArray
    proven: bool


def pulp_problem(model: LinearModel, start: FloatArray | None = None) -> tuple[Any, list[Any]]:
    """The model as LpProblem, and its columns in the model's order; `start` are values of the 0/1 columns."""
    import pulp

    problem = pulp.LpProblem("depot", pulp.LpMinimize)
    columns = [
        problem.add_variable(
            f"x{k:07d}", 0.0, None if bound == np.inf else bound, pulp.LpInteger if whole else pulp.LpContinuous
        )
        for k, (bound, whole) in enumerate(zip(model.upper.tolist(), model.whole.tolist(), strict=True))
    ]
    for column, value in zip(columns[len(columns) - len(model.on_ev) :], [] if start is None else start, strict=False):
        column.setInitialValue(float(value))
    problem.setObjective(pulp.LpAffineExpression(zip(columns, model.cost.tolist(), strict=True)))
    starts, indices, values = model.row_start.tolist(), model.row_column.tolist(), model.row_value.tolist()
    for row, (name, right) in enumerate(zip(model.row_names, model.right.tolist(), strict=True)):
        here = slice(starts[row], starts[row + 1])
        terms = pulp.LpAffineExpression(zip([columns[k] for k in indices[here]], values[here], strict=True))
        sense = pulp.LpConstraintEQ if row < model.equal_rows else pulp.LpConstraintLE
        problem.addConstraint(pulp.LpConstraint(terms, sense, name, right))
    return problem, columns


def solve(problem: Any, columns: list[Any], solver: str, time_limit_s: float) -> FloatArray:
    """Values of all columns at a proven optimum, or SolverFailed."""
    answer = search(problem, columns, solver, time_limit_s)
    if not answer.proven:
        raise SolverFailed(f"{solver} ran out of time")
    return answer.values


def search(problem: Any, columns: list[Any], solver: str, time_limit_s: float) -> Answer:
    """The best point that the solver finds in the time, or SolverFailed if it has none."""
    import pulp

    try:
        limits = sum(row.sense == pulp.LpConstraintLE for row in problem._constraints.values())
        large = limits > _LARGE_ROWS
        problem.solve(_solver(solver, time_limit_s, large=large, whole=bool(problem.isMIP())))
    except (pulp.PulpError, OSError) as error:
        raise SolverFailed(f"{solver} did not run: {error}") from error
    if problem.status != pulp.LpStatusOptimal:
        raise SolverFailed(f"{solver} reports {pulp.LpStatus[problem.status]}, {pulp.LpSolution[problem.sol_status]}")
    values = np.array([column.varValue for column in columns], dtype=np.float64)
    if not np.isfinite(values).all():
        raise SolverFailed(f"{solver} left a column without a value")
    return Answer(values, problem.sol_status == pulp.LpSolutionOptimal)


def _cbc_path() -> str | None:
    """CBC from PATH, or the one that PuLP 3 ships."""
    import pulp

    return which("cbc") or getattr(pulp.PULP_CBC_CMD, "pulp_cbc_path", None)


def _solver(name: str, time_limit_s: float, *, large: bool, whole: bool) -> Any:
    import pulp

    if name == "HiGHS":
        from scheduling.engine.bulk_highs import BulkHiGHS

        # With many binding feeders the simplex takes about twice the time of interior point and crossover.
        method = "ipm" if large and not whole else "choose"
        return BulkHiGHS(msg=False, timeLimit=time_limit_s, threads=1, gapRel=GAP if whole else None, solver=method)
    if name == "CBC":
        return pulp.COIN_CMD(
            path=_cbc_path(), msg=False, timeLimit=time_limit_s, gapRel=GAP if whole else None, warmStart=whole
        )
    raise ValueError(f"Unknown solver {name!r}: choose HiGHS or CBC.")
