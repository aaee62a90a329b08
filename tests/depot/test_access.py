"""Roles per depot and scopes of API keys."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from depot.access import PERMISSIONS, Actor, depots_for, may
from depot.api_keys import find_api_key, issue_api_key
from depot.models import Depot
from tests.factories import make_api_key, make_depot, make_superuser, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def depot() -> Depot:
    return make_depot()


@pytest.mark.parametrize(
    ("role", "granted"),
    [
        ("admin", set(PERMISSIONS)),
        ("depot_manager", set(PERMISSIONS) - {"tariffs:write"}),
        ("dispatcher", {"read", "reservations:write", "vehicles:write", "plans:write"}),
        ("energy_manager", {"read", "limits:write", "tariffs:write", "plans:write"}),
        ("technician", {"read", "commands:write", "equipment:write"}),
        ("viewer", {"read"}),
    ],
)
def test_a_role_opens_its_bundle_in_its_depot_only(depot: Depot, role: str, granted: set[str]) -> None:
    user = make_user(role=role, depot=depot)
    assert {permission for permission in PERMISSIONS if may(user, permission, depot)} == granted
    assert not any(may(user, permission, make_depot()) for permission in PERMISSIONS)


def test_nobody_and_the_inactive_may_nothing(depot: Depot) -> None:
    assert not may(AnonymousUser(), "read", depot)
    assert not may(make_user(role="admin", depot=depot, is_active=False), "read", depot)
    assert not depots_for(AnonymousUser()).exists()


def test_a_superuser_may_everything(depot: Depot) -> None:
    assert may(make_superuser(), "tariffs:write", depot)


def test_a_key_opens_its_scopes_in_its_depots(depot: Depot) -> None:
    other = make_depot()
    key, _ = make_api_key(["read"], depots=[depot])
    assert may(key, "read", depot)
    assert not may(key, "read", other)
    assert not may(key, "commands:write", depot)
    assert list(depots_for(key)) == [depot]


def test_a_key_without_depots_opens_all(depot: Depot) -> None:
    key, _ = make_api_key(["read"])
    assert may(key, "read", depot)
    assert set(depots_for(key)) == set(Depot.objects.all())


def test_a_key_is_found_by_its_secret_alone() -> None:
    key, secret = make_api_key()
    assert find_api_key(secret, timezone.now()) == key
    assert find_api_key(secret + "x", timezone.now()) is None
    assert secret not in (key.key_hash, key.prefix)


def test_revoked_and_expired_keys_open_nothing(depot: Depot) -> None:
    past = timezone.now() - timedelta(seconds=1)
    for key, secret in (make_api_key(["read"], revoked_at=past), make_api_key(["read"], expires_at=past)):
        assert not may(key, "read", depot)
        assert find_api_key(secret, timezone.now()) is None


def test_an_unknown_scope_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'fly'"):
        issue_api_key("x", scopes=["read", "fly"])


def test_a_missing_permission_is_named(depot: Depot) -> None:
    with pytest.raises(PermissionDenied, match="commands:write"):
        Actor(make_user(role="viewer", depot=depot)).require("commands:write", depot)


def test_the_roles_depots_are_listed(depot: Depot) -> None:
    user = make_user(role="viewer", depot=depot)
    make_depot()
    assert list(depots_for(user)) == [depot]
    assert not depots_for(user, "commands:write").exists()
