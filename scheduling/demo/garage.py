"""The garage: a day measured at Caltech (see charging/simulator/data) behind a transformer too small for it."""

from __future__ import annotations

import random
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from charging.simulator.garage import MAX_CURRENT_A, MIN_CURRENT_A, PORT_KW, VOLTAGE_V, GarageSession, garage_sessions
from depot.fallbacks import propose_fallbacks, store_fallbacks
from depot.models import Connector, Depot, LoadGroup, Station, Tariff, TariffVersion
from scheduling.demo.visits import EFFICIENCY, Guest, PlannedVisit

SLUG = "garage"
ZONE = "America/Los_Angeles"
PORTS = 54
LIMIT_KW = 40.0  # at full power the same day peaks at four times this
BATTERY_KWH = 60.0
BUSY = (time(9), time(15))
SHOWN_FROM = time(10, 30)
ROTATIONS = ("123", "231", "312")
TARIFF_ELEMENTS = [
    {
        "type": "energy_tou",
        "unit": "USD/kWh",
        "periods": [
            {"name": "peak", "days": "all", "start": "16:00", "end": "21:00", "price": 0.45},
            {"name": "super-off-peak", "days": "all", "start": "08:00", "end": "16:00", "price": 0.124},
            {"name": "off-peak", "days": "all", "start": "21:00", "end": "08:00", "price": 0.249},
        ],
    }
]


def equip() -> Depot:
    """Make what is missing; what somebody changed meanwhile stays."""
    depot, created = Depot.objects.get_or_create(
        slug=SLUG,
        defaults={
            "name": "Campus garage",
            "time_zone": ZONE,
            "currency": "USD",
            "tariff": _tariff(),
            "buffer_minutes": 0,
        },
    )
    if created:
        root = LoadGroup.objects.create(depot=depot, slug="grid", name="Transformer share", limit_kw=LIMIT_KW)
        stations = Station.objects.bulk_create(
            Station(depot=depot, load_group=root, identity=identity, vendor="FleetDepot", model="Sim-7")
            for identity in _identities()
        )
        Connector.objects.bulk_create(
            Connector(
                station=station,
                number=1,
                bay=f"P{place}",
                plug="J1772",
                phases=1,
                phase_rotation=ROTATIONS[place % len(ROTATIONS)],
                max_current_a=MAX_CURRENT_A,
                min_current_a=MIN_CURRENT_A,
                voltage_v=VOLTAGE_V,
            )
            for place, station in enumerate(stations, start=1)
        )
        store_fallbacks(propose_fallbacks(depot))
    return depot


def plan_visits(depot: Depot, now: datetime) -> list[PlannedVisit]:
    """The measured day on today's date; outside busy hours moved so that half past ten is now."""
    zone = ZoneInfo(depot.time_zone)
    local = now.astimezone(zone)
    shift = timedelta(0)
    if not BUSY[0] <= local.time() < BUSY[1]:
        shift = now - datetime.combine(local.date(), SHOWN_FROM, zone)
    dice = random.Random(46)
    measured = enumerate(garage_sessions(local.date(), depot.time_zone), start=1)
    visits = [_visit(number, session, shift, now, dice) for number, session in measured]
    return [visit for visit in visits if visit.plug_out_at > now + timedelta(minutes=1)]


def _visit(number: int, session: GarageSession, shift: timedelta, now: datetime, dice: random.Random) -> PlannedVisit:
    """What was delivered is what is needed; of a stay that has begun, the part that is left at an even pace."""
    arrival, departure = session.arrival + shift, session.departure + shift
    left = 1.0 if arrival >= now else max(0.1, (departure - now) / (departure - arrival))
    need_kwh = max(0.1, round(session.energy_kwh * left, 2))
    gain_percent = need_kwh * EFFICIENCY / BATTERY_KWH * 100
    soc = round(dice.uniform(5, max(6.0, 80 - gain_percent)), 1)
    guest = Guest(f"EV{number:02d}", session.station_id, "grid", PORT_KW, BATTERY_KWH, phases=1)
    return PlannedVisit(guest, arrival, departure, soc, need_kwh, exact_energy=True)


def _identities() -> list[str]:
    """The ports used that day, and as many unused ones as the garage has."""
    used = sorted({session.station_id for session in garage_sessions(date(2026, 1, 15), ZONE)})
    idle = [f"CA-{number}" for number in range(600, 600 + PORTS - len(used))]
    return used + idle


def _tariff() -> Tariff:
    tariff, created = Tariff.objects.get_or_create(
        slug="garage-time-of-use", defaults={"name": "Garage time of use", "currency": "USD"}
    )
    if created:
        TariffVersion.objects.create(tariff=tariff, valid_from=date(2024, 1, 1), elements=TARIFF_ELEMENTS)
    return tariff
