"""Booking, changing and canceling in the admin goes through the booking services and asks for a plan."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from depot.models import AuditEvent, Connector, Depot, Reservation, Vehicle
from depot.signals import needs_changed
from tests.factories import make_connector, make_depot, make_reservation, make_station, make_superuser, make_vehicle

pytestmark = pytest.mark.django_db

ADD = "admin:depot_reservation_add"
TOMORROW = (timezone.now() + timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(make_superuser(username="dora"))
    return client


@pytest.fixture
def asked() -> Iterator[list[str]]:
    """Why a plan was asked for."""
    causes: list[str] = []

    def listener(because: str, **_: Any) -> None:
        causes.append(because)

    needs_changed.connect(listener)
    yield causes
    needs_changed.disconnect(listener)


@pytest.fixture
def depot() -> Depot:
    return make_depot(time_zone="Europe/Berlin")


@pytest.fixture
def connector(depot: Depot) -> Connector:
    return make_connector(make_station(depot, connectors=0), bay="A1")


@pytest.fixture
def van(depot: Depot) -> Vehicle:
    return make_vehicle(depot)


def form(
    vehicle: Vehicle, connector: Connector | None, starts_at: datetime = TOMORROW, hours: float = 3, **fields: Any
) -> dict[str, Any]:
    """What the browser sends: times as the depot's clock shows them."""
    starts, ends = (vehicle.depot.local(at) for at in (starts_at, starts_at + timedelta(hours=hours)))
    return {
        "depot": vehicle.depot_id,
        "vehicle": vehicle.pk,
        "connector": connector.pk if connector else "",
        "starts_at_0": f"{starts:%Y-%m-%d}",
        "starts_at_1": f"{starts:%H:%M:%S}",
        "ends_at_0": f"{ends:%Y-%m-%d}",
        "ends_at_1": f"{ends:%H:%M:%S}",
        "energy_kwh": "20",
        "priority": "1",
        "transitions-TOTAL_FORMS": "0",
        "transitions-INITIAL_FORMS": "0",
        **fields,
    }


def test_booking_stores_the_local_times_and_asks_for_a_plan(
    staff: Client,
    van: Vehicle,
    connector: Connector,
    asked: list[str],
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        answer = staff.post(reverse(ADD), form(van, connector))
    assert answer.status_code == 302, answer.content.decode()
    reservation = Reservation.objects.get()
    assert (reservation.starts_at, reservation.connector, reservation.energy_kwh) == (TOMORROW, connector, 20)
    assert reservation.transitions.get().actor == "dora"
    assert "booking" in asked


def test_without_a_bay_a_free_one_is_found(staff: Client, van: Vehicle, connector: Connector) -> None:
    assert staff.post(reverse(ADD), form(van, None)).status_code == 302
    assert Reservation.objects.get().connector == connector


def test_a_conflict_is_said_in_words_with_alternatives(staff: Client, van: Vehicle, connector: Connector) -> None:
    other = make_connector(connector.station, bay="A2")
    make_reservation(connector=connector, starts_at=TOMORROW, ends_at=TOMORROW + timedelta(hours=4))
    answer = staff.post(reverse(ADD), form(van, connector))
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "Bay A1 is taken in this period." in page
    assert f"Free instead: bay {other.bay}" in page
    assert Reservation.objects.count() == 1


def test_nonsense_is_said_at_its_field(staff: Client, van: Vehicle, connector: Connector) -> None:
    answer = staff.post(reverse(ADD), form(van, connector, required_soc_percent="80"))
    assert "Give the energy or the target SoC, not both." in answer.content.decode()
    answer = staff.post(reverse(ADD), form(van, connector, starts_at=TOMORROW - timedelta(days=9)))
    assert "lies in the past" in answer.content.decode()


def test_a_change_is_recorded_and_asks_for_a_plan(
    staff: Client,
    van: Vehicle,
    connector: Connector,
    asked: list[str],
    django_capture_on_commit_callbacks: Any,
) -> None:
    staff.post(reverse(ADD), form(van, connector))
    reservation = Reservation.objects.get()
    change = reverse("admin:depot_reservation_change", args=[reservation.pk])
    with django_capture_on_commit_callbacks(execute=True):
        answer = staff.post(change, form(van, connector, hours=5, energy_kwh="30"))
    assert answer.status_code == 302, answer.content.decode()
    reservation.refresh_from_db()
    assert (reservation.ends_at, reservation.energy_kwh) == (TOMORROW + timedelta(hours=5), 30)
    assert AuditEvent.objects.filter(action="changed", actor="dora").exists()
    assert asked == ["booking"]


def test_the_form_shows_the_depots_clock(staff: Client, connector: Connector) -> None:
    reservation = make_reservation(connector=connector, starts_at=TOMORROW)
    page = staff.get(reverse("admin:depot_reservation_change", args=[reservation.pk])).content.decode()
    assert f"{reservation.depot.local(TOMORROW):%H:%M:%S}" in page


def test_canceling_keeps_the_row(staff: Client, connector: Connector) -> None:
    reservation = make_reservation(connector=connector)
    staff.post(
        reverse("admin:depot_reservation_changelist"),
        {"action": "cancel_selected", "_selected_action": [str(reservation.pk)]},
    )
    reservation.refresh_from_db()
    assert reservation.state == "CANCELED"


def test_a_canceled_reservation_is_only_shown(staff: Client, van: Vehicle, connector: Connector) -> None:
    reservation = make_reservation(connector=connector, vehicle=van, state="CANCELED")
    change = reverse("admin:depot_reservation_change", args=[reservation.pk])
    assert staff.get(change).status_code == 200
    staff.post(change, form(van, connector, energy_kwh="99"))
    reservation.refresh_from_db()
    assert reservation.energy_kwh == 20
