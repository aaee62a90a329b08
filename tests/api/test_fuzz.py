"""Whatever is sent, the API answers what its schema promises, and never 500."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import schemathesis
from django.conf import settings
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import override_settings
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from depot.api_keys import issue_api_key
from tests.factories import (
    make_connector,
    make_incident,
    make_limit,
    make_load_group,
    make_reservation,
    make_session,
    make_station,
    make_tariff,
    make_vehicle,
)

KEY = "fuzz-the-api"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES_PER_OPERATION = 5
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")  # what is there stays there until the end


@pytest.fixture
def schema(db: None) -> Iterator[Any]:
    unlimited = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"key": "9999999/m", "plan": "9999999/m"}}
    issue_api_key("fuzz", scopes=["*"], secret=KEY)
    with override_settings(REST_FRAMEWORK=unlimited), connection_kept_open():
        yield schemathesis.openapi.from_wsgi("/api/schema/", get_wsgi_application(), headers=authorization())


@contextmanager
def connection_kept_open() -> Iterator[None]:
    """As Django's own test client has it: the test's transaction outlives a request."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def authorization() -> dict[str, str]:
    return {"Authorization": f"Api-Key {KEY}"}


def a_yard() -> dict[str, dict[str, Any]]:
    """One of everything, so that lists and references find something; path parameters and fields that lead there."""
    group = make_load_group()
    connector = make_connector(make_station(load_group=group, connectors=0, online=True))
    vehicle = make_vehicle(group.depot, id_tag="TAG", soc_percent=40)
    session = make_session(connector=connector, vehicle=vehicle)
    tariff = make_tariff()
    made: dict[str, dict[str, Any]] = {
        "depots": {"slug": group.depot.slug},
        "load-groups": {"id": group.pk},
        "limits": {"id": make_limit(group).pk},
        "stations": {"identity": connector.station.identity},
        "connectors": {"id": connector.pk},
        "vehicles": {"id": str(vehicle.pk), "external_id": vehicle.external_id},
        "vehicle-identities": {"id": vehicle.identities.get().pk},
        "reservations": {"id": str(make_reservation(connector=connector, vehicle=vehicle).pk)},
        "tariffs": {"slug": tariff.slug, "tariff_slug": tariff.slug, "valid_from": "2020-01-01"},
        "sessions": {"id": str(session.pk), "session_id": str(session.pk)},
        "incidents": {"id": str(make_incident(depot=group.depot).pk)},
    }
    fields = {
        "depot": group.depot.slug,
        "load_group": group.pk,
        "station": connector.station.identity,
        "connector": connector.pk,
        "vehicle": vehicle.external_id,
        "home_connector": connector.pk,
    }
    return made | {"fields": fields}


def led_to(case: Any, yard: dict[str, dict[str, Any]]) -> None:
    """Point a generated request at what is there, so that it gets past the first check."""
    resource = case.operation.path.split("/")[3]
    for name, value in yard.get(resource, {}).items():
        if name in (case.path_parameters or {}):
            case.path_parameters[name] = value
    if isinstance(case.body, dict):
        case.body |= {name: value for name, value in yard["fields"].items() if name in case.body}


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.name.lower())
def test_every_operation_keeps_its_promise(schema: Any, mode: schemathesis.GenerationMode) -> None:
    yard = a_yard()
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in sorted(operations, key=lambda each: METHODS.index(each.method.upper())):

        @hypothesis_settings(
            max_examples=EXAMPLES_PER_OPERATION,
            database=None,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def keeps_its_promise(case: Any) -> None:
            if mode is schemathesis.GenerationMode.POSITIVE:
                led_to(case, yard)
            case.call_and_validate(headers=authorization(), checks=CHECKS)

        keeps_its_promise()
