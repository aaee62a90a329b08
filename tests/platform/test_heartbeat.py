"""How a worker and beat make themselves heard."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis
from celery.signals import after_task_publish, beat_init, worker_ready
from django.conf import settings as django_settings

from depot import tasks
from depot.celery import app


@pytest.fixture
def broker(redis_url: str) -> redis.Redis:
    return redis.Redis.from_url(redis_url, decode_responses=True)


def heard(broker: redis.Redis, process: str) -> bool:
    return bool(broker.exists(tasks.heard_key(process)))


def test_beat_sends_the_heartbeat_task() -> None:
    names = {entry["task"] for entry in django_settings.CELERY_BEAT_SCHEDULE.values()}
    assert tasks.HEARTBEAT_TASK in names
    assert tasks.HEARTBEAT_TASK in app.tasks


def test_the_task_marks_its_worker_with_the_time(broker: redis.Redis) -> None:
    before = time.time()
    tasks.heartbeat()
    value: Any = broker.get(tasks.heard_key("worker"))
    assert before - 0.001 <= float(value) <= time.time()
    assert not heard(broker, "beat")


def test_a_worker_is_heard_as_soon_as_it_is_ready(broker: redis.Redis) -> None:
    worker_ready.send(sender=None)
    assert heard(broker, "worker")


def test_beat_is_heard_at_its_start_and_with_every_heartbeat(
    broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_is_beat", False)
    beat_init.send(sender=None)
    assert heard(broker, "beat")
    broker.flushdb()
    after_task_publish.send(sender=tasks.HEARTBEAT_TASK)
    assert heard(broker, "beat")
    assert not heard(broker, "worker")


def test_a_heartbeat_published_by_somebody_else_is_not_beat(
    broker: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_is_beat", False)
    after_task_publish.send(sender=tasks.HEARTBEAT_TASK)
    assert not heard(broker, "beat")


def test_an_absent_broker_breaks_neither(settings: Any) -> None:
    settings.REDIS_URL = "unix:///nonexistent/valkey.sock"
    tasks.mark_heard("beat")
