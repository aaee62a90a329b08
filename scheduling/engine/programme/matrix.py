"""A linear programme as arrays that a solver takes in one call."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from scheduling.engine.arrays import FloatArray, IntArray


@dataclass(frozen=True, eq=False)
class Matrix:
    """lower <= x <= upper, row_lower <= A x <= row_upper; A by rows (CSR)."""

    lower: FloatArray  # (n_columns,)
    upper: FloatArray  # (n_columns,)
    row_lower: FloatArray  # (n_rows,)
    row_upper: FloatArray  # (n_rows,)
    start: NDArray[np.int32]  # (n_rows + 1,)
    index: NDArray[np.int32]  # (n_entries,) column of every entry
    value: FloatArray  # (n_entries,)

    def most_broken(self, x: FloatArray) -> float:
        """The largest amount by which `x` misses a bound or a row; 0 if it keeps all of them."""
        row = np.repeat(np.arange(len(self.row_lower)), np.diff(self.start))
        activity = np.bincount(row, weights=self.value * x[self.index], minlength=len(self.row_lower))
        misses = (self.lower - x, x - self.upper, self.row_lower - activity, activity - self.row_upper)
        return max(float(miss.max(initial=0.0)) for miss in misses)

    def with_columns(self, lower: FloatArray, upper: FloatArray) -> Matrix:
        """More columns, in no row yet."""
        return replace(self, lower=np.concatenate([self.lower, lower]), upper=np.concatenate([self.upper, upper]))

    def with_rows(self, more: Matrix) -> Matrix:
        """The rows of `more`, which has the same columns, below the own ones."""
        return replace(
            self,
            row_lower=np.concatenate([self.row_lower, more.row_lower]),
            row_upper=np.concatenate([self.row_upper, more.row_upper]),
            start=np.concatenate([self.start, self.start[-1] + more.start[1:]]),
            index=np.concatenate([self.index, more.index]),
            value=np.concatenate([self.value, more.value]),
        )


@dataclass(eq=False)
class Draft:
    """A programme that grows by blocks of columns, rows and entries."""

    n_columns: int = 0
    n_rows: int = 0
    _columns: list[tuple[FloatArray, FloatArray]] = field(default_factory=list)
    _rows: list[tuple[FloatArray, FloatArray]] = field(default_factory=list)
    _entries: list[tuple[IntArray, IntArray, FloatArray]] = field(default_factory=list)

    def columns(self, lower: FloatArray | float, upper: FloatArray) -> IntArray:
        """Numbers of new columns with these bounds."""
        self._columns.append((np.broadcast_to(np.float64(lower), upper.shape), upper))
        self.n_columns += len(upper)
        return np.arange(self.n_columns - len(upper), self.n_columns)

    def rows(self, lower: FloatArray | float, upper: FloatArray) -> IntArray:
        """Numbers of new rows, empty so far, with these bounds."""
        self._rows.append((np.broadcast_to(np.float64(lower), upper.shape), upper))
        self.n_rows += len(upper)
        return np.arange(self.n_rows - len(upper), self.n_rows)

    def enter(self, row: IntArray, column: IntArray, value: FloatArray | float) -> None:
        """Put `value` where rows and columns meet, pair by pair; no pair may come twice."""
        self._entries.append((row, column, np.broadcast_to(np.float64(value), row.shape)))

    def matrix(self) -> Matrix:
        """All blocks together."""
        row, column, value = _joined(self._entries, np.int64, np.int64, np.float64)
        lower, upper = _joined(self._columns, np.float64, np.float64)
        row_lower, row_upper = _joined(self._rows, np.float64, np.float64)
        order = np.argsort(row, kind="stable")
        start = np.zeros(self.n_rows + 1, dtype=np.int32)
        np.cumsum(np.bincount(row, minlength=self.n_rows), out=start[1:])
        return Matrix(
            lower=lower,
            upper=upper,
            row_lower=row_lower,
            row_upper=row_upper,
            start=start,
            index=column[order].astype(np.int32),
            value=value[order],
        )


def _joined(blocks: list[tuple[NDArray[np.generic], ...]] | list, *kinds: type) -> list[NDArray]:  # type: ignore[type-arg]
    return [np.concatenate([np.zeros(0, kind), *(block[k] for block in blocks)]) for k, kind in enumerate(kinds)]
