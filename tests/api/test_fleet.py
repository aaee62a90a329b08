from __future__ import annotations

from typing import Any

import pytest

from depot.models import Vehicle, VehicleIdentity, VehicleState
from tests.api.clients import client_with, is_problem, names, pointers, post
from tests.factories import make_connector, make_depot, make_reservation, make_station, make_vehicle

pytestmark = pytest.mark.django_db


def body_of(depot: Any, **fields: Any) -> dict[str, Any]:
    return {"depot": depot.slug, "name": "Bus 214", "battery_kwh": 300, "max_ac_kw": 22, "max_dc_kw": 150, **fields}


def test_a_vehicle_is_put_under_the_fleet_systems_own_id() -> None:
    client, depot = client_with(), make_depot()
    path = "/api/v1/vehicles/by-external-id/bus-214/"
    created = client.put(path, body_of(depot), format="json")
    assert created.status_code == 201
    assert client.put(path, body_of(depot), format="json").status_code == 200
    changed = client.put(path, body_of(depot, name="Bus 214b"), format="json")
    assert changed.json()["name"] == "Bus 214b"
    assert Vehicle.objects.get().external_id == "bus-214"
    assert client.get(path).json() == changed.json()
    assert names(client.get("/api/v1/vehicles/?external_id=bus-214"), "id") == [created.json()["id"]]


def test_an_upsert_that_changes_nothing_writes_nothing() -> None:
    from depot.models import AuditEvent

    client, depot = client_with(), make_depot()
    for _ in range(2):
        client.put("/api/v1/vehicles/by-external-id/bus-214/", body_of(depot), format="json")
    assert AuditEvent.objects.count() == 1


def test_the_address_and_the_body_must_agree() -> None:
    depot = make_depot()
    response = client_with().put("/api/v1/vehicles/by-external-id/a", body_of(depot, external_id="b"), format="json")
    assert pointers(is_problem(response, 422, "validation")) == {"/external_id"}


def test_the_same_external_id_in_two_depots_is_two_vehicles() -> None:
    client = client_with()
    for depot in (make_depot(), make_depot()):
        response = client.put("/api/v1/vehicles/by-external-id/bus-1", body_of(depot), format="json")
        assert response.status_code == 201
        got = client.get("/api/v1/vehicles/by-external-id/bus-1", {"depot": depot.slug})
        assert got.json()["depot"] == depot.slug


def test_a_home_connector_must_stand_in_the_vehicles_depot() -> None:
    connector = make_connector(make_station(connectors=0))
    body = body_of(make_depot(), external_id="x", home_connector=connector.pk)
    assert pointers(is_problem(post(client_with(), "/api/v1/vehicles/", body), 422, "validation")) == {
        "/home_connector"
    }


def test_a_vehicle_with_bookings_stays() -> None:
    reservation = make_reservation()
    assert reservation.vehicle is not None
    is_problem(client_with().delete(f"/api/v1/vehicles/{reservation.vehicle.pk}/"), 409, "in-use")
    spare = make_vehicle()
    assert client_with().delete(f"/api/v1/vehicles/{spare.pk}").status_code == 204


def test_a_tag_is_unique_whatever_its_case() -> None:
    vehicle = make_vehicle(id_tag="TAG01")
    body = {"vehicle": str(vehicle.pk), "kind": "rfid", "value": "tag01"}
    is_problem(post(client_with(), "/api/v1/vehicle-identities/", body), 409, "already-exists")
    created = post(client_with(), "/api/v1/vehicle-identities/", {**body, "value": "tag02"})
    assert created.status_code == 201
    assert client_with().get(created["Location"]).json()["value"] == "tag02"
    assert VehicleIdentity.objects.count() == 2


def test_readings_come_in_batches_with_an_outcome_each() -> None:
    vehicle = make_vehicle()
    newest = {"vehicle": vehicle.external_id, "soc_percent": 60, "measured_at": "2026-03-28T12:00:00+01:00"}
    rows = [
        newest,
        {**newest, "soc_percent": 40, "measured_at": "2026-03-28T10:00:00Z"},
        newest,
        {**newest, "soc_percent": 140},
        {**newest, "measured_at": "2026-03-28T13:00:00"},
        {**newest, "vehicle": "nobody"},
    ]
    outcomes = post(client_with(), "/api/v1/vehicle-states/", {"states": rows}).json()["outcomes"]
    assert [row["outcome"] for row in outcomes] == ["created", "created", "unchanged", "error", "error", "error"]
    assert [row.get("in_force") for row in outcomes[:2]] == [True, False]
    assert outcomes[3]["errors"][0]["pointer"] == "/states/3/soc_percent"
    assert outcomes[4]["errors"][0]["code"] == "naive-timestamp"
    assert vehicle.states.latest().soc_percent == 60
    assert VehicleState.objects.count() == 2
    assert names(client_with().get("/api/v1/vehicle-states/", {"vehicle": vehicle.external_id}), "soc_percent") == [
        60,
        40,
    ]


@pytest.mark.parametrize("states", [[], "x", None, [1], [{}] * 1001])
def test_a_batch_that_is_none_is_422(states: Any) -> None:
    is_problem(post(client_with(), "/api/v1/vehicle-states/", {"states": states}), 422, "validation")
