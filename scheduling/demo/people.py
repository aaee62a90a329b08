"""The demo's operator and API key: the same after a restart, written where only this user can read them."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from depot.access import PERMISSIONS
from depot.api_keys import hash_api_key, issue_api_key
from depot.models import ApiKey, Depot, DepotRole, User
from scheduling.demo.scenario import write_private

USERNAME = "operator"
KEY_NAME = "Demo"
WORDS = (
    *("amber", "anchor", "apple", "autumn", "basil", "beacon", "birch", "bison", "cactus", "candle", "canyon"),
    *("cedar", "cobalt", "comet", "copper", "coral", "cotton", "dahlia", "delta", "ember", "falcon", "fern"),
    *("ginger", "glacier", "granite", "harbor", "hazel", "heron", "indigo", "island", "ivory", "jasmine"),
    *("juniper", "kernel", "lantern", "lemon", "linen", "lotus", "magnet", "maple", "marble", "meadow"),
    *("nectar", "nickel", "oasis", "olive", "onyx", "orchid", "otter", "pebble", "pepper", "pine", "planet"),
    *("quartz", "raven", "river", "saffron", "silver", "spruce", "summit", "tulip", "velvet", "willow"),
)


def store_people(depot: Depot, var: Path, *, api_key: str) -> None:
    """Operator, API key and the credentials file; given values win over stored ones, stored ones over new ones."""
    path = var / "demo-credentials.json"
    stored = _read(path)
    password = os.environ.get("FLEET_DEPOT_DEMO_PASSWORD") or stored.get("password") or _words()
    secret = api_key or stored.get("api_key") or secrets.token_urlsafe(24)
    user, _ = User.objects.get_or_create(
        username=USERNAME, defaults={"first_name": "Demo", "last_name": "Operator", "is_staff": True}
    )
    if not (user.is_superuser and user.is_active and user.check_password(password)):
        user.is_staff = user.is_superuser = user.is_active = True
        user.set_password(password)
        user.save()
    DepotRole.objects.get_or_create(user=user, depot=depot, role=DepotRole.Role.ADMIN)
    _store_key(secret)
    write_private(path, {"username": USERNAME, "password": password, "api_key": secret})


def _store_key(secret: str) -> None:
    """One demo key at a time; a key of somebody else with the same secret is left as it is."""
    ApiKey.objects.filter(name=KEY_NAME).exclude(key_hash=hash_api_key(secret)).delete()
    key = ApiKey.objects.filter(key_hash=hash_api_key(secret)).first()
    if key is None:
        issue_api_key(KEY_NAME, scopes=PERMISSIONS, secret=secret)
        return
    ApiKey.objects.filter(pk=key.pk).update(scopes=list(PERMISSIONS), revoked_at=None, expires_at=None)


def _words() -> str:
    return "-".join(secrets.choice(WORDS) for _ in range(4))


def _read(path: Path) -> dict[str, str]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {name: str(value) for name, value in content.items()} if isinstance(content, dict) else {}
