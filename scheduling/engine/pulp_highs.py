"""A linear model through PuLP: bulk expressions in, HiGHS in memory or CBC behind."""

from __future__ import annotations

from shutil import which
from typing import Any

import highspy
import numpy as np
import pulp

from scheduling.engine.arrays import FloatArray
from scheduling.engine.model import LinearModel

_LARGE_ROWS = 3000


class SolverFailed(RuntimeError):
    """The solver has no proven optimum; the message says what it reported."""


class BulkHiGHS(pulp.HiGHS):
    """PuLP's HiGHS interface handing over all columns and rows in one call each instead of one by one."""

    def actualSolve(self, lp: Any) -> int:
        """Solve and write status and values back into `lp`."""
        columns = lp.variables()
        self.createAndConfigureSolver(lp)
        self._pass_columns(lp, columns)
        self._pass_rows(lp)
        self.callSolver(lp)
        if lp.solverModel.getModelStatus() == highspy.HighsModelStatus.kUnknown:
            # Interior point may stop just short of its tolerance; the simplex goes on from there.
            lp.solverModel.setOptionValue("solver", "simplex")
            self.callSolver(lp)
        optimal = lp.solverModel.getModelStatus() == highspy.HighsModelStatus.kOptimal
        # A time-out with a point in hand is no optimum: it counts as not solved.
        lp.assignStatus(
            pulp.LpStatusOptimal if optimal else pulp.LpStatusNotSolved,
            pulp.LpSolutionOptimal if optimal else pulp.LpSolutionNoSolutionFound,
        )
        if optimal:
            for column, value in zip(columns, lp.solverModel.getSolution().col_value, strict=True):
                column.varValue = value
        return int(lp.status)

    def _pass_columns(self, lp: Any, columns: list[Any]) -> None:
        count, infinity = len(columns), highspy.kHighsInf
        for index, column in enumerate(columns):
            column.index = index
        lower = np.array([-infinity if c.lowBound is None else c.lowBound for c in columns], dtype=np.float64)
        upper = np.array([infinity if c.upBound is None else c.upBound for c in columns], dtype=np.float64)
        cost = np.zeros(count)
        sign = -1.0 if lp.sense == pulp.LpMaximize else 1.0
        for column, value in lp.objective.items():
            cost[column.index] = sign * value
        starts, entries = np.zeros(count, dtype=np.int32), np.zeros(0, dtype=np.int32)
        answer = lp.solverModel.addCols(count, cost, lower, upper, 0, starts, entries, np.zeros(0))
        _refuse_error(answer, "columns")

    def _pass_rows(self, lp: Any) -> None:
        infinity = highspy.kHighsInf
        indices: list[int] = []
        values: list[float] = []
        starts: list[int] = []
        rows = list(lp._constraints.values())
        for row in rows:
            starts.append(len(indices))
            indices += [column.index for column in row.expr]
            values += row.expr.values()
        right = -np.array([row.constant for row in rows], dtype=np.float64)
        sense = np.array([row.sense for row in rows], dtype=np.int64)
        lower = np.where(sense == pulp.LpConstraintLE, -infinity, right)
        upper = np.where(sense == pulp.LpConstraintGE, infinity, right)
        answer = lp.solverModel.addRows(
            len(rows),
            lower,
            upper,
            len(indices),
            np.array(starts, dtype=np.int32),
            np.array(indices, dtype=np.int32),
            np.array(values, dtype=np.float64),
        )
        _refuse_error(answer, "rows")


def _refuse_error(answer: Any, what: str) -> None:
    if answer == highspy.HighsStatus.kError:
        raise SolverFailed(f"HiGHS refuses the {what}")


def pulp_problem(model: LinearModel) -> tuple[Any, list[Any]]:
    """The model as LpProblem, and its columns in the model's order."""
    problem = pulp.LpProblem("depot", pulp.LpMinimize)
    columns = [problem.add_variable(f"x{k:07d}", 0.0, bound) for k, bound in enumerate(model.upper.tolist())]
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
    try:
        problem.solve(_solver(solver, time_limit_s, large=problem.numConstraints() > _LARGE_ROWS))
    except (pulp.PulpError, OSError) as error:
        raise SolverFailed(f"{solver} did not run: {error}") from error
    if problem.status != pulp.LpStatusOptimal or problem.sol_status != pulp.LpSolutionOptimal:
        raise SolverFailed(f"{solver} reports {pulp.LpStatus[problem.status]}, {pulp.LpSolution[problem.sol_status]}")
    values = np.array([column.varValue for column in columns], dtype=np.float64)
    if not np.isfinite(values).all():
        raise SolverFailed(f"{solver} left a column without a value")
    return values


def _cbc_path() -> str | None:
    """CBC from PATH, or the one that PuLP 3 ships."""
    return which("cbc") or getattr(pulp.PULP_CBC_CMD, "pulp_cbc_path", None)


def _solver(name: str, time_limit_s: float, *, large: bool) -> Any:
    if name == "HiGHS":
        # With many binding feeders the simplex takes about twice the time of interior point and crossover.
        return BulkHiGHS(msg=False, timeLimit=time_limit_s, threads=1, solver="ipm" if large else "choose")
    if name == "CBC":
        return pulp.COIN_CMD(path=_cbc_path(), msg=False, timeLimit=time_limit_s)
    raise ValueError(f"Unknown solver {name!r}: choose HiGHS or CBC.")
