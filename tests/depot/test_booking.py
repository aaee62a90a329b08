"""Reservations: what is accepted, what is refused, and how they end (operations section 4)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from depot.booking.services import (
    BookingConflict,
    InvalidBooking,
    InvalidTransition,
    Need,
    Requirements,
    book,
    cancel,
    change,
    transition,
)
from depot.models import AuditEvent, Connector, Depot, Reservation, Vehicle
from depot.signals import needs_changed
from tests.factories import make_connector, make_depot, make_reservation, make_station, make_vehicle

pytestmark = pytest.mark.django_db

NOON = (timezone.now() + timedelta(days=2)).replace(hour=12, minute=0, second=0, microsecond=0)


@pytest.fixture
def depot() -> Depot:
    return make_depot()


@pytest.fixture
def connector(depot: Depot) -> Connector:
    return make_connector(make_station(depot, connectors=0), bay="A1")


@pytest.fixture
def van(depot: Depot) -> Vehicle:
    return make_vehicle(depot)


def booked(
    vehicle: Vehicle, connector: Connector | None, *, hours: float = 4, at: datetime = NOON, **fields: Any
) -> Reservation:
    defaults = {"need": Need(energy_kwh=10), "by": "test"}
    ends_at = at + timedelta(hours=hours)
    return book(
        depot=vehicle.depot,
        vehicle=vehicle,
        connector=connector,
        starts_at=at,
        ends_at=ends_at,
        **{**defaults, **fields},
    )


def test_a_booking_holds_the_bay(van: Vehicle, connector: Connector) -> None:
    reservation = booked(van, connector, priority=2, external_id="ops-1", notes="left side")
    assert (reservation.state, reservation.connector) == ("RESERVED", connector)
    assert (reservation.priority, reservation.external_id, reservation.notes) == (2, "ops-1", "left side")


def test_a_booking_is_recorded_with_its_actor(van: Vehicle, connector: Connector) -> None:
    reservation = booked(van, connector, by="dora")
    step = reservation.transitions.get()
    assert (step.from_state, step.to_state, step.actor) == ("", "RESERVED", "dora")
    assert AuditEvent.objects.filter(actor="dora", action="booked", subject__contains=str(reservation.pk)).exists()


def test_a_booking_asks_for_a_plan(van: Vehicle, connector: Connector, django_capture_on_commit_callbacks: Any) -> None:
    heard: list[tuple[int, str]] = []

    def listener(depot: int, because: str, **_: Any) -> None:
        heard.append((depot, because))

    needs_changed.connect(listener)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            booked(van, connector)
    finally:
        needs_changed.disconnect(listener)
    assert heard == [(van.depot_id, "booking")]


def test_the_buffer_is_held_after_the_end(connector: Connector) -> None:
    Depot.objects.update(buffer_minutes=10)
    van = make_vehicle(Depot.objects.get(pk=connector.station.depot_id))
    reservation = booked(van, connector)
    assert reservation.held_until == reservation.ends_at + timedelta(minutes=10)


def test_adjacent_bookings_do_not_conflict_without_a_buffer(van: Vehicle, connector: Connector) -> None:
    booked(van, connector, hours=2)
    assert booked(van, connector, at=NOON + timedelta(hours=2)).state == "RESERVED"


def test_an_overlap_names_what_is_in_the_way(van: Vehicle, connector: Connector) -> None:
    first = booked(van, connector)
    with pytest.raises(BookingConflict) as refusal:
        booked(van, connector, at=NOON + timedelta(hours=3))
    (conflict,) = refusal.value.conflicts
    assert (conflict.id, conflict.kind) == (first.pk, "reservation")
    assert Reservation.objects.count() == 1


def test_a_clash_with_the_buffer_alone_says_so(connector: Connector) -> None:
    Depot.objects.update(buffer_minutes=10)
    van = make_vehicle(Depot.objects.get(pk=connector.station.depot_id))
    first = booked(van, connector)
    with pytest.raises(BookingConflict) as refusal:
        booked(van, connector, at=first.ends_at + timedelta(minutes=5))
    assert [conflict.kind for conflict in refusal.value.conflicts] == ["buffer"]


def test_alternatives_come_in_order_of_closeness(van: Vehicle, connector: Connector) -> None:
    other = make_connector(connector.station, bay="A2")
    booked(van, connector)
    with pytest.raises(BookingConflict) as refusal:
        booked(van, connector, hours=2, at=NOON + timedelta(hours=1))
    offers = [(each.connector_id, each.starts_at) for each in refusal.value.alternatives]
    assert offers[0] == (other.pk, NOON + timedelta(hours=1))
    assert offers[1] == (connector.pk, NOON + timedelta(hours=4))
    assert offers[2] == (connector.pk, NOON - timedelta(hours=2))


def test_an_alternative_states_the_energy_by_the_end_that_was_asked_for(van: Vehicle, connector: Connector) -> None:
    make_connector(connector.station, bay="A2")
    booked(van, connector)
    with pytest.raises(BookingConflict) as refusal:
        booked(van, connector, hours=2)
    assert refusal.value.alternatives[0].available_kwh == pytest.approx(22.0)  # the van takes 11 kW


def test_an_alternative_is_really_free(van: Vehicle, connector: Connector) -> None:
    make_connector(connector.station, bay="A2")
    booked(van, connector)
    with pytest.raises(BookingConflict) as refusal:
        booked(van, connector)
    for offer in refusal.value.alternatives:
        place = Connector.objects.get(pk=offer.connector_id)
        reservation = book(
            depot=van.depot,
            vehicle=van,
            connector=place,
            starts_at=offer.starts_at,
            ends_at=offer.ends_at,
            need=Need(),
            by="test",
        )
        cancel(reservation, by="test")


def test_the_conflict_reads_as_a_sentence_in_local_time(van: Vehicle, connector: Connector) -> None:
    booked(van, connector)
    with pytest.raises(BookingConflict) as refusal:
        booked(van, connector)
    words = refusal.value.in_words(van.depot.zone)
    assert words.startswith("Bay A1 is taken in this period. In the way: ")
    assert f"{van.depot.local(NOON):%H:%M}" in words
    assert "Free instead: bay A1" in words


def test_any_bay_means_the_vehicles_home_first(van: Vehicle, connector: Connector) -> None:
    home = make_connector(connector.station, bay="Z9")
    van.home_connector = home
    van.save()
    assert booked(van, None).connector == home


def test_any_bay_means_the_smallest_that_is_enough(van: Vehicle, depot: Depot) -> None:
    station = make_station(depot, connectors=0)
    make_connector(station, max_current_a=32)
    enough = make_connector(station, max_current_a=16)  # 11.04 kW for a van of 11 kW
    make_connector(station, max_current_a=10)
    assert booked(van, None).connector == enough


def test_any_bay_passes_over_taken_ones(van: Vehicle, connector: Connector) -> None:
    other = make_connector(connector.station, bay="A2")
    assert {booked(van, None).connector, booked(van, None).connector} == {connector, other}
    with pytest.raises(BookingConflict, match="No suitable bay is free"):
        booked(van, None)


def test_requirements_are_met(van: Vehicle, connector: Connector) -> None:
    fast = make_connector(connector.station, plug="CCS2", max_current_a=125)
    assert booked(van, None, requirements=Requirements(plug="ccs2")).connector == fast
    with pytest.raises(BookingConflict):
        booked(van, None, requirements={"plug": "CCS2", "power_required_kw": 50})


def test_a_naive_time_is_refused(van: Vehicle, connector: Connector) -> None:
    with pytest.raises(InvalidBooking, match="has no time zone") as refusal:
        booked(van, connector, at=datetime(2030, 1, 1, 12))
    assert set(refusal.value.errors) == {"starts_at", "ends_at"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"hours": -1}, "ends_at"),
        ({"hours": 0.1}, "ends_at"),
        ({"hours": 25}, "ends_at"),
        ({"at": datetime(2020, 1, 1, tzinfo=UTC)}, "ends_at"),
        ({"at": datetime(9999, 12, 30, tzinfo=UTC)}, "starts_at"),
        ({"need": Need(energy_kwh=-1)}, "energy_kwh"),
        ({"need": Need(energy_kwh=float("nan"))}, "energy_kwh"),
        ({"need": Need(energy_kwh=1, required_soc_percent=80)}, "energy_kwh"),
        ({"need": Need(required_soc_percent=101)}, "required_soc_percent"),
        ({"priority": 0}, "priority"),
        ({"priority": 10}, "priority"),
        ({"external_id": "x" * 65}, "external_id"),
        ({"notes": "x" * 501}, "notes"),
    ],
)
def test_nonsense_is_refused_by_field(van: Vehicle, connector: Connector, fields: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidBooking) as refusal:
        booked(van, connector, **fields)
    assert list(refusal.value.errors) == [named]
    assert not Reservation.objects.exists()


def test_another_depots_bay_or_vehicle_is_refused(van: Vehicle, connector: Connector) -> None:
    with pytest.raises(InvalidBooking) as refusal:
        booked(van, make_connector())
    assert list(refusal.value.errors) == ["connector"]


def test_an_external_id_is_used_once_per_depot(van: Vehicle, connector: Connector) -> None:
    booked(van, connector, external_id="ops-1")
    with pytest.raises(InvalidBooking, match="ops-1"):
        booked(van, connector, at=NOON + timedelta(hours=9), external_id="ops-1")


def test_a_change_moves_the_booking_and_is_recorded(van: Vehicle, connector: Connector) -> None:
    reservation = booked(van, connector)
    change(reservation, by="dora", ends_at=NOON + timedelta(hours=6), need=Need(required_soc_percent=90))
    assert reservation.held_until == NOON + timedelta(hours=6)
    assert (reservation.energy_kwh, reservation.required_soc_percent) == (None, 90)
    event = AuditEvent.objects.get(action="changed")
    assert event.before is not None
    assert event.after is not None
    assert (event.actor, event.before["energy_kwh"], event.after["energy_kwh"]) == ("dora", 10, None)


def test_a_change_does_not_clash_with_itself(van: Vehicle, connector: Connector) -> None:
    reservation = booked(van, connector)
    assert change(reservation, by="test", starts_at=NOON + timedelta(hours=1)).starts_at == NOON + timedelta(hours=1)


def test_a_change_into_another_booking_is_refused_and_changes_nothing(van: Vehicle, connector: Connector) -> None:
    booked(van, connector)
    later = booked(van, connector, at=NOON + timedelta(hours=5))
    with pytest.raises(BookingConflict):
        change(later, by="test", starts_at=NOON)
    later.refresh_from_db()
    assert later.starts_at == NOON + timedelta(hours=5)


def test_a_canceled_booking_frees_its_bay(van: Vehicle, connector: Connector) -> None:
    reservation = cancel(booked(van, connector), by="dora", reason="BROKEN_VEHICLE")
    assert (reservation.state, reservation.cancel_reason) == ("CANCELED", "BROKEN_VEHICLE")
    assert booked(van, connector).state == "RESERVED"


def test_an_unknown_cancel_reason_is_refused(van: Vehicle, connector: Connector) -> None:
    with pytest.raises(InvalidBooking, match="TRAFFIC"):
        cancel(booked(van, connector), by="test", reason="because")


@pytest.mark.parametrize("final", ["REJECTED", "FAILED", "FULFILLED", "CANCELED", "NO_SHOW"])
def test_a_final_state_never_changes(final: str) -> None:
    reservation = make_reservation(state=final)
    for to in Reservation.State.values:
        with pytest.raises(InvalidTransition, match="final"):
            transition(reservation, to, by="test")
    with pytest.raises(InvalidTransition):
        change(reservation, by="test", priority=2)


def test_a_pending_booking_is_approved_or_rejected(depot: Depot) -> None:
    assert transition(make_reservation(depot=depot, state="PENDING"), "RESERVED", by="test").state == "RESERVED"
    rejected = transition(make_reservation(depot=depot, state="PENDING"), "REJECTED", by="test", reason="full")
    assert rejected.transitions.get().reason == "full"
