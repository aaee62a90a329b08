"""The power tree of a depot and the linear rows it makes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from scheduling.engine.arrays import BoolArray, FloatArray

if TYPE_CHECKING:
    from scheduling.engine.ev import EV
    from scheduling.engine.problem import Problem

NO_LIMIT = 1e12
THREE_PHASE_KV = 0.69
"""kW of a balanced three-phase load per A on each phase at 230 V."""


@dataclass(frozen=True, eq=False)
class Node:
    """A load group: limits per step for the chargers below it, already net of building load.

    `reserved_kw` and `reserved_a` are the fallbacks of all connectors below, plugged or not; the engine subtracts them
    and counts of each vehicle only what exceeds its own fallback. `limit_a` holds for each phase alone.
    """

    name: str
    parent: str | None = None
    limit_kw: FloatArray | None = None
    limit_a: FloatArray | None = None
    reserved_kw: float = 0.0
    reserved_a: tuple[float, float, float] = (0.0, 0.0, 0.0)
    dr_event: BoolArray | None = None
    """Steps in which the limit comes from a demand-response or grid-operator event."""
    soft_limit_kw: FloatArray | None = None
    """What may be exceeded for money, counted like `limit_kw`."""
    soft_price_per_kwh: float = 0.0
    """Money per kWh above the soft limit."""


@dataclass(frozen=True, eq=False)
class Rows:
    """sum_i coefficients[r, i] * max(0, p[i, t] - free_power[i]) <= limits[r, t]; row r belongs to node `names[r]`."""

    coefficients: FloatArray  # (n_rows, n_ev): 1 for kW rows, A per kW for rows of a phase
    limits: FloatArray  # (n_rows, steps), never negative
    names: tuple[str, ...]
    is_root: BoolArray  # (n_rows,)


@dataclass(frozen=True, eq=False)
class PowerTree:
    """Nested load groups; the nodes without parent are the grid connections."""

    nodes: tuple[Node, ...]

    def __post_init__(self) -> None:
        names = [node.name for node in self.nodes]
        if len(set(names)) < len(names):
            raise ValueError(f"Load group names must be unique: {sorted(n for n in names if names.count(n) > 1)}.")
        for node in self.nodes:
            if node.parent is not None and node.parent not in names:
                raise ValueError(f"Load group {node.name!r} stands under {node.parent!r}, which is not in the tree.")
            self._check_no_loop(node)

    def _check_no_loop(self, node: Node) -> None:
        parents = {n.name: n.parent for n in self.nodes}
        seen, above = {node.name}, node.parent
        while above is not None:
            if above in seen:
                raise ValueError(f"Load group {node.name!r} stands under itself.")
            seen.add(above)
            above = parents.get(above)

    @staticmethod
    def single(limit_kw: Sequence[float] | FloatArray, name: str = "site") -> PowerTree:
        """One flat limit in kW per step."""
        return PowerTree((Node(name, None, np.asarray(limit_kw, dtype=np.float64)),))

    @staticmethod
    def single_amps(limit_a: Sequence[float] | FloatArray, name: str = "site") -> PowerTree:
        """One flat limit in A per phase and step."""
        return PowerTree((Node(name, None, None, np.asarray(limit_a, dtype=np.float64)),))

    @cached_property
    def by_name(self) -> dict[str, Node]:
        """The nodes by name."""
        return {node.name: node for node in self.nodes}

    def above(self, ev: EV) -> frozenset[str]:
        """Names of all nodes that carry the vehicle's current."""
        names: set[str] = set()
        pending: list[str | None] = list(ev.nodes or [node.name for node in self.nodes if node.parent is None])
        while pending:
            name = pending.pop()
            if name is None or name in names:
                continue
            if name not in self.by_name:
                known = ", ".join(sorted(self.by_name))
                raise ValueError(f"Vehicle {ev.ev_id} names the load group {name!r}; the tree has {known}.")
            names.add(name)
            pending.append(self.by_name[name].parent)
        return frozenset(names)

    def membership(self, evs: Sequence[EV]) -> BoolArray:
        """Which node carries which vehicle, shape (n_nodes, n_ev)."""
        row = {node.name: k for k, node in enumerate(self.nodes)}
        columns: dict[tuple[str, ...], list[int]] = {}
        for i, ev in enumerate(evs):
            columns.setdefault(ev.nodes, []).append(i)
        below = np.zeros((len(self.nodes), len(evs)), dtype=np.bool_)
        for members in columns.values():
            rows = [row[name] for name in self.above(evs[members[0]])]
            below[np.ix_(rows, members)] = True
        return below

    def refuse_misfits(self, evs: Sequence[EV], steps: int) -> None:
        """ValueError if a vehicle stands under an unknown node, or a limit has not one number per step."""
        for ev in {ev.nodes: ev for ev in evs}.values():
            self.above(ev)
        for node in self.nodes:
            if not (np.isfinite(node.soft_price_per_kwh) and node.soft_price_per_kwh >= 0):
                raise ValueError(
                    f"The soft limit of {node.name!r} has a price of {node.soft_price_per_kwh}: give 0 or more."
                )
            for limit in (node.limit_kw, node.limit_a, node.soft_limit_kw):
                if limit is not None and limit.shape != (steps,):
                    raise ValueError(f"The limit of {node.name!r} has {limit.size} values, the horizon {steps} steps.")
                if limit is not None and np.isnan(limit).any():
                    raise ValueError(f"The limit of {node.name!r} is not a number in step {np.isnan(limit).argmax()}.")
            if not np.isfinite([node.reserved_kw, *node.reserved_a]).all():
                raise ValueError(f"What is reserved at {node.name!r} is not a finite number.")

    def rows(self, problem: Problem) -> Rows:
        """The limits as linear rows; equal rows of a node are merged and rows without a vehicle left out."""
        below = self.membership(problem.evs)
        amps = np.array([_amps_per_kw(ev) for ev in problem.evs]).reshape(-1, 3)
        found: list[tuple[str, FloatArray, FloatArray]] = []
        for node, member in zip(self.nodes, below.astype(np.float64), strict=True):
            if member.any():
                found.extend((node.name, c, limit) for c, limit in _node_rows(node, member, amps))
        steps = problem.horizon.steps
        return Rows(
            np.array([c for _, c, _ in found]).reshape(len(found), len(problem.evs)),
            np.array([limit for _, _, limit in found]).reshape(len(found), steps),
            tuple(name for name, _, _ in found),
            np.array([self.by_name[name].parent is None for name, _, _ in found], dtype=np.bool_),
        )


def _node_rows(node: Node, member: FloatArray, amps: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    rows: dict[bytes, tuple[FloatArray, FloatArray]] = {}
    candidates: list[tuple[FloatArray, FloatArray]] = []
    if node.limit_kw is not None:
        candidates.append((member, node.limit_kw - node.reserved_kw))
    if node.limit_a is not None:
        candidates += [(member * amps[:, p], node.limit_a - node.reserved_a[p]) for p in range(3)]
    for coefficients, limit in candidates:
        scale = coefficients.max(initial=0.0)
        if scale <= 0.0:
            continue
        # Rows that differ by a factor only (three equal phases, kW beside A) are one row with the lower limit.
        row = np.round(coefficients / scale, 12)
        usable = np.clip(limit, 0.0, NO_LIMIT) / scale
        held = rows.get(row.tobytes())
        rows[row.tobytes()] = (row, usable if held is None else np.minimum(held[1], usable))
    return list(rows.values())


def _amps_per_kw(ev: EV) -> tuple[float, float, float]:
    """A on each site phase per kW of the vehicle."""
    wired = ev.phase_map[: ev.phases]
    amps = 1000.0 / (ev.voltage * ev.phases)
    a, b, c = (amps if phase in wired else 0.0 for phase in "123")
    return a, b, c
