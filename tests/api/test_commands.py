from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from charging.api import commands as commands_api
from charging.models import Command
from tests.api.clients import client_with, is_problem, names, pointers, post
from tests.factories import make_depot, make_station

pytestmark = pytest.mark.django_db


def test_a_command_is_queued_and_polled() -> None:
    station = make_station()
    client = client_with("commands:write", "read")
    response = post(
        client,
        f"/api/v1/stations/{station.identity.lower()}/commands",
        {"action": "Reset", "payload": {"type": "Soft"}},
    )
    assert response.status_code == 202
    body = response.json()
    assert body["state"] == "queued"
    assert body["cause"].startswith("API key tests")
    assert body["answer"] is None
    assert body["error"] is None
    assert response["Location"].endswith(f"/api/v1/commands/{body['id']}/")
    assert client.get(response["Location"]).json() == body


def test_the_answer_of_the_charger_is_shown() -> None:
    station = make_station()
    command = Command.objects.create(
        station=station,
        action="GetConfiguration",
        payload={},
        natural_key="x",
        cause="test",
        created_at=timezone.now(),
        state=Command.State.ACCEPTED,
        answer={"configurationKey": []},
    )
    failed = Command.objects.create(
        station=station,
        action="Reset",
        payload={"type": "Hard"},
        natural_key="y",
        cause="test",
        created_at=timezone.now(),
        state=Command.State.ERROR,
        error_code="NotSupported",
        error_description="no such reset",
    )
    client = client_with()
    assert client.get(f"/api/v1/commands/{command.pk}/").json()["answer"] == {"configurationKey": []}
    error = client.get(f"/api/v1/commands/{failed.pk}/").json()["error"]
    assert error == {"code": "NotSupported", "description": "no such reset"}
    path = f"/api/v1/stations/{station.identity}/commands/"
    assert names(client.get(path, {"state": "error"}), "id") == [str(failed.pk)]
    assert len(names(client.get("/api/v1/commands/", {"station": station.identity}), "id")) == 2


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"action": "Explode", "payload": {}}, "/action"),
        ({"action": "Reset", "payload": {"type": "Medium"}}, "/payload/type"),
        ({"action": "Reset", "payload": {}}, "/payload/type"),
        ({"action": "Reset"}, "/payload/type"),
        ({"action": "Reset", "payload": {"type": "Soft", "force": True}}, "/payload/force"),
        ({"action": "UnlockConnector", "payload": {"connectorId": -1}}, "/payload/connectorId"),
        ({"action": "UnlockConnector", "payload": {"connectorId": 2**70}}, "/payload/connectorId"),
        ({"action": "Reset", "payload": []}, "/payload"),
        ({"action": 5, "payload": {}}, "/action"),
        ({"payload": {}}, "/action"),
    ],
)
def test_a_command_that_no_charger_understands_is_422_and_names_the_field(body: Any, pointer: str) -> None:
    station = make_station()
    problem = is_problem(post(client_with(), f"/api/v1/stations/{station.identity}/commands", body), 422, "validation")
    assert pointer in pointers(problem)
    assert Command.objects.count() == 0


def test_power_beyond_the_proven_headroom_is_409(monkeypatch: pytest.MonkeyPatch) -> None:
    from charging.exposure import Refusal
    from charging.gate import LimitExceeded

    def refuse(**_: Any) -> None:
        raise LimitExceeded(Refusal("grid", timezone.now(), 120.0, 100.0, "kW"))

    monkeypatch.setattr(commands_api, "queue_command", refuse)
    body = {"action": "RemoteStartTransaction", "payload": {"idTag": "A"}}
    problem = is_problem(
        post(client_with(), f"/api/v1/stations/{make_station().identity}/commands", body), 409, "limit-exceeded"
    )
    assert (problem["node"], problem["limit"], problem["needed"], problem["unit"]) == ("grid", 100.0, 120.0, "kW")


def test_credentials_are_not_read_back() -> None:
    station = make_station()
    key = "0123456789abcdef0123"
    body = {"action": "ChangeConfiguration", "payload": {"key": "AuthorizationKey", "value": key}}
    response = post(client_with(), f"/api/v1/stations/{station.identity}/commands", body)
    if response.status_code == 202:
        assert key not in response.content.decode()
        assert key not in client_with().get("/api/v1/commands/").content.decode()
    assert commands_api.without_secrets("ChangeConfiguration", body["payload"])["value"] != key


def test_commanding_needs_its_scope_and_the_depot() -> None:
    station = make_station()
    path, body = f"/api/v1/stations/{station.identity}/commands", {"action": "Reset", "payload": {"type": "Soft"}}
    assert is_problem(post(client_with("read"), path, body), 403, "scope-missing")["scope"] == "commands:write"
    is_problem(post(client_with(depots=[make_depot()]), path, body), 404, "not-found")
    is_problem(client_with(depots=[make_depot()]).get(path), 404, "not-found")
    assert Command.objects.count() == 0


def test_a_command_is_not_repeated_by_a_retry() -> None:
    station = make_station()
    client, path = client_with(), f"/api/v1/stations/{station.identity}/commands"
    body = {"action": "Reset", "payload": {"type": "Soft"}}
    answers = [post(client, path, body, **{"Idempotency-Key": "reset-1"}) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert Command.objects.count() == 1


def test_a_new_station_key_is_shown_once_and_works() -> None:
    from depot.credentials import station_key_matches

    station = make_station()
    key = post(client_with(), f"/api/v1/stations/{station.identity}/key", {}).json()["key"]
    station.refresh_from_db()
    assert station_key_matches(key, station.key_hash)
    assert key not in client_with().get(f"/api/v1/stations/{station.identity}").content.decode()
