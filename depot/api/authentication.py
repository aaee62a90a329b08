"""`Authorization: Api-Key <key>`: a service account instead of a person."""

from __future__ import annotations

from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.request import Request

from depot import api_keys
from depot.api import throttling
from depot.models import ApiKey

SCHEME = "Api-Key"
FAILURES_PER_MINUTE = 60


class ServiceAccount:
    """Who acts when a request carries an API key."""

    is_authenticated = True
    is_anonymous = False
    is_active = True
    is_staff = False
    is_superuser = False
    pk = None

    def __init__(self, api_key: ApiKey) -> None:
        self.api_key = api_key

    def __str__(self) -> str:
        return str(self.api_key)


class ApiKeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[ServiceAccount, ApiKey] | None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != SCHEME.lower():
            return None
        now = timezone.now()
        api_key = api_keys.find_api_key(key.strip(), now)
        if api_key is None:
            self.count_failure(request)
            raise AuthenticationFailed("This API key is unknown, revoked or expired.")
        api_keys.note_use(api_key, now)
        return ServiceAccount(api_key), api_key

    def authenticate_header(self, request: Request) -> str:
        return f'{SCHEME} realm="Fleet Depot"'

    def count_failure(self, request: Request) -> None:
        """Guessing is slowed down per source; the right key is never locked out."""
        count = throttling.count(f"api-failures:{request.META.get('REMOTE_ADDR', '')}", throttling.WINDOW_S)
        if count is not None and count.requests > FAILURES_PER_MINUTE:
            raise Throttled(wait=count.resets_in_s)
