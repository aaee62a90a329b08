"""The linear planning problem as a flow in whole quanta: vehicle -> node -> ... -> grid connection -> step.

Energy on every arc is counted in mW s, so that sums are exact; rooms are rounded down. `not_a_flow` says which
problems have this form; the others are linear programmes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.problem import Problem
from scheduling.engine.tree import NO_LIMIT

QUANTA_PER_KWH = 3_600_000_000
"""mW s per kWh."""
NO_ROOM_LIMIT = 1 << 61
_EPS = 1e-9
_NEXT_QUANTUM = 0.5e-3
"""Added before rounding down, so that a whole number that floats miss by a hair stays what it is."""


@dataclass(frozen=True, eq=False)
class Network:
    """Vehicles sorted by node, their arcs step by step, and the rooms of the nodes, all in mW s.

    Position k is row `ev[k]` of the problem; its arcs are `start[k]:start[k + 1]`, one per step of
    [first[k], last[k]). Node 0 is the top; every other node stands behind its parent in the numbering.
    """

    problem: Problem
    ev: IntArray  # (n,)
    leaf: IntArray  # (n,) node that the vehicle hangs on
    first: IntArray  # (n,)
    last: IntArray  # (n,)
    start: IntArray  # (n + 1,)
    most: IntArray  # (n_arcs,) most energy that the nodes count
    free: IntArray  # (n_arcs,) most energy that by-passes all nodes but the top; empty if nobody has a fallback
    least_kw: FloatArray  # (n,) smallest power that is not zero
    need: IntArray  # (n,)
    parent: IntArray  # (n_nodes,) -1 for the top
    room: IntArray  # (n_nodes, steps)
    row: IntArray  # (n_nodes,) row of problem.rows, -1 for a top that stands for nothing

    @staticmethod
    def of(problem: Problem) -> Network:
        """The network of a problem for which `not_a_flow` has no objection."""
        forest = _forest_of(problem)
        if forest.objection:
            raise ValueError(f"This problem is no flow: {forest.objection}.")
        can_charge = (problem.first_step < problem.last_step) & (problem.max_power > 0) & ~problem.held
        wanted = np.flatnonzero(can_charge & (problem.need_kwh > 0))
        ev = wanted[np.argsort(forest.leaf[wanted], kind="stable")]
        first, last = problem.first_step[ev], problem.last_step[ev]
        start = np.concatenate([[0], np.cumsum(last - first)]).astype(np.int64)
        at, step = _arcs(first, last, start)
        quanta = problem.hours * QUANTA_PER_KWH
        whole = problem.most_power[ev[at], step]
        free = np.minimum(_bypass(problem)[ev][at], whole)
        room = np.full((len(forest.row), problem.horizon.steps), NO_ROOM_LIMIT, dtype=np.int64)
        real = forest.row >= 0
        room[real] = quanta_of(problem.rows.limits[forest.row[real]], problem.hours)
        per_step = quanta[step]
        return Network(
            problem=problem,
            ev=ev,
            leaf=forest.leaf[ev],
            first=first,
            last=last,
            start=start,
            most=_whole((whole - free) * per_step),
            free=_whole(free * per_step) if (free > 0).any() else np.zeros(0, np.int64),
            least_kw=problem.min_power[ev],
            need=kwh_in_quanta(problem.need_kwh[ev]),
            parent=forest.parent,
            room=room,
            row=forest.row,
        )

    @cached_property
    def _arcs(self) -> tuple[IntArray, IntArray]:
        return _arcs(self.first, self.last, self.start)

    @property
    def arc_ev(self) -> IntArray:
        """Position of the vehicle of every arc, shape (n_arcs,)."""
        return self._arcs[0]

    @property
    def arc_step(self) -> IntArray:
        """Step of every arc, shape (n_arcs,)."""
        return self._arcs[1]

    @cached_property
    def whole(self) -> IntArray:
        """Most energy of every arc, by-pass included, shape (n_arcs,)."""
        return self.most + self.free if len(self.free) else self.most

    def power_of(self, energy: IntArray) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps), from the energy of every arc (by-pass included), mW s."""
        power = self.problem.zeros()
        kw_per_quantum = 1.0 / (self.problem.hours * QUANTA_PER_KWH)
        power[self.ev[self.arc_ev], self.arc_step] = energy * kw_per_quantum[self.arc_step]
        return power

    def energy_of(self, power: FloatArray) -> IntArray:
        """The other way round, rounded to the nearest quantum, shape (n_arcs,)."""
        kwh = power[self.ev[self.arc_ev], self.arc_step] * self.problem.hours[self.arc_step]
        return np.rint(kwh * QUANTA_PER_KWH).astype(np.int64)


def quanta_of(power: FloatArray, hours: FloatArray) -> IntArray:
    """Whole quanta of a power held for whole steps, kW, shape (..., steps)."""
    return _whole(np.clip(power, 0.0, NO_LIMIT / 1e6) * (hours * QUANTA_PER_KWH))


def kwh_in_quanta(energy: FloatArray) -> IntArray:
    """Whole quanta of an energy in kWh."""
    return _whole(energy * QUANTA_PER_KWH)


def not_a_flow(problem: Problem) -> str:
    """Why the linear problem is no flow that the greedy solves exactly, as a clause; empty if it is one."""
    site, roots = problem.site, sum(node.parent is None for node in problem.tree.nodes)
    if site.has_storage:
        return "sun or a battery stand behind the meter"
    if site.building_kw is not None and (site.building_kw < 0).any():
        return "the building feeds in"
    if (problem.discharge_power > 0).any():
        return "a vehicle may give back"
    if len(site.demand_charges) > 1:
        return "there are several demand charges"
    if any(node.parent is not None for node, _ in problem.soft_nodes) or len(problem.soft_nodes) > 1:
        return "a soft limit stands on an inner node"
    if problem.soft_nodes and (problem.free_power > 0).any():
        return "a soft limit meets fallbacks"
    if roots > 1 and (site.demand_charges or problem.soft_nodes):
        return "the site has several grid connections"
    if ((problem.free_power > _EPS) & (problem.free_power < problem.min_power - _EPS)).any():
        return "a fallback is below a minimum power"
    return _forest_of(problem).objection


@dataclass(frozen=True, eq=False)
class _Forest:
    """The nodes that can be full at all, by their rows, each behind its parent; or why they form no forest."""

    parent: IntArray  # (n_nodes,)
    row: IntArray  # (n_nodes,)
    leaf: IntArray  # (n_ev,) innermost node above every vehicle
    objection: str = ""


_FORESTS: WeakKeyDictionary[Problem, _Forest] = WeakKeyDictionary()
"""Of the problems at hand: the question whether it is a flow and the flow itself need it."""


def _forest_of(problem: Problem) -> _Forest:
    forest = _FORESTS.get(problem)
    if forest is None:
        forest = _FORESTS[problem] = _grow(problem)
    return forest


def _grow(problem: Problem) -> _Forest:
    """Vehicles under the same rows form a group; the rows are nested if each finds its members in one place."""
    rows = problem.rows
    group, one_of = _groups(rows.coefficients)
    weight = rows.coefficients[:, one_of]
    kept = _binding_rows(problem, group, weight)
    members = (weight > 0) @ np.bincount(group, minlength=len(one_of))
    widest_first = sorted(kept, key=lambda r: (-members[r], not rows.is_root[r]))
    if not np.isin(np.round(weight[kept], 9), (0.0, 1.0)).all():
        return _no_forest("phases are loaded unequally")
    if len({rows.names[r] for r in kept}) < len(kept):
        return _no_forest("a node limits phases one by one")
    if _needs_a_top_of_its_own(problem, widest_first, members):
        widest_first.insert(0, -1)
    parent = np.full(len(widest_first), -1, dtype=np.int64)
    leaf = np.zeros(len(one_of), dtype=np.int64)
    for node, row in enumerate(widest_first[1:], start=1):
        inside = np.flatnonzero(weight[row] > 0)
        parent[node] = leaf[inside[0]]
        if (leaf[inside] != parent[node]).any():
            return _no_forest("limits of different nodes cross each other")
        leaf[inside] = node
    return _Forest(parent, np.array(widest_first, dtype=np.int64), leaf[group])


def _no_forest(objection: str) -> _Forest:
    nothing = np.zeros(0, dtype=np.int64)
    return _Forest(nothing, nothing, nothing, objection)


def _needs_a_top_of_its_own(problem: Problem, widest_first: list[int], members: IntArray) -> bool:
    """By-passes end above the grid connection; several connections, or one that misses vehicles, need a common end."""
    if (_bypass(problem) > 0).any() or not widest_first:
        return True
    roots = [row for row in widest_first if problem.rows.is_root[row]]
    return roots != widest_first[:1] or members[roots[0]] < len(problem.evs)


def _groups(coefficients: FloatArray) -> tuple[IntArray, IntArray]:
    """Number of every vehicle's group of equal columns, shape (n_ev,), and a vehicle of each group."""
    numbers: dict[bytes, int] = {}
    columns = np.ascontiguousarray(coefficients.T)
    group = np.array([numbers.setdefault(column.tobytes(), len(numbers)) for column in columns], dtype=np.int64)
    return group, np.unique(group, return_index=True)[1]


def _binding_rows(problem: Problem, group: IntArray, weight: FloatArray) -> list[int]:
    """Rows that can be full at all; the root's stay, because peaks and soft limits are counted there."""
    by_group = np.argsort(group, kind="stable")
    counted = problem.most_power[by_group]
    bypass = _bypass(problem)[by_group]
    if (bypass > 0).any():
        counted = np.maximum(counted - bypass[:, None], 0.0)
    most = np.zeros((weight.shape[1], problem.horizon.steps))
    if len(group):
        most = np.add.reduceat(counted, np.searchsorted(group[by_group], np.arange(weight.shape[1])), axis=0)
    can_bind = (weight @ most > problem.rows.limits + _EPS).any(axis=1)
    return [int(row) for row in np.flatnonzero(np.logical_or(can_bind, problem.rows.is_root))]


def _bypass(problem: Problem) -> FloatArray:
    """kW per vehicle that no node counts, shape (n_ev,)."""
    return np.minimum(problem.free_power, problem.max_power)


def _arcs(first: IntArray, last: IntArray, start: IntArray) -> tuple[IntArray, IntArray]:
    """Position of the vehicle and step of every arc, shape (n_arcs,) each."""
    at = np.repeat(np.arange(len(first)), last - first)
    return at, np.arange(start[-1]) - (start[:-1] - first)[at]


def _whole(energy: FloatArray) -> IntArray:
    result: IntArray = (energy + _NEXT_QUANTUM).astype(np.int64)
    return result
