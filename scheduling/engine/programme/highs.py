"""HiGHS in memory, warm from objective to objective."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scheduling.engine.arrays import BoolArray, FloatArray, IntArray
from scheduling.engine.programme.matrix import Draft, Matrix

_FEASIBLE = 1e-6
"""kW or kWh by which a point may miss a row: HiGHS allows itself 1e-7 in scaled units."""
_ZERO_DUAL = 1e-9
_TYPICAL_COST = 10.0
_DUAL, _PRIMAL = 1, 4
"""HiGHS's numbers of its simplex methods; the point of one objective is a feasible start for the primal of the next."""
_LARGE_COLUMNS = 150_000
"""Beyond it interior point with crossover beats the simplex from nothing."""


class SolverFailed(RuntimeError):
    """The solver has no proven optimum in hand; the message says what it reported."""


class Infeasible(SolverFailed):
    """No point keeps all rows."""


class TimeUp(SolverFailed):
    """The time budget is spent."""


class Programme:
    """One programme under several objectives in strict order: `minimise` one, `hold` its optimum, minimise the next.

    `hold` fixes what the duals prove: a column with a reduced cost stays at its bound, a row with a price stays full.
    What remains is exactly the set of all optima, so later objectives cost the earlier ones nothing, no weight or
    tolerance is needed, and every stage starts from the point of the one before.
    """

    def __init__(self, matrix: Matrix, until: float) -> None:
        import highspy  # a large library, which most plans do without

        self._highspy = highspy
        self._until = until
        self._warm = False
        self.matrix = matrix
        self._lower, self._upper = matrix.lower.copy(), matrix.upper.copy()
        self._row_lower, self._row_upper = matrix.row_lower.copy(), matrix.row_upper.copy()
        self._highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, setting in {
            "output_flag": False,
            "threads": 1,
            "mip_rel_gap": 0.0,
            "mip_abs_gap": 1e-7,
        }.items():
            self._highs.setOptionValue(option, setting)
        self._start_afresh()
        self._accept(
            self._highs.passModel(
                len(matrix.lower),
                len(matrix.row_lower),
                len(matrix.value),
                int(highspy.MatrixFormat.kRowwise),
                int(highspy.ObjSense.kMinimize),
                0.0,
                np.zeros(len(matrix.lower)),
                matrix.lower,
                matrix.upper,
                matrix.row_lower,
                matrix.row_upper,
                matrix.start,
                matrix.index,
                matrix.value,
                np.zeros(len(matrix.lower), dtype=np.int32),
            )
        )

    def minimise(self, cost: FloatArray, *, share_of_time: float = 1.0) -> FloatArray:
        """Values of all columns at the least `cost` (columns added since cost nothing); SolverFailed without."""
        cost = np.concatenate([cost, np.zeros(len(self._lower) - len(cost))])
        size = np.abs(cost[cost != 0.0])
        # HiGHS takes reduced costs below 1e-7 for zero: prices of a fraction of a cent must stand well above that.
        scale = 2.0 ** np.round(np.log2(_TYPICAL_COST / size.mean())) if size.size else 1.0
        self._accept(self._highs.changeColsCost(len(cost), self._all(len(cost)), cost * scale))
        return self._run(share_of_time * (self._until - perf_counter()))

    def hold(self) -> None:
        """Keep to the optima of the last objective from now on."""
        solution = self._highs.getSolution()
        x, activity = np.array(solution.col_value), np.array(solution.row_value)
        tied = np.abs(np.array(solution.col_dual)) > _ZERO_DUAL
        full = np.abs(np.array(solution.row_dual)) > _ZERO_DUAL
        _pin(tied, x, self._lower, self._upper)
        _pin(full, activity, self._row_lower, self._row_upper)
        self._pass_bounds()
        count = len(self._row_lower)
        self._accept(self._highs.changeRowsBounds(count, self._all(count), self._row_lower, self._row_upper))

    def bound(self, columns: IntArray, lower: FloatArray, upper: FloatArray) -> None:
        """New bounds of some columns."""
        self._lower[columns], self._upper[columns] = lower, upper
        self._pass_bounds()

    def add_binaries(self, count: int) -> IntArray:
        """Numbers of new columns that `minimise_whole` makes 0 or 1."""
        lower, upper, none = np.zeros(count), np.ones(count), np.zeros(0)
        start = np.zeros(count, dtype=np.int32)
        self._accept(self._highs.addCols(count, lower, lower, upper, 0, start, start[:0], none))
        self.matrix = self.matrix.with_columns(lower, upper)
        self._lower, self._upper = np.concatenate([self._lower, lower]), np.concatenate([self._upper, upper])
        return np.arange(len(self._lower) - count, len(self._lower))

    def add_rows(self, rows: Draft) -> None:
        """Further rows over the columns there are."""
        more = rows.matrix()
        self._accept(
            self._highs.addRows(
                len(more.row_lower),
                more.row_lower,
                more.row_upper,
                len(more.value),
                more.start[:-1],
                more.index,
                more.value,
            )
        )
        self.matrix = self.matrix.with_rows(more)
        self._row_lower = np.concatenate([self._row_lower, more.row_lower])
        self._row_upper = np.concatenate([self._row_upper, more.row_upper])

    def minimise_whole(self, cost: FloatArray, binaries: IntArray) -> FloatArray:
        """As `minimise`, with every one of `binaries` 0 or 1, in half the time left; they keep their values then."""
        count = len(binaries)
        self.bound(binaries, np.zeros(count), np.ones(count))
        self._whole(binaries, whole=True)
        try:
            chosen = np.round(self.minimise(cost, share_of_time=0.5)[binaries])
        finally:
            self._whole(binaries, whole=False)
        self.bound(binaries, chosen, chosen)
        return self.minimise(cost)

    def _whole(self, binaries: IntArray, *, whole: bool) -> None:
        kind = self._highspy.HighsVarType.kInteger if whole else self._highspy.HighsVarType.kContinuous
        kinds = np.full(len(binaries), int(kind), dtype=np.uint8)
        self._accept(self._highs.changeColsIntegrality(len(binaries), binaries.astype(np.int32), kinds))

    def _pass_bounds(self) -> None:
        count = len(self._lower)
        self._accept(self._highs.changeColsBounds(count, self._all(count), self._lower, self._upper))

    def _run(self, left: float) -> FloatArray:
        if left <= 0:
            raise TimeUp("The time for planning is spent.")
        self._highs.setOptionValue("time_limit", self._highs.getRunTime() + left)
        self._highs.run()
        status, known = self._highs.getModelStatus(), self._highspy.HighsModelStatus
        if status not in (known.kOptimal, known.kTimeLimit) and self._warm:
            # Numbers of the stage before may lead astray: what counts is the answer from scratch.
            self._start_afresh()
            self._highs.run()
            status = self._highs.getModelStatus()
        if status in (known.kInfeasible, known.kUnboundedOrInfeasible):
            raise Infeasible("HiGHS finds no point that keeps all limits.")
        if status == known.kTimeLimit:
            raise TimeUp("The time for planning is spent.")
        if status != known.kOptimal:
            raise SolverFailed(f"HiGHS reports {self._highs.modelStatusToString(status)}.")
        x = np.array(self._highs.getSolution().col_value)
        if not np.isfinite(x).all() or (missed := self.matrix.most_broken(x)) > _FEASIBLE:
            raise SolverFailed(f"HiGHS calls a point optimal that misses a limit by {missed:.2g}.")
        self._highs.setOptionValue("solver", "simplex")
        self._highs.setOptionValue("simplex_strategy", _PRIMAL)
        self._warm = True
        inside: FloatArray = np.clip(x, self.matrix.lower, self.matrix.upper)
        return inside

    def _start_afresh(self) -> None:
        self._highs.clearSolver()
        large = len(self.matrix.lower) > _LARGE_COLUMNS
        self._highs.setOptionValue("solver", "ipm" if large else "choose")
        self._highs.setOptionValue("simplex_strategy", _DUAL)

    def _accept(self, answer: Any) -> None:
        if answer == self._highspy.HighsStatus.kError:
            raise SolverFailed("HiGHS refuses the programme.")

    @staticmethod
    def _all(count: int) -> NDArray[np.int32]:
        return np.arange(count, dtype=np.int32)


def _pin(which: BoolArray, value: FloatArray, lower: FloatArray, upper: FloatArray) -> None:
    """Close the bounds upon the one that `value` stands at."""
    at = np.where(np.abs(value - lower) <= np.abs(upper - value), lower, upper)
    lower[which] = upper[which] = at[which]
