from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from depot.api.site import DepotViews
from tests.api.clients import client_with, is_problem, pointers, post, send, tomorrow
from tests.factories import make_depot, make_load_group, make_station, make_vehicle

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "path",
    [
        "depots",
        "load-groups",
        "limits",
        "stations",
        "connectors",
        "vehicles",
        "vehicle-identities",
        "vehicle-states",
        "reservations",
        "tariffs",
        "sessions",
        "plan-runs",
        "plans",
        "commands",
        "incidents",
        "unknown-stations",
    ],
)
def test_every_list_answers_with_and_without_a_slash(path: str) -> None:
    client = client_with()
    assert client.get(f"/api/v1/{path}").status_code == 200
    assert client.get(f"/api/v1/{path}/").status_code == 200


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v1", "/api/v1/nothing", "/api/v2/depots/", "/api/v1/depots/x/y"]
)
@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_an_unknown_address_is_a_problem(path: str, method: str) -> None:
    is_problem(getattr(client_with(), method)(path), 404, "not-found")


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/depots/nowhere",
        "/api/v1/load-groups/99999999999999999999999999",
        "/api/v1/load-groups/-1",
        "/api/v1/stations/CP%00",
        "/api/v1/stations/%F0%9F%94%8C",
        "/api/v1/vehicles/not-an-id",
        "/api/v1/vehicles/00000000-0000-0000-0000-000000000000",
        "/api/v1/vehicles/by-external-id/nobody",
        "/api/v1/tariffs/none/versions",
        "/api/v1/tariffs/none/versions/2026-02-31",
        "/api/v1/sessions/00000000-0000-0000-0000-000000000000/meter-values",
        "/api/v1/stations/nobody/commands",
    ],
)
def test_an_object_that_is_not_there_is_404(path: str) -> None:
    is_problem(client_with().get(path), 404, "not-found")


def test_a_method_that_is_not_offered_is_405_and_lists_the_others() -> None:
    response = client_with().put("/api/v1/depots/", {}, format="json")
    is_problem(response, 405, "method-not-allowed")
    assert "GET" in response["Allow"]
    is_problem(client_with().post("/api/v1/sessions/", {}, format="json"), 405, "method-not-allowed")


def test_a_body_of_another_type_is_415() -> None:
    response = client_with().post("/api/v1/limits/", "a=b", content_type="application/x-www-form-urlencoded")
    is_problem(response, 415, "unsupported-media-type")


def test_only_json_is_answered() -> None:
    is_problem(client_with().get("/api/v1/depots/", headers={"Accept": "text/html"}), 406, "not-acceptable")


def test_an_unknown_address_is_404_whatever_is_accepted() -> None:
    is_problem(client_with().get("/api/v1/nothing", headers={"Accept": "text/html"}), 404, "not-found")


@pytest.mark.parametrize("raw", [b"{", b"[1,", b'{"a": 1, "a": 2}', b"\xff\xfe", b"nonsense", b"[" * 100_000])
def test_a_body_that_is_no_json_is_400(raw: bytes) -> None:
    is_problem(send(client_with(), "POST", "/api/v1/limits/", raw), 400, "malformed")


def test_a_body_over_the_cap_is_413() -> None:
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=100):
        is_problem(send(client_with(), "POST", "/api/v1/limits/", b" " * 101 + b"{}"), 413, "too-large")


@pytest.mark.parametrize("raw", [b"[]", b"3", b'"text"', b"null", b"true"])
def test_a_body_that_is_no_object_is_422(raw: bytes) -> None:
    is_problem(send(client_with(), "POST", "/api/v1/limits/", raw), 422, "validation")


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "-Infinity", "1e400", "9" * 25, "9" * 5000, "-1", "1e300", "true", '"5"', "null", "[]", "{}"],
)
def test_an_absurd_number_is_422_with_its_pointer(value: str) -> None:
    group = make_load_group()
    raw = f'{{"limit_kw": {value}}}'
    problem = is_problem(send(client_with(), "PATCH", f"/api/v1/load-groups/{group.pk}/", raw), 422, "validation")
    assert pointers(problem) == {"/limit_kw"}


@pytest.mark.parametrize("value", ['"a\\u0000b"', '"\\ud800"', "5", "[]", "true", "null"])
def test_an_absurd_text_is_422_with_its_pointer(value: str) -> None:
    depot = make_depot()
    problem = is_problem(
        send(client_with(), "PATCH", f"/api/v1/depots/{depot.slug}/", f'{{"name": {value}}}'), 422, "validation"
    )
    assert pointers(problem) == {"/name"}


@pytest.mark.parametrize("value", [-1, 0, 61, 70_000, 2**31, 2**63 - 1, 2**63, 1.5, "15", True])
def test_an_integer_out_of_range_is_422(value: Any) -> None:
    depot = make_depot()
    response = client_with().patch(f"/api/v1/depots/{depot.slug}/", {"resolution_minutes": value}, format="json")
    assert pointers(is_problem(response, 422, "validation")) == {"/resolution_minutes"}


def test_an_unknown_field_is_422_and_one_that_is_read_only_says_so() -> None:
    depot = make_depot()
    response = client_with().patch(f"/api/v1/depots/{depot.slug}/", {"colour": "red", "slug": "x"}, format="json")
    problem = is_problem(response, 422, "validation")
    assert pointers(problem) == {"/colour", "/slug"}
    assert {error["code"] for error in problem["errors"]} == {"unknown-field"}


@pytest.mark.parametrize("value", ["2026-03-28T21:00:00", "2026-03-28 21:00"])
def test_a_timestamp_without_offset_is_refused(value: str) -> None:
    group = make_load_group()
    body = {"load_group": group.pk, "limit_kw": 5, "starts_at": value, "ends_at": "2026-03-29T05:00:00Z"}
    problem = is_problem(post(client_with(), "/api/v1/limits/", body), 422, "naive-timestamp")
    assert pointers(problem) == {"/starts_at"}
    is_problem(client_with().get("/api/v1/limits/", {"from": value}), 422, "naive-timestamp")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "2026-03-28",
        "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        7,
        None,
        {},
    ],
)
def test_a_timestamp_that_is_none_is_422(value: Any) -> None:
    group = make_load_group()
    body = {"load_group": group.pk, "limit_kw": 5, "starts_at": value, "ends_at": "2026-03-29T05:00:00Z"}
    problem = is_problem(post(client_with(), "/api/v1/limits/", body), 422, "validation")
    assert pointers(problem) == {"/starts_at"}


@pytest.mark.parametrize(
    "query",
    [
        "colour=red",
        "format=json",
        "limit=0",
        "limit=1001",
        "limit=ten",
        "ordering=key_hash",
        "ordering=--slug",
        "cursor=!",
        "cursor=YT0x",
    ],
)
def test_a_query_that_nobody_understands_is_400(query: str) -> None:
    make_depot()
    response = client_with().get(f"/api/v1/depots/?{query}")
    slug = "unknown-parameter" if query.startswith(("colour", "format")) else "invalid-parameter"
    is_problem(response, 400, slug)


def test_parameters_are_refused_where_none_are_read() -> None:
    depot = make_depot()
    is_problem(client_with().get(f"/api/v1/depots/{depot.slug}/?depot=x"), 400, "unknown-parameter")
    is_problem(client_with().get("/api/v1/vehicles/?external_id=a%00b"), 400, "invalid-parameter")


def test_what_breaks_inside_is_a_problem_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: DepotViews) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(DepotViews, "get_queryset", broken)
    response = client_with().get("/api/v1/depots/")
    is_problem(response, 500, "internal")
    assert b"secret" not in response.content


def test_a_second_object_of_the_same_name_is_a_conflict() -> None:
    vehicle = make_vehicle()
    body = {
        "depot": vehicle.depot.slug,
        "external_id": vehicle.external_id,
        "name": "Twin",
        "battery_kwh": 50,
        "max_ac_kw": 11,
    }
    is_problem(post(client_with(), "/api/v1/vehicles/", body), 409, "already-exists")


def test_what_others_refer_to_is_not_removed() -> None:
    station = make_station()
    is_problem(client_with().delete(f"/api/v1/load-groups/{station.load_group_id}/"), 409, "in-use")


def test_a_rule_of_the_model_is_a_pointer_and_a_sentence() -> None:
    group = make_load_group()
    body = {
        "load_group": group.pk,
        "limit_kw": 5,
        "starts_at": tomorrow(5).isoformat(),
        "ends_at": tomorrow(4).isoformat(),
    }
    problem = is_problem(post(client_with(), "/api/v1/limits/", body), 422, "validation")
    assert "/ends_at" in pointers(problem)


def test_a_node_cannot_hang_under_itself() -> None:
    root = make_load_group()
    child = make_load_group(parent=root)
    response = client_with().patch(f"/api/v1/load-groups/{root.pk}/", {"parent": child.pk}, format="json")
    assert "/parent" in pointers(is_problem(response, 422, "validation"))
