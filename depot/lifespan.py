"""Start and stop of a web process: rooms register what must run beside the sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Hook = Callable[[], Awaitable[None]]
_starts: list[Hook] = []
_stops: list[Hook] = []


def on_start(hook: Hook) -> Hook:
    _starts.append(hook)
    return hook


def on_stop(hook: Hook) -> Hook:
    _stops.append(hook)
    return hook


class LifespanApplication:
    """ASGI lifespan protocol; without it (some test servers) rooms start on first use."""

    async def __call__(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                for hook in _starts:
                    await hook()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                for hook in reversed(_stops):
                    await hook()
                await send({"type": "lifespan.shutdown.complete"})
                return
