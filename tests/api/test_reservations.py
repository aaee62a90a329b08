from __future__ import annotations

from typing import Any

import pytest

from depot.models import AuditEvent, Depot, Reservation, Vehicle
from tests.api.clients import client_with, is_problem, pointers, post, tomorrow
from tests.factories import make_connector, make_depot, make_reservation, make_station, make_user, make_vehicle

pytestmark = pytest.mark.django_db
PATH = "/api/v1/reservations/"


def yard(bays: int = 1) -> tuple[Depot, Vehicle]:
    depot = make_depot()
    for _ in range(bays):
        make_connector(make_station(depot, connectors=0))
    return depot, make_vehicle(depot)


def booking(vehicle: Vehicle, /, start: int = 1, end: int = 6, **fields: Any) -> dict[str, Any]:
    return {
        "depot": vehicle.depot.slug,
        "vehicle": vehicle.external_id,
        "starts_at": tomorrow(start).isoformat(),
        "ends_at": tomorrow(end).isoformat(),
        "energy_kwh": 20,
        **fields,
    }


def test_a_booking_holds_a_bay_and_says_which() -> None:
    depot, vehicle = yard()
    response = post(client_with(), PATH, booking(vehicle, external_id="ops-1", priority=2, notes="first out"))
    assert response.status_code == 201
    body = response.json()
    connector = depot.stations.get().connectors.get()
    assert (body["state"], body["connector"], body["bay"]) == ("RESERVED", connector.pk, connector.bay)
    assert body["vehicle"] == str(vehicle.pk)
    assert body["policy"]["buffer_minutes"] == depot.buffer_minutes
    again = client_with().get(response["Location"])
    assert again.json() == body
    assert again["ETag"] == response["ETag"]
    assert Reservation.objects.get().transitions.get().actor.startswith("API key tests")
    assert AuditEvent.objects.filter(action="booked").count() == 1


@pytest.mark.parametrize("name", ["id", "external_id"])
def test_a_vehicle_is_named_by_either_id(name: str) -> None:
    _, vehicle = yard()
    assert post(client_with(), PATH, booking(vehicle, vehicle=str(getattr(vehicle, name)))).status_code == 201


def test_a_connector_is_named_by_its_id_or_by_station_and_number() -> None:
    depot, vehicle = yard(bays=2)
    connector = depot.stations.all()[1].connectors.get()
    first = post(client_with(), PATH, booking(vehicle, 1, 3, connector=connector.pk)).json()
    second = post(client_with(), PATH, booking(vehicle, 4, 6, connector=f"{connector.station.identity}/1")).json()
    assert first["connector"] == second["connector"] == connector.pk


def test_a_taken_bay_is_409_with_what_is_in_the_way_and_what_is_free() -> None:
    depot, vehicle = yard(bays=2)
    connector = depot.stations.all()[0].connectors.get()
    held = post(client_with(), PATH, booking(vehicle, connector=connector.pk)).json()
    body = booking(make_vehicle(depot), connector=connector.pk)
    problem = is_problem(post(client_with(), PATH, body), 409, "reservation-conflict")
    assert [conflict["id"] for conflict in problem["conflicts"]] == [held["id"]]
    assert problem["conflicts"][0]["kind"] == "reservation"
    best = problem["alternatives"][0]
    assert best["starts_at"] == held["starts_at"]
    assert best["connector"] != connector.pk
    assert best["available_kwh"] > 0
    retry = {**body, "connector": best["connector"], "starts_at": best["starts_at"], "ends_at": best["ends_at"]}
    assert post(client_with(), PATH, retry).status_code == 201


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"energy_kwh": -1}, "/energy_kwh"),
        ({"energy_kwh": 1e300}, "/energy_kwh"),
        ({"required_soc_percent": 101, "energy_kwh": None}, "/required_soc_percent"),
        ({"required_soc_percent": 80}, "/energy_kwh"),
        ({"priority": 0}, "/priority"),
        ({"priority": 2**40}, "/priority"),
        ({"ends_at": "2020-01-01T00:00:00Z"}, "/ends_at"),
        ({"vehicle": "nobody"}, "/vehicle"),
        ({"vehicle": ["x"]}, "/vehicle"),
        ({"connector": 10**30}, "/connector"),
        ({"connector": 2**62}, "/connector"),
        ({"requirements": {"power_required_kw": "much"}}, "/requirements/power_required_kw"),
        ({"requirements": {"colour": "red"}}, "/requirements/colour"),
        ({"state": "FULFILLED"}, "/state"),
        ({"external_id": "x" * 65}, "/external_id"),
        ({"depot": None}, "/depot"),
    ],
)
def test_a_booking_that_makes_no_sense_is_422(fields: dict[str, Any], pointer: str) -> None:
    _, vehicle = yard()
    problem = is_problem(post(client_with(), PATH, booking(vehicle, **fields)), 422, "validation")
    assert pointer in pointers(problem)


def test_a_naive_start_is_refused_by_its_own_type() -> None:
    _, vehicle = yard()
    response = post(client_with(), PATH, booking(vehicle, starts_at="2030-03-28T21:00:00"))
    assert pointers(is_problem(response, 422, "naive-timestamp")) == {"/starts_at"}


def test_only_what_is_named_changes() -> None:
    _, vehicle = yard()
    created = post(client_with(), PATH, booking(vehicle))
    path = f"{PATH}{created.json()['id']}/"
    changed = client_with().patch(path, {"priority": 5, "notes": "hurry"}, format="json")
    assert changed.status_code == 200
    before, after = created.json(), changed.json()
    assert {name for name in after if after[name] != before[name]} == {"priority", "notes", "updated_at"}
    assert changed["ETag"] != created["ETag"]


def test_energy_becomes_a_target_when_both_are_said() -> None:
    _, vehicle = yard()
    path = f"{PATH}{post(client_with(), PATH, booking(vehicle)).json()['id']}"
    client = client_with()
    assert client.patch(path, {"required_soc_percent": 80, "energy_kwh": None}, format="json").status_code == 200
    is_problem(client.patch(path, {"energy_kwh": 5}, format="json"), 422, "validation")


def test_if_match_protects_a_change_of_somebody_else() -> None:
    _, vehicle = yard()
    created = post(client_with(), PATH, booking(vehicle))
    path = f"{PATH}{created.json()['id']}/"
    client = client_with()
    first = client.patch(path, {"priority": 2}, format="json", headers={"If-Match": created["ETag"]})
    assert first.status_code == 200
    response = client.patch(path, {"priority": 3}, format="json", headers={"If-Match": created["ETag"]})
    is_problem(response, 412, "precondition-failed")
    assert response["ETag"] == first["ETag"]
    is_problem(client.delete(path, headers={"If-Match": '"other"'}), 412, "precondition-failed")
    assert client.patch(path, {"priority": 3}, format="json", headers={"If-Match": "*"}).status_code == 200


def test_cancelling_frees_the_bay_and_is_repeatable() -> None:
    _, vehicle = yard()
    client = client_with()
    path = f"{PATH}{post(client, PATH, booking(vehicle)).json()['id']}/"
    for _ in range(2):
        response = client.delete(path)
        assert response.status_code == 200
        assert response.json()["state"] == "CANCELED"
    assert post(client, PATH, booking(vehicle)).status_code == 201
    is_problem(client.patch(path, {"priority": 2}, format="json"), 409, "final-state")


def test_a_reason_is_kept_with_the_cancellation() -> None:
    _, vehicle = yard()
    client = client_with()
    path = f"{PATH}{post(client, PATH, booking(vehicle)).json()['id']}"
    is_problem(post(client, f"{path}/cancel", {"reason": "BOREDOM"}), 422, "validation")
    assert post(client, f"{path}/cancel", {"reason": "BROKEN_VEHICLE"}).json()["cancel_reason"] == "BROKEN_VEHICLE"


def test_what_is_over_is_not_cancelled() -> None:
    reservation = make_reservation(state="FULFILLED")
    is_problem(client_with().delete(f"{PATH}{reservation.pk}/"), 409, "final-state")


def test_a_key_of_another_depot_neither_sees_nor_touches_it() -> None:
    reservation = make_reservation()
    client = client_with(depots=[make_depot()])
    path = f"{PATH}{reservation.pk}/"
    for response in (client.get(path), client.delete(path), client.patch(path, {"priority": 2}, format="json")):
        is_problem(response, 404, "not-found")
    assert client.get(PATH).json()["results"] == []


def test_a_dispatcher_books_with_the_session() -> None:
    from rest_framework.test import APIClient

    depot, vehicle = yard()
    client = APIClient()
    client.force_login(make_user(role="dispatcher", depot=depot))
    assert post(client, PATH, booking(vehicle)).status_code == 201
    viewer = APIClient()
    viewer.force_login(make_user(role="viewer", depot=depot))
    is_problem(post(viewer, PATH, booking(vehicle)), 403, "scope-missing")
