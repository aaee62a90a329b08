"""Simulated time: real, accelerated, or driven by a test."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What stations know of time. Simulated seconds, except `pause`."""

    @property
    def speed(self) -> float:
        """Simulated seconds per second of the network's time."""

    def now(self) -> datetime:
        """Simulated instant, aware UTC."""

    def elapsed(self) -> float:
        """Simulated seconds since the clock was made, monotonic."""

    async def sleep(self, seconds: float) -> None:
        """Wait simulated seconds."""

    async def pause(self, seconds: float) -> None:
        """Wait seconds of the network's time, which no speed factor shortens."""


class ScaledClock:
    """The wall clock, `speed` times as fast from the moment it is made."""

    def __init__(self, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be greater than 0, got {speed}")
        self.speed = speed
        self._started_at = datetime.now(UTC)
        self._origin_s = time.monotonic()

    def now(self) -> datetime:
        if self.speed == 1.0:
            return datetime.now(UTC)
        return self._started_at + timedelta(seconds=self.elapsed())

    def elapsed(self) -> float:
        return (time.monotonic() - self._origin_s) * self.speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self.speed)

    async def pause(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class VirtualClock:
    """Time that stands still until `advance`; sleepers wake one by one in the order of their due times."""

    speed = 1.0

    def __init__(self, start: datetime, settle: Callable[[], Awaitable[None]] | None = None) -> None:
        self._start = start
        self._elapsed_s = 0.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._settle = settle or _yield_often

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed_s)

    def elapsed(self) -> float:
        return self._elapsed_s

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed_s + max(0.0, seconds), next(self._order), future))
        await future

    async def pause(self, seconds: float) -> None:
        await self.sleep(seconds)

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass; after each sleeper that wakes, wait until the system has settled."""
        target_s = self._elapsed_s + seconds
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= target_s:
            due_s, _, future = heapq.heappop(self._sleepers)
            self._elapsed_s = max(self._elapsed_s, due_s)
            if not future.done():
                future.set_result(None)
                await self._settle()
        self._elapsed_s = target_s


async def _yield_often() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
