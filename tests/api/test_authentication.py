from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from depot.api_keys import LAST_USED_EVERY, issue_api_key
from depot.models import ApiKey
from tests.api.clients import browser_of, client_of, client_with, is_problem, post
from tests.factories import make_depot, make_load_group, make_superuser, make_user

pytestmark = pytest.mark.django_db
DEPOTS = "/api/v1/depots/"


def test_without_a_key_the_answer_is_401_and_says_which_scheme() -> None:
    response = APIClient().get(DEPOTS)
    is_problem(response, 401, "unauthenticated")
    assert response["WWW-Authenticate"].startswith("Api-Key")


@pytest.mark.parametrize(
    "header", ["Api-Key", "Api-Key ", "Api-Key nonsense", "Api-Key \x00", "Api-Key äöü", "Bearer x"]
)
def test_a_header_that_holds_no_valid_key_is_401(header: str) -> None:
    is_problem(APIClient().get(DEPOTS, headers={"Authorization": header}), 401, "unauthenticated")


def test_a_key_is_found_by_its_hash_and_stored_as_nothing_else() -> None:
    api_key, text = issue_api_key("fleet", scopes=["read"])
    assert text.startswith(f"{api_key.prefix}_")
    assert api_key.key_hash == hashlib.sha256(text.encode()).hexdigest()
    assert client_of(text).get(DEPOTS).status_code == 200


def test_any_text_of_eight_characters_can_be_a_key() -> None:
    api_key, text = issue_api_key("demo", scopes=["*"], secret="12345678")
    assert client_of(text).get(DEPOTS).status_code == 200
    assert len(api_key.prefix) < len(text)


@pytest.mark.parametrize(
    ("secret", "scopes"), [("short", ["read"]), ("x" * 201, ["read"]), ("long enough", ["everything"])]
)
def test_a_key_that_cannot_be_is_refused(secret: str, scopes: list[str]) -> None:
    with pytest.raises(ValueError):
        issue_api_key("bad", scopes=scopes, secret=secret)


@pytest.mark.parametrize("field", ["revoked_at", "expires_at"])
def test_a_revoked_or_expired_key_is_401(field: str) -> None:
    api_key, text = issue_api_key("old", scopes=["*"])
    ApiKey.objects.filter(pk=api_key.pk).update(**{field: timezone.now() - timedelta(seconds=1)})
    is_problem(client_of(text).get(DEPOTS), 401, "unauthenticated")


def test_last_use_is_written_at_most_once_a_minute() -> None:
    api_key, text = issue_api_key("used", scopes=["read"])
    client_of(text).get(DEPOTS)
    api_key.refresh_from_db()
    first = api_key.last_used_at
    assert first is not None
    client_of(text).get(DEPOTS)
    api_key.refresh_from_db()
    assert api_key.last_used_at == first
    ApiKey.objects.filter(pk=api_key.pk).update(last_used_at=first - LAST_USED_EVERY)
    client_of(text).get(DEPOTS)
    api_key.refresh_from_db()
    assert api_key.last_used_at is not None
    assert api_key.last_used_at >= first


def test_a_missing_scope_is_403_and_named() -> None:
    group = make_load_group()
    body = {"limit_kw": 10}
    problem = is_problem(
        client_with("read").patch(f"/api/v1/load-groups/{group.pk}/", body, format="json"), 403, "scope-missing"
    )
    assert problem["scope"] == "limits:write"
    assert "limits:write" in problem["detail"]
    problem = is_problem(client_with("limits:write").get(DEPOTS), 403, "scope-missing")
    assert problem["scope"] == "read"


def test_a_browser_reads_with_its_session_and_writes_with_the_csrf_token_only() -> None:
    browser = browser_of(make_superuser())
    group = make_load_group()
    assert browser.get(DEPOTS).status_code == 200
    response = browser.patch(f"/api/v1/load-groups/{group.pk}/", {"limit_kw": 10}, format="json")
    is_problem(response, 403, "forbidden")


@pytest.mark.parametrize(("role", "status"), [("energy_manager", 201), ("dispatcher", 403), ("viewer", 403)])
def test_a_person_may_what_the_role_in_the_depot_allows(role: str, status: int) -> None:
    group = make_load_group()
    client = APIClient()
    client.force_login(make_user(role=role, depot=group.depot))
    now = timezone.now()
    body = {
        "load_group": group.pk,
        "limit_kw": 5,
        "starts_at": now.isoformat(),
        "ends_at": (now + timedelta(hours=1)).isoformat(),
    }
    assert post(client, "/api/v1/limits/", body).status_code == status


def test_a_right_in_one_depot_is_none_in_another() -> None:
    own, other = make_load_group(), make_load_group()
    user = make_user(role="energy_manager", depot=own.depot)
    user.depot_roles.create(depot=other.depot, role="viewer")
    client = APIClient()
    client.force_login(user)
    assert client.patch(f"/api/v1/load-groups/{own.pk}/", {"limit_kw": 9}, format="json").status_code == 200
    response = client.patch(f"/api/v1/load-groups/{other.pk}/", {"limit_kw": 9}, format="json")
    is_problem(response, 403, "scope-missing")


def test_a_key_of_one_depot_sees_and_changes_nothing_of_another() -> None:
    own, other = make_load_group(), make_load_group()
    client = client_with(depots=[own.depot])
    assert [row["slug"] for row in client.get(DEPOTS).json()["results"]] == [own.depot.slug]
    is_problem(client.get(f"/api/v1/depots/{other.depot.slug}/"), 404, "not-found")
    is_problem(client.get(f"/api/v1/load-groups/{other.pk}/"), 404, "not-found")
    is_problem(client.patch(f"/api/v1/load-groups/{other.pk}/", {"limit_kw": 1}, format="json"), 404, "not-found")
    body = {"depot": other.depot.slug, "slug": "x", "name": "X", "limit_kw": 1}
    problem = is_problem(post(client, "/api/v1/load-groups/", body), 422, "validation")
    assert problem["errors"][0]["pointer"] == "/depot"
    is_problem(
        client.patch(f"/api/v1/load-groups/{own.pk}/", {"depot": other.depot.slug}, format="json"), 422, "validation"
    )


def test_a_user_without_any_role_sees_nothing() -> None:
    make_depot()
    client = APIClient()
    client.force_login(make_user())
    is_problem(client.get(DEPOTS), 403, "scope-missing")
