from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.management import call_command
from django.test import override_settings
from rest_framework.test import APIClient

from tests.api.clients import client_with, is_problem

pytestmark = pytest.mark.django_db


def test_the_schema_is_valid_and_generated_without_a_warning(tmp_path: Any) -> None:
    call_command("spectacular", "--fail-on-warn", "--validate", "--file", str(tmp_path / "schema.yml"))


def test_the_schema_is_openapi_3_1_and_documents_key_and_problems() -> None:
    schema = client_with().get("/api/schema/").json()
    assert schema["openapi"].startswith("3.1")
    scheme = schema["components"]["securitySchemes"]["apiKey"]
    assert (scheme["in"], scheme["name"]) == ("header", "Authorization")
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            assert {"401", "403", "404", "429"} <= set(operation["responses"]), f"{method} {path}"
            problem = operation["responses"]["404"]["content"]["application/problem+json"]["schema"]
            assert problem == {"$ref": "#/components/schemas/Problem"}
    assert "Idempotency-Key" in str(schema["paths"]["/api/v1/reservations/"]["post"]["parameters"])


def test_schema_and_page_are_open_in_the_demo_only() -> None:
    for path in ("/api/schema/", "/api/docs/", "/api/schema", "/api/docs"):
        is_problem(APIClient().get(path), 401, "unauthenticated")
        with override_settings(DEMO=True):
            assert APIClient().get(path).status_code == 200


@override_settings(DEMO=True)
def test_the_page_brings_no_inline_script_or_style() -> None:
    page = APIClient().get("/api/docs/", headers={"Accept": "text/html"}).content.decode()
    assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|\bstyle=", page)
    script = APIClient().get("/api/docs/?script=")
    assert script["Content-Type"].startswith("application/javascript")
    assert b"/api/schema" in script.content


@pytest.mark.django_db(transaction=True)
def test_the_page_works_in_a_browser_under_the_content_policy(live_server: Any, page: Any) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    with override_settings(DEMO=True):
        page.goto(f"{live_server.url}/api/docs/")
        operation = page.locator("#operations-reservations-reservations_create")
        operation.locator(".opblock-summary").first.click()
        operation.get_by_text("reservation-conflict").first.wait_for()
    assert complaints == []
