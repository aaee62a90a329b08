"""Who asks, what they may do, and which depots they see."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework.request import Request

from depot import access
from depot.access import ALL_SCOPES
from depot.api.authentication import ServiceAccount
from depot.models import ApiKey, Depot

ACTOR_LENGTH = 100
# whoever may change a plan's inputs causes plans anyway, and so may ask for one
IMPLIED_BY = {"plans:write": ("reservations:write", "limits:write")}


def api_key_of(request: Request) -> ApiKey | None:
    return request.user.api_key if isinstance(request.user, ServiceAccount) else None


def principal_of(request: Request) -> str:
    """A name that is unique for ever: throttles and idempotency keys belong to it."""
    api_key = api_key_of(request)
    if api_key is not None:
        return f"key:{api_key.pk}"
    if request.user.is_authenticated:
        return f"user:{request.user.pk}"
    return f"address:{request.META.get('REMOTE_ADDR', '')}"


def actor_of(request: Request) -> str:
    """How audit and history name whoever asks."""
    api_key = api_key_of(request)
    name = f"API key {api_key}" if api_key else f"user {request.user.get_username()}"
    return name[:ACTOR_LENGTH]


def sees_everything(request: Request) -> bool:
    api_key = api_key_of(request)
    if api_key is not None:
        return not depots_of_key(request, api_key)
    return bool(request.user.is_superuser)


def depots_of_key(request: Request, api_key: ApiKey) -> list[int]:
    """Primary keys of the key's depots, read once a request; empty means all depots."""
    known: list[int] | None = getattr(api_key, "_depot_ids", None)
    if known is None:
        known = list(api_key.depots.values_list("pk", flat=True))
        api_key._depot_ids = known  # type: ignore[attr-defined]
    return known


def visible_depots(request: Request) -> QuerySet[Depot]:
    """The depots that whoever asks may see."""
    if sees_everything(request):
        return Depot.objects.all()
    api_key = api_key_of(request)
    if api_key is not None:
        return Depot.objects.filter(pk__in=depots_of_key(request, api_key))
    return access.depots_for(request.user)


def may(request: Request, scope: str, depot: Depot | None) -> bool:
    """Whether the act that `scope` names is allowed in this depot, or with None in any depot at all."""
    sufficient = (scope, *IMPLIED_BY.get(scope, ()))
    api_key = api_key_of(request)
    if api_key is not None:
        granted = not {*sufficient, ALL_SCOPES}.isdisjoint(api_key.scopes)
        depots = depots_of_key(request, api_key)
        return granted and (depot is None or not depots or depot.pk in depots)
    if depot is None:
        return any(access.depots_for(request.user, permission).exists() for permission in sufficient)
    return any(access.may(request.user, permission, depot) for permission in sufficient)
