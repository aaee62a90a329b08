"""The life of commands: what leaves when, and what an answer or its absence means for the site limit."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from charging.commands import (
    Answer,
    LimitExceeded,
    claim_commands,
    housekeep,
    link_lost,
    queue_command,
    queue_plan,
    record_answers,
    record_timeouts,
)
from charging.desired import read_back, reconcile_station, retry_fallbacks
from charging.gate import clock_uncertainty_s, exposure_of
from charging.models import Command, ConnectorState, InstalledProfile, Session, StationLink
from charging.profiles import Schedule
from charging.wire.errors import PayloadError
from depot.models import Connector, Depot, Incident, LoadGroup
from tests.factories import make_depot, make_link, make_load_group, make_session, make_station

pytestmark = pytest.mark.django_db

OWNER = "web-1"
KW_PER_A = 0.69


@pytest.fixture
def site() -> LoadGroup:
    """A grid connection that carries 40 A of three-phase load."""
    return make_load_group(make_depot(), limit_kw=40 * KW_PER_A + 0.001)


def charger(site: LoadGroup, *, fallback_a: float = 6, confirmed: bool = True, **fields: Any) -> Connector:
    """An online charger of this process; its fallback is confirmed unless told otherwise."""
    station = make_station(load_group=site, connector_fields={"fallback_a": fallback_a}, **fields)
    make_link(station, owner=OWNER, clock_skew_s=0)
    if confirmed:
        reconcile_station(station.pk, "connect")
        answer_all({"status": "Accepted"})
    return station.connectors.select_related("station__depot").get()


def answer_all(result: dict[str, Any], *, now: datetime | None = None) -> list[str]:
    """Claim and answer until nothing may leave; the actions in the order they left."""
    now = now or timezone.now()
    left = []
    while claimed := claim_commands(OWNER, now):
        left += [f"{command.action} {command.identity}" for command in claimed]
        record_answers(Answer(command.id, now, result) for command in claimed)
    return left


def accept(commands: list[Any], *, now: datetime | None = None) -> None:
    record_answers(Answer(c.id, now or timezone.now(), {"status": "Accepted"}) for c in commands)


def plan(connector: Connector, *periods: tuple[int, float], session: Session | None = None) -> Command:
    now = timezone.now()
    session = session or Session.objects.filter(connector=connector).first() or make_session(connector=connector)
    schedule = Schedule(now - timedelta(seconds=5), periods, now + timedelta(hours=12))
    return queue_plan(connector=connector, session=session, schedule=schedule, run=uuid4(), now=now)


def state(command: Command) -> str:
    command.refresh_from_db()
    return command.state


def sent_plans(now: datetime | None = None) -> list[Any]:
    return [c for c in claim_commands(OWNER, now or timezone.now()) if c.action == "SetChargingProfile"]


def worst_kw(depot: Depot, connector: Connector, now: datetime | None = None) -> float:
    return exposure_of(depot, now or timezone.now()).worst_kw(connector.pk)


def settled() -> datetime:
    return timezone.now() + timedelta(seconds=16)


def test_s10_an_unverified_charger_counts_at_its_hardware_maximum(site: LoadGroup) -> None:
    connector = charger(site, confirmed=False)
    assert worst_kw(site.depot, connector) == pytest.approx(32 * KW_PER_A)
    reconcile_station(connector.station_id, "boot")
    assert worst_kw(site.depot, connector) == pytest.approx(32 * KW_PER_A)
    answer_all({"status": "Accepted"})
    assert worst_kw(site.depot, connector) == pytest.approx(6 * KW_PER_A)


def test_s10_a_boot_takes_the_proof_away(site: LoadGroup) -> None:
    connector = charger(site)
    StationLink.objects.update(booted_at=timezone.now())
    reconcile_station(connector.station_id, "boot")
    assert worst_kw(site.depot, connector) == pytest.approx(32 * KW_PER_A)


def test_a_manual_station_is_told_nothing_and_counts_at_its_maximum(site: LoadGroup) -> None:
    connector = charger(site, confirmed=False, manual=True)
    reconcile_station(connector.station_id, "boot")
    assert claim_commands(OWNER, timezone.now()) == []
    assert worst_kw(site.depot, connector) == pytest.approx(32 * KW_PER_A)


def test_s4_a_command_is_durable_as_sent_before_anybody_gets_it(site: LoadGroup) -> None:
    command = plan(charger(site), (0, 10.0))
    (claimed,) = claim_commands(OWNER, timezone.now())
    assert claimed.id == command.pk
    assert claimed.epoch == 1
    assert state(command) == "sent"
    assert command.sent_at is not None


def test_c1_one_outstanding_command_per_station(site: LoadGroup) -> None:
    connector = charger(site)
    queue_command(station=connector.station, action="ClearCache", payload={}, cause="operator")
    queue_command(station=connector.station, action="GetConfiguration", payload={}, cause="operator")
    assert [c.action for c in claim_commands(OWNER, timezone.now())] == ["ClearCache"]
    assert claim_commands(OWNER, timezone.now()) == []


def test_s5_a_raise_waits_until_the_cut_it_needs_is_confirmed_and_settled(site: LoadGroup) -> None:
    high, low = charger(site), charger(site)
    plan(high, (0, 32.0))
    accept(sent_plans())
    answer_all({"status": "Rejected"})
    cut, raised = plan(high, (0, 10.0)), plan(low, (0, 28.0))
    left = sent_plans()
    assert [c.id for c in left] == [cut.pk]
    assert state(raised) == "queued"
    assert raised.held_because.startswith("waits for room: ")
    accept(left)
    assert raised.pk not in [c.id for c in sent_plans()], "answered, but perhaps not yet effective"
    answer_all({"status": "Rejected"}, now=timezone.now())
    assert [c.id for c in sent_plans(settled())] == [raised.pk]


def test_s5_a_measurement_below_the_new_limit_settles_a_cut_at_once(site: LoadGroup) -> None:
    high, low = charger(site), charger(site)
    plan(high, (0, 32.0))
    answer_all({"status": "Accepted"})
    plan(high, (0, 10.0))
    raised = plan(low, (0, 28.0))
    answer_all({"status": "Accepted"})
    soon = timezone.now() + timedelta(seconds=5)
    assert sent_plans(soon) == []
    ConnectorState.objects.create(connector=high, current_a=[9.8, 9.8, 9.7], sampled_at=soon)
    assert [c.id for c in sent_plans(soon)] == [raised.pk]


def test_s6_a_timeout_counts_the_old_and_the_new_content(site: LoadGroup) -> None:
    connector = charger(site)
    command = plan(connector, (0, 20.0))
    (claimed,) = sent_plans()
    record_timeouts([claimed.id], timezone.now())
    assert state(command) == "unknown"
    assert worst_kw(site.depot, connector) == pytest.approx(20 * KW_PER_A)
    newer = plan(connector, (0, 8.0))
    accept(sent_plans())
    assert state(newer) == "accepted"
    assert state(command) == "superseded"
    assert worst_kw(site.depot, connector, settled()) == pytest.approx(8 * KW_PER_A)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"result": {"status": "Rejected"}}, "rejected"),
        ({"result": {"status": "NotSupported"}}, "rejected"),
        ({"error_code": "InternalError", "error_description": "no"}, "error"),
    ],
)
def test_s6_a_refusal_counts_the_old_and_the_new_content(
    site: LoadGroup, answer: dict[str, Any], expected: str
) -> None:
    connector = charger(site)
    command = plan(connector, (0, 20.0))
    (claimed,) = sent_plans()
    record_answers([Answer(claimed.id, timezone.now(), **answer)])
    assert state(command) == expected
    assert worst_kw(site.depot, connector) == pytest.approx(20 * KW_PER_A)
    assert Incident.objects.get(type="profile.rejected").closed_at is None


def test_p24_a_late_answer_still_counts_as_applied(site: LoadGroup) -> None:
    connector = charger(site)
    command = plan(connector, (0, 20.0))
    (claimed,) = sent_plans()
    record_timeouts([claimed.id], timezone.now())
    record_answers([Answer(claimed.id, timezone.now(), {"status": "Accepted"}, late=True)])
    assert state(command) == "accepted"
    assert command.late


def test_a_late_answer_to_an_older_profile_does_not_undo_the_newer_one(site: LoadGroup) -> None:
    connector = charger(site)
    plan(connector, (0, 20.0))
    (old,) = sent_plans()
    record_timeouts([old.id], timezone.now())
    plan(connector, (0, 8.0))
    accept(sent_plans())
    record_answers([Answer(old.id, timezone.now(), {"status": "Accepted"}, late=True)])
    assert worst_kw(site.depot, connector, settled()) == pytest.approx(8 * KW_PER_A)


def test_s9_a_lost_connection_leaves_everything_counted(site: LoadGroup) -> None:
    connector = charger(site)
    command = plan(connector, (0, 20.0))
    sent_plans()
    link_lost(connector.station_id, 1, timezone.now())
    assert state(command) == "unknown"
    assert worst_kw(site.depot, connector) == pytest.approx(20 * KW_PER_A)


def test_a_profile_dies_with_its_transaction(site: LoadGroup) -> None:
    connector = charger(site)
    plan(connector, (0, 20.0))
    accept(sent_plans())
    queued = plan(connector, (0, 30.0))
    Session.objects.update(state=Session.State.ENDED)
    assert worst_kw(site.depot, connector) == pytest.approx(6 * KW_PER_A)
    assert "SetChargingProfile" not in " ".join(answer_all({"status": "Rejected"}))
    assert state(queued) == "superseded"


def test_two_vehicles_that_swap_their_turns_do_not_wait_for_each_other(site: LoadGroup) -> None:
    """A gives way later for B and gets it back after: each plan raises where the other still has to fall."""
    first, second = charger(site), charger(site)
    plan(first, (0, 32.0), (3600, 8.0))
    plan(second, (0, 8.0), (3700, 32.0))
    answer_all({"status": "Accepted"})
    a = plan(first, (0, 8.0), (3700, 32.0))
    b = plan(second, (0, 32.0), (3600, 8.0))
    answer_all({"status": "Accepted"})
    answer_all({"status": "Accepted"}, now=settled())
    assert {state(a), state(b)} <= {"accepted", "verified"}
    assert exposure_of(site.depot, settled() + timedelta(seconds=60)).excess() == []


def test_a_newer_plan_supersedes_a_queued_one(site: LoadGroup) -> None:
    connector = charger(site)
    old, new = plan(connector, (0, 10.0)), plan(connector, (0, 12.0))
    assert [c.id for c in sent_plans()] == [new.pk]
    assert state(old) == "superseded"


def test_nothing_leaves_over_a_link_of_another_process_or_an_offline_one(site: LoadGroup) -> None:
    connector = charger(site)
    command = plan(connector, (0, 10.0))
    assert claim_commands("web-2", timezone.now()) == []
    connector.station.link.online = False
    connector.station.link.save()
    assert claim_commands(OWNER, timezone.now()) == []
    assert state(command) == "queued"


def test_a_command_past_its_deadline_expires(site: LoadGroup) -> None:
    connector = charger(site)
    deadline = timezone.now() + timedelta(seconds=30)
    command = queue_command(
        station=connector.station, action="ClearCache", payload={}, cause="operator", deadline=deadline
    )
    housekeep(deadline)
    assert state(command) == "expired"


def composite(limit: float) -> dict[str, Any]:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    return {"status": "Accepted", "connectorId": 1, "chargingSchedule": schedule}


@pytest.mark.parametrize(("claimed_a", "expected"), [(20.0, "verified"), (32.0, "contradicted")])
def test_p74_the_composite_schedule_verifies_or_contradicts_a_plan(
    site: LoadGroup, claimed_a: float, expected: str
) -> None:
    command = plan(charger(site), (0, 20.0))
    accept(sent_plans())
    (read_back,) = claim_commands(OWNER, timezone.now())
    assert read_back.action == "GetCompositeSchedule"
    record_answers([Answer(read_back.id, timezone.now(), composite(claimed_a))])
    assert state(command) == expected
    assert Incident.objects.filter(type="profile.ignored", closed_at=None).exists() == (expected == "contradicted")


@pytest.mark.parametrize("answer", [{"status": "Rejected"}, {"status": "Accepted"}, composite(-1), composite(1e9)])
def test_p74_an_answer_without_sense_leaves_a_plan_unverified(site: LoadGroup, answer: dict[str, Any]) -> None:
    command = plan(charger(site), (0, 20.0))
    accept(sent_plans())
    (read_back,) = claim_commands(OWNER, timezone.now())
    record_answers([Answer(read_back.id, timezone.now(), answer)])
    assert state(command) == "accepted"


def raw_profile(limit: float, **fields: Any) -> dict[str, Any]:
    schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}]}
    profile = {
        "chargingProfileId": 77,
        "stackLevel": 3,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": schedule,
        **fields,
    }
    return {"connectorId": 1, "csChargingProfiles": profile}


def test_s17_a_raw_profile_passes_the_gate_or_is_refused_with_numbers(site: LoadGroup) -> None:
    connector, other = charger(site), charger(site)
    plan(other, (0, 20.0))
    accept(sent_plans())
    fits = queue_command(
        station=connector.station, action="SetChargingProfile", payload=raw_profile(16), cause="operator"
    )
    assert fits.profile.slot == InstalledProfile.Slot.MANUAL
    with pytest.raises(LimitExceeded, match=r"carries 27\.6 kW, 35\.9 would be possible"):
        queue_command(station=connector.station, action="SetChargingProfile", payload=raw_profile(32), cause="operator")


@pytest.mark.parametrize(
    ("action", "payload", "field"),
    [
        ("ClearChargingProfile", {}, ""),
        ("ClearChargingProfile", {"id": 11}, "/id"),
        ("ClearChargingProfile", {"chargingProfilePurpose": "TxDefaultProfile", "stackLevel": 0}, ""),
        ("SetChargingProfile", raw_profile(6, stackLevel=0), "/csChargingProfiles/stackLevel"),
        ("SetChargingProfile", raw_profile(6, chargingProfileId=1001), "/csChargingProfiles/chargingProfileId"),
        ("SetChargingProfile", {**raw_profile(6), "connectorId": 9}, "/connectorId"),
        ("ChangeConfiguration", {"key": "IgnoredProfilePurposesOffline", "value": "TxProfile"}, "/key"),
    ],
)
def test_s8_a_command_that_would_free_a_charger_is_refused(
    site: LoadGroup, action: str, payload: dict[str, Any], field: str
) -> None:
    with pytest.raises(PayloadError) as refusal:
        queue_command(station=charger(site).station, action=action, payload=payload, cause="operator")
    assert refusal.value.field == field


def test_the_fallback_is_sent_again_after_a_refusal_and_then_shown_as_an_incident(site: LoadGroup) -> None:
    connector = charger(site, confirmed=False)
    now = timezone.now()
    for _ in range(3):
        retry_fallbacks(now)
        Command.objects.filter(state="sent").update(state="queued")
        record_answers(Answer(c.id, now, {"status": "Rejected"}) for c in claim_commands(OWNER, now))
        Command.objects.update(created_at=now - timedelta(minutes=11))
    retry_fallbacks(now)
    incident = Incident.objects.get(type="fallback.unverified")
    assert incident.subject == f"{connector.station.identity}/1"
    assert "22.1 kW" in incident.message


def test_p60_phases_that_are_not_reported_count_as_nothing(site: LoadGroup) -> None:
    connector = charger(site)
    state = ConnectorState.objects.create(connector=connector, current_a=[None, 20.0, None], sampled_at=timezone.now())
    assert worst_kw(site.depot, connector) > 20 * KW_PER_A
    state.current_a = [None, None, None]
    state.save()
    assert worst_kw(site.depot, connector) == pytest.approx(6 * KW_PER_A)


def test_s11_a_charger_that_draws_more_than_it_may_takes_it_from_the_others(site: LoadGroup) -> None:
    disobedient, other = charger(site), charger(site)
    ConnectorState.objects.create(connector=disobedient, current_a=[30.0, 30.0, 30.0], sampled_at=timezone.now())
    command = plan(other, (0, 16.0))
    assert sent_plans() == []
    assert state(command) == "queued"


def test_a_changed_fallback_is_sent_and_a_higher_one_waits_for_room(
    site: LoadGroup, django_capture_on_commit_callbacks: Any
) -> None:
    connector, other = charger(site), charger(site)
    plan(other, (0, 30.0))
    answer_all({"status": "Accepted"})
    connector.fallback_a = 16
    with django_capture_on_commit_callbacks(execute=True):
        connector.save()
    assert sent_plans() == []
    command = Command.objects.get(natural_key="fallback:1", state="queued")
    assert command.held_because.startswith("waits for room: ")
    connector.fallback_a = 0
    with django_capture_on_commit_callbacks(execute=True):
        connector.save()
    (lower,) = sent_plans()
    assert lower.payload["csChargingProfiles"]["chargingSchedule"]["chargingSchedulePeriod"][0]["limit"] == 0
    assert state(command) == "superseded"


def test_s17_a_raw_profile_that_fitted_when_it_was_asked_for_waits_when_the_room_is_gone(site: LoadGroup) -> None:
    connector, other = charger(site), charger(site)
    raw = queue_command(station=connector.station, action="SetChargingProfile", payload=raw_profile(30), cause="API")
    Command.objects.filter(pk=raw.pk).update(created_at=timezone.now() + timedelta(seconds=1))
    granted = plan(other, (0, 30.0))
    assert [c.id for c in sent_plans()] == [granted.pk]
    assert state(raw) == "queued"


def test_s15_a_clock_that_is_far_off_counts_with_its_whole_error(site: LoadGroup) -> None:
    connector = charger(site)
    link = connector.station.link
    link.clock_skew_s = -900
    assert clock_uncertainty_s(connector.station) >= 900
    link.clock_skew_s = 0.4
    assert clock_uncertainty_s(connector.station) == 5
    link.clock_skew_s = None
    assert clock_uncertainty_s(connector.station) == 60


def test_a_manual_station_may_be_sent_anything(site: LoadGroup) -> None:
    station = charger(site, confirmed=False, manual=True).station
    for payload in (raw_profile(32), {**raw_profile(32), "connectorId": 9}, raw_profile(6, stackLevel=0)):
        queue_command(station=station, action="SetChargingProfile", payload=payload, cause="API")
    queue_command(station=station, action="ClearChargingProfile", payload={}, cause="API")
    assert len(answer_all({"status": "Accepted"})) == 4


def test_a_reading_proves_nothing_while_a_newer_plan_may_be_in_force(site: LoadGroup) -> None:
    connector = charger(site)
    command = plan(connector, (0, 20.0))
    (sent,) = sent_plans()
    record_timeouts([sent.id], timezone.now())
    read_back(connector.station, timezone.now())
    (reading,) = claim_commands(OWNER, timezone.now())
    record_answers([Answer(reading.id, timezone.now(), composite(20.0))])
    assert state(command) == "unknown"
    assert not Incident.objects.filter(type="profile.ignored").exists()


def test_s10_what_a_charger_confirmed_after_its_boot_stays_confirmed(site: LoadGroup) -> None:
    connector = charger(site)
    plan(connector, (0, 20.0))
    accept(sent_plans())
    StationLink.objects.update(booted_at=timezone.now() - timedelta(minutes=1))
    reconcile_station(connector.station_id, "boot")
    assert worst_kw(site.depot, connector, settled()) == pytest.approx(20 * KW_PER_A)
    StationLink.objects.update(booted_at=timezone.now() + timedelta(seconds=1))
    reconcile_station(connector.station_id, "boot")
    assert worst_kw(site.depot, connector, settled()) == pytest.approx(32 * KW_PER_A)
