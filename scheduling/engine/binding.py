"""What a plan runs into: limits of the tree, soft limits, and the peak that is paid for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from scheduling.engine.arrays import POWER_TOLERANCE_KW, BoolArray, FloatArray, IntArray
from scheduling.engine.money import net_load
from scheduling.engine.problem import Problem
from scheduling.engine.site import Dispatch


@dataclass(frozen=True, eq=False)
class Bound:
    """A limit that some vehicles share, and where the plan leaves no room under it."""

    kind: Literal["hard", "soft", "peak"]
    node: str
    is_root: bool
    members: IntArray  # rows of the vehicles that count
    limit_kw: FloatArray  # (steps,), building included for a peak
    full: BoolArray  # (steps,)
    price: float = 0.0
    """What a kWh above a soft limit, or a kW above the peak, costs."""
    paid_kw: float = 0.0
    """The part of a peak that is paid for already."""

    def until(self, step: int) -> int:
        """The first step after `step` in which it is not full, or the number of steps."""
        room = np.flatnonzero(~self.full[step:])
        return step + int(room[0]) if room.size else len(self.full)


def bounds_of(problem: Problem, power: FloatArray, dispatch: Dispatch | None = None) -> list[Bound]:
    """All limits that are full somewhere, the most telling last: peaks, soft limits, then rows from wide to narrow."""
    return [
        bound
        for bound in (*peaks_of(problem, power, dispatch), *_soft(problem, power), *_hard(problem, power, dispatch))
        if bound.full.any()
    ]


def peaks_of(problem: Problem, power: FloatArray, dispatch: Dispatch | None) -> list[Bound]:
    """Steps at the highest load: one kW more there would raise what the month costs."""
    site, n_ev = problem.site, len(problem.evs)
    if not site.demand_charges:
        return []
    load = net_load(problem, power, dispatch)
    root = next(node.name for node in problem.tree.nodes if node.parent is None)
    found = []
    for charge in site.demand_charges:
        counted = np.ones(load.shape, dtype=np.bool_) if charge.steps is None else charge.steps
        level = charge.peak_so_far_kw + charge.increment_kw(load)
        at_it = counted & (load > level - POWER_TOLERANCE_KW) & (charge.price_per_kw > 0)
        limit, paid = np.full(load.shape, level), charge.peak_so_far_kw
        found.append(Bound("peak", root, True, np.arange(n_ev), limit, at_it, charge.price_per_kw, paid))
    return found


def row_load(problem: Problem, power: FloatArray, dispatch: Dispatch | None = None) -> FloatArray:
    """Load of every row of the tree, shape (n_rows, steps); a charging battery counts at the grid connections."""
    load: FloatArray = problem.rows.coefficients @ problem.excess_power(power)
    if dispatch is not None:
        load[problem.rows.is_root] += np.maximum(dispatch.battery_kw, 0.0)
    return load


def widest_first(problem: Problem) -> IntArray:
    """Rows of the tree, those above the most vehicles first."""
    return np.argsort(-(problem.rows.coefficients > 0).sum(axis=1), kind="stable")


def _hard(problem: Problem, power: FloatArray, dispatch: Dispatch | None) -> list[Bound]:
    rows = problem.rows
    full = rows.limits - row_load(problem, power, dispatch) < POWER_TOLERANCE_KW
    return [
        Bound("hard", rows.names[r], bool(rows.is_root[r]), _members(problem, r), rows.limits[r], full[r])
        for r in widest_first(problem)
        if full[r].any()
    ]


def _members(problem: Problem, row: int) -> IntArray:
    return np.flatnonzero(problem.rows.coefficients[row] > 0)


def _soft(problem: Problem, power: FloatArray) -> list[Bound]:
    found = []
    for node, members in sorted(problem.soft_nodes, key=lambda pair: -len(pair[1])):
        assert node.soft_limit_kw is not None
        load = problem.excess_power(power[members], members).sum(axis=0) + node.reserved_kw
        at_it = np.abs(node.soft_limit_kw - load) < POWER_TOLERANCE_KW
        price = node.soft_price_per_kwh
        found.append(Bound("soft", node.name, node.parent is None, members, node.soft_limit_kw, at_it, price))
    return found
