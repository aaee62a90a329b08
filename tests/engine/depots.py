"""Depots to plan: the reference depots of 40, 200 and 1,000 vehicles and small random ones."""

from datetime import UTC, datetime, timedelta

import numpy as np

from scheduling.engine import EV, Horizon, Node, PowerTree, Problem
from scheduling.engine.arrays import FloatArray

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)
LEAST_FEASIBLE_KW = {40: 170.803, 200: 767.982, 1000: 3716.062}
REQUESTED_KWH = {40: 2810.425, 200: 12834.611, 1000: 61770.151}
_CLASSES = ((11.0, 60.0), (22.0, 75.0), (50.0, 200.0), (100.0, 350.0))


def reference_evs(n: int, *, with_minimum: bool = False) -> list[EV]:
    """`n` vehicles on a horizon from noon to noon; minimum 4.14 kW AC and 10 kW DC if asked for."""
    rng = np.random.default_rng(7 + n)
    evs = []
    for i in range(n):
        most, capacity = _CLASSES[rng.choice(4, p=[0.45, 0.30, 0.15, 0.10])]
        arrival, departure = int(rng.integers(12, 41)), int(rng.integers(66, 89))
        fraction = rng.uniform(0.25, 0.85)
        energy = round(min(capacity * fraction, 0.85 * most * (departure - arrival) / 4), 3)
        least = (4.14 if most <= 22 else 10.0) if with_minimum else 0.0
        begin, end = (NOON + timedelta(minutes=15 * k) for k in (arrival, departure))
        evs.append(EV(i, False, i, 1, least, most, begin, end, energy))
    return evs


def by_hour(shape: dict[range, float], otherwise: float) -> FloatArray:
    """A value per quarter hour from noon to noon by hour of day."""
    hours = [(12 + step // 4) % 24 for step in range(96)]
    return np.array([next((v for r, v in shape.items() if h in r), otherwise) for h in hours])


def reference_limit(n: int) -> FloatArray:
    """Site limit, kW per step."""
    night = {range(16, 21): 0.75, range(21, 24): 1.0, range(6): 1.0}
    return 1.10 * LEAST_FEASIBLE_KW[n] * by_hour(night, 0.85)


def reference_price() -> FloatArray:
    """EUR/kWh per step."""
    return by_hour({range(16, 21): 0.40, range(22, 24): 0.12, range(6): 0.12}, 0.20)


def reference_problem(n: int, *, with_minimum: bool = False) -> Problem:
    """The reference depot as a problem."""
    tree = PowerTree.single(reference_limit(n))
    return Problem.of(reference_evs(n, with_minimum=with_minimum), Horizon(NOON), tree, reference_price())


def random_problem(seed: int, *, amps: bool = False) -> Problem:
    """A small depot with nested limits, fallbacks, priorities and a first step that may be short; often too tight."""
    rng = np.random.default_rng(seed)
    n, steps = int(rng.integers(1, 9)), int(rng.integers(4, 25))
    horizon = Horizon(NOON + timedelta(minutes=float(rng.choice([0, 4, 11]))), timedelta(minutes=30), steps)
    feeders = int(rng.integers(0, 4))
    evs = [_random_ev(rng, i, horizon, feeders) for i in range(n)]
    names = [f"feeder {k}" for k in range(feeders)]
    reserved = {name: sum(ev.free_power for ev in evs if ev.nodes == (name,)) for name in names}
    total = sum(ev.free_power for ev in evs)
    most = sum(ev.max_power for ev in evs)
    site = Node(
        "site",
        None,
        total + most * rng.uniform(0.0, 0.8, steps),
        rng.uniform(5, 80, steps) if amps else None,
        reserved_kw=total,
    )
    below = (
        Node(name, "site", kept + most * rng.uniform(0.1, 0.9, steps), reserved_kw=kept)
        for name, kept in reserved.items()
    )
    price = rng.choice([0.05, 0.12, 0.2, 0.4, -0.03], steps)
    return Problem.of(evs, horizon, PowerTree((site, *below)), price)


def _random_ev(rng: np.random.Generator, i: int, horizon: Horizon, feeders: int) -> EV:
    most = float(rng.choice([3.7, 7.4, 11.0, 22.0, 50.0]))
    least = float(rng.choice([0.0, 0.1, 0.37])) * most
    free = float(rng.choice([0.0, 0.0, least, 0.5 * most, 0.05 * most]))
    length = (horizon.end - horizon.start).total_seconds()
    arrival = rng.uniform(-0.2, 1.1) * length
    departure = arrival + rng.uniform(0.05, 1.0) * length
    phases = 1 if most < 8 else 3
    return EV(
        i,
        bool(arrival <= 0),
        i,
        1,
        least,
        most,
        horizon.start + timedelta(seconds=arrival),
        horizon.start + timedelta(seconds=departure),
        float(rng.choice([0.0, 1.0, 5.0, 20.0, 80.0])) * float(rng.uniform(0.5, 1.0)),
        phases=phases,
        phase_map=str(rng.choice(["1", "2", "3"])) if phases == 1 else "123",
        priority=int(rng.integers(1, 4)),
        free_power=free,
        nodes=(f"feeder {rng.integers(feeders)}",) if feeders and rng.random() < 0.8 else ("site",),
    )
