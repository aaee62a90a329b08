"""North Yard: a 100 kW grid connection with an office, two feeders of 60 kW, forty chargers and forty vehicles."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from depot.fallbacks import propose_fallbacks, store_fallbacks
from depot.models import Connector, Depot, LoadGroup, Station, Tariff, TariffVersion
from scheduling.demo.night import fleet, visits_around
from scheduling.demo.visits import PlannedVisit

SLUG = "north"
OFFICE = "FD-OFFICE"
OFFICE_NOISE_KW = 0.8
PER_FEEDER = 20
FEEDERS = (("feeder-a", "Feeder A", "A"), ("feeder-b", "Feeder B", "B"))
OFFICE_KW_BY_HOUR = [
    *(6.0, 6.0, 6.0, 6.0, 6.0, 7.0, 8.0, 12.0),
    *(16.0, 19.0, 20.0, 20.0, 19.0, 20.0, 20.0, 19.0),
    *(17.0, 14.0, 11.0, 9.0, 8.0, 7.0, 6.0, 6.0),
]
TARIFF_ELEMENTS = [
    {
        "type": "energy_tou",
        "unit": "EUR/kWh",
        "periods": [
            {"name": "evening peak", "days": "all", "start": "16:00", "end": "21:00", "price": 0.40},
            {"name": "night", "days": "all", "start": "22:00", "end": "06:00", "price": 0.12},
            {"name": "day", "days": "all", "otherwise": True, "price": 0.20},
        ],
    },
    {"type": "fixed_per_month", "amount": 48.00},
]


def equip() -> Depot:
    """Make what is missing; what somebody changed meanwhile stays."""
    depot, created = Depot.objects.get_or_create(
        slug=SLUG,
        defaults={"name": "North Yard", "time_zone": "Europe/Berlin", "currency": "EUR", "tariff": _tariff()},
    )
    if created:
        root = LoadGroup.objects.create(
            depot=depot,
            slug="grid",
            name="Grid connection",
            limit_kw=100,
            building_load_kw=OFFICE_KW_BY_HOUR,
            building_reserve_kw=3,
        )
        root.building_meter = Station.objects.create(
            depot=depot, load_group=root, identity=OFFICE, name="Office building", kind=Station.Kind.METER
        )
        root.save()
        for index, (slug, name, letter) in enumerate(FEEDERS):
            feeder = LoadGroup.objects.create(depot=depot, parent=root, slug=slug, name=name, limit_kw=60)
            _chargers(feeder, letter, first=index * PER_FEEDER + 1)
        store_fallbacks(propose_fallbacks(depot))
    return depot


def plan_visits(depot: Depot, now: datetime) -> list[PlannedVisit]:
    """Visits around now at the depot's chargers."""
    chargers = Station.objects.filter(depot=depot, kind=Station.Kind.CHARGER, identity__startswith="FD-")
    places = chargers.order_by("identity").values_list("identity", "load_group__slug")
    guests = fleet(list(places)[: PER_FEEDER * len(FEEDERS)])
    feeder_kw = min(depot.load_groups.filter(parent__isnull=False).values_list("limit_kw", flat=True), default=60.0)
    return visits_around(now, guests, site_kw=_free_kw(depot), feeder_kw=feeder_kw)


def _tariff() -> Tariff:
    tariff, created = Tariff.objects.get_or_create(
        slug="north-time-of-use", defaults={"name": "North Yard time of use", "currency": "EUR"}
    )
    if created:
        TariffVersion.objects.create(tariff=tariff, valid_from=date(2024, 1, 1), elements=TARIFF_ELEMENTS)
    return tariff


def _chargers(feeder: LoadGroup, letter: str, *, first: int) -> None:
    stations = Station.objects.bulk_create(
        Station(depot=feeder.depot, load_group=feeder, identity=f"FD-{number:02d}", vendor="FleetDepot", model="Sim-22")
        for number in range(first, first + PER_FEEDER)
    )
    Connector.objects.bulk_create(
        Connector(station=station, number=1, bay=f"{letter}{place}", phases=3, max_current_a=32, voltage_v=230)
        for place, station in enumerate(stations, start=1)
    )


def _free_kw(depot: Depot) -> Callable[[datetime], float]:
    """What the grid connection leaves for vehicles at an instant, kW."""
    root = depot.load_groups.get(parent__isnull=True)
    return lambda instant: root.limit_kw - root.building_worst_at(instant)
