"""What a load balancer, a supervisor and Prometheus ask: is the process alive, can it serve, how is it doing."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import REGISTRY
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from depot.environment import env_text
from depot.tasks import SHORT_TIMEOUTS, heard_key


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is asked, so that a restart is never caused by somebody else's outage."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 when database, broker, worker and beat are all there, else 503; details belong in the log and metrics."""
    components = readiness()
    ready = all(components.values())
    return JsonResponse({"status": "ready" if ready else "unavailable", **components}, status=200 if ready else 503)


def readiness() -> dict[str, bool]:
    return {"database": database_answers(), **broker_state()}


def database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            return bool(cursor.fetchone() == (1,))
    except DatabaseError:
        connection.close()
        return False


def broker_state() -> dict[str, bool]:
    """Broker, worker and beat in one round trip; the marks expire by themselves when they are stale."""
    names = ("worker", "beat")
    try:
        with redis.Redis.from_url(settings.REDIS_URL, **SHORT_TIMEOUTS) as client:
            marks = client.mget([heard_key(name) for name in names])
    except redis.RedisError:
        return {"broker": False, "worker": False, "beat": False}
    return {"broker": True} | {name: mark is not None for name, mark in zip(names, marks, strict=True)}


def metrics_allowed(request: HttpRequest) -> bool:
    """Open in the demo; in production for a bearer of METRICS_TOKEN or a signed-in member of staff."""
    if settings.DEBUG or getattr(settings, "DEMO", False):
        return True
    token = env_text("METRICS_TOKEN")
    if token and secrets.compare_digest(request.headers.get("Authorization", "").encode(), f"Bearer {token}".encode()):
        return True
    user = getattr(request, "user", None)
    return bool(user is not None and user.is_active and user.is_staff)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    if not metrics_allowed(request):
        return HttpResponse("Metrics need `Authorization: Bearer <METRICS_TOKEN>`.\n", "text/plain", status=401)
    return HttpResponse(generate_latest(REGISTRY), content_type=CONTENT_TYPE_LATEST)


ENDPOINTS: dict[str, Callable[[HttpRequest], HttpResponse]] = {
    "healthz": healthz,
    "readyz": readyz,
    "metrics": metrics,
}
