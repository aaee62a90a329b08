"""HiGHS in memory behind PuLP's interface. Importing this loads both; `pulp_highs` does so when a model is solved."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np
import pulp


class HighsRefused(pulp.PulpError):
    """HiGHS does not take a part of the model."""


class BulkHiGHS(pulp.HiGHS):
    """PuLP's HiGHS interface handing over all columns and rows in one call each instead of one by one.

    Columns that have a value before the run are where a mixed-integer search starts from.
    """

    def actualSolve(self, lp: Any) -> int:
        """Solve and write status and values back into `lp`."""
        columns = lp.variables()
        self.createAndConfigureSolver(lp)
        self._pass_columns(lp, columns)
        self._pass_rows(lp)
        self._pass_start(lp, columns)
        self.callSolver(lp)
        if lp.solverModel.getModelStatus() == highspy.HighsModelStatus.kUnknown:
            # Interior point may stop just short of its tolerance; the simplex goes on from there.
            lp.solverModel.setOptionValue("solver", "simplex")
            self.callSolver(lp)
        lp.assignStatus(*_status_of(lp))
        if lp.status == pulp.LpStatusOptimal:
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
        whole = np.array([c.index for c in columns if c.cat == pulp.LpInteger], dtype=np.int32)
        if whole.size:
            kinds = np.full(len(whole), int(highspy.HighsVarType.kInteger), dtype=np.uint8)
            _refuse_error(lp.solverModel.changeColsIntegrality(len(whole), whole, kinds), "0/1 columns")

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

    def _pass_start(self, lp: Any, columns: list[Any]) -> None:
        known = [(c.index, c.varValue) for c in columns if c.cat == pulp.LpInteger and c.varValue is not None]
        if known:
            index = np.array([number for number, _ in known], dtype=np.int32)
            lp.solverModel.setSolution(len(known), index, np.array([value for _, value in known], dtype=np.float64))


def _status_of(lp: Any) -> tuple[int, int]:
    """PuLP's status and solution status.

    A linear programme out of time has no useful point; a mixed-integer search may have a feasible one in hand.
    """
    if lp.solverModel.getModelStatus() == highspy.HighsModelStatus.kOptimal:
        return pulp.LpStatusOptimal, pulp.LpSolutionOptimal
    info = lp.solverModel.getInfo()
    feasible = info.primal_solution_status == int(highspy.SolutionStatus.kSolutionStatusFeasible)
    if lp.isMIP() and feasible and np.isfinite(info.objective_function_value):
        return pulp.LpStatusOptimal, pulp.LpSolutionIntegerFeasible
    return pulp.LpStatusNotSolved, pulp.LpSolutionNoSolutionFound


def _refuse_error(answer: Any, what: str) -> None:
    if answer == highspy.HighsStatus.kError:
        raise HighsRefused(f"HiGHS refuses the {what}")
