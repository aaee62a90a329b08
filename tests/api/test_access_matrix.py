"""Every operation of the schema, with every kind of client: generated, so that a new address is covered at birth."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from rest_framework.test import APIClient

from depot.access import PERMISSIONS
from depot.api.pages import schema_of_all_rooms
from depot.models import DepotRole
from tests.api.clients import client_with, is_problem
from tests.factories import (
    make_connector,
    make_depot,
    make_incident,
    make_limit,
    make_load_group,
    make_reservation,
    make_session,
    make_station,
    make_tariff,
    make_user,
    make_vehicle,
)

pytestmark = pytest.mark.django_db
NOWHERE = {"id": "1", "slug": "nowhere", "tariff_slug": "nowhere", "valid_from": "2026-01-01"}
UUID = "00000000-0000-0000-0000-000000000000"
WITH_UUID = ("commands", "day-ahead-plans", "incidents", "plan-runs", "plans", "reservations", "sessions", "vehicles")


def operations() -> Iterator[tuple[str, str]]:
    for path, methods in schema_of_all_rooms()["paths"].items():
        for method in methods:
            yield method, path


def readings() -> dict[str, Any]:
    """Every GET by its path."""
    return {path: ways["get"] for path, ways in schema_of_all_rooms()["paths"].items() if "get" in ways}


def asks_for_a_depot(operation: dict[str, Any]) -> bool:
    return any(each["name"] == "depot" and each.get("required") for each in operation.get("parameters", ()))


def address(path: str) -> str:
    """The path with parameters that fit and lead nowhere."""
    identifier = UUID if path.split("/")[3] in WITH_UUID else "1"
    known = {**NOWHERE, "id": identifier, "session_id": UUID, "identity": "nobody", "external_id": "nobody"}
    return re.sub(r"{(\w+)}", lambda found: known[found.group(1)], path)


EVERY_OPERATION = pytest.mark.parametrize(("method", "path"), list(operations()))


def call(client: APIClient, method: str, path: str) -> Any:
    return getattr(client, method)(address(path), *([] if method == "get" else [{}]), format="json")


@EVERY_OPERATION
def test_without_a_key_nothing_is_answered(method: str, path: str) -> None:
    is_problem(call(APIClient(), method, path), 401, "unauthenticated")


@EVERY_OPERATION
def test_without_its_scope_nothing_is_answered(method: str, path: str) -> None:
    scopes = [scope for scope in PERMISSIONS if scope != "read"] if method == "get" else ["read"]
    problem = is_problem(call(client_with(*scopes), method, path), 403, "scope-missing")
    assert (problem["scope"] == "read") == (method == "get")


@EVERY_OPERATION
def test_a_viewer_changes_nothing(method: str, path: str) -> None:
    client = APIClient()
    client.force_login(make_user(role=DepotRole.Role.VIEWER, depot=make_depot()))
    response = call(client, method, path)
    if method == "get":
        assert response.status_code in {200, 400, 404}
    else:
        is_problem(response, 403, "scope-missing")


def test_a_key_of_another_depot_finds_none_of_it() -> None:
    depot = make_depot()
    group = make_load_group(depot)
    connector = make_connector(make_station(depot, load_group=group, connectors=0))
    vehicle = make_vehicle(depot, id_tag="TAG", soc_percent=50)
    session = make_session(connector=connector, vehicle=vehicle)
    tariff = make_tariff()
    depot.tariff = tariff
    depot.save()
    one_of_each = [
        f"depots/{depot.slug}",
        f"load-groups/{group.pk}",
        f"limits/{make_limit(group).pk}",
        f"stations/{connector.station.identity}",
        f"stations/{connector.station.identity}/commands",
        f"connectors/{connector.pk}",
        f"vehicles/{vehicle.pk}",
        f"vehicles/by-external-id/{vehicle.external_id}",
        f"vehicle-identities/{vehicle.identities.get().pk}",
        f"reservations/{make_reservation(connector=connector, vehicle=vehicle).pk}",
        f"tariffs/{tariff.slug}",
        f"tariffs/{tariff.slug}/versions",
        f"tariffs/{tariff.slug}/versions/2020-01-01",
        f"sessions/{session.pk}",
        f"sessions/{session.pk}/meter-values",
        f"incidents/{make_incident(depot=depot).pk}",
    ]
    own, foreign = client_with(depots=[depot]), client_with(depots=[make_depot()])
    for path in one_of_each:
        assert own.get(f"/api/v1/{path}").status_code == 200, path
        is_problem(foreign.get(f"/api/v1/{path}"), 404, "not-found")
    lists = [path for path, get in readings().items() if "{" not in path and not asks_for_a_depot(get)]
    for path in set(readings()) - set(lists):
        if "{" not in path:
            is_problem(foreign.get(path, {"depot": depot.slug}), 404, "not-found")
    for path in lists:
        found = foreign.get(path).json()["results"]
        assert [row for row in found if row.get("slug") not in set(foreign_slugs(foreign))] == [], path


def foreign_slugs(client: APIClient) -> list[str]:
    return [row["slug"] for row in client.get("/api/v1/depots/").json()["results"]]
