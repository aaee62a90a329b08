"""What a day-ahead plan is asked about, as the problem file that the engine reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

import msgspec
import numpy as np

from charging.gate import breakpoints, node_limit
from depot.models import Depot, Limit
from depot.pricing import prices_for
from scheduling.day_ahead.history import expected_visits
from scheduling.engine import EV, Algorithm, DemandCharge, Horizon, Options
from scheduling.engine.demand_prediction import Demand, synthetic_demand
from scheduling.engine.problem_file import EvEntry, GroupEntry, ProblemFile, algorithm_for, read_problem
from scheduling.grid_connection import site_of
from scheduling.needs import coming_reservations, latest_socs, visit_of_reservation

SITE = "site"
THREE_PHASE_KV = 0.69
"""kW of a balanced load per A and phase, as problem files count buildings."""
BOOKINGS, HISTORY, SYNTHETIC = "bookings", "history", "synthetic"
SYNTHETIC_EFFICIENCY = 0.9


@dataclass(frozen=True)
class Wanted:
    """A question in the words of the API; None means what the depot itself has."""

    depot: Depot
    start: datetime
    hours: float
    resolution: timedelta
    source: str
    """bookings, history, synthetic or rows."""
    rows: Sequence[Demand] = ()
    vehicles: int = 0
    seed: int = 0
    limit_kw: float | list[float] | None = None
    prices: float | list[float] | None = None
    demand_charge: DemandCharge | None = None
    """Instead of those of the depot's tariff."""

    @property
    def horizon(self) -> Horizon:
        """Equal steps from the start; the last one may reach beyond the hours."""
        steps = max(round(-(-timedelta(hours=self.hours) // self.resolution)), 1)
        return Horizon.between([self.start + k * self.resolution for k in range(steps + 1)], self.resolution)


@dataclass(frozen=True)
class Vehicles:
    """Entries of the problem file, and the names that people know the vehicles by."""

    entries: list[EvEntry]
    names: dict[str, str]


def midnight_of(depot: Depot, day: date) -> datetime:
    """Local midnight at which a day of the depot begins."""
    return datetime.combine(day, time.min, depot.zone)


def question_of(wanted: Wanted, now: datetime) -> dict[str, Any]:
    """As JSON values the problem file, the demand charges (a file holds one at most), and the vehicles' names."""
    depot, horizon = wanted.depot, wanted.horizon
    vehicles = vehicles_of(wanted, now)
    site = site_of(depot, horizon, now)
    charges = site.demand_charges if wanted.demand_charge is None else (wanted.demand_charge,)
    building = [0.0] * horizon.steps if site.building_kw is None else site.building_kw.tolist()
    prices: float | list[float]
    if wanted.prices is None:
        prices = [round(price, 6) for price in prices_for(depot, horizon.borders)[0].tolist()]
    else:
        prices = wanted.prices
    file = ProblemFile(
        start=horizon.start,
        resolution_s=wanted.resolution.total_seconds(),
        steps=horizon.steps,
        evs=vehicles.entries,
        currency=depot.currency,
        prices_per_kwh=prices,
        building_load_kw=building,
        groups=groups_of(wanted, building, now),
        co2_kg_per_kwh=None if site.co2_kg_per_kwh is None else site.co2_kg_per_kwh.tolist(),
        co2_price_per_kg=site.co2_price_per_kg,
    )
    return {
        "problem": msgspec.to_builtins(file),
        "demand_charges": [
            {
                "price_per_kw": charge.price_per_kw,
                "peak_so_far_kw": charge.peak_so_far_kw,
                "steps": None if charge.steps is None else charge.steps.tolist(),
            }
            for charge in charges
        ],
        "names": vehicles.names,
    }


def read_question(question: dict[str, Any], planner: type[Algorithm], options: Options | None = None) -> Algorithm:
    """The algorithm set up with the problem of a question; FileError names the field that does not fit."""
    planned = algorithm_for(read_problem(msgspec.json.encode(question["problem"])), planner, options)
    charges = tuple(
        DemandCharge(
            charge["price_per_kw"],
            charge["peak_so_far_kw"],
            None if charge["steps"] is None else np.array(charge["steps"], dtype=np.bool_),
        )
        for charge in question["demand_charges"]
    )
    if not charges:
        return planned
    return planner(
        planned.evs,
        now=planned.now,
        horizon=planned.horizon,
        tree=planned.tree,
        price_per_kwh=planned.problem.price_per_kwh,
        site=replace(planned.problem.site, demand_charges=charges),
        options=options,
    )


def vehicles_of(wanted: Wanted, now: datetime) -> Vehicles:
    """The vehicles of the source; those that are gone before the start or come after the end play no part."""
    depot = wanted.depot
    if wanted.source == BOOKINGS:
        return _booked(wanted)
    root = depot.load_groups.filter(parent__isnull=True).values_list("slug", flat=True).first()
    place = (root or SITE) if wanted.limit_kw is None else SITE
    if wanted.source == HISTORY:
        return _usual(wanted, now)
    demands = list(wanted.rows)
    if wanted.source == SYNTHETIC:
        demands = synthetic_demand(
            wanted.vehicles,
            start=midnight_of(depot, depot.local(wanted.start).date()),
            seed=wanted.seed,
            hours=max(wanted.hours, 24.0),
            resolution=wanted.resolution,
            efficiency=SYNTHETIC_EFFICIENCY,
        )
    return _predicted(demands, [place] * len(demands))


def groups_of(wanted: Wanted, building: list[float], now: datetime) -> list[GroupEntry]:
    """Load groups with their limits per step; a limit that was asked for replaces the tree and is for charging alone.

    The root's limit in a problem file includes the building, kW per step, which the room of a node has taken off.
    """
    horizon = wanted.horizon
    if wanted.limit_kw is not None:
        room = np.broadcast_to(np.asarray(wanted.limit_kw, dtype=np.float64), (horizon.steps,))
        return [GroupEntry(SITE, limit_kw=(room + building).tolist())]
    groups = list(wanted.depot.load_groups.select_related("depot", "parent", "building_meter__meter_state"))
    limits: dict[int, list[Limit]] = {}
    rows = Limit.objects.filter(
        load_group__depot=wanted.depot, hard=True, ends_at__gt=horizon.start, starts_at__lt=horizon.end
    )
    for row in rows:
        limits.setdefault(row.load_group_id, []).append(row)
    instants = breakpoints(groups, limits, horizon.start, horizon.end)
    entries = []
    for group in groups:
        node = node_limit(group, limits.get(group.pk, []), groups, instants, now)
        kept = np.array(building) * (group.parent is None)
        kw = np.maximum(horizon.sample(node.kw, combine="min"), 0.0) + kept
        amps = None
        if node.ampere is not None:
            amps = (np.maximum(horizon.sample(node.ampere, combine="min"), 0.0) + kept / THREE_PHASE_KV).tolist()
        entries.append(GroupEntry(node.name, node.parent, kw.tolist(), amps))
    return entries or [GroupEntry(SITE)]


def _booked(wanted: Wanted) -> Vehicles:
    depot, horizon = wanted.depot, wanted.horizon
    socs = latest_socs(depot)
    entries, names = [], {}
    for reservation in coming_reservations(depot, horizon.start, horizon.end):
        try:
            visit = visit_of_reservation(reservation, socs, depot, horizon.start)
        except ValueError:
            continue  # the live planner names such a booking in an incident
        entries.append(_entry(visit.ev, visit.ev.nodes[0] if wanted.limit_kw is None else SITE))
        names[str(visit.ev.ev_id)] = visit.ev.name
    return Vehicles(entries, names)


def _usual(wanted: Wanted, now: datetime) -> Vehicles:
    """Who usually arrives during the horizon; a second visit of a vehicle is named with its day."""
    depot, horizon = wanted.depot, wanted.horizon
    day, last = depot.local(horizon.start).date(), depot.local(horizon.end).date()
    found: dict[str, tuple[Demand, str]] = {}
    names: dict[str, str] = {}
    while day <= last:
        for each in expected_visits(depot, day, now=now):
            vehicle = each.demand.vehicle
            if horizon.start <= each.demand.arrival < horizon.end:
                key = vehicle if vehicle not in found else f"{vehicle}@{day}"
                node = each.node if wanted.limit_kw is None else SITE
                found[key], names[key] = (replace(each.demand, vehicle=key), node), vehicle
        day += timedelta(days=1)
    entries = [_entry(demand.ev(), node) for demand, node in found.values()]
    return Vehicles(entries, names)


def _predicted(demands: Sequence[Demand], below: Sequence[str]) -> Vehicles:
    entries = [_entry(demand.ev(), node) for demand, node in zip(demands, below, strict=True)]
    return Vehicles(entries, {demand.vehicle: demand.vehicle for demand in demands})


def _entry(ev: EV, group: str) -> EvEntry:
    return EvEntry(
        ev_id=ev.ev_id,
        max_power=ev.max_power,
        arrival_time=ev.arrival_time,
        departure_time=ev.departure_time,
        energy=ev.energy,
        active=ev.active,
        station_id=ev.station_id,
        connector_id=ev.connector_id,
        group=group,
        min_power=ev.min_power,
        voltage=ev.voltage,
        phases=ev.phases,  # type: ignore[arg-type]  # EV has checked that it is 1, 2 or 3
        priority=ev.priority,
        efficiency=ev.efficiency,
        minimum_energy=ev.minimum_energy,
        arrival_latest=ev.arrival_latest,
        departure_margin_s=ev.departure_margin.total_seconds(),
        min_on_s=ev.min_on.total_seconds(),
        min_off_s=ev.min_off.total_seconds(),
        phase_map=ev.phase_map,
        soc=ev.soc,
        battery_kwh=ev.battery_kwh,
        taper=list(ev.taper),
    )
