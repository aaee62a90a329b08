"""Clients of the API as integrators and people have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone
from rest_framework.test import APIClient

from depot.api_keys import issue_api_key
from depot.models import Depot, User

PROBLEM = "application/problem+json"


def client_with(*scopes: str, depots: Iterable[Depot] = ()) -> APIClient:
    """A client with a new API key; without scopes it may do everything."""
    _, key = issue_api_key("tests", scopes=scopes or ["*"], depots=depots)
    return client_of(key)


def client_of(key: str) -> APIClient:
    client = APIClient(raise_request_exception=True)
    client.credentials(HTTP_AUTHORIZATION=f"Api-Key {key}")
    return client


def browser_of(user: User) -> APIClient:
    """A signed-in browser: cookies, and CSRF is enforced."""
    client = APIClient(enforce_csrf_checks=True)
    client.force_login(user)
    return client


def post(client: APIClient, path: str, body: Any, **headers: str) -> Any:
    return client.post(path, body, format="json", headers=headers)


def send(client: APIClient, method: str, path: str, raw: bytes | str, **headers: str) -> Any:
    """A body as it is, without a library's tidying."""
    return client.generic(method, path, raw, content_type="application/json", headers=headers)  # type: ignore[arg-type]


def tomorrow(hour: int) -> datetime:
    day = timezone.now().astimezone(UTC) + timedelta(days=1)
    return day.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(hours=hour)


def is_problem(response: Any, status: int, slug: str) -> dict[str, Any]:
    """The problem in an answer, after checking that it is one."""
    assert response.status_code == status, response.content
    assert response["Content-Type"] == PROBLEM
    body: dict[str, Any] = response.json()
    assert body["type"] == f"/problems/{slug}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def pointers(problem: dict[str, Any]) -> set[str]:
    return {error["pointer"] for error in problem["errors"]}


def names(response: Any, field: str) -> Sequence[Any]:
    assert response.status_code == 200, response.content
    return [row[field] for row in response.json()["results"]]
