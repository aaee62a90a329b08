"""What the depot's own past says about a coming day: who came on such weekdays, when, for how long, for how much."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median

from django.db.models import Q

from charging.models import Session
from depot.models import Connector, Depot, Reservation, Vehicle
from scheduling.engine.demand_prediction import Demand, at_hour

WEEKS = 8
"""How many past days of the same weekday are looked at."""
_SHORTEST_STAY_H = 0.25


@dataclass(frozen=True)
class PastVisit:
    """One day of one vehicle: wall-clock hours since its local midnight, kWh at the meter."""

    day: date
    arrival_h: float
    stay_h: float
    meter_kwh: float
    connector: Connector


@dataclass(frozen=True)
class Expected:
    """A vehicle that usually comes on such a day, and the load group of its usual bay."""

    demand: Demand
    node: str


def expected_visits(depot: Depot, day: date, *, now: datetime) -> list[Expected]:
    """Vehicles that came on at least half of the last same weekdays since they are known, with medians of those days.

    Up to eight weekdays before `now` count; `Demand.rests_on` says how many visits a row rests on. Ordered by id.
    """
    today = depot.local(now).date()
    newest = min(day, today - timedelta(days=1))
    newest -= timedelta(days=(newest.weekday() - day.weekday()) % 7)
    if newest == day:
        newest -= timedelta(days=7)
    days = [newest - timedelta(weeks=week) for week in range(WEEKS)]
    found = []
    for vehicle, visits in _visits_by_vehicle(depot, days[-1], now):
        known_since = min(visit.day for visit in visits)
        considered = [each for each in days if each >= known_since]
        same_weekday = [visit for visit in visits if visit.day in considered]
        if same_weekday and 2 * len(same_weekday) >= len(considered):
            found.append(_typical(depot, vehicle, same_weekday, day))
    return found


def _visits_by_vehicle(depot: Depot, since: date, now: datetime) -> Iterable[tuple[Vehicle, list[PastVisit]]]:
    begin = datetime.combine(since, datetime.min.time(), depot.zone)
    sessions = Session.objects.filter(
        station__depot=depot, vehicle__isnull=False, stopped_at__isnull=False, started_at__gte=begin, started_at__lt=now
    ).select_related("vehicle", "connector__station__load_group")
    booked = Reservation.objects.filter(
        Q(energy_kwh__isnull=False),
        depot=depot,
        vehicle__isnull=False,
        connector__isnull=False,
        sessions__isnull=True,
        state=Reservation.State.FULFILLED,
        starts_at__gte=begin,
        ends_at__lt=now,
    ).select_related("vehicle", "connector__station__load_group")
    stays: dict[Vehicle, dict[date, list[tuple[datetime, datetime, float, Connector]]]] = {}
    for session in sessions.order_by("started_at"):
        assert session.vehicle is not None
        assert session.stopped_at is not None
        stay = (session.started_at, session.stopped_at, session.energy_kwh, session.connector)
        _add(stays, depot, session.vehicle, stay)
    for reservation in booked.order_by("starts_at"):
        assert reservation.vehicle is not None
        assert reservation.connector is not None
        energy = reservation.energy_kwh or 0.0
        stay = (reservation.starts_at, reservation.ends_at, energy, reservation.connector)
        _add(stays, depot, reservation.vehicle, stay)
    for vehicle in sorted(stays, key=lambda each: each.external_id):
        yield vehicle, [_joined(depot, day, parts) for day, parts in sorted(stays[vehicle].items())]


def _add(
    stays: dict[Vehicle, dict[date, list[tuple[datetime, datetime, float, Connector]]]],
    depot: Depot,
    vehicle: Vehicle,
    stay: tuple[datetime, datetime, float, Connector],
) -> None:
    days = stays.setdefault(vehicle, defaultdict(list))
    days[depot.local(stay[0]).date()].append(stay)


def _joined(depot: Depot, day: date, parts: list[tuple[datetime, datetime, float, Connector]]) -> PastVisit:
    """The stays of one day as one: from the first arrival to the last departure."""
    begin, end = min(part[0] for part in parts), max(part[1] for part in parts)
    local = depot.local(begin)
    arrival = local.hour + local.minute / 60 + local.second / 3600
    stay = (end - begin).total_seconds() / 3600
    return PastVisit(day, arrival, stay, sum(part[2] for part in parts), parts[-1][3])


def _typical(depot: Depot, vehicle: Vehicle, visits: list[PastVisit], day: date) -> Expected:
    connector = visits[-1].connector
    power = min(connector.max_power_kw, vehicle.max_ac_kw)
    efficiency = vehicle.charging_efficiency
    energy = min(median(visit.meter_kwh for visit in visits) * efficiency, vehicle.battery_kwh)
    target = vehicle.battery_kwh * depot.default_target_soc_percent / 100
    arrival_h = median(visit.arrival_h for visit in visits)
    stay_h = max(median(visit.stay_h for visit in visits), _SHORTEST_STAY_H)
    midnight = datetime.combine(day, datetime.min.time(), depot.zone)
    arrival = at_hour(midnight, arrival_h)
    demand = Demand(
        vehicle=vehicle.external_id,
        power_kw=power,
        energy_kwh=round(energy, 3),
        battery_kwh=vehicle.battery_kwh,
        arrival=arrival,
        departure=arrival + timedelta(seconds=round(stay_h * 3600)),
        arrival_soe_kwh=round(min(max(target - energy, 0.0), vehicle.battery_kwh - energy), 3),
        minimum_power_kw=min(max(connector.min_power_kw, vehicle.min_current_a * connector.kw_per_ampere), power),
        efficiency=efficiency,
        rests_on=len(visits),
    )
    return Expected(demand, connector.station.load_group.slug)
