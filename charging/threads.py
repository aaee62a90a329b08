"""Bounded threads for blocking database work of a web process, each with its own connection."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from django.db import connections

KEPT_BETWEEN_JOBS_S = 5.0  # a busy thread keeps its connection; a longer pause gives it back to the pool to be checked
P = ParamSpec("P")
R = TypeVar("R")


class DatabaseThreads:
    """A thread pool whose threads leave no connection behind. Jobs open their own transactions."""

    def __init__(self, name: str, size: int = 1) -> None:
        self._pool = ThreadPoolExecutor(size, thread_name_prefix=name)
        self._opened: list[Any] = []
        self._lock = threading.Lock()
        self._local = threading.local()

    async def run(self, job: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The job's result; connections that are too old or broken are renewed before it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(self._job, partial(job, *args, **kwargs)))

    def submit(self, job: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Do it later, in order where the pool has one thread; the job reports its own failures."""
        self._pool.submit(self._job, partial(job, *args, **kwargs))

    def _job(self, job: Callable[[], R]) -> R:
        if not hasattr(self._local, "used_at"):
            self._local.used_at = 0.0
            with self._lock:
                self._opened.extend(connections.all())
        idle = time.monotonic() - self._local.used_at > KEPT_BETWEEN_JOBS_S
        for connection in connections.all(initialized_only=True):
            if (idle or connection.errors_occurred) and not connection.in_atomic_block:
                connection.close_if_unusable_or_obsolete()
        try:
            return job()
        finally:
            self._local.used_at = time.monotonic()

    def stop(self) -> None:
        """Finish what was submitted and close the threads' connections."""
        self._pool.shutdown(wait=True)
        for connection in self._opened:
            connection.inc_thread_sharing()
            connection.close()
