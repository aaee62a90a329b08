"""healthz, readyz, metrics."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from django.test import AsyncClient, Client
from prometheus_client import Gauge

from depot import health
from depot.tasks import FRESH_FOR_S, heard_key, mark_heard

GAUGE = Gauge("fleet_depot_test_gauge", "Registered by a test, as rooms register theirs.")


@pytest.fixture
def broker(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url)


def test_healthz_asks_nobody(client: Client) -> None:
    """Without the database mark, a query would fail this test."""
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer["Cache-Control"]


@pytest.mark.django_db
@pytest.mark.usefixtures("redis_url")
def test_ready_when_everybody_was_heard(client: Client) -> None:
    mark_heard("worker")
    mark_heard("beat")
    answer = client.get("/readyz")
    everybody = {"database": True, "broker": True, "worker": True, "beat": True}
    assert (answer.status_code, answer.json()) == (200, {"status": "ready", **everybody})


@pytest.mark.django_db
@pytest.mark.usefixtures("redis_url")
@pytest.mark.parametrize(("heard", "missing"), [("worker", "beat"), ("beat", "worker")])
def test_not_ready_until_the_other_was_heard(client: Client, heard: str, missing: str) -> None:
    mark_heard(heard)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "database": True,
        "broker": True,
        heard: True,
        missing: False,
    }


@pytest.mark.django_db
def test_a_mark_expires_when_it_is_stale(broker: redis.Redis) -> None:
    mark_heard("worker")
    remaining: Any = broker.ttl(heard_key("worker"))
    assert 0 < remaining <= FRESH_FOR_S


@pytest.mark.django_db
def test_without_a_broker_nobody_is_heard(client: Client, settings: Any) -> None:
    settings.REDIS_URL = "unix:///nonexistent/valkey.sock"
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "database": True,
        "broker": False,
        "worker": False,
        "beat": False,
    }


@pytest.mark.usefixtures("redis_url")
def test_without_a_database_it_is_not_ready(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    class Broken:
        def cursor(self) -> None:
            raise OperationalError("connection refused for user postgres")

        def close(self) -> None:
            pass

    monkeypatch.setattr(health, "connection", Broken())
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["database"] is False
    assert b"postgres" not in answer.content


def test_only_reading_is_allowed(client: Client) -> None:
    assert client.post("/healthz").status_code == 405


async def test_healthz_under_asgi(async_client: AsyncClient) -> None:
    assert (await async_client.get("/healthz")).status_code == 200


class TestMetrics:
    def test_the_demo_shows_them(self, client: Client, settings: Any) -> None:
        settings.DEMO = True
        GAUGE.set(7)
        answer = client.get("/metrics")
        assert answer.status_code == 200
        assert b"fleet_depot_test_gauge 7.0" in answer.content

    @pytest.mark.parametrize("header", ["", "Bearer wrong", "Bearer ", "right", "Bearer r\u00efght"])
    def test_production_wants_the_token(self, client: Client, monkeypatch: pytest.MonkeyPatch, header: str) -> None:
        monkeypatch.setenv("METRICS_TOKEN", "right")
        answer = client.get("/metrics", headers={"Authorization": header})
        assert answer.status_code == 401
        assert b"python_info" not in answer.content

    def test_without_a_token_the_empty_bearer_is_refused(self, client: Client) -> None:
        assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 401

    def test_the_token_opens_them(self, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("METRICS_TOKEN", "right")
        answer = client.get("/metrics", headers={"Authorization": "Bearer right"})
        assert answer["Content-Type"].startswith("text/plain")
        assert b"python_info" in answer.content

    @pytest.mark.django_db
    def test_staff_may_look(self, admin_client: Client) -> None:
        assert admin_client.get("/metrics").status_code == 200
