"""Browser socket of a depot: one full picture, then what changes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import structlog
from channels.auth import get_user
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.utils.module_loading import import_string

from depot.access import may
from depot.models import Depot
from scheduling.live.hub import Watcher, encode, hub

log = structlog.get_logger(__name__)

ACCESS_CHECKED_EVERY_S = 20.0
SIGNED_OUT = 4401  # the browser stops reconnecting and offers to sign in
LARGEST_REQUEST = 100  # characters; the only request is "snapshot"


class LiveDepotConsumer(AsyncWebsocketConsumer):
    """Sends the depot's picture and its changes to one browser, as long as its user may read the depot."""

    async def connect(self) -> None:
        depot_id = await self._depot_id()
        if depot_id is None:
            await self.close()  # before accepting: the browser sees HTTP 403
            return
        await self.accept()
        self._depot_pk = depot_id
        self._watcher: Watcher = hub().watch(depot_id)
        self._tasks = [asyncio.create_task(self._send_for_ever()), asyncio.create_task(self._guard())]

    async def disconnect(self, code: int) -> None:
        for task in getattr(self, "_tasks", []):
            task.cancel()
        if hasattr(self, "_watcher"):
            self._watcher.close()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data is not None and len(text_data) <= LARGEST_REQUEST and text_data.strip('"') == "snapshot":
            self._watcher.ask_snapshot()

    async def _send_for_ever(self) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # the socket went away while sending
            while True:
                await self.send(text_data=await self._watcher.next())

    async def _guard(self) -> None:
        """Says that the socket lives; closes it at logout, password change and role change."""
        while True:
            await asyncio.sleep(ACCESS_CHECKED_EVERY_S)
            await self.send(text_data=encode({"type": "alive", "at": time.time()}))
            try:
                allowed = await self._still_allowed()
            except Exception:
                log.exception("access not checked")
                continue
            if not allowed:
                await self.close(code=SIGNED_OUT)
                return

    async def _depot_id(self) -> int | None:
        slug = self.scope["url_route"]["kwargs"]["slug"]
        return await hub().threads.run(readable_depot, self.scope.get("user"), slug)

    async def _still_allowed(self) -> bool:
        session: SessionBase = self.scope["session"]
        store: type[Any] = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
        user = await get_user({**self.scope, "session": store(session.session_key)})
        return await hub().threads.run(may, user, "read", self._depot_pk)


def readable_depot(user: Any, slug: str) -> int | None:
    """Primary key of the depot if there is one that this user may read."""
    if user is None or not user.is_authenticated:
        return None
    depot = Depot.objects.filter(slug=slug).first()
    return depot.pk if depot is not None and may(user, "read", depot) else None
