"""Chargers in the admin: keys shown once, unknown stations adopted, fallbacks that do not fit refused, raw commands."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from charging.models import Command, UnknownStation
from depot.api_keys import find_api_key
from depot.credentials import station_key_matches
from depot.models import ApiKey, Connector, Incident, Limit, LoadGroup, Station, TariffVersion
from tests.factories import (
    make_connector,
    make_depot,
    make_incident,
    make_load_group,
    make_station,
    make_superuser,
    make_tariff,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(make_superuser(username="dora"))
    return client


def messages_of(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def run_action(staff: Client, model: str, action: str, *rows: Any) -> Any:
    address = reverse(f"admin:{model}_changelist")
    return staff.post(address, {"action": action, "_selected_action": [str(row.pk) for row in rows]}, follow=True)


def test_a_new_station_key_is_shown_once(staff: Client) -> None:
    station = make_station()
    said = messages_of(run_action(staff, "depot_station", "issue_new_key", station))
    match = re.search(r": (\S{20}) \(", said)
    assert match is not None
    station.refresh_from_db()
    assert station_key_matches(match[1], station.key_hash)
    page = staff.get(reverse("admin:depot_station_change", args=[station.pk])).content.decode()
    assert match[1] not in page


def test_a_new_api_key_is_shown_once_and_opens(staff: Client) -> None:
    depot = make_depot()
    fields = {"name": "Telematics", "scopes": ["read", "vehicles:write"], "depots": [depot.pk]}
    said = messages_of(staff.post(reverse("admin:depot_apikey_add"), fields, follow=True))
    match = re.search(r"Telematics: (\S+) \(", said)
    assert match is not None
    key = find_api_key(match[1], timezone.now())
    assert key is not None
    assert (key.scopes, list(key.depots.all())) == (["read", "vehicles:write"], [depot])


def test_a_revoked_api_key_opens_nothing(staff: Client) -> None:
    staff.post(reverse("admin:depot_apikey_add"), {"name": "Old", "scopes": ["read"]})
    run_action(staff, "depot_apikey", "revoke", ApiKey.objects.get())
    assert ApiKey.objects.get().revoked_at is not None


def test_an_unknown_station_is_adopted(staff: Client) -> None:
    group = make_load_group()
    now = timezone.now()
    unknown = UnknownStation.objects.create(identity="NEW-7", first_seen_at=now, last_seen_at=now)
    address = reverse("admin:charging_unknownstation_adopt", args=[unknown.pk])
    assert staff.get(address).status_code == 200
    fields = {"identity": "NEW-7", "depot": group.depot_id, "load_group": group.pk, "connectors": 2, "phases": 3}
    answer = staff.post(address, {**fields, "max_current_a": 16}, follow=True)
    station = Station.objects.get(identity="NEW-7")
    assert [(each.number, each.max_current_a, each.fallback_a) for each in station.connectors.all()] == [
        (1, 16, 0),
        (2, 16, 0),
    ]
    match = re.search(r"key: (\S{20}) \(", messages_of(answer))
    assert match is not None
    assert station_key_matches(match[1], station.key_hash)
    assert not UnknownStation.objects.exists()


def test_a_known_identity_is_not_adopted_twice(staff: Client) -> None:
    station = make_station(identity="KNOWN")
    now = timezone.now()
    unknown = UnknownStation.objects.create(identity="known", first_seen_at=now, last_seen_at=now)
    fields = {"identity": "known", "depot": station.depot_id, "load_group": station.load_group_id}
    address = reverse("admin:charging_unknownstation_adopt", args=[unknown.pk])
    answer = staff.post(address, {**fields, "connectors": 1, "phases": 3, "max_current_a": 16})
    assert "known already" in answer.content.decode()


def connector_fields(connector: Connector, **changed: Any) -> dict[str, Any]:
    names = ("number", "bay", "plug", "phases", "phase_rotation", "max_current_a", "min_current_a", "voltage_v")
    fields = {name: getattr(connector, name) for name in names}
    return {"station": connector.station_id, **fields, "fallback_a": connector.fallback_a, **changed}


def test_a_fallback_that_does_not_fit_is_refused_with_numbers(staff: Client) -> None:
    group = make_load_group(limit_kw=10, building_load_kw=[5.0] * 24)
    connector = make_connector(make_station(load_group=group, connectors=0))
    address = reverse("admin:depot_connector_change", args=[connector.pk])
    page = staff.post(address, connector_fields(connector, fallback_a=10)).content.decode()
    assert "fallbacks of 6.9 kW and a building of up to 5.0 kW exceed the limit of 10.0 kW" in page
    assert "6 A on 0 of 1 connectors" in page
    assert staff.post(address, connector_fields(connector, fallback_a=6)).status_code == 302
    connector.refresh_from_db()
    assert connector.fallback_a == 6


def test_a_node_limit_below_its_fallbacks_is_refused(staff: Client) -> None:
    group = make_load_group(limit_kw=10)
    make_connector(make_station(load_group=group, connectors=0), fallback_a=6)
    fields = {"depot": group.depot_id, "slug": group.slug, "name": group.name, "building_load_kw": "[]"}
    address = reverse("admin:depot_loadgroup_change", args=[group.pk])
    page = staff.post(address, {**fields, "limit_kw": 4, "building_reserve_kw": 0}).content.decode()
    assert "The fallbacks do not fit" in page
    assert staff.post(address, {**fields, "limit_kw": 5, "building_reserve_kw": 0}).status_code == 302
    assert LoadGroup.objects.get().limit_kw == 5


def test_a_temporary_limit_below_the_fallbacks_is_refused(staff: Client) -> None:
    group = make_load_group(limit_kw=10)
    make_connector(make_station(load_group=group, connectors=0), fallback_a=6)
    day = timezone.now()
    fields = {"load_group": group.pk, "kind": "manual", "hard": "on", "starts_at_0": f"{day:%Y-%m-%d}"}
    fields |= {"starts_at_1": "00:00:00", "ends_at_0": "2099-01-01", "ends_at_1": "00:00:00"}
    address = reverse("admin:depot_limit_add")
    assert "The fallbacks do not fit" in staff.post(address, {**fields, "limit_kw": 4}).content.decode()
    assert staff.post(address, {**fields, "limit_kw": 5}).status_code == 302
    assert Limit.objects.get().limit_kw == 5


def test_a_tariff_with_a_hole_is_refused_with_its_hour(staff: Client) -> None:
    tariff = make_tariff()
    version = TariffVersion.objects.get()
    hole = '[{"type": "energy_tou", "periods": [{"start": "06:00", "end": "05:00", "price": 0.2}]}]'
    address = reverse("admin:depot_tariffversion_change", args=[version.pk])
    answer = staff.post(address, {"tariff": tariff.pk, "valid_from": "2024-01-01", "elements": hole})
    assert "no period covers 05:00" in answer.content.decode()


def test_a_command_is_queued_with_its_author(staff: Client) -> None:
    station = make_station(online=True)
    fields = {"station": station.pk, "action": "Reset", "payload": '{"type": "Soft"}'}
    answer = staff.post(reverse("admin:charging_command_add"), fields)
    assert answer.status_code == 302, answer.content.decode()
    command = Command.objects.get()
    assert (command.action, command.payload, command.cause) == ("Reset", {"type": "Soft"}, "operator dora")


def test_a_command_without_fields_needs_no_payload(staff: Client) -> None:
    station = make_station(online=True)
    fields = {"station": station.pk, "action": "ClearCache", "payload": "{}"}
    assert staff.post(reverse("admin:charging_command_add"), fields).status_code == 302
    assert Command.objects.get().payload == {}


@pytest.mark.parametrize(
    ("action", "payload"), [("Dance", "{}"), ("Reset", '{"type": "Gently"}'), ("Reset", "[]"), ("Reset", "{")]
)
def test_a_wrong_command_is_refused_on_the_form(staff: Client, action: str, payload: str) -> None:
    station = make_station(online=True)
    fields = {"station": station.pk, "action": action, "payload": payload}
    assert staff.post(reverse("admin:charging_command_add"), fields).status_code == 200
    assert not Command.objects.exists()


def test_an_incident_is_acknowledged(staff: Client) -> None:
    incident = make_incident()
    run_action(staff, "depot_incident", "acknowledge", incident)
    acknowledged = Incident.objects.get()
    assert acknowledged.acknowledged_by is not None
    assert acknowledged.acknowledged_by.username == "dora"


def test_proposed_fallbacks_are_stored_by_an_action(staff: Client) -> None:
    group = make_load_group(limit_kw=30)
    make_station(load_group=group, connectors=5)
    run_action(staff, "depot_depot", "store_proposal", group.depot)
    assert sorted(Connector.objects.values_list("fallback_a", flat=True)) == [0, 0, 0, 6, 6]
