"""Signs of life: beat sends a heartbeat task, a worker executes it, and each leaves its mark in Redis."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from typing import Any

import redis
import structlog
from celery import shared_task
from celery.signals import after_task_publish, beat_init, worker_process_init, worker_ready
from django.conf import settings

log = structlog.get_logger(__name__)

HEARTBEAT_TASK = "depot.heartbeat"
FRESH_FOR_S = 45
PR_SET_PDEATHSIG = 1
SHORT_TIMEOUTS: dict[str, Any] = {"socket_timeout": 2, "socket_connect_timeout": 2}

_is_beat = False


def heard_key(process: str) -> str:
    """Redis key that holds the Unix time at which `process` (beat or worker) was last heard; expires when stale."""
    return f"{settings.REDIS_PREFIX}:heard:{process}"


def mark_heard(process: str) -> None:
    """Best effort: a broker outage is what readiness reports, not a reason to fail here."""
    try:
        with redis.Redis.from_url(settings.REDIS_URL, **SHORT_TIMEOUTS) as client:
            client.set(heard_key(process), f"{time.time():.3f}", ex=FRESH_FOR_S)
    except redis.RedisError as error:
        log.warning("heartbeat not recorded", process=process, error=str(error))


@shared_task(name=HEARTBEAT_TASK, ignore_result=True)
def heartbeat() -> None:
    mark_heard("worker")


@worker_ready.connect
def worker_started(**_: object) -> None:
    mark_heard("worker")


@beat_init.connect
def beat_started(**_: object) -> None:
    global _is_beat
    _is_beat = True
    mark_heard("beat")


@after_task_publish.connect(sender=HEARTBEAT_TASK)
def heartbeat_published(**_: object) -> None:
    """Only beat's own publication counts, and it counts even while no worker executes it."""
    if _is_beat:
        mark_heard("beat")


@worker_process_init.connect
def end_with_parent(**_: object) -> None:
    """A pool process must not outlive a worker that was killed: it would hold a task that nobody waits for."""
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent or parent == 1:
        os._exit(1)


@shared_task(name="depot.advance_reservations", ignore_result=True)
def advance_reservations_now() -> None:
    from django.utils import timezone

    from depot.booking.progress import advance_reservations

    advance_reservations(timezone.now())
