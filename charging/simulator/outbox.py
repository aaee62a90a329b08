"""Messages waiting for the link: transaction messages survive its loss and keep their order. OCPP 1.6 §3.7."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

OFFLINE_SAMPLES_KEPT = 2000


@dataclass(slots=True)
class Outgoing:
    """One CALL to come. `build` gives its payload at each attempt, `answered` gets the response object.

    `dropped` is told when a message that does not survive is given up.
    """

    action: str
    build: Callable[[], Any]
    durable: bool = False
    answered: Callable[[Any], None] | None = None
    dropped: Callable[[], None] | None = None
    attempts: int = 0

    def drop(self) -> None:
        if self.dropped is not None:
            self.dropped()


class Outbox:
    """A queue in order of events with one reader."""

    def __init__(self) -> None:
        self._waiting: deque[Outgoing] = deque()
        self._filled = asyncio.Event()
        self._samples = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Outgoing) -> None:
        self._waiting.append(message)
        if message.durable and message.action == "MeterValues":
            self._samples += 1
            if self._samples > OFFLINE_SAMPLES_KEPT:
                self._thin_samples()
        self._filled.set()

    def put_first(self, messages: Iterable[Outgoing]) -> None:
        self._waiting.extendleft(reversed(list(messages)))
        self._filled.set()

    def put_back(self, message: Outgoing) -> None:
        """Return what was taken and not answered: again at the head, or nowhere when it is not durable."""
        if not message.durable:
            message.drop()
            return
        self._waiting.appendleft(message)
        self._samples += message.action == "MeterValues"
        self._filled.set()

    async def take(self) -> Outgoing:
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        message = self._waiting.popleft()
        self._samples -= message.durable and message.action == "MeterValues"
        return message

    def lose_link(self) -> None:
        """Forget what makes no sense later: statuses, heartbeats, questions."""
        kept: deque[Outgoing] = deque()
        for message in self._waiting:
            if message.durable:
                kept.append(message)
            else:
                message.drop()
        self._waiting = kept

    def _thin_samples(self) -> None:
        """A long time offline keeps every second sample, never fewer than all starts and stops."""
        kept: deque[Outgoing] = deque()
        odd = False
        for message in self._waiting:
            if message.durable and message.action == "MeterValues":
                odd = not odd
                if odd:
                    continue
            kept.append(message)
        self._waiting = kept
        self._samples = sum(message.durable and message.action == "MeterValues" for message in kept)
