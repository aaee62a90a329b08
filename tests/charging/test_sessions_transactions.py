"""Transactions as chargers really report them: doubled, late, unknown, wrong (P38-P50)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from charging.intake import statuses
from charging.intake.entry import Arrival, Outcome, StationRef
from charging.models import ConnectorState, MeterSample, Session, SessionEvent, StatusNotice, TransactionNumber
from charging.sessions import adopt, raise_transaction_numbers, start_transaction, stop_transaction, verdict_on
from charging.wire.timestamps import wire_time
from charging.wire.v16.core import (
    Authorize,
    MeterValue,
    SampledValue,
    StartTransaction,
    StatusNotification,
    StopTransaction,
)
from depot.models import Connector, Incident, Station, VehicleIdentity
from tests.charging.rig import Server, until
from tests.factories import make_reservation, make_station, make_vehicle

pytestmark = pytest.mark.django_db


def arrival(station: Station, at: datetime | None = None) -> Arrival:
    return Arrival(StationRef(station.pk, station.identity, station.depot_id), 1, at or timezone.now())


def start(station: Station, **fields: Any) -> Any:
    given = {
        "connector_id": 1,
        "id_tag": "TAG",
        "meter_start": 1000,
        "timestamp": wire_time(timezone.now()),
    }
    return start_transaction(StartTransaction(**{**given, **fields}), arrival(station)).answer


def stop(station: Station, transaction_id: int, **fields: Any) -> Outcome:
    given: dict[str, Any] = {"meter_stop": 3000, "timestamp": wire_time(timezone.now())}
    return stop_transaction(StopTransaction(transaction_id=transaction_id, **{**given, **fields}), arrival(station))


def status(station: Station, told: str, at: datetime | None = None, **fields: Any) -> Outcome:
    given: dict[str, Any] = {"connector_id": 1, "error_code": "NoError", "timestamp": wire_time(at or timezone.now())}
    return statuses.status(StatusNotification(status=told, **{**given, **fields}), arrival(station))


def reasons(outcome: Outcome) -> list[Any]:
    """Why a new plan is asked for."""
    return [job.args[1] for job in outcome.after if getattr(job, "func", None) is statuses.announce_needs_changed]  # type: ignore[attr-defined]


def session(transaction_id: int) -> Session:
    return Session.objects.get(transaction_id=transaction_id)


# --- starts ----------------------------------------------------------------------------------------------------------


def test_p39_a_repeated_start_gets_the_same_number() -> None:
    station = make_station()
    stamp = wire_time(timezone.now())
    first = start(station, timestamp=stamp)
    again = start(station, timestamp=stamp, id_tag="tag")
    assert first.transaction_id == again.transaction_id
    assert Session.objects.count() == 1
    assert SessionEvent.objects.get().repeats == 1


def test_p39_also_on_a_new_socket_and_at_the_same_time(server: Server) -> None:
    station = make_station()
    payload = {"connectorId": 1, "idTag": "T", "meterStart": 7, "timestamp": wire_time(timezone.now())}
    with server.booted(station.identity) as charger:
        ids = [charger.ask("StartTransaction", payload) for _ in range(5)]
        numbers = {charger.answer(message_id)[2]["transactionId"] for message_id in ids}
    with server.connect(station.identity) as charger:
        numbers.add(charger.call("StartTransaction", payload)["transactionId"])
    assert len(numbers) == 1
    assert Session.objects.count() == 1


def test_p40_a_transaction_gets_its_number_whatever_the_tag() -> None:
    station = make_station(connectors=3)
    vehicle = make_vehicle(station.depot, id_tag="BLOCKED")
    VehicleIdentity.objects.update(blocked=True)
    past = timezone.now() - timedelta(days=1)
    VehicleIdentity.objects.create(vehicle=vehicle, value="EXPIRED", expires_at=past)
    told = {}
    for number, tag in enumerate(("UNKNOWN", "blocked", "Expired"), start=1):
        answer = start(station, connector_id=number, id_tag=tag)
        assert answer.transaction_id > 0
        told[tag] = answer.id_tag_info.status
    assert told == {"UNKNOWN": "Invalid", "blocked": "Blocked", "Expired": "Expired"}
    assert Session.objects.filter(vehicle=vehicle).count() == 2


def test_p50_a_tag_is_found_without_case_and_a_long_one_never() -> None:
    make_vehicle(id_tag="AbCd")
    make_vehicle(id_tag="X" * 21)
    now = timezone.now()
    assert verdict_on("aBcD", now).status == "Accepted"
    assert verdict_on("X" * 21, now).status == "Invalid"
    assert verdict_on("", now).status == "Invalid"
    assert verdict_on("ab%d", now).status == "Invalid"


def test_p50_concurrent_means_another_connector_and_never_a_retry() -> None:
    station = make_station(connectors=2)
    make_vehicle(station.depot, id_tag="TAG")
    stamp = wire_time(timezone.now())
    assert start(station, timestamp=stamp).id_tag_info.status == "Accepted"
    assert start(station, timestamp=stamp).id_tag_info.status == "Accepted"
    other = start(station, connector_id=2)
    assert other.id_tag_info.status == "ConcurrentTx"
    assert other.transaction_id > 0
    elsewhere = statuses.authorize(Authorize(id_tag="tag"), arrival(make_station(station.depot)))
    assert elsewhere.answer.id_tag_info.status == "ConcurrentTx"  # type: ignore[union-attr]
    here = statuses.authorize(Authorize(id_tag="tag"), arrival(station))
    assert here.answer.id_tag_info.status == "Accepted"  # type: ignore[union-attr]


def test_p44_a_second_start_ends_the_first_without_stop_and_the_real_stop_repairs_it() -> None:
    station = make_station()
    first = start(station).transaction_id
    Session.objects.update(last_register_wh=1500, energy_kwh=0.5)
    second = start(station, meter_start=1600).transaction_id
    assert session(first).state == "ended-without-stop"
    assert session(first).energy_kwh == 0.5
    assert session(second).live
    stop(station, first, meter_stop=1600)
    assert (session(first).state, session(first).energy_kwh) == ("ended", 0.6)
    assert session(second).live


def test_p44_available_ends_a_session_whose_stop_never_came() -> None:
    station = make_station()
    number = start(station).transaction_id
    assert reasons(status(station, "Available", timezone.now() + timedelta(seconds=1))) == ["unplug"]
    assert session(number).state == "ended-without-stop"
    assert session(number).flags == ["gap"]


def test_p43_a_start_of_long_ago_opens_nothing_live() -> None:
    station = make_station()
    live = start(station).transaction_id
    hour_ago = timezone.now() - timedelta(hours=1)
    outcome = start_transaction(
        StartTransaction(connector_id=1, id_tag="TAG", meter_start=1, timestamp=wire_time(hour_ago)), arrival(station)
    )
    assert outcome.after == ()
    old = session(outcome.answer.transaction_id)  # type: ignore[union-attr]
    assert (old.historical, old.started_at.replace(microsecond=0)) == (True, hour_ago.replace(microsecond=0))
    assert session(live).live
    assert stop(station, old.transaction_id).after == ()
    assert session(live).live


def test_p36_an_absurd_start_time_is_replaced_and_flagged() -> None:
    station = make_station()
    number = start(station, timestamp="1970-01-01T00:00:00Z").transaction_id
    assert session(number).flags == ["clock"]
    assert abs(session(number).started_at - timezone.now()) < timedelta(minutes=1)
    assert start(station, timestamp="1970-01-01T00:00:00Z").transaction_id == number


def test_p85_a_start_on_an_unknown_connector_is_kept_as_an_orphan() -> None:
    station = make_station()
    first = start(station, connector_id=9)
    assert first.transaction_id > 0
    assert Session.objects.count() == 0
    assert SessionEvent.objects.get().orphan_reason == "connector 9 is unknown"
    assert stop(station, first.transaction_id).findings[0].rule == "P41"


def test_a_session_is_bound_to_the_booking_of_its_bay_and_vehicle() -> None:
    station = make_station(connectors=2)
    here, there = station.connectors.order_by("number")
    vehicle, stranger = make_vehicle(station.depot, id_tag="TAG"), make_vehicle(station.depot, id_tag="STRANGER")
    soon = timezone.now() + timedelta(minutes=20)
    booking = make_reservation(connector=here, vehicle=vehicle, starts_at=soon, ends_at=soon + timedelta(hours=2))
    assert session(start(station, id_tag="STRANGER").transaction_id).reservation is None
    bound = session(start(station).transaction_id)
    assert (bound.vehicle, bound.reservation) == (vehicle, booking)
    make_reservation(connector=there, vehicle=vehicle, starts_at=soon, ends_at=soon + timedelta(hours=2))
    assert session(start(station, connector_id=2, id_tag="STRANGER").transaction_id).reservation is None
    assert stranger.sessions.count() == 2


# --- stops -----------------------------------------------------------------------------------------------------------


def test_p41_unknown_stops_are_confirmed_and_kept_for_review() -> None:
    station = make_station()
    for number in (0, -1, 4711, 2**31 - 1):
        outcome = stop(station, number)
        assert outcome.answer is not None
        assert outcome.findings[0].rule == "P41"
    assert SessionEvent.objects.filter(kind="stop", session=None).exclude(orphan_reason="").count() == 4


def test_p41_minus_one_means_the_only_running_session() -> None:
    station = make_station()
    number = start(station).transaction_id
    stop(station, -1, meter_stop=4000)
    assert (session(number).state, session(number).energy_kwh) == ("ended", 3.0)


def test_p41_with_two_running_sessions_minus_one_ends_neither() -> None:
    station = make_station(connectors=2)
    numbers = [start(station, connector_id=n, id_tag=f"T{n}").transaction_id for n in (1, 2)]
    stop(station, -1)
    assert all(session(number).live for number in numbers)


def test_p41_a_repeated_stop_counts_once_and_a_contradicting_one_is_flagged() -> None:
    station = make_station()
    number = start(station).transaction_id
    stamp = wire_time(timezone.now())
    stop(station, number, timestamp=stamp)
    stop(station, number, timestamp=stamp)
    assert SessionEvent.objects.get(kind="stop").repeats == 1
    assert session(number).flags == []
    stop(station, number, timestamp=stamp, meter_stop=9000)
    assert session(number).flags == ["duplicate-conflict"]
    assert session(number).energy_kwh == 2.0


def test_p42_energy_is_never_negative() -> None:
    station = make_station()
    number = start(station).transaction_id
    early = timezone.now() - timedelta(minutes=2)
    stop(station, number, meter_stop=10, timestamp=wire_time(early))
    ended = session(number)
    assert (ended.energy_kwh, ended.meter_stop_wh, ended.flags) == (0, 10, ["clock", "negative"])


def test_d10_a_charger_cannot_stop_another_chargers_transaction() -> None:
    victim, attacker = make_station(), make_station()
    number = start(victim).transaction_id
    outcome = stop(attacker, number)
    assert "belongs to another station" in outcome.findings[0].text
    assert session(number).live


def test_p49_a_missing_reason_is_local_and_another_tag_may_stop() -> None:
    station = make_station()
    number = start(station).transaction_id
    outcome = stop(station, number, id_tag="OTHER")
    assert session(number).stop_reason == "Local"
    assert outcome.answer.id_tag_info.status == "Invalid"  # type: ignore[union-attr]


def test_the_data_of_a_stop_become_samples_of_its_connector() -> None:
    station = make_station(connectors=2)
    number = start(station, connector_id=2).transaction_id
    stamp = wire_time(timezone.now())
    data = (MeterValue(timestamp=stamp, sampled_value=(SampledValue(value="2500", context="Transaction.End"),)),)
    stop(station, number, transaction_data=data)
    sample = MeterSample.objects.get()
    assert (sample.number, sample.transaction_id, sample.energy_wh) == (2, number, 2500.0)


# --- adoption --------------------------------------------------------------------------------------------------------


def test_p45_an_unknown_running_transaction_is_adopted_from_its_meter_values(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        value = {"timestamp": wire_time(timezone.now()), "sampledValue": [{"value": "500"}]}
        charger.call("MeterValues", {"connectorId": 1, "transactionId": 777, "meterValue": [value]})
        until(lambda: Session.objects.filter(transaction_id=777).exists())
        assert session(777).live
        fresh = charger.call(
            "StartTransaction",
            {"connectorId": 1, "idTag": "X", "meterStart": 1, "timestamp": wire_time(timezone.now())},
        )
        assert fresh["transactionId"] > 777


def test_p45_new_numbers_stay_above_every_number_seen() -> None:
    raise_transaction_numbers(5000)
    assert TransactionNumber.objects.create().pk > 5000
    raise_transaction_numbers(100)
    assert TransactionNumber.objects.create().pk > 5000


def test_p45_a_transaction_known_as_history_becomes_live_when_it_reports_now() -> None:
    station = make_station()
    hour_ago = timezone.now() - timedelta(hours=1)
    number = start(station, timestamp=wire_time(hour_ago)).transaction_id
    assert session(number).historical
    assert adopt(arrival(station), 1, number, timezone.now(), 2000.0)
    assert not session(number).historical


def test_p45_nobody_adopts_a_foreign_or_absurd_transaction() -> None:
    station, other = make_station(), make_station()
    number = start(other).transaction_id
    for claimed in (number, 0, -5, 2**31 - 1):
        assert not adopt(arrival(station), 1, claimed, timezone.now(), None)
    assert Session.objects.count() == 1


# --- status ----------------------------------------------------------------------------------------------------------


def state_of(station: Station) -> ConnectorState:
    return ConnectorState.objects.get(connector=Connector.objects.get(station=station, number=1))


def test_p85_older_status_never_overwrites_newer() -> None:
    station = make_station()
    now = timezone.now()
    status(station, "Charging", now)
    status(station, "Preparing", now - timedelta(seconds=10))
    assert state_of(station).status == "Charging"
    assert StatusNotice.objects.count() == 2


def test_a_status_of_the_future_does_not_block_the_next_one() -> None:
    station = make_station()
    status(station, "Charging", timezone.now() + timedelta(hours=5))
    assert state_of(station).status_at < timezone.now() + timedelta(minutes=2)  # type: ignore[operator]


def test_a_repeated_status_is_one_notice() -> None:
    station = make_station()
    now = timezone.now()
    assert reasons(status(station, "Preparing", now)) == ["plug-in"]
    assert reasons(status(station, "Preparing", now)) == []
    assert StatusNotice.objects.count() == 1


def test_pausing_and_resuming_asks_for_no_plan() -> None:
    station = make_station()
    number = start(station).transaction_id
    after = timezone.now() + timedelta(seconds=1)
    for second, (told, state) in enumerate(
        [("Charging", "open"), ("SuspendedEVSE", "suspended"), ("Charging", "open"), ("SuspendedEV", "suspended")]
    ):
        assert reasons(status(station, told, after + timedelta(seconds=second))) == []
        assert session(number).state == state


def test_plugging_and_unplugging_without_a_session_asks_for_a_plan() -> None:
    station = make_station()
    now = timezone.now()
    told = [("Available", []), ("Preparing", ["plug-in"]), ("Available", ["unplug"])]
    for second, (word, expected) in enumerate(told):
        assert reasons(status(station, word, now + timedelta(seconds=second))) == expected


def test_history_changes_no_plan() -> None:
    station = make_station()
    number = start(station).transaction_id
    long_ago = timezone.now() - timedelta(hours=2)
    assert status(station, "Available", long_ago).after == ()
    assert session(number).live


def test_a_fault_opens_an_incident_and_its_end_closes_it() -> None:
    station = make_station()
    now = timezone.now()
    for job in status(station, "Faulted", now, error_code="GroundFailure").after:
        job()
    incident = Incident.objects.get(type="charger.faulted")
    assert incident.subject == f"{station.identity}/1"
    assert "GroundFailure" in incident.message
    for job in status(station, "Available", now + timedelta(seconds=1)).after:
        job()
    incident.refresh_from_db()
    assert incident.closed_at is not None


def test_p85_the_status_of_an_unknown_connector_is_kept_and_noted() -> None:
    station = make_station()
    outcome = status(station, "Charging", connector_id=7)
    assert [finding.rule for finding in outcome.findings] == ["P85"]
    assert StatusNotice.objects.get().number == 7
