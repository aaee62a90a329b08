"""Many ask for one bay at once: exactly one gets it, whatever the database."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from depot.booking import availability, services
from depot.booking.services import BookingConflict, Need, book
from depot.models import Connector, Reservation, Vehicle
from tests.factories import make_connector, make_depot, make_reservation, make_station, make_vehicle

AT_ONCE = 8


def race(connector: Connector | None, vehicles: list[Vehicle]) -> list[str]:
    """Book for every vehicle at the same moment, each in a thread with a connection of its own."""
    starts_at = timezone.now() + timedelta(hours=1)
    gate = threading.Barrier(len(vehicles))

    def attempt(vehicle: Vehicle) -> str:
        try:
            gate.wait()
            book(
                depot=vehicle.depot,
                vehicle=vehicle,
                connector=connector,
                starts_at=starts_at,
                ends_at=starts_at + timedelta(hours=2),
                need=Need(energy_kwh=5),
                by="race",
            )
            return "booked"
        except BookingConflict:
            return "conflict"
        finally:
            connection.close()

    with ThreadPoolExecutor(len(vehicles)) as pool:
        return sorted(pool.map(attempt, vehicles))


@pytest.mark.django_db(transaction=True)
def test_exactly_one_of_many_gets_the_bay() -> None:
    depot = make_depot()
    connector = make_connector(make_station(depot, connectors=0))
    results = race(connector, [make_vehicle(depot) for _ in range(AT_ONCE)])
    assert results == ["booked"] + ["conflict"] * (AT_ONCE - 1)
    assert Reservation.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_any_bay_is_shared_out_without_doubling() -> None:
    depot = make_depot()
    station = make_station(depot, connectors=3)
    results = race(None, [make_vehicle(depot) for _ in range(AT_ONCE)])
    assert results == ["booked"] * 3 + ["conflict"] * (AT_ONCE - 3)
    held = Reservation.objects.values_list("connector", flat=True)
    assert sorted(held) == sorted(station.connectors.values_list("pk", flat=True))


@pytest.mark.django_db
def test_the_database_alone_refuses_an_overlap() -> None:
    first = make_reservation()
    with pytest.raises(IntegrityError, match="reservation_no_overlap"):
        make_reservation(connector=first.connector, starts_at=first.starts_at + timedelta(hours=1))


@pytest.mark.django_db
def test_what_only_the_database_saw_is_a_conflict_too(monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_reservation()
    real, looks = availability.conflicts_on, iter([True])
    monkeypatch.setattr(services, "free_ones", lambda connectors, *_, **__: list(connectors))
    monkeypatch.setattr(services, "conflicts_on", lambda *a, **k: [] if next(looks, False) else real(*a, **k))
    with pytest.raises(BookingConflict) as refusal:
        book(
            depot=first.depot,
            vehicle=first.vehicle,
            connector=first.connector,
            starts_at=first.starts_at,
            ends_at=first.ends_at,
            need=Need(),
            by="test",
        )
    assert [conflict.id for conflict in refusal.value.conflicts] == [first.pk]
