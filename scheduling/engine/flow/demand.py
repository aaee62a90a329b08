"""The best peak under a demand charge: money as a function of the peak is convex and piecewise linear.

One flow under a cap gives the least cost there and, from the steps that its closed sets leave, the slope. First the
smallest cap that serves everything by Newton's method on the shortage, which is convex too: it never overshoots. Then
cutting planes in one dimension.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from scheduling.engine.arrays import BoolArray, FloatArray, IntArray
from scheduling.engine.flow.depot import DepotFlow, Filled, Order
from scheduling.engine.network import NO_ROOM_LIMIT, QUANTA_PER_KWH, Network, quanta_of

_RELATIVE_GAP = 1e-7
_LEAST_INTERVAL_KW = 1e-6


@dataclass(frozen=True, eq=False)
class Tariff:
    """The demand charge as the flow meets it."""

    price_per_kw: float
    paid_kw: float
    """Peak that costs nothing more: paid for already, or made by the building alone."""
    building_kw: FloatArray  # (steps,)
    counts: BoolArray  # (steps,) whether the charge counts in a step
    hours: FloatArray  # (steps,)

    @staticmethod
    def of(network: Network) -> Tariff | None:
        """None if no demand charge steers the plan."""
        site, steps = network.problem.site, network.problem.horizon.steps
        if not site.demand_charges:
            return None
        (charge,) = site.demand_charges
        building = np.zeros(steps) if site.building_kw is None else site.building_kw
        counts = np.ones(steps, np.bool_) if charge.steps is None else charge.steps
        paid = max(charge.peak_so_far_kw, float(building[counts].max(initial=0.0)))
        return Tariff(charge.price_per_kw, paid, building, counts, network.problem.hours)

    def peak_kw(self, load: IntArray) -> float:
        """Highest load that counts, kW, from quanta per step of the vehicles, shape (steps,)."""
        kw = self.building_kw + load / (self.hours * QUANTA_PER_KWH)
        return float(kw[self.counts].max(initial=0.0))

    def cap(self, peak_kw: float) -> IntArray:
        """Most that the vehicles may take in every step below this peak, quanta, shape (steps,)."""
        return np.where(self.counts, quanta_of(peak_kw - self.building_kw, self.hours), NO_ROOM_LIMIT)


@dataclass(frozen=True, eq=False)
class _Trial:
    """The cheapest flow under a peak, its cost with the demand charge, and how that changes with the peak."""

    peak_kw: float
    filled: Filled
    cost: float
    slope: float  # per kW; one of the slopes where the cost has a corner

    def bound_at(self, peak_kw: float) -> float:
        """What no plan under that peak can be cheaper than."""
        return self.cost + self.slope * (peak_kw - self.peak_kw)


def cheapest_peak(
    depot: DepotFlow, tariff: Tariff, need: IntArray, order: Order, free: Filled, until: float
) -> tuple[Filled, bool]:
    """The flow that serves `need` at least cost with the demand charge, and whether it is proven to be the best.

    `free` is the cheapest without a demand charge; the search ends when the clock reaches `until`.
    """
    highest = tariff.peak_kw(free.flow.load[0])
    if highest <= tariff.paid_kw or tariff.price_per_kw == 0.0:
        return free, True
    right = _Trial(highest, free, order.cost(free.flow.load[0]) + _increment(tariff, highest), tariff.price_per_kw)
    least = _least_peak(depot, tariff, need, order, highest, until)
    if least is None:
        return free, False
    left = _trial(depot, tariff, need, order, least)
    best = min(left, right, key=lambda trial: trial.cost)
    while left.slope < 0.0:
        at = (right.cost - left.cost + left.slope * left.peak_kw - right.slope * right.peak_kw) / (
            left.slope - right.slope
        )
        proven = best.cost - left.bound_at(at) <= _RELATIVE_GAP * abs(best.cost)
        if proven or right.peak_kw - left.peak_kw < _LEAST_INTERVAL_KW:
            break
        if perf_counter() > until:
            return best.filled, False
        middle = _trial(depot, tariff, need, order, float(np.clip(at, left.peak_kw, right.peak_kw)))
        best = min(best, middle, key=lambda trial: trial.cost)
        if middle.slope < 0.0:
            left = middle
        else:
            right = middle
    return best.filled, True


def _least_peak(
    depot: DepotFlow, tariff: Tariff, need: IntArray, order: Order, highest: float, until: float
) -> float | None:
    """Smallest peak that serves the whole need, kW; None if the time runs out. Each run goes on from the one before."""
    peak, rest, flow = tariff.paid_kw, need, None
    while True:
        cap = tariff.cap(peak)
        filled = depot.fill(rest, order.under(cap), flow)
        if not filled.missing:
            return peak
        if perf_counter() > until:
            return None
        cut = tariff.counts & (filled.closed_at < 0) & (cap < depot.network.room[0])
        # A quantum more per step, because rooms are rounded down.
        peak += (filled.missing + cut.sum()) / (tariff.hours[cut].sum() * QUANTA_PER_KWH)
        if peak >= highest:
            return highest
        flow, rest = filled.flow, filled.flow.rest


def _trial(depot: DepotFlow, tariff: Tariff, need: IntArray, order: Order, peak_kw: float) -> _Trial:
    capped = order.under(tariff.cap(peak_kw))
    filled = depot.fill(need, capped)
    cost = order.cost(filled.flow.load[0]) + _increment(tariff, peak_kw)
    return _Trial(peak_kw, filled, cost, tariff.price_per_kw + _slope(tariff, order, capped, filled))


def _increment(tariff: Tariff, peak_kw: float) -> float:
    return tariff.price_per_kw * (peak_kw - tariff.paid_kw)


def _slope(tariff: Tariff, order: Order, capped: Order, filled: Filled) -> float:
    """What the energy costs more per kW of a higher peak: zero or less.

    Room that the peak takes from a step replaces energy of the entry at which the step was closed.
    """
    closed_at = np.where(filled.closed_at < 0, filled.last_entry, filled.closed_at)[order.step]
    dearer = order.price[np.minimum(closed_at, len(order.step) - 1)] - order.price
    saved = np.zeros(len(tariff.hours))
    np.maximum.at(saved, order.step, np.where(capped.ceiling < order.ceiling, dearer, 0.0))
    return -float(saved @ tariff.hours)
