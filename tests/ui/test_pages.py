"""Pages: who sees them, and that nothing in them is taken for markup."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from charging.models import Command, Finding, Frame, UnknownStation
from tests.factories import make_depot, make_incident, make_superuser, make_user
from tests.ui.yard import SmallYard, small_yard

pytestmark = pytest.mark.django_db

HOSTILE = "</script><img src=x onerror=alert(1)>"


@pytest.fixture
def yard() -> SmallYard:
    return small_yard()


@pytest.fixture
def viewer(yard: SmallYard) -> Client:
    return signed_in(role="viewer", depot=yard.depot)


@pytest.fixture
def technician(yard: SmallYard) -> Client:
    return signed_in(role="technician", depot=yard.depot)


def signed_in(**fields: Any) -> Client:
    client = Client()
    client.force_login(make_user(**fields))
    return client


def test_pages_ask_for_a_login(yard: SmallYard) -> None:
    answer = Client().get("/depots/nord/")
    assert answer.status_code == 302
    assert answer["Location"].startswith("/login/")


def test_the_snapshot_answers_a_script_without_a_login_page(yard: SmallYard) -> None:
    assert Client().get("/depots/nord/snapshot.json").status_code == 401


def test_a_depot_without_a_role_does_not_exist(yard: SmallYard) -> None:
    stranger = signed_in(role="viewer", depot=make_depot())
    for path in ("", "snapshot.json", "stations/", "plans/"):
        assert stranger.get(f"/depots/nord/{path}").status_code == 404


def test_the_only_depot_is_opened_at_once(viewer: Client) -> None:
    assert viewer.get("/")["Location"] == "/depots/nord/"


def test_several_depots_are_listed(yard: SmallYard) -> None:
    make_depot(name="Depot Süd")
    client = Client()
    client.force_login(make_superuser())
    assert "Depot Süd" in client.get("/").content.decode()


def test_a_wrong_password_is_told_in_words() -> None:
    answer = Client().post("/login/", {"username": "nobody", "password": "wrong"})
    assert "do not match" in answer.content.decode()


def test_the_first_picture_needs_no_script(yard: SmallYard, viewer: Client) -> None:
    connector = yard.bay("A1", status="Charging", power_kw=6.6)
    session = yard.plug_in(connector, "Sprinter 7")
    yard.plan(yard.run(), connector, session=session, vehicle=session.vehicle)
    text = viewer.get("/depots/nord/").content.decode()
    for word in ("Sprinter 7", "Hall A", "6.6", "s-planned", 'class="stay"'):
        assert word in text


def test_an_empty_depot_has_a_page(viewer: Client) -> None:
    text = viewer.get("/depots/nord/").content.decode()
    for words in ("No measurement and no plan yet", "No charger stands here yet", "No departure is known"):
        assert words in text


def test_pages_are_never_cached_and_carry_no_inline_code(yard: SmallYard, viewer: Client) -> None:
    answer = viewer.get("/depots/nord/")
    assert "no-store" in answer["Cache-Control"]
    assert "'unsafe" not in answer["Content-Security-Policy"]
    assert " style=" not in answer.content.decode()


def test_hostile_names_stay_text(yard: SmallYard, technician: Client) -> None:
    connector = yard.bay("A1", status="Faulted", info=HOSTILE)
    session = yard.plug_in(connector, HOSTILE)
    yard.plan(yard.run(message=HOSTILE), connector, vehicle=session.vehicle, remedy=HOSTILE, shortfall_kwh=1)
    make_incident(depot=yard.depot, subject=HOSTILE, message=HOSTILE)
    UnknownStation.objects.create(identity=HOSTILE, first_seen_at=yard.now, last_seen_at=yard.now)
    Finding.objects.create(
        station=connector.station, rule="P1", text=HOSTILE, first_seen_at=yard.now, last_seen_at=yard.now
    )
    Frame.objects.create(station=connector.station, epoch=1, at=yard.now, raw=HOSTILE.encode())
    run = yard.depot.plan_runs.get()
    for path in ("", "stations/", f"stations/{connector.station.identity}/", "plans/", f"plans/{run.pk}/"):
        answer = technician.get(f"/depots/nord/{path}")
        assert answer.status_code == 200
        assert HOSTILE not in answer.content.decode()


def test_the_embedded_picture_is_the_one_that_the_socket_continues(yard: SmallYard, viewer: Client) -> None:
    yard.bay("A1")
    polled = json.loads(viewer.get("/depots/nord/snapshot.json").content)
    assert polled["type"] == "snapshot"
    assert next(iter(polled["picture"]["tiles"].values()))["bay"] == "A1"


def test_a_dispatcher_acknowledges_an_incident(yard: SmallYard) -> None:
    incident = make_incident(depot=yard.depot)
    client = signed_in(role="dispatcher", depot=yard.depot)
    client.post(reverse("acknowledge", args=["nord", incident.pk]))
    incident.refresh_from_db()
    assert incident.acknowledged_at is not None


def test_a_viewer_may_not_acknowledge_and_sees_no_button(yard: SmallYard, viewer: Client) -> None:
    incident = make_incident(depot=yard.depot)
    assert viewer.post(reverse("acknowledge", args=["nord", incident.pk])).status_code == 403
    assert "Acknowledge</button>" not in viewer.get("/depots/nord/").content.decode()


def test_an_incident_of_another_depot_is_not_found(yard: SmallYard, technician: Client) -> None:
    incident = make_incident(depot=make_depot())
    assert technician.post(reverse("acknowledge", args=["nord", incident.pk])).status_code == 404


def test_acknowledging_needs_the_csrf_token(yard: SmallYard) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user(role="technician", depot=yard.depot))
    incident = make_incident(depot=yard.depot)
    assert client.post(reverse("acknowledge", args=["nord", incident.pk])).status_code == 403


def test_a_technician_queues_a_command(yard: SmallYard, technician: Client) -> None:
    station = yard.bay("A1").station
    technician.post(
        f"/depots/nord/stations/{station.identity}/",
        {"action": "TriggerMessage", "payload": '{"requestedMessage": "Heartbeat"}'},
    )
    command = Command.objects.get(station=station)
    assert (command.action, command.payload["requestedMessage"]) == ("TriggerMessage", "Heartbeat")


@pytest.mark.parametrize(
    ("action", "payload", "words"),
    [
        ("Reset", "{", "This is not JSON"),
        ("Reset", "[]", "Write a JSON object"),
        ("Reset", '{"type": "Gently"}', "Gently"),
        ("MakeCoffee", "{}", "MakeCoffee"),
    ],
)
def test_a_refused_command_says_why(yard: SmallYard, technician: Client, action: str, payload: str, words: str) -> None:
    station = yard.bay("A1").station
    answer = technician.post(f"/depots/nord/stations/{station.identity}/", {"action": action, "payload": payload})
    text = answer.content.decode()
    assert 'role="alert"' in text
    assert words in text
    assert not Command.objects.exists()


def test_a_viewer_sees_no_command_form_and_may_not_send(yard: SmallYard, viewer: Client) -> None:
    station = yard.bay("A1").station
    path = f"/depots/nord/stations/{station.identity}/"
    assert "Queue the command" not in viewer.get(path).content.decode()
    assert viewer.post(path, {"action": "Reset", "payload": "{}"}).status_code == 403


def test_an_unknown_outcome_is_said_to_be_one(yard: SmallYard, viewer: Client) -> None:
    station = yard.bay("A1").station
    Command.objects.create(
        station=station,
        action="Reset",
        payload={"type": "Soft"},
        natural_key="reset",
        state=Command.State.UNKNOWN,
        cause="operator",
        created_at=yard.now,
    )
    text = viewer.get(f"/depots/nord/stations/{station.identity}/").content.decode()
    assert "No answer: it may have happened or not" in text


def test_times_are_the_depots_local_times(yard: SmallYard, viewer: Client) -> None:
    run = yard.run()
    local = yard.depot.local(run.started_at)
    assert f"{local:%H:%M:%S}" in viewer.get("/depots/nord/plans/").content.decode()
