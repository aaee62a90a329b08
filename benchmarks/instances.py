"""Depots to plan, the same for everybody who is measured: made from a seed, without real data.

The reference depot: vehicles of four classes arrive between 15:00 and 22:00 and leave between 04:30 and 10:00; the
site's limit is a tenth above the least level at which all of them can be served, lower in the evening, when
electricity is dear. Variants add a tree, a demand charge and minimum powers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from scheduling.engine import EV, DemandCharge, Horizon, Node, PowerTree, Problem, Site
from scheduling.engine.arrays import FloatArray

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)
LEAST_FEASIBLE_KW = {40: 170.803, 200: 767.982, 1000: 3716.062, 5000: 18819.793}
"""Level of the site's limit at which the last vehicle can just be served, by maximum flow."""
REQUESTED_KWH = {40: 2810.425, 200: 12834.611, 1000: 61770.151, 5000: 311707.451}
DEMAND_PRICE_PER_KW = 4.0
_QUARTERS = 96
_CLASSES = ((11.0, 60.0), (22.0, 75.0), (50.0, 200.0), (100.0, 350.0))  # kW, kWh
_VEHICLES_PER_FEEDER, _FEEDERS_PER_BOARD = 20, 10
_FEEDER_SHARE, _BOARD_SHARE = 1.6, 1.2


@dataclass(frozen=True)
class Instance:
    """A reference depot by size and variant; 40, 200, 1,000 or 5,000 vehicles, steps a multiple of 96 in a day."""

    vehicles: int
    steps: int = _QUARTERS
    tree: bool = False
    demand: bool = False
    minimum: bool = False

    @property
    def title(self) -> str:
        """As the tables name it."""
        variants = {"tree": self.tree, "demand charge": self.demand, "minimum power": self.minimum}
        return ", ".join([f"{self.vehicles:,} x {self.steps}", *(name for name, on in variants.items() if on)])

    def problem(self) -> Problem:
        """A new problem: nothing of it is worked out in advance."""
        finer = self.steps // _QUARTERS
        limit = np.repeat(reference_limit(self.vehicles), finer)
        evs = reference_evs(self.vehicles, with_minimum=self.minimum)
        tree = PowerTree.single(limit)
        if self.tree:
            tree = two_level_tree(evs, limit)
        site = _site_with_demand_charge(limit) if self.demand else None
        horizon = Horizon(NOON, timedelta(days=1) / self.steps, self.steps)
        return Problem.of(evs, horizon, tree, np.repeat(reference_price(), finer), site)


def reference_evs(n: int, *, with_minimum: bool = False) -> list[EV]:
    """`n` vehicles on a day from noon to noon; minimum 6 A on three phases or 10 kW DC if asked for."""
    rng = np.random.default_rng(7 + n)
    return [_reference_ev(rng, i, with_minimum) for i in range(n)]


def _reference_ev(rng: np.random.Generator, i: int, with_minimum: bool) -> EV:
    most, capacity = _CLASSES[rng.choice(4, p=[0.45, 0.30, 0.15, 0.10])]
    arrival, departure = int(rng.integers(12, 41)), int(rng.integers(66, 89))
    energy = round(min(capacity * rng.uniform(0.25, 0.85), 0.85 * most * (departure - arrival) / 4), 3)
    least = (4.14 if most <= 22 else 10.0) if with_minimum else 0.0
    begin, end = (NOON + timedelta(minutes=15 * quarter) for quarter in (arrival, departure))
    return EV(i, False, i, 1, least, most, begin, end, energy)


def by_hour(values: Mapping[range, float], otherwise: float) -> FloatArray:
    """A value per quarter hour from noon to noon by hour of day."""
    hours = [(12 + quarter // 4) % 24 for quarter in range(_QUARTERS)]
    return np.array([next((value for span, value in values.items() if hour in span), otherwise) for hour in hours])


def reference_limit(n: int) -> FloatArray:
    """Limit of the site, kW per quarter hour."""
    return 1.10 * LEAST_FEASIBLE_KW[n] * by_hour({range(16, 21): 0.75, range(21, 24): 1.0, range(6): 1.0}, 0.85)


def reference_price() -> FloatArray:
    """EUR/kWh per quarter hour."""
    return by_hour({range(16, 21): 0.40, range(22, 24): 0.12, range(6): 0.12}, 0.20)


def reference_problem(n: int, *, with_minimum: bool = False) -> Problem:
    """The reference depot under its site limit alone, in quarter hours."""
    return Instance(n, minimum=with_minimum).problem()


def two_level_tree(evs: list[EV], site_kw: FloatArray) -> PowerTree:
    """Feeders of some 20 vehicles under boards under the site; the vehicles are hung on their feeders.

    Each has the site's shape in time and more than its share by energy, so that some are full at times, and lets the
    largest vehicle below charge at full power in the evening.
    """
    feeders = max(1, len(evs) // _VEHICLES_PER_FEEDER)
    boards = max(1, feeders // _FEEDERS_PER_BOARD)
    energy, largest = np.zeros(feeders), np.zeros(feeders)
    for i, ev in enumerate(evs):
        feeder = i % feeders
        ev.nodes = (f"feeder {feeder}",)
        energy[feeder] += ev.energy
        largest[feeder] = max(largest[feeder], ev.max_power)
    share = energy / energy.sum()
    under = [f"board {feeder % boards}" for feeder in range(feeders)]
    shares = [float(share[board::boards].sum()) for board in range(boards)]
    limits = np.maximum(_FEEDER_SHARE * share[:, None] * site_kw, largest[:, None])
    return PowerTree(
        (
            Node("site", None, site_kw),
            *(Node(f"board {b}", "site", _BOARD_SHARE * part * site_kw) for b, part in enumerate(shares)),
            *(Node(f"feeder {f}", under[f], limit) for f, limit in enumerate(limits)),
        )
    )


def _site_with_demand_charge(limit_kw: FloatArray) -> Site:
    """A building with its peak after noon and a charge on every kW above half of what the connection allows."""
    finer = len(limit_kw) // _QUARTERS
    building = np.repeat(by_hour({range(7, 18): 0.19, range(18, 22): 0.15}, 0.12), finer) * limit_kw.max()
    paid_for = 0.5 * float((limit_kw + building).max())
    return Site(building_kw=building, demand_charges=(DemandCharge(DEMAND_PRICE_PER_KW, paid_for),))


def tight_depot(seed: int) -> Problem:
    """A small depot with minimum powers where hardly all can be served: 8 to 25 vehicles, half of them below a feeder.

    Limits change every hour and are small beside the minimum powers, so that who may charge at all is the question.
    """
    rng = np.random.default_rng(seed)
    evs = [_hurried_ev(rng, i) for i in range(int(rng.integers(8, 26)))]
    for ev in evs[::2]:
        ev.nodes = ("feeder",)
    wanted = np.zeros((2, _QUARTERS))
    for i, ev in enumerate(evs):
        first, last = ((at - NOON) // timedelta(minutes=15) for at in (ev.arrival_time, ev.departure_time))
        wanted[i % 2, first:last] += ev.energy / (last - first) * 4
    uneven = np.repeat(rng.uniform(0.7, 1.3, 24), 4)
    site = np.maximum(rng.uniform(0.75, 1.05) * uneven * wanted.sum(axis=0), 10.0)
    feeder = np.maximum(rng.uniform(0.9, 1.3) * uneven * wanted[0], 4.2)
    tree = PowerTree((Node("site", None, site), Node("feeder", "site", feeder)))
    return Problem.of(evs, Horizon(NOON), tree, reference_price())


def _hurried_ev(rng: np.random.Generator, i: int) -> EV:
    least, most = ((1.38, 7.36), (4.14, 11.04), (4.14, 22.08), (10.0, 50.0))[rng.choice(4, p=[0.25, 0.4, 0.25, 0.1])]
    arrival, stay = int(rng.integers(0, 72)), int(rng.integers(4, 41))
    departure = min(arrival + stay, _QUARTERS)
    energy = round(float(rng.uniform(0.15, 0.7)) * most * (departure - arrival) / 4, 3)
    begin, end = (NOON + timedelta(minutes=15 * quarter) for quarter in (arrival, departure))
    return EV(i, False, i, 1, least, most, begin, end, energy)
