"""Keys of stations, stored as salted, peppered SHA-256: random ones need no slow hash when 5,000 chargers return."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from django.conf import settings

SCHEME = "sha256-peppered"


def new_station_key() -> str:
    """A key of 20 random characters (OCPP 1.6 AuthorizationKey: 16 to 20 bytes)."""
    alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
    return "".join(secrets.choice(alphabet) for _ in range(20))


def hash_station_key(key: bytes | str, *, salt: str | None = None) -> str:
    raw = key.encode() if isinstance(key, str) else key
    salt = salt or secrets.token_hex(16)
    digest = hmac.new(settings.SECRET_KEY.encode(), salt.encode() + raw, hashlib.sha256).hexdigest()
    return f"{SCHEME}${salt}${digest}"


def station_key_matches(key: bytes | str, stored: str) -> bool:
    """Compare in constant time; a station without a key matches nothing."""
    scheme, _, rest = stored.partition("$")
    salt, _, _ = rest.partition("$")
    if scheme != SCHEME or not salt:
        return False
    return hmac.compare_digest(hash_station_key(key, salt=salt), stored)
