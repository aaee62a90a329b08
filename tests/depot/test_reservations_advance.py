"""Reservations end by the clock: fulfilled, no show, or failed because the charger was away."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from depot.booking.progress import advance_reservations
from depot.models import Connector, Incident, Reservation
from tests.factories import make_connector, make_link, make_reservation, make_session, make_station

pytestmark = pytest.mark.django_db

NOW = timezone.now()
HOUR = timedelta(hours=1)


@pytest.fixture
def connector() -> Connector:
    station = make_station(connectors=0)
    make_link(station, connected_at=NOW - 10 * HOUR)
    return make_connector(station)


def state_after(reservation: Reservation) -> str:
    advance_reservations(NOW)
    reservation.refresh_from_db()
    return reservation.state


def test_nobody_within_the_timeout_is_a_no_show(connector: Connector) -> None:
    reservation = make_reservation(connector=connector, starts_at=NOW - timedelta(minutes=31))
    assert state_after(reservation) == "NO_SHOW"
    assert Incident.objects.get(type="reservation.no_show").subject == str(reservation.pk)


def test_before_the_timeout_the_bay_is_kept(connector: Connector) -> None:
    assert state_after(make_reservation(connector=connector, starts_at=NOW - timedelta(minutes=29))) == "RESERVED"


def test_a_plugged_vehicle_keeps_its_reservation(connector: Connector) -> None:
    reservation = make_reservation(connector=connector, starts_at=NOW - 2 * HOUR)
    make_session(connector=connector, vehicle=reservation.vehicle, started_at=NOW - HOUR)
    assert state_after(reservation) == "RESERVED"


def test_a_vehicle_at_another_bay_has_come_too(connector: Connector) -> None:
    reservation = make_reservation(connector=connector, starts_at=NOW - 2 * HOUR)
    make_session(connector=make_connector(connector.station), vehicle=reservation.vehicle, started_at=NOW - HOUR)
    assert state_after(reservation) == "RESERVED"


def test_a_served_reservation_is_fulfilled_at_its_end(connector: Connector) -> None:
    reservation = make_reservation(connector=connector, starts_at=NOW - 5 * HOUR, ends_at=NOW - HOUR)
    make_session(
        connector=connector,
        vehicle=reservation.vehicle,
        started_at=NOW - 4 * HOUR,
        stopped_at=NOW - HOUR,
        state="ended",
    )
    assert state_after(reservation) == "FULFILLED"


def test_yesterdays_session_does_not_count(connector: Connector) -> None:
    reservation = make_reservation(connector=connector, starts_at=NOW - HOUR)
    yesterday = NOW - 24 * HOUR
    make_session(
        connector=connector,
        vehicle=reservation.vehicle,
        started_at=yesterday,
        stopped_at=yesterday + HOUR,
        state="ended",
    )
    assert state_after(reservation) == "NO_SHOW"


def test_an_offline_charger_says_nothing_about_who_came(connector: Connector) -> None:
    connector.station.link.online = False
    connector.station.link.save()
    waiting = make_reservation(connector=connector, starts_at=NOW - HOUR)
    assert state_after(waiting) == "RESERVED"
    waiting.ends_at = waiting.held_until = NOW - timedelta(minutes=1)
    waiting.save()
    assert state_after(waiting) == "FAILED"


def test_a_charger_that_has_just_come_back_is_given_time_to_report(connector: Connector) -> None:
    connector.station.link.connected_at = NOW - timedelta(seconds=30)
    connector.station.link.save()
    assert state_after(make_reservation(connector=connector, starts_at=NOW - HOUR)) == "RESERVED"


def test_the_no_show_incident_ends_with_the_booked_period(connector: Connector) -> None:
    reservation = make_reservation(connector=connector, starts_at=NOW - HOUR, ends_at=NOW + HOUR)
    advance_reservations(NOW)
    advance_reservations(NOW + 2 * HOUR)
    assert Incident.objects.get(subject=str(reservation.pk)).closed_at is not None
