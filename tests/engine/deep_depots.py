"""Random depots that are a flow: trees of one to five levels, steps of any length, every part of the linear problem."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np

from scheduling.engine import EV, DemandCharge, Horizon, Node, PowerTree, Problem, Site
from scheduling.engine.arrays import FloatArray
from tests.engine.depots import NOON


def deep_depot(seed: int, *, demand: bool = False) -> Problem:
    """A small depot, often too tight; with building and demand charge if asked for."""
    rng = np.random.default_rng(seed)
    horizon = _horizon(rng)
    bypassed = bool(rng.random() < 0.35)
    several_roots = not demand and bool(rng.random() < 0.15)
    parents: dict[str, str | None] = {"node 0": None}
    for k in range(1, int(rng.integers(1, 9))):
        above = f"node {max(k - 1 - int(rng.integers(0, 3)), 0)}"
        parents[f"node {k}"] = None if several_roots and rng.random() < 0.3 else above
    evs = [_ev(rng, i, horizon, list(parents), bypassed) for i in range(int(rng.integers(1, 10)))]
    soft = not bypassed and not several_roots and bool(rng.random() < 0.4)
    nodes = tuple(_node(rng, name, parents, evs, horizon.steps, soft and name == "node 0") for name in parents)
    price = rng.choice([0.05, 0.12, 0.12, 0.2, 0.4, -0.03, 0.0], horizon.steps)
    return Problem.of(evs, horizon, PowerTree(nodes), price, _site(rng, evs, horizon.steps, demand))


def _horizon(rng: np.random.Generator) -> Horizon:
    if rng.random() < 0.4:
        return Horizon(NOON + timedelta(minutes=float(rng.choice([0, 4, 11]))), timedelta(minutes=30), 12)
    grades = [(timedelta(hours=1), timedelta(minutes=10)), (timedelta(hours=6), timedelta(minutes=60))]
    cuts = [NOON + timedelta(minutes=float(minute)) for minute in rng.uniform(0, 300, 3).round(1)]
    return Horizon.graded(NOON + timedelta(minutes=float(rng.integers(0, 10))), grades, cuts=cuts)


def _ev(rng: np.random.Generator, i: int, horizon: Horizon, names: list[str], bypassed: bool) -> EV:
    most = float(rng.choice([3.7, 7.4, 11.0, 22.0, 22.0, 50.0]))
    least = float(rng.choice([0.0, 0.37])) * most
    free = (least or float(rng.choice([0.0, 0.05, 0.5, 1.0])) * most) if bypassed and rng.random() < 0.6 else 0.0
    length = (horizon.end - horizon.start).total_seconds()
    arrival = rng.uniform(-0.3, 0.6) * length
    departure = arrival + rng.uniform(0.2, 1.2) * length
    energy = float(rng.choice([0.0, 2.0, 5.0, 10.0, 40.0], p=[0.1, 0.3, 0.3, 0.2, 0.1])) * float(
        rng.choice([1.0, rng.uniform(0.5, 1.0)])
    )
    return EV(
        i,
        bool(arrival <= 0),
        i,
        1,
        least,
        most,
        horizon.start + timedelta(seconds=arrival),
        horizon.start + timedelta(seconds=departure),
        energy,
        priority=int(rng.integers(1, 4)) if rng.random() < 0.6 else 1,
        free_power=free,
        nodes=(str(rng.choice(names)),),
        efficiency=float(rng.choice([1.0, 1.0, 0.9, 0.85])),
        minimum_energy=energy * float(rng.uniform(0, 1)) if rng.random() < 0.3 else None,
        in_force=rng.choice([0.0, most], horizon.steps) if rng.random() < 0.3 else None,
        hold="fault" if rng.random() < 0.05 else "",
    )


def _node(
    rng: np.random.Generator, name: str, parents: dict[str, str | None], evs: list[EV], steps: int, soft: bool
) -> Node:
    below = [ev for ev in evs if _stands_under(ev.nodes[0], name, parents)]
    most, reserved = sum(ev.max_power for ev in below), sum(ev.free_power for ev in below)
    limit: FloatArray | None = reserved + most * rng.uniform(0.0, 1.0, steps)
    if rng.random() < 0.35:
        limit = None
    return Node(
        name,
        parents[name],
        limit,
        reserved_kw=reserved,
        soft_limit_kw=most * rng.uniform(0.0, 0.6, steps) if soft else None,
        soft_price_per_kwh=float(rng.choice([0.01, 0.1, 0.5])) if soft else 0.0,
    )


def _stands_under(at: str | None, name: str, parents: dict[str, str | None]) -> bool:
    while at is not None and at != name:
        at = parents[at]
    return at == name


def _site(rng: np.random.Generator, evs: list[EV], steps: int, demand: bool) -> Site:
    site = Site(co2_kg_per_kwh=rng.uniform(0, 0.5, steps), co2_price_per_kg=0.1) if rng.random() < 0.3 else Site()
    if not demand:
        return site
    most = sum(ev.max_power for ev in evs)
    charge = DemandCharge(
        price_per_kw=float(rng.choice([0.0, 0.02, 0.1, 0.5, 4.0, 50.0])),
        peak_so_far_kw=float(rng.choice([0.0, 0.1, 0.3])) * most,
        steps=rng.random(steps) < 0.6 if rng.random() < 0.4 else None,
    )
    building = most * rng.uniform(0.0, 0.3, steps) if rng.random() < 0.7 else None
    return replace(site, building_kw=building, demand_charges=(charge,))
