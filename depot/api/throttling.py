"""Requests per minute and principal, counted in Redis; a broker that is away costs the counting, not the API."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import redis
import structlog
from django.conf import settings
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

log = structlog.get_logger(__name__)

WINDOW_S = 60
PERIODS_S = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Count:
    """Requests in the running window, this one included, and when the window ends."""

    requests: int
    resets_in_s: int


@dataclass(frozen=True)
class Budget:
    """What the RateLimit headers tell: `quota` requests per `window_s`, of which `remaining` are left."""

    name: str
    quota: int
    window_s: int
    remaining: int
    resets_in_s: int

    def headers(self) -> dict[str, str]:
        return {
            "RateLimit-Policy": f'"{self.name}";q={self.quota};w={self.window_s}',
            "RateLimit": f'"{self.name}";r={self.remaining};t={self.resets_in_s}',
        }


@cache
def client() -> redis.Redis:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)


def count(name: str, window_s: int) -> Count | None:
    """Count one request under `name`; None while Redis is away."""
    window, passed = divmod(int(time.time()), window_s)
    key = f"{settings.REDIS_PREFIX}:rate:{name}:{window}"
    try:
        with client().pipeline(transaction=False) as pipeline:
            pipeline.incr(key)
            pipeline.expire(key, window_s)
            requests, _ = pipeline.execute()
    except redis.RedisError as error:
        log.warning("requests not counted", error=str(error))
        return None
    return Count(int(requests), window_s - passed)


def parse_rate(rate: str) -> tuple[int, int]:
    """`600/min` as (600, 60)."""
    quota, _, period = rate.partition("/")
    return int(quota), PERIODS_S[period[:1]]


class KeyThrottle(BaseThrottle):
    """So many requests per API key or user; a subclass with another name counts some of them a second time."""

    name = "key"
    budget: Budget | None = None

    def allow_request(self, request: Request, view: Any) -> bool:
        from depot.api.principals import principal_of

        quota, window_s = parse_rate(str(api_settings.DEFAULT_THROTTLE_RATES[self.name]))
        counted = count(f"{self.name}:{principal_of(request)}", window_s)
        if counted is None:
            return True
        remaining = max(quota - counted.requests, 0)
        self.budget = Budget(self.name, quota, window_s, remaining, counted.resets_in_s)
        request.rate_budget = self.budget  # type: ignore[attr-defined]
        return counted.requests <= quota

    def wait(self) -> float | None:
        return self.budget.resets_in_s if self.budget else None


class PlanRunThrottle(KeyThrottle):
    """Acts that start a plan run have a smaller budget of their own."""

    name = "plan"
