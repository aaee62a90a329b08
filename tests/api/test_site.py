from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from charging.models import UnknownStation
from depot.models import AuditEvent, Limit, Station, TariffVersion
from tests.api.clients import client_with, is_problem, names, pointers, post, tomorrow
from tests.factories import make_depot, make_incident, make_load_group, make_station, make_tariff

pytestmark = pytest.mark.django_db

NIGHT_AND_DAY: list[dict[str, Any]] = [
    {
        "type": "energy_tou",
        "unit": "EUR/kWh",
        "periods": [
            {"name": "night", "days": "all", "start": "22:00", "end": "06:00", "price": 0.21},
            {"name": "day", "days": "all", "start": "06:00", "end": "22:00", "price": 0.34},
        ],
    }
]


def test_a_limit_is_set_changed_and_lifted_and_audited() -> None:
    group = make_load_group()
    client = client_with()
    body = {
        "load_group": group.pk,
        "kind": "grid_operator",
        "limit_kw": 42.5,
        "starts_at": tomorrow(1).isoformat(),
        "ends_at": tomorrow(3).isoformat(),
        "reason": "dimming",
    }
    created = post(client, "/api/v1/limits/", body)
    assert created.status_code == 201
    assert client.patch(created["Location"], {"limit_kw": 30}, format="json").json()["limit_kw"] == 30
    assert client.delete(created["Location"]).status_code == 204
    assert not Limit.objects.exists()
    assert [event.action for event in AuditEvent.objects.all()] == ["created", "changed", "removed"]
    assert AuditEvent.objects.filter(action="changed").get().before == {"limit_kw": 42.5}


def test_a_yard_can_be_built() -> None:
    depot = make_depot()
    client = client_with()
    root = post(client, "/api/v1/load-groups/", {"depot": depot.slug, "slug": "grid", "name": "Grid", "limit_kw": 100})
    feeder = {"depot": depot.slug, "parent": root.json()["id"], "slug": "f1", "name": "Feeder 1", "limit_kw": 60}
    group = post(client, "/api/v1/load-groups/", feeder).json()
    station = {"identity": "Yard 7", "depot": depot.slug, "load_group": group["id"]}
    assert post(client, "/api/v1/stations/", station).status_code == 201
    connector = post(client, "/api/v1/connectors/", {"station": "yard 7", "number": 1, "bay": "B7"})
    assert connector.status_code == 201
    assert connector.json()["depot"] == depot.slug
    assert connector.json()["max_power_kw"] == pytest.approx(22.08)
    assert Station.objects.get().connectors.get().bay == "B7"
    is_problem(post(client, "/api/v1/stations/", {**station, "identity": "YARD 7"}), 409, "already-exists")
    is_problem(client.patch(connector["Location"], {"fallback_a": 3}, format="json"), 422, "validation")


def test_a_tariff_gets_versions_that_do_not_overlap() -> None:
    client = client_with()
    assert post(client, "/api/v1/tariffs/", {"slug": "tou", "name": "TOU", "currency": "EUR"}).status_code == 201
    path = "/api/v1/tariffs/tou/versions/"
    version = {"valid_from": "2026-01-01", "valid_to": "2027-01-01", "elements": NIGHT_AND_DAY}
    created = post(client, path, version)
    assert created.status_code == 201
    assert created["Location"] == f"{path}2026-01-01/"
    assert client.get(created["Location"]).json() == version
    is_problem(post(client, path, {**version, "valid_from": "2026-06-01"}), 422, "validation")
    is_problem(post(client, path, version), 422, "validation")
    assert client.get("/api/v1/tariffs/tou").json()["versions"] == [version]
    assert client.patch(created["Location"], {"valid_to": None}, format="json").json()["valid_to"] is None
    assert client.delete(created["Location"]).status_code == 204


def test_a_tariff_with_a_hole_in_the_day_is_refused_with_a_sentence() -> None:
    make_tariff(slug="t")
    hole = [{**NIGHT_AND_DAY[0], "periods": NIGHT_AND_DAY[0]["periods"][:1]}]
    TariffVersion.objects.all().delete()
    body = {"valid_from": "2026-01-01", "elements": hole}
    problem = is_problem(post(client_with(), "/api/v1/tariffs/t/versions/", body), 422, "validation")
    assert pointers(problem) == {"/elements"}


@pytest.mark.parametrize(
    "elements",
    [[], [{}], [1], "x", None, [{"type": "magic"}], [{"type": "energy_flat", "price_per_kwh": None}], [{"type": {}}]],
)
def test_elements_that_are_none_are_422(elements: Any) -> None:
    tariff = make_tariff()
    tariff.versions.all().delete()
    body = {"valid_from": "2026-01-01", "elements": elements}
    is_problem(post(client_with(), f"/api/v1/tariffs/{tariff.slug}/versions/", body), 422, "validation")


def test_a_tariff_that_a_depot_uses_stays_and_belongs_to_all_who_use_it() -> None:
    tariff = make_tariff()
    own, other = make_depot(tariff=tariff), make_depot(tariff=tariff)
    path = f"/api/v1/tariffs/{tariff.slug}/"
    is_problem(client_with().delete(path), 409, "in-use")
    one_depot = client_with(depots=[own])
    assert one_depot.get(path).status_code == 200
    is_problem(one_depot.patch(path, {"name": "Mine"}, format="json"), 403, "scope-missing")
    is_problem(client_with(depots=[make_depot()]).get(path), 404, "not-found")
    assert client_with(depots=[own, other]).patch(path, {"name": "Ours"}, format="json").status_code == 200


def test_an_incident_is_acknowledged_once() -> None:
    incident = make_incident(depot=make_depot())
    client = client_with()
    first = post(client, f"/api/v1/incidents/{incident.pk}/acknowledge", {}).json()
    assert first["acknowledged_at"]
    assert post(client, f"/api/v1/incidents/{incident.pk}/acknowledge/", {}).json() == first
    assert names(client.get("/api/v1/incidents/?open=true"), "id") == [str(incident.pk)]
    assert client.get("/api/v1/incidents/?open=false").json()["results"] == []


def test_who_knocked_without_being_known_is_shown_to_keys_of_all_depots_only() -> None:
    now = timezone.now()
    UnknownStation.objects.create(identity="stranger", first_seen_at=now, last_seen_at=now)
    assert names(client_with().get("/api/v1/unknown-stations"), "identity") == ["stranger"]
    assert client_with(depots=[make_depot()]).get("/api/v1/unknown-stations").json()["results"] == []


def test_a_limit_under_which_the_fallbacks_do_not_fit_is_refused_with_numbers_and_a_proposal() -> None:
    group = make_load_group(limit_kw=100)
    make_station(load_group=group, connectors=3, connector_fields={"fallback_a": 6})
    body = {
        "load_group": group.pk,
        "limit_kw": 5,
        "starts_at": tomorrow(1).isoformat(),
        "ends_at": tomorrow(3).isoformat(),
    }
    problem = is_problem(post(client_with(), "/api/v1/limits/", body), 409, "limit-exceeded")
    assert problem["node"] == group.name
    assert (problem["limit"], round(problem["needed"], 2), problem["unit"]) == (5.0, 12.42, "kW")
    assert "carries 6 A on 3 of 3 connectors" in problem["detail"]
    assert not Limit.objects.exists()


def test_a_connector_and_a_node_are_held_to_the_same_rule() -> None:
    group = make_load_group(limit_kw=10)
    station = make_station(load_group=group, connectors=2, connector_fields={"fallback_a": 6})
    connector = station.connectors.first()
    assert connector is not None
    client = client_with()
    raised = client.patch(f"/api/v1/connectors/{connector.pk}/", {"fallback_a": 16}, format="json")
    is_problem(raised, 409, "limit-exceeded")
    is_problem(client.patch(f"/api/v1/load-groups/{group.pk}/", {"limit_kw": 8}, format="json"), 409, "limit-exceeded")
    assert client.patch(f"/api/v1/connectors/{connector.pk}/", {"fallback_a": 0}, format="json").status_code == 200
