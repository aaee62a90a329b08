"""Builds the small depot of these tests in a running installation: `python -m tests.e2e.small_yard`.

A grid connection of 30 kW with a building, two feeders of 15 kW, eight chargers of 11 kW and ten vehicles: whoever is
plugged in wants more than the grid carries.
"""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

IDENTITIES = tuple(f"E2E-{number}" for number in range(1, 9))
OFFICE = "E2E-OFFICE"
SLUG = "small"
STATION_KEY = "station-key-for-tests"
OPERATOR, PASSWORD = "operator", "correct horse battery"
GRID_KW, FEEDER_KW = 30.0, 15.0
BUILDING_KW, BUILDING_RESERVE_KW = 4.0, 2.0
VEHICLES = 10
ONE_PHASE_VEHICLE = 3
BOOKED_FROM_THE_START = 6


def build() -> dict[str, Any]:
    """Everything but the bookings that the tests make themselves; what a test has to know of it."""
    from django.utils import timezone

    from depot.fallbacks import propose_fallbacks
    from depot.models import Connector, LoadGroup, Station
    from tests import factories

    depot = factories.make_depot(
        slug=SLUG, name="Small Yard", time_zone="UTC", tariff=factories.make_tariff(), plan_interval_s=20
    )
    grid = factories.make_load_group(
        depot,
        slug="grid",
        name="Grid connection",
        limit_kw=GRID_KW,
        building_load_kw=[BUILDING_KW] * 24,
        building_reserve_kw=BUILDING_RESERVE_KW,
    )
    meter = factories.make_station(
        depot, load_group=grid, identity=OFFICE, kind=Station.Kind.METER, connectors=0, key=STATION_KEY
    )
    LoadGroup.objects.filter(pk=grid.pk).update(building_meter=meter)
    feeders = [
        factories.make_load_group(parent=grid, depot=depot, slug=slug, name=name, limit_kw=FEEDER_KW)
        for slug, name in (("feeder-a", "Feeder A"), ("feeder-b", "Feeder B"))
    ]
    connectors = []
    for index, identity in enumerate(IDENTITIES):
        feeder = feeders[index * len(feeders) // len(IDENTITIES)]
        station = factories.make_station(depot, load_group=feeder, identity=identity, connectors=0, key=STATION_KEY)
        connectors.append(factories.make_connector(station, bay=f"P{index + 1}", max_current_a=16))
    for pk, fallback_a in propose_fallbacks(depot).items():
        Connector.objects.filter(pk=pk).update(fallback_a=fallback_a)
    vehicles = [
        factories.make_vehicle(
            depot,
            external_id=f"van-{number}",
            name=f"Van {number}",
            id_tag=f"VAN{number}",
            phases=1 if number == ONE_PHASE_VEHICLE else 3,
            max_ac_kw=3.68 if number == ONE_PHASE_VEHICLE else 11.0,
        )
        for number in range(1, VEHICLES + 1)
    ]
    now = timezone.now()
    for connector, vehicle in list(zip(connectors, vehicles, strict=False))[:BOOKED_FROM_THE_START]:
        factories.make_reservation(
            connector=connector,
            vehicle=vehicle,
            starts_at=now - timedelta(minutes=1),
            ends_at=now + timedelta(hours=4),
            energy_kwh=30,
        )
    factories.make_superuser(username=OPERATOR, password=PASSWORD)
    _, api_key = factories.make_api_key()
    fallbacks = dict(Connector.objects.filter(station__depot=depot).values_list("station__identity", "fallback_a"))
    return {
        "api_key": api_key,
        "connectors": {connector.station.identity: connector.pk for connector in connectors},
        "fallback_a": fallbacks,
        "vehicles": {vehicle.external_id: str(vehicle.pk) for vehicle in vehicles},
    }


def main() -> None:
    """Build, and tell."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "depot.settings")
    import django

    django.setup()
    from django.db import transaction

    with transaction.atomic():
        known = build()
    print(json.dumps(known))


if __name__ == "__main__":
    main()
