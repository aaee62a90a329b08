"""API keys of service accounts: made here, stored as SHA-256 of the whole key, found by that hash alone."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db.models import Q

from depot.access import PERMISSIONS, hash_api_key
from depot.models import ApiKey, Depot

SCOPES = tuple(dict.fromkeys((*PERMISSIONS, "plans:write")))
ALL_SCOPES = "*"
SHORTEST_KEY, LONGEST_KEY = 8, 200
LAST_USED_EVERY = timedelta(minutes=1)


def new_key_text() -> str:
    """`fd_<prefix>_<secret>`: 8 characters to recognise it by and 192 random bits."""
    return f"fd_{secrets.token_hex(4)}_{secrets.token_urlsafe(24)}"


def create_api_key(
    name: str, scopes: Sequence[str], depots: Iterable[Depot] = (), secret: str | None = None
) -> tuple[ApiKey, str]:
    """A new key and its text, which is shown once. `secret` sets the text: 8 to 200 printable ASCII characters."""
    key = new_key_text() if secret is None else secret.strip()
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise ValueError(
            f"An API key has {SHORTEST_KEY} to {LONGEST_KEY} printable ASCII characters; this one has {len(key)}."
        )
    if unknown := sorted(set(scopes) - {*SCOPES, ALL_SCOPES}):
        raise ValueError(f"Unknown scope {unknown[0]!r}; known are {', '.join(SCOPES)} and {ALL_SCOPES!r}.")
    api_key = ApiKey.objects.create(
        name=name, prefix=visible_prefix(key), key_hash=hash_api_key(key), scopes=sorted(set(scopes))
    )
    api_key.depots.set(depots)
    return api_key, key


def visible_prefix(key: str) -> str:
    """The part that may be shown again: the prefix of a made key, at most half of a given one."""
    return key[:11] if key.startswith("fd_") and len(key) > 2 * 11 else key[: min(4, len(key) // 2)]


def find_api_key(key: str, now: datetime) -> ApiKey | None:
    """The usable key with this text: neither revoked nor expired."""
    usable = Q(revoked_at__isnull=True) & (Q(expires_at__isnull=True) | Q(expires_at__gt=now))
    return ApiKey.objects.filter(usable, key_hash=hash_api_key(key)).first()


def note_use(api_key: ApiKey, now: datetime) -> None:
    """Remember when the key was last used, with at most one write a minute."""
    if api_key.last_used_at is not None and now - api_key.last_used_at < LAST_USED_EVERY:
        return
    stale = Q(last_used_at__isnull=True) | Q(last_used_at__lte=now - LAST_USED_EVERY)
    ApiKey.objects.filter(stale, pk=api_key.pk).update(last_used_at=now)
    api_key.last_used_at = now
