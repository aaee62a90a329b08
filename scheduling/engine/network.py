"""The linear planning problem as a flow in whole quanta: vehicle -> node -> ... -> grid connection -> step.

Energy on every arc is counted in mW s, so that sums are exact; rooms are rounded down. `not_a_flow` says which
problems have this form; the others are linear programmes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.problem import Problem
from scheduling.engine.tree import NO_LIMIT, Rows

QUANTA_PER_KWH = 3_600_000_000
"""mW s per kWh."""
NO_ROOM_LIMIT = 1 << 61
_EPS = 1e-9


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
        rows = problem.rows
        kept = _binding_rows(problem)
        parent, row = _forest(rows, kept, bool((_bypass(problem) > 0).any()))
        order_of_node = {int(r): k for k, r in enumerate(row)}
        leaf = _leaf_of(rows, kept, order_of_node, len(problem.evs))
        wanted = np.flatnonzero((problem.need_kwh > 0) & (problem.most_power > 0).any(axis=1))
        ev = wanted[np.lexsort((wanted, leaf[wanted]))]
        first, last = problem.first_step[ev], problem.last_step[ev]
        start = np.concatenate([[0], np.cumsum(last - first)]).astype(np.int64)
        at = np.repeat(np.arange(len(ev)), last - first)
        step = np.arange(start[-1]) - start[at] + first[at]
        quanta = problem.hours * QUANTA_PER_KWH
        whole = problem.most_power[ev[at], step]
        free = np.minimum(_bypass(problem)[ev][at], whole)
        room = np.full((len(row), problem.horizon.steps), NO_ROOM_LIMIT, dtype=np.int64)
        real = row >= 0
        room[real] = np.floor(np.minimum(rows.limits[row[real]], NO_LIMIT / 1e6) * quanta + 0.5e-3)
        return Network(
            problem=problem,
            ev=ev,
            leaf=leaf[ev],
            first=first,
            last=last,
            start=start,
            most=np.floor((whole - free) * quanta[step] + 0.5e-3).astype(np.int64),
            free=np.floor(free * quanta[step] + 0.5e-3).astype(np.int64) if (free > 0).any() else np.zeros(0, np.int64),
            least_kw=problem.min_power[ev],
            need=np.floor(problem.need_kwh[ev] * QUANTA_PER_KWH + 0.5e-3).astype(np.int64),
            parent=parent,
            room=room,
            row=row,
        )

    @cached_property
    def arc_ev(self) -> IntArray:
        """Position of the vehicle of every arc, shape (n_arcs,)."""
        return np.repeat(np.arange(len(self.ev)), self.last - self.first)

    @cached_property
    def arc_step(self) -> IntArray:
        """Step of every arc, shape (n_arcs,)."""
        return np.arange(self.start[-1]) - self.start[self.arc_ev] + self.first[self.arc_ev]

    def power_of(self, energy: IntArray) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps), from the energy of every arc (by-pass included), mW s."""
        power = self.problem.zeros()
        kwh = energy / QUANTA_PER_KWH
        power[self.ev[self.arc_ev], self.arc_step] = kwh / self.problem.hours[self.arc_step]
        return power

    def energy_of(self, power: FloatArray) -> IntArray:
        """The other way round, rounded to the nearest quantum, shape (n_arcs,)."""
        kwh = power[self.ev[self.arc_ev], self.arc_step] * self.problem.hours[self.arc_step]
        return np.rint(kwh * QUANTA_PER_KWH).astype(np.int64)


def not_a_flow(problem: Problem) -> str:
    """Why the linear problem is no flow that the greedy solves exactly, as a clause; empty if it is one."""
    site, rows = problem.site, problem.rows
    if site.has_storage:
        return "sun or a battery stand behind the meter"
    if (problem.discharge_power > 0).any():
        return "a vehicle may give back"
    if len(site.demand_charges) > 1:
        return "there are several demand charges"
    if any(node.parent is not None for node, _ in problem.soft_nodes) or len(problem.soft_nodes) > 1:
        return "a soft limit stands on an inner node"
    if problem.soft_nodes and (problem.free_power > 0).any():
        return "a soft limit meets fallbacks"
    if ((problem.free_power > _EPS) & (problem.free_power < problem.min_power - _EPS)).any():
        return "a fallback is below a minimum power"
    kept = _binding_rows(problem)
    if any(not np.isin(np.round(rows.coefficients[r], 9), (0.0, 1.0)).all() for r in kept):
        return "phases are loaded unequally"
    names = [rows.names[r] for r in kept]
    if len(set(names)) < len(names):
        return "a node limits phases one by one"
    if sum(1 for node in problem.tree.nodes if node.parent is None) > 1 and site.demand_charges:
        return "the site has several grid connections"
    return ""


def _bypass(problem: Problem) -> FloatArray:
    """kW per vehicle that no node counts, shape (n_ev,)."""
    return np.minimum(problem.free_power, problem.max_power)


def _binding_rows(problem: Problem) -> list[int]:
    """Rows that can be full at all; the root's stay, because peaks and soft limits are counted there."""
    rows = problem.rows
    counted = np.maximum(problem.most_power - _bypass(problem)[:, None], 0.0)
    most = rows.coefficients @ counted
    can_bind = (most > rows.limits + _EPS).any(axis=1)
    return [int(r) for r in np.flatnonzero(can_bind | rows.is_root)]


def _forest(rows: Rows, kept: list[int], bypassed: bool) -> tuple[IntArray, IntArray]:
    """Parent and row of every node, top first. A top of its own joins several roots, or takes in the by-passes."""
    members = (rows.coefficients[kept] > 0).sum(axis=1) if kept else np.zeros(0)
    widest_first = [kept[k] for k in np.argsort(-members, kind="stable")]
    roots = [r for r in widest_first if rows.is_root[r]]
    real_top = len(roots) == 1 and not bypassed and bool((rows.coefficients[roots[0]] > 0).all())
    row = widest_first if real_top else [-1, *widest_first]
    if real_top:
        row.remove(roots[0])
        row.insert(0, roots[0])
    parent = [-1]
    for k in range(1, len(row)):
        mine = rows.coefficients[row[k]] > 0
        above = [j for j in range(k) if row[j] < 0 or bool((rows.coefficients[row[j]] > 0)[mine].all())]
        parent.append(max(above, key=lambda j: -np.inf if row[j] < 0 else -(rows.coefficients[row[j]] > 0).sum()))
    return np.array(parent, dtype=np.int64), np.array(row, dtype=np.int64)


def _leaf_of(rows: Rows, kept: list[int], node_of_row: dict[int, int], n_ev: int) -> IntArray:
    """The innermost kept node above every vehicle, shape (n_ev,)."""
    leaf = np.zeros(n_ev, dtype=np.int64)
    for r in sorted(kept, key=lambda r: -int((rows.coefficients[r] > 0).sum())):
        leaf[rows.coefficients[r] > 0] = node_of_row[r]
    return leaf
