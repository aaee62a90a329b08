"""The time grid of a plan."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np

from scheduling.engine.arrays import FloatArray

DEFAULT_RESOLUTION = timedelta(minutes=15)
DEFAULT_STEPS = 96
SHORTEST_STEP = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def require_aware(instant: datetime, what: str) -> datetime:
    """`instant` in UTC, or ValueError naming `what` if it carries no time zone."""
    if instant.utcoffset() is None:
        raise ValueError(f"{what} {instant.isoformat()} is naive: give it a time zone.")
    return instant.astimezone(UTC)


@dataclass(frozen=True)
class Horizon:
    """Steps from `start`: the first ends at the next multiple of `resolution` since the epoch, others are whole.

    `between` and `graded` make steps of different lengths.
    """

    start: datetime
    resolution: timedelta = DEFAULT_RESOLUTION
    steps: int = DEFAULT_STEPS
    edges: tuple[datetime, ...] = ()
    """Explicit borders, start and end included; empty: the regular grid."""

    @staticmethod
    def between(borders: Iterable[datetime], resolution: timedelta = DEFAULT_RESOLUTION) -> Horizon:
        """Steps between rising instants; `resolution` is the nominal length that tolerances refer to."""
        edges = tuple(require_aware(border, "Border") for border in borders)
        if len(edges) < 2 or any(later <= earlier for earlier, later in pairwise(edges)):
            raise ValueError("A horizon needs at least two borders, each later than the one before it.")
        return Horizon(edges[0], resolution, len(edges) - 1, edges)

    @staticmethod
    def graded(
        start: datetime,
        grades: Sequence[tuple[timedelta, timedelta]],
        *,
        cuts: Iterable[datetime] = (),
        shortest: timedelta = SHORTEST_STEP,
    ) -> Horizon:
        """Steps that grow longer: each grade is (how long after start it ends, step length), on multiples of it.

        `cuts` are further borders, such as near arrivals and departures. One that is less than `shortest` away from a
        border takes its place; so close to the start, the end or another cut it is left out.
        """
        begin = require_aware(start, "Horizon start")
        edges, until = [begin], begin
        for reach, length in grades:
            if length <= timedelta(0):
                raise ValueError(f"Resolution {length} must be longer than zero.")
            border = _EPOCH + ((until - _EPOCH) // length + 1) * length
            until = _EPOCH + -((_EPOCH - begin - reach) // length) * length
            while border <= until:
                edges.append(border)
                border += length
            until = max(edges[-1], begin)
        if len(edges) < 2:
            raise ValueError("A horizon needs a grade that reaches beyond its start.")
        firm = {edges[0], edges[-1]}
        for cut in sorted(require_aware(instant, "Cut") for instant in cuts):
            close = [edge for edge in edges if abs(edge - cut) < shortest]
            if edges[0] < cut < edges[-1] and firm.isdisjoint(close):
                firm.add(cut)
                edges = sorted(set(edges) - set(close) | {cut})
        return Horizon.between(edges, grades[0][1])

    def __post_init__(self) -> None:
        if self.resolution <= timedelta(0):
            raise ValueError(f"Resolution {self.resolution} must be longer than zero.")
        if self.steps < 1:
            raise ValueError(f"A horizon needs at least one step, not {self.steps}.")
        object.__setattr__(self, "start", require_aware(self.start, "Horizon start"))

    @cached_property
    def borders(self) -> tuple[datetime, ...]:
        """Instants between the steps, `steps + 1` of them, UTC."""
        if self.edges:
            return self.edges
        first = _EPOCH + ((self.start - _EPOCH) // self.resolution + 1) * self.resolution
        return (self.start, *(first + k * self.resolution for k in range(self.steps)))

    @cached_property
    def border_seconds(self) -> FloatArray:
        """Seconds after start of every border, shape (steps + 1,)."""
        return np.array([(border - self.start).total_seconds() for border in self.borders])

    @cached_property
    def hours(self) -> FloatArray:
        """Length of each step, h, shape (steps,)."""
        return np.diff(self.border_seconds) / 3600.0

    @property
    def end(self) -> datetime:
        """End of the last step."""
        return self.borders[-1]

    def first_step_at_or_after(self, instant: datetime) -> int:
        """First step that begins at or after `instant`; 0 if it is past, `steps` if none does."""
        return min(bisect_left(self.borders, require_aware(instant, "Instant")), self.steps)

    def last_border_at_or_before(self, instant: datetime) -> int:
        """Index of the last border not after `instant`, 0 if it is past: the first step that ends too late for it."""
        return max(bisect_right(self.borders, require_aware(instant, "Instant")) - 1, 0)

    def step_at(self, instant: datetime) -> int | None:
        """The step that holds `instant`, None outside the horizon."""
        moment = require_aware(instant, "Instant")
        if not self.start <= moment < self.end:
            return None
        return bisect_right(self.borders, moment) - 1

    def sample(
        self, series: Iterable[tuple[datetime, float]], *, combine: Literal["mean", "min", "max"] = "mean"
    ) -> FloatArray:
        """Value per step, shape (steps,), of a step function given as (from when, value).

        The first value holds before its time too. `combine` says what a step gets when
        the value changes inside it: limits want "min", prices the mean over time.
        """
        points = sorted((require_aware(instant, "Series point"), float(value)) for instant, value in series)
        if not points:
            raise ValueError("A series needs at least one point.")
        at = np.array([(instant - self.start).total_seconds() for instant, _ in points])
        values = np.array([value for _, value in points])
        cuts = np.unique(np.concatenate([self.border_seconds, at[(at > 0) & (at < self.border_seconds[-1])]]))
        in_force = values[np.maximum(np.searchsorted(at, cuts[:-1], side="right") - 1, 0)]
        first_piece = np.searchsorted(cuts, self.border_seconds[:-1])
        if combine == "min":
            return np.minimum.reduceat(in_force, first_piece)
        if combine == "max":
            return np.maximum.reduceat(in_force, first_piece)
        result: FloatArray = np.add.reduceat(in_force * np.diff(cuts), first_piece) / (self.hours * 3600.0)
        return result


def round_down_datetime(dt: datetime, minute: float) -> datetime:
    """`dt` cut to the grid of `minute` minutes counted from its local midnight; ValueError unless minute > 0."""
    if not (minute > 0 and math.isfinite(minute)):
        raise ValueError(f"Cannot round down to {minute} minutes: give a number above zero.")
    midnight = dt.replace(hour=0, minute=0, second=0, microsecond=0)
    step = timedelta(minutes=minute)
    return (midnight + (dt - midnight) // step * step).replace(fold=dt.fold)
