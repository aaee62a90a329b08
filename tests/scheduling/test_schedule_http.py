"""Another CSMS behind the HTTP contract: what is read, what is sent, and what happens when something is wrong."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import Any

import pytest

from scheduling.engine import Horizon
from scheduling.engine.go import GoAlgorithm
from scheduling.engine.least_laxity import LeastLaxityFirst
from scheduling.http_translation import HttpApi, HttpTranslation
from scheduling.runner import scm_runner
from tests.scheduling.csms import WAIT_S, Csms, iso, limits_of, running, vehicle

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)


@pytest.fixture
def csms() -> Iterator[Csms]:
    with running(Csms()) as server:
        yield server


@pytest.fixture
def translation(csms: Csms) -> HttpTranslation:
    return HttpTranslation(api_of(csms))


def api_of(csms: Csms, **more: Any) -> HttpApi:
    api = HttpApi(f"http://127.0.0.1:{csms.http_port}", f"ws://127.0.0.1:{csms.websocket_port}", timeout_s=5)
    return replace(api, **more)


def plan(translation: HttpTranslation, group: str = "Group 1") -> object:
    return scm_runner(translation, GoAlgorithm, groups=[group])[group]


def test_connected_and_expected_vehicles_are_planned_and_connected_ones_get_profiles(
    csms: Csms, translation: HttpTranslation
) -> None:
    csms.future_evs["Group 1"] = [vehicle(2, arrives_in_h=1)]
    run = plan(translation)
    assert isinstance(run, GoAlgorithm)
    assert [(ev.ev_id, ev.active, ev.voltage, ev.phases) for ev in run.evs] == [
        (1, True, 200.0, 1),
        (2, False, 200.0, 1),
    ]
    profile = csms.next_powers()["1"]
    assert limits_of(profile)[0] == 7000
    assert profile["chargingSchedule"]["chargingSchedulePeriod"][0]["numberPhases"] == 1
    assert csms.powers.empty()


def test_a_vehicle_that_is_connected_already_is_not_expected_as_well(csms: Csms, translation: HttpTranslation) -> None:
    csms.future_evs["Group 1"] = [vehicle(1, arrives_in_h=1)]
    evs, voltage = translation.get_evs("Group 1")
    assert [(ev.ev_id, ev.active) for ev in evs] == [(1, True)]
    assert voltage == 200


def test_wa32_limits_are_a_step_function_with_any_rfc_3339_key(csms: Csms, translation: HttpTranslation) -> None:
    csms.limits["Group 1"] = {
        "2026-01-12T12:00:00Z": 10,
        "2026-01-12T14:00:00+01:00": 20.0,
        "2026-01-12T15:00:00.000+00:00": 10,
        "2026-01-12T18:00:00Z": 30,
    }
    limits = translation.get_peak_power_demand("Group 1", NOON, 200.0)
    assert limits.tolist() == [10] * 4 + [20] * 8 + [10] * 12 + [30] * 72
    assert csms.asked[-1] == (
        "/peak_power_demand",
        {"group_name": ["Group 1"], "timestamp": ["2026-01-12T12:00:00Z"], "voltage": ["200.0"]},
    )
    tree = translation.get_power_tree("Group 1", Horizon(NOON))
    assert tree.nodes[0].limit_kw is not None
    assert tree.nodes[0].limit_kw.tolist() == limits.tolist()


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        ({}, "there is no limit for group 'Group 1'"),
        ({"2026-01-12T12:00:00": 10}, "naive"),
        ({"noon": 10}, "noon"),
        ({"2026-01-12T12:00:00Z": -1}, "-1 is not a power"),
        ({"2026-01-12T12:00:00Z": None}, "None is not a power"),
        ({"2026-01-12T12:00:00Z": float("nan")}, "nan is not a power"),
        ([10.0], "no JSON object"),
    ],
)
def test_wa32_without_usable_limits_nothing_but_the_fallback_is_sent(
    csms: Csms, translation: HttpTranslation, limits: Any, sentence: str
) -> None:
    csms.limits["Group 1"] = limits
    error = plan(translation)
    assert isinstance(error, Exception)
    assert sentence in str(error)
    profile = csms.next_powers()["1"]
    assert limits_of(profile) == [0]
    assert profile["chargingSchedule"]["chargingRateUnit"] == "A"
    assert csms.powers.empty()


def test_wa32_the_configured_fallback_goes_to_whoever_was_connected_when_nobody_answers(csms: Csms) -> None:
    translation = HttpTranslation(api_of(csms, fallback_a=6))
    plan(translation)
    assert limits_of(csms.next_powers()["1"])[0] == 7000
    csms.evs["Group 1"] = "gone"  # type: ignore[assignment]
    assert "'evs' is not a list" in str(plan(translation))
    assert limits_of(csms.next_powers()["1"]) == [6]


def test_one_vehicle_that_makes_no_sense_gets_the_fallback_and_spoils_nobody_s_plan(
    csms: Csms, translation: HttpTranslation
) -> None:
    csms.evs["Group 1"] += [vehicle(2, leaves_in_h=-2), {"ev_id": 3}, "nonsense"]
    plan(translation)
    assert limits_of(csms.next_powers()["1"])[0] == 7000
    assert {ev: limits_of(profile) for ev, profile in csms.next_powers().items()} == {"2": [0], "3": [0]}


def test_a_group_without_vehicles_has_an_empty_plan_and_sends_nothing(csms: Csms, translation: HttpTranslation) -> None:
    csms.limits["Group 2"] = {iso(datetime.now(UTC)): 0}
    run = plan(translation, "Group 2")
    assert isinstance(run, GoAlgorithm)
    assert run.result.status == "empty"
    assert csms.powers.empty()


def test_requests_carry_the_authorization_of_the_environment(csms: Csms, monkeypatch: pytest.MonkeyPatch) -> None:
    csms.authorization = "Bearer 1234"
    monkeypatch.setenv("API_PORT", str(csms.http_port))
    assert "401" in str(plan(HttpTranslation()))
    assert csms.powers.empty()
    monkeypatch.setenv("SCHEDULE_API_AUTHORIZATION", "Bearer 1234")
    assert isinstance(plan(HttpTranslation()), GoAlgorithm)
    assert csms.next_powers().keys() == {"1"}


def test_the_environment_says_where_and_how(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {
        "SCHEDULE_API_URL": "https://csms.example/api/",
        "SCHEDULE_WEBSOCKET_URL": "wss://csms.example/events",
        "SCHEDULE_TIMEOUT_S": "3",
        "SCHEDULE_FALLBACK_A": "6",
        "SCHEDULE_RESOLUTION_MINUTES": "5",
        "SCHEDULE_HORIZON_HOURS": "8",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    expected = HttpApi(
        "https://csms.example/api", "wss://csms.example/events", "", 3, 6, timedelta(minutes=5), steps=96
    )
    assert HttpApi.from_environment() == expected


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"url": "file:///etc/passwd"}, "http:// or https://"),
        ({"websocket_url": "http://csms"}, "ws:// or wss://"),
        ({"timeout_s": 0}, "above zero"),
        ({"steps": 0}, "above zero"),
        ({"fallback_a": -1}, "zero or more"),
    ],
)
def test_an_impossible_address_or_number_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        HttpApi(**wrong)


def test_reservations_become_events_and_a_lost_connection_is_made_anew(
    csms: Csms, translation: HttpTranslation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduling.http_translation.FIRST_PAUSE_S", 0.01)
    events: SimpleQueue[str | None] = SimpleQueue()
    stop = threading.Event()
    listener = threading.Thread(target=translation.listen, args=(events, stop))
    listener.start()
    try:
        first = csms.listeners.get(timeout=WAIT_S)
        for message in (
            "no JSON",
            "[]",
            '{"type": "SOMETHING_ELSE"}',
            '{"type": "NEW_RESERVATION", "data": {"ev_id": 4}}',
        ):
            first.send(message)
        assert events.get(timeout=WAIT_S) == "Reservation Event on Listener"
        first.close()
        assert events.get(timeout=WAIT_S) == "Reconnected on Listener"
        csms.listeners.get(timeout=WAIT_S).send('{"type": "NEW_RESERVATION"}')
        assert events.get(timeout=WAIT_S) == "Reservation Event on Listener"
    finally:
        stop.set()
        listener.join()
    assert events.empty()


def test_every_algorithm_can_plan_another_csms(csms: Csms, translation: HttpTranslation) -> None:
    assert isinstance(scm_runner(translation, LeastLaxityFirst, groups=["Group 1"])["Group 1"], LeastLaxityFirst)
    assert limits_of(csms.next_powers()["1"])[0] == 7000
