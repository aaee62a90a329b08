"""What a day-ahead plan is asked about, as the problem file that the engine reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

import msgspec

from charging.gate import breakpoints, node_limit
from depot.models import Depot, Limit
from depot.pricing import prices_for
from scheduling.day_ahead.history import expected_visits
from scheduling.engine import EV, Horizon
from scheduling.engine.demand_prediction import Demand, synthetic_demand
from scheduling.engine.problem_file import DemandChargeEntry, EvEntry, GroupEntry, ProblemFile
from scheduling.needs import coming_reservations, latest_socs, visit_of_reservation

SITE = "site"
KV_OF_THREE_PHASES = 0.69
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
    demand_charge: tuple[float, float] | None = None
    """Price per kW, and the peak that is paid for already, kW."""

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


def midnight_of(depot: Depot, day: Any) -> datetime:
    """Local midnight at which a day of the depot begins."""
    return datetime.combine(day, time.min, depot.zone)


def question_of(wanted: Wanted, now: datetime) -> dict[str, Any]:
    """The problem as JSON values, with the vehicles' names beside it."""
    depot, horizon = wanted.depot, wanted.horizon
    vehicles = vehicles_of(wanted, now)
    groups, building = site_of(wanted, now)
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
        demand_charge=DemandChargeEntry(*wanted.demand_charge) if wanted.demand_charge is not None else None,
        building_load_kw=building,
        groups=groups,
    )
    return {"problem": msgspec.to_builtins(file), "names": vehicles.names}


def vehicles_of(wanted: Wanted, now: datetime) -> Vehicles:
    """The vehicles of the source; those that are gone before the start or come after the end play no part."""
    depot = wanted.depot
    if wanted.source == BOOKINGS:
        return _booked(wanted)
    root = depot.load_groups.filter(parent__isnull=True).values_list("slug", flat=True).first()
    place = (root or SITE) if wanted.limit_kw is None else SITE
    if wanted.source == HISTORY:
        day = depot.local(wanted.start).date()
        expected = expected_visits(depot, day, now=now)
        below = [each.node if wanted.limit_kw is None else SITE for each in expected]
        return _predicted([each.demand for each in expected], below)
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


def site_of(wanted: Wanted, now: datetime) -> tuple[list[GroupEntry], list[float] | float]:
    """Load groups with their limits, and the building's expected load at the root, kW per step.

    A limit that was asked for replaces the depot's tree and stands for what is left for charging.
    """
    if wanted.limit_kw is not None:
        return [GroupEntry(SITE, limit_kw=wanted.limit_kw)], 0.0
    depot, horizon = wanted.depot, wanted.horizon
    groups = list(depot.load_groups.select_related("depot", "parent", "building_meter__meter_state"))
    if not groups:
        return [GroupEntry(SITE)], 0.0
    limits: dict[int, list[Limit]] = {}
    rows = Limit.objects.filter(
        load_group__depot=depot, hard=True, ends_at__gt=horizon.start, starts_at__lt=horizon.end
    )
    for row in rows:
        limits.setdefault(row.load_group_id, []).append(row)
    instants = breakpoints(groups, limits, horizon.start, horizon.end)
    building = [sum(group.building_load_at(border) for group in groups) for border in horizon.borders[:-1]]
    entries = []
    for group in groups:
        room = node_limit(group, limits.get(group.pk, []), groups, instants, now)
        # The file's root limit includes the building, which a node's room has taken off already.
        kept = building if group.parent is None else [0.0] * horizon.steps
        kw = [max(value, 0.0) for value in horizon.sample(room.kw, combine="min").tolist()]
        amps = None
        if room.ampere is not None:
            amps = [max(value, 0.0) for value in horizon.sample(room.ampere, combine="min").tolist()]
        entries.append(
            GroupEntry(
                room.name,
                room.parent,
                [round(value + load, 6) for value, load in zip(kw, kept, strict=True)],
                None
                if amps is None
                else [round(value + load / KV_OF_THREE_PHASES, 6) for value, load in zip(amps, kept, strict=True)],
            )
        )
    return entries, building


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
