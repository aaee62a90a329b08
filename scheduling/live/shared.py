"""One picture per depot and second for all HTTP readers of a process, so that many pollers cost like one."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from depot.models import Depot
from scheduling.live.merge import Picture
from scheduling.live.snapshot import snapshot
from scheduling.live.yard import Memory

KEPT_S = 1.0
FORGOTTEN_AFTER_S = 120.0


@dataclass(frozen=True)
class Shared:
    picture: Picture
    at: datetime
    version: int = 0  # a picture that no delta follows

    def message(self) -> dict[str, Any]:
        return {"type": "snapshot", "version": self.version, "at": self.at.timestamp(), "picture": self.picture}


class PictureSource:
    """Draws one depot; keeps between two drawings what need not be read again."""

    def __init__(self, depot_id: int) -> None:
        self.depot_id = depot_id
        self._memory = Memory()
        self._lock = threading.Lock()

    def draw(self) -> Shared:
        with self._lock:
            now = timezone.now()
            depot = Depot.objects.get(pk=self.depot_id)
            return Shared(snapshot(depot, now=now, memory=self._memory), now)


@dataclass
class _Kept:
    source: PictureSource
    lock: threading.Lock
    shared: Shared | None = None
    drawn_at: float = 0.0


_kept: dict[int, _Kept] = {}
_guard = threading.Lock()


def shared_picture(depot: Depot) -> Shared:
    """The depot's picture, at most a second old."""
    with _guard:
        forget_idle(time.monotonic() - FORGOTTEN_AFTER_S)
        kept = _kept.setdefault(depot.pk, _Kept(PictureSource(depot.pk), threading.Lock(), drawn_at=time.monotonic()))
    with kept.lock:
        if kept.shared is None or time.monotonic() - kept.drawn_at > KEPT_S:
            kept.shared = kept.source.draw()
            kept.drawn_at = time.monotonic()
        return kept.shared


def forget_idle(before: float = float("inf")) -> None:
    """Drop pictures that nobody asked for since `before` (monotonic s)."""
    for depot_id in [key for key, kept in _kept.items() if kept.drawn_at < before]:
        del _kept[depot_id]
