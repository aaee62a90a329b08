"""Depots to plan: the reference depots of the benchmark and small random ones."""

from datetime import timedelta

import numpy as np

from benchmarks.instances import (
    LEAST_FEASIBLE_KW,
    NOON,
    REQUESTED_KWH,
    Instance,
    by_hour,
    reference_evs,
    reference_limit,
    reference_price,
    reference_problem,
)
from scheduling.engine import EV, Horizon, Node, PowerTree, Problem

__all__ = [
    "LEAST_FEASIBLE_KW",
    "NOON",
    "REQUESTED_KWH",
    "Instance",
    "by_hour",
    "random_problem",
    "reference_evs",
    "reference_limit",
    "reference_price",
    "reference_problem",
]


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
