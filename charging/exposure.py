"""Exposure: the most every connector may be drawing, now and later, given everything that was ever sent.

Values in, values out; `charging.gate` reads them from the database. safety.md section 3.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from charging.profiles import START_IN_THE_PAST, Schedule, merged

FloatArray = NDArray[np.float64]
SITE_PHASES = 3
EPSILON = 1e-6  # kW or A
CLOCK_DIGITS = 3  # instants are kept to the millisecond, so that equal ones make one cell


@dataclass(frozen=True)
class ConnectorFacts:
    """What is known of a connector that bounds its draw; currents in A per phase."""

    key: int
    label: str
    node: str
    kw_per_ampere: float
    phases: tuple[int, ...]  # site phases (1 to 3) that it loads
    hardware_a: float
    floor_a: float  # verified fallback, or the hardware maximum while nothing is verified
    schedules: tuple[Schedule, ...] = ()
    measured_a: float | None = None  # fresh measurement above every limit: counted as measured
    clock_uncertainty_s: float = 60.0
    floor_configured_a: float = 0.0  # the fallback its nodes always reserve


@dataclass(frozen=True)
class NodeLimit:
    """A node's limit on chargers, building taken off: kW and A per phase as step functions [(from, value), ...]."""

    name: str
    parent: str | None
    kw: tuple[tuple[datetime, float], ...]
    ampere: tuple[tuple[datetime, float], ...] | None = None


class Refusal(NamedTuple):
    """Where a raise does not fit: needed and allowed load of the node at that instant, in `unit`."""

    node: str
    at: datetime
    needed: float
    allowed: float
    unit: str

    def __str__(self) -> str:
        room = f"{self.node} carries {self.allowed:.1f} {self.unit}"
        return f"{room}, {self.needed:.1f} would be possible at {self.at:%H:%M:%S}Z"


@dataclass
class Exposure:
    """Worst case of a depot on a grid of instants. `grant` adds a schedule if every ancestor carries the raise."""

    now: datetime
    connectors: Sequence[ConnectorFacts]
    nodes: Sequence[NodeLimit]
    candidates: Iterable[Schedule] = ()
    worst_a: FloatArray = field(init=False)  # (n_connectors, n_cells)

    def __post_init__(self) -> None:
        self._rows = {facts.key: row for row, facts in enumerate(self.connectors)}
        self._cells = self._borders()
        self._members = {node.name: self._below(node.name) for node in self.nodes}
        self._kw = {node.name: self._step(node.kw) for node in self.nodes}
        self._ampere = {n.name: self._step(n.ampere) for n in self.nodes if n.ampere is not None}
        self._weights = np.array([facts.kw_per_ampere for facts in self.connectors], dtype=float)
        self._phases = np.array(
            [[phase in facts.phases for phase in range(1, SITE_PHASES + 1)] for facts in self.connectors], dtype=float
        ).reshape(len(self.connectors), SITE_PHASES)
        self.worst_a = np.zeros((len(self.connectors), len(self._cells)))
        for row, facts in enumerate(self.connectors):
            self.worst_a[row] = self._worst_of(facts)
        self._load_kw = {name: self._weights[rows] @ self.worst_a[rows] for name, rows in self._members.items()}
        self._load_a = {name: self._phases[rows].T @ self.worst_a[rows] for name, rows in self._members.items()}

    @property
    def instants(self) -> list[datetime]:
        """Start of every cell of the grid; the last cell has no end."""
        return [self.now + timedelta(seconds=second) for second in self._cells]

    def members(self, name: str) -> list[int]:
        """Keys of the connectors below a node."""
        return [self.connectors[row].key for row in self._members[name]]

    def worst_kw(self, key: int) -> float:
        """The most this connector may draw at the present, kW."""
        row = self._rows[key]
        return float(self.worst_a[row, 0] * self._weights[row])

    def node_kw(self, name: str) -> FloatArray:
        """Worst-case load of chargers below a node per cell, kW."""
        load: FloatArray = self._load_kw[name]
        return load

    def node_limit_kw(self, name: str) -> FloatArray:
        return self._kw[name]

    def excess(self) -> list[Refusal]:
        """Nodes whose limit the worst case exceeds already, each at its worst instant."""
        everywhere = np.ones(len(self._cells), dtype=np.bool_)
        nothing = np.zeros(len(self._cells))
        found = (self._first_excess(node.name, nothing, None, everywhere) for node in self.nodes)
        return [refusal for refusal in found if refusal is not None]

    def refusal(self, key: int, schedule: Schedule) -> Refusal | None:
        """Why this schedule may not leave, or None. A schedule that raises nothing is always allowed (S1)."""
        row = self._rows[key]
        more_a = self._raise_of(row, schedule)
        higher = more_a > EPSILON
        if not higher.any():
            return None
        found = (self._first_excess(name, more_a, row, higher) for name in self._path(row))
        return next((refusal for refusal in found if refusal is not None), None)

    def grant(self, key: int, schedule: Schedule) -> Refusal | None:
        """Count the schedule from now on if it fits; otherwise say where it does not."""
        if (refused := self.refusal(key, schedule)) is None:
            self.count(key, schedule)
        return refused

    def count(self, key: int, schedule: Schedule) -> None:
        row = self._rows[key]
        more_a = self._raise_of(row, schedule)
        self.worst_a[row] += more_a
        for name in self._path(row):
            self._load_kw[name] = self._load_kw[name] + self._weights[row] * more_a
            self._load_a[name] = self._load_a[name] + np.outer(self._phases[row], more_a)

    def _raise_of(self, row: int, schedule: Schedule) -> FloatArray:
        """What the schedule adds to the worst case of a connector, A per cell."""
        facts = self.connectors[row]
        more: FloatArray = np.minimum(self._evaluate(schedule, facts), facts.hardware_a) - self.worst_a[row]
        return np.maximum(more, 0.0, out=more)

    def lowered(self, key: int, schedule: Schedule) -> Schedule:
        """The part of `schedule` that raises nothing whatever the charger's clock says: it may leave at once."""
        row = self._rows[key]
        spread = self.connectors[row].clock_uncertainty_s
        limits = np.minimum(self._evaluate(schedule, self.connectors[row]), self.worst_a[row])
        start = self.now.replace(microsecond=0) - START_IN_THE_PAST
        lead = self._second(start)
        edges = [math.floor(s - spread - lead) for s in self._cells[1:]] + [
            math.ceil(s + spread - lead) for s in self._cells[1:]
        ]
        starts = sorted({0, *(edge for edge in edges if edge > 0)})
        ends = [*starts[1:], float("inf")]
        periods = [
            (begin, self._least(limits, begin + lead - spread, end + lead + spread))
            for begin, end in zip(starts, ends, strict=True)
        ]
        return Schedule(start, tuple(merged(periods)), schedule.ends_at)

    def _least(self, values: FloatArray, start: float, end: float) -> float:
        """Lowest value of the cells that [start, end) touches."""
        first = max(bisect_right(self._cells, start) - 1, 0)
        last = len(self._cells) if end == float("inf") else max(bisect_left(self._cells, end), first + 1)
        return float(values[first:last].min())

    def takes_away(self, key: int, held: Schedule, wanted: Schedule) -> bool:
        """Whether `wanted` lies below `held` somewhere above the connector's floor."""
        facts = self.connectors[self._rows[key]]
        lower = np.maximum(self._evaluate(wanted, facts), facts.floor_a)
        return bool((self._evaluate(held, facts) > lower + EPSILON).any())

    # --- grid ---------------------------------------------------------------------------------------------------

    def _borders(self) -> list[float]:
        seconds = {0.0}
        for facts in self.connectors:
            for schedule in facts.schedules:
                seconds.update(self._edges(schedule, facts.clock_uncertainty_s))
        spreads = {facts.clock_uncertainty_s for facts in self.connectors}
        for schedule in self.candidates:
            for spread in spreads:
                seconds.update(self._edges(schedule, spread))
        for node in self.nodes:
            for steps in (node.kw, node.ampere or ()):
                seconds.update(self._second(instant) for instant, _ in steps)
        return sorted({round(second, CLOCK_DIGITS) for second in seconds if second >= 0})

    def _second(self, instant: datetime) -> float:
        return round((instant - self.now).total_seconds(), CLOCK_DIGITS)

    def _intervals(self, schedule: Schedule, spread: float) -> list[tuple[float, float, float]]:
        """(from, to, A) in seconds after now, each widened by the clock uncertainty on both sides."""
        start = self._second(schedule.starts_at)
        end = self._second(schedule.ends_at) if schedule.ends_at else float("inf")
        edges = [min(start + offset, end) for offset, _ in schedule.periods] + [end]
        return [
            (round(edges[k] - spread, CLOCK_DIGITS), round(edges[k + 1] + spread, CLOCK_DIGITS), limit)
            for k, (_, limit) in enumerate(schedule.periods)
        ]

    def _edges(self, schedule: Schedule, spread: float) -> Iterable[float]:
        for start, end, _ in self._intervals(schedule, spread):
            yield start
            if end != float("inf"):
                yield end

    def _evaluate(self, schedule: Schedule, facts: ConnectorFacts) -> FloatArray:
        """Upper envelope of the schedule over the clock uncertainty, A per cell; 0 outside it."""
        values = np.zeros(len(self._cells))
        for start, end, limit in self._intervals(schedule, facts.clock_uncertainty_s):
            first = bisect_left(self._cells, start) if start > 0 else 0
            last = len(self._cells) if end == float("inf") else bisect_left(self._cells, end)
            if last > first:
                np.maximum(values[first:last], limit, out=values[first:last])
        return values

    def _worst_of(self, facts: ConnectorFacts) -> FloatArray:
        worst: FloatArray = np.full(len(self._cells), facts.floor_a)
        for schedule in facts.schedules:
            worst = np.maximum(worst, self._evaluate(schedule, facts))
        worst[:] = np.minimum(worst, facts.hardware_a)
        if facts.measured_a is not None:
            worst = np.maximum(worst, facts.measured_a)
        return worst

    def _step(self, steps: Sequence[tuple[datetime, float]]) -> FloatArray:
        """A step function on the grid; the value before its first instant is the first one."""
        values = np.full(len(self._cells), steps[0][1] if steps else float("inf"))
        for instant, value in steps:
            values[bisect_left(self._cells, self._second(instant)) :] = value
        return values

    # --- tree ---------------------------------------------------------------------------------------------------

    def _path(self, row: int) -> list[str]:
        parents = {node.name: node.parent for node in self.nodes}
        path: list[str] = []
        name: str | None = self.connectors[row].node
        while name is not None:
            path.append(name)
            name = parents[name]
        return path

    def _below(self, name: str) -> NDArray[np.intp]:
        return np.array([row for row in range(len(self.connectors)) if name in self._path(row)], dtype=np.intp)

    def _first_excess(self, name: str, more_a: FloatArray, row: int | None, cells: NDArray[np.bool_]) -> Refusal | None:
        """The worst instant among `cells` at which a node would be over its limit with `more_a` at connector `row`."""
        weight = 0.0 if row is None else self._weights[row]
        phases = np.zeros(SITE_PHASES) if row is None else self._phases[row]
        sums = [(self._load_kw[name] + weight * more_a, self._kw[name], "kW")]
        if name in self._ampere:
            loads = self._load_a[name] + np.outer(phases, more_a)
            sums += [(load, self._ampere[name], "A") for load in loads]
        for load, limit, unit in sums:
            over = np.where(cells, load - limit, -np.inf)
            worst = int(np.argmax(over))
            if over[worst] > EPSILON:
                at = self.now + timedelta(seconds=self._cells[worst])
                return Refusal(name, at, float(load[worst]), float(limit[worst]), unit)
        return None
