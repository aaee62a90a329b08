"""Small random depots with everything that a problem can hold."""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from scheduling.engine import EV, Horizon, Node, PowerTree, Problem
from scheduling.engine.site import Battery, DemandCharge, Site
from tests.engine.depots import NOON


def full_problem(seed: int, *, storage: bool = True) -> Problem:
    """Steps of different lengths, needs in two parts, phases, fallbacks, soft limits, peaks; and, with `storage`, sun,
    batteries and vehicles that give back."""
    rng = np.random.default_rng(seed)
    steps = int(rng.integers(2, 7))
    borders = NOON + np.cumsum([timedelta(0), *(timedelta(minutes=int(m)) for m in rng.choice([15, 30, 60], steps))])
    horizon = Horizon.between(borders.tolist(), timedelta(minutes=15))
    feeders = int(rng.integers(0, 3))
    evs = [_vehicle(rng, i, horizon, feeders, storage=storage) for i in range(int(rng.integers(1, 5)))]
    return Problem.of(
        evs, horizon, _tree(rng, evs, feeders, steps), rng.choice(_PRICES, steps), _site(rng, steps, storage=storage)
    )


_PRICES = [0.05, 0.12, 0.2, 0.4, -0.05]


def _vehicle(rng: np.random.Generator, i: int, horizon: Horizon, feeders: int, *, storage: bool) -> EV:
    most = float(rng.choice([3.7, 7.4, 11.0, 22.0]))
    arrival, departure = sorted(rng.choice(horizon.steps + 1, 2, replace=False))
    energy = float(rng.choice([0.0, 2.0, 10.0, 30.0]) * rng.uniform(0.5, 1.0))
    phases = 1 if most < 8 else 3
    gives = storage and rng.random() < 0.5
    battery = float(rng.choice([20.0, 60.0]))
    return EV(
        i,
        False,
        i,
        1,
        0.0,
        most,
        horizon.borders[arrival],
        horizon.borders[departure],
        energy,
        phases=phases,
        phase_map=str(rng.choice(["1", "2", "3"])) if phases == 1 else "123",
        priority=int(rng.integers(1, 3)),
        free_power=float(rng.choice([0.0, 0.0, 1.4])),
        nodes=(f"feeder {rng.integers(feeders)}",) if feeders and rng.random() < 0.8 else ("site",),
        efficiency=float(rng.choice([1.0, 0.9, 0.85])),
        minimum_energy=None if rng.random() < 0.5 else 0.5 * energy,
        soc=float(rng.choice([5.0, 40.0, 90.0])),
        battery_kwh=battery,
        discharge_power=most if gives else 0.0,
        least_soc=float(rng.choice([0.0, 20.0])),
        cycle_cost_per_kwh=float(rng.choice([0.0, 0.03])),
    )


def _tree(rng: np.random.Generator, evs: list[EV], feeders: int, steps: int) -> PowerTree:
    most, kept = sum(ev.max_power for ev in evs), sum(ev.free_power for ev in evs)
    site = Node(
        "site",
        None,
        kept + most * rng.uniform(0.1, 1.2, steps),
        rng.uniform(10, 120, steps) if rng.random() < 0.5 else None,
        reserved_kw=kept,
        soft_limit_kw=kept + most * rng.uniform(0.0, 0.5, steps) if rng.random() < 0.4 else None,
        soft_price_per_kwh=0.15,
    )
    nodes = [site]
    for k in range(feeders):
        mine = [ev for ev in evs if ev.nodes == (f"feeder {k}",)]
        load, kept = sum(ev.max_power for ev in mine), sum(ev.free_power for ev in mine)
        soft = kept + load * rng.uniform(0.0, 0.8, steps) if rng.random() < 0.3 else None
        nodes.append(
            Node(
                f"feeder {k}",
                "site",
                kept + load * rng.uniform(0.2, 1.0, steps),
                reserved_kw=kept,
                soft_limit_kw=soft,
                soft_price_per_kwh=0.07,
            )
        )
    return PowerTree(tuple(nodes))


def _site(rng: np.random.Generator, steps: int, *, storage: bool) -> Site:
    demand = [DemandCharge(float(rng.choice([0.0, 0.5, 4.0])), float(rng.choice([0.0, 15.0])))]
    demand.append(DemandCharge(1.0, 5.0, rng.random(steps) < 0.5))
    battery = Battery(
        20.0,
        float(rng.choice([2.0, 10.0, 20.0])),
        8.0,
        8.0,
        0.9,
        float(rng.choice([0.0, 0.02])),
        least_soe_kwh=2.0,
        end_soe_kwh=None if rng.random() < 0.6 else float(rng.choice([2.0, 15.0])),
    )
    return Site(
        building_kw=rng.uniform(0, 20, steps) if rng.random() < 0.6 else None,
        pv_kw=rng.choice([0.0, 5.0, 25.0], steps) if storage and rng.random() < 0.5 else None,
        export_price_per_kwh=rng.choice([0.0, 0.08, 0.15, -0.02], steps) if storage and rng.random() < 0.6 else None,
        battery=battery if storage and rng.random() < 0.5 else None,
        demand_charges=tuple(demand[: int(rng.integers(0, 3))]),
        co2_kg_per_kwh=rng.uniform(0, 0.6, steps) if rng.random() < 0.3 else None,
        co2_price_per_kg=0.1,
    )
