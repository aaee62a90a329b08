"""API keys of service accounts: made here, stored as SHA-256 of the whole key, found by that hash alone."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Q

from depot.access import ALL_SCOPES, PERMISSIONS
from depot.models import ApiKey, Depot

SHORTEST_KEY, LONGEST_KEY = 8, 200
MADE_PREFIX = 11  # of fd_<8 characters>_<secret>
LAST_USED_EVERY = timedelta(minutes=1)


def issue_api_key(
    name: str,
    *,
    scopes: Iterable[str],
    depots: Iterable[Depot] = (),
    secret: str = "",
    expires_at: datetime | None = None,
    test: bool = False,
) -> tuple[ApiKey, str]:
    """Store a new key and return it with its text, which cannot be shown again. ValueError for an unfit one."""
    key = fit_key(secret) if secret else new_key()
    api_key = ApiKey(name=name, scopes=checked_scopes(scopes), expires_at=expires_at, test=test)
    api_key.prefix, api_key.key_hash = visible_prefix(key), hash_api_key(key)
    api_key.save()
    api_key.depots.set(depots)
    return api_key, key


def new_key() -> str:
    """`fd_<prefix>_<secret>`: 8 characters to recognise it by and 192 random bits."""
    return f"fd_{secrets.token_hex(4)}_{secrets.token_urlsafe(24)}"


def fit_key(text: str) -> str:
    key = text.strip()
    if not SHORTEST_KEY <= len(key) <= LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise ValueError(
            f"An API key has {SHORTEST_KEY} to {LONGEST_KEY} printable ASCII characters; this one has {len(key)}."
        )
    return key


def visible_prefix(key: str) -> str:
    """The part that may be shown again: the prefix of a made key, at most half of a given one."""
    return key[:MADE_PREFIX] if key.startswith("fd_") and len(key) > 2 * MADE_PREFIX else key[: min(4, len(key) // 2)]


def checked_scopes(scopes: Iterable[str]) -> list[str]:
    wanted = set(scopes)
    known = (*PERMISSIONS, ALL_SCOPES)
    if unknown := sorted(wanted.difference(known)):
        raise ValueError(f"Unknown scope {unknown[0]!r}; known are {', '.join(known)}.")
    return [scope for scope in known if scope in wanted]


def hash_api_key(key: str) -> str:
    """SHA-256, hex: keys are random and long, so no slow hash is needed."""
    return hashlib.sha256(key.encode()).hexdigest()


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
