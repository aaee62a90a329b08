"""Keeps the pictures of watched depots current in one web process and hands out what changed.

Per depot with at least one watcher: draw (in a thread), compare with the picture before, keep the patch. Nudges wake
it, a poll covers lost nudges. Each watcher takes patches at its own pace; one that falls behind gets a full picture.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import structlog

from charging.nudges import LIVE, listen
from charging.threads import DatabaseThreads
from depot.lifespan import on_stop
from scheduling.live.merge import Picture, patch_between
from scheduling.live.shared import PictureSource, Shared

log = structlog.get_logger(__name__)

POLL_S = 5.0
REST_S = 0.7  # between two pictures of one depot
PATCHES_KEPT = 40
DRAWING_THREADS = 2

Draw = Callable[[], Shared]


class Watcher:
    """One browser socket's view of a depot: `next()` waits for the next message to send."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._sent: int | None = None
        self.woken = asyncio.Event()

    def ask_snapshot(self) -> None:
        """Send the full picture next."""
        self._sent = None
        self.woken.set()

    async def next(self) -> str:
        """A full picture first, then every patch in order; a full picture again when patches were missed."""
        while True:
            self.woken.clear()
            message = self._canvas.message_after(self._sent)
            if message is not None:
                self._sent, text = message
                return text
            await self.woken.wait()

    def close(self) -> None:
        self._canvas.leave(self)


class Canvas:
    """The picture of one depot, its version and its last patches."""

    def __init__(self, hub: Hub, depot_id: int) -> None:
        self._hub, self.depot_id = hub, depot_id
        self._source = PictureSource(depot_id)
        self._shared: Shared | None = None
        self._version = 0
        self._patches: deque[tuple[int, str]] = deque(maxlen=PATCHES_KEPT)
        self._watchers: set[Watcher] = set()
        self._dirty = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def join(self) -> Watcher:
        watcher = Watcher(self)
        self._watchers.add(watcher)
        if self._task is None:
            self._task = asyncio.create_task(self._paint_for_ever())
        self._dirty.set()
        return watcher

    def leave(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)
        if not self._watchers:
            self._hub.drop(self)

    def touch(self) -> None:
        self._dirty.set()

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def message_after(self, version: int | None) -> tuple[int, str] | None:
        """(version, text) of what a watcher at `version` needs next; None when it is up to date."""
        if self._shared is None or version == self._version:
            return None
        if version is not None:
            for number, text in self._patches:
                if number == version + 1:
                    return number, text
        full = {**self._shared.message(), "version": self._version}
        return self._version, encode(full)

    async def _paint_for_ever(self) -> None:
        while True:
            self._dirty.clear()
            began = time.monotonic()
            try:
                self._publish(await self._hub.threads.run(self._source.draw))
            except Exception:
                log.exception("picture not drawn", depot=self.depot_id, retry_in_s=POLL_S)
            await asyncio.sleep(max(REST_S, 2 * (time.monotonic() - began)))  # a large depot takes a third of a core
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._dirty.wait()

    def _publish(self, drawn: Shared) -> None:
        before: Picture | None = self._shared.picture if self._shared is not None else None
        self._shared = drawn
        patch = patch_between(before, drawn.picture) if before is not None else {}
        if before is not None and not patch:
            return
        self._version += 1
        if before is not None:
            delta = {"type": "delta", "version": self._version, "at": drawn.at.timestamp(), "patch": patch}
            self._patches.append((self._version, encode(delta)))
        for watcher in self._watchers:
            watcher.woken.set()


class Hub:
    """All watched depots of this process."""

    def __init__(self) -> None:
        self.threads = DatabaseThreads("live", DRAWING_THREADS)
        self._canvases: dict[int, Canvas] = {}
        self._listener: asyncio.Task[None] | None = None

    def watch(self, depot_id: int) -> Watcher:
        """Starts work for the depot with its first watcher; `close` of the last one ends it."""
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())
        canvas = self._canvases.get(depot_id)
        if canvas is None:
            canvas = self._canvases[depot_id] = Canvas(self, depot_id)
        return canvas.join()

    def drop(self, canvas: Canvas) -> None:
        canvas.stop()
        if self._canvases.get(canvas.depot_id) is canvas:
            del self._canvases[canvas.depot_id]
        if not self._canvases and self._listener is not None:
            self._listener.cancel()
            self._listener = None

    @property
    def watched(self) -> set[int]:
        return set(self._canvases)

    async def _listen(self) -> None:
        async for _, nudge in listen(LIVE):
            depot_id = nudge.get("depot")
            touched = list(self._canvases.values()) if depot_id is None else [self._canvases.get(depot_id)]
            for canvas in touched:
                if canvas is not None:
                    canvas.touch()

    async def stop(self) -> None:
        """End all work and release the threads' connections."""
        for canvas in list(self._canvases.values()):
            self.drop(canvas)
        await asyncio.to_thread(self.threads.stop)


_hubs: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = weakref.WeakKeyDictionary()


def hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]


@on_stop
async def stop_hub() -> None:
    """At the end of the process."""
    if (running := _hubs.pop(asyncio.get_running_loop(), None)) is not None:
        await running.stop()


def encode(message: dict[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)
