"""Wake-up calls between processes. At most once and never the truth: every listener also polls the database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import redis
import redis.asyncio
import structlog
from django.conf import settings

log = structlog.get_logger(__name__)

COMMANDS = "commands"  # {"stations": [pk, ...]}: queued commands wait for these stations
LIVE = "live"  # {"depot": pk, "what": "meter" | "status" | "plan" | "command" | "incident" | "reservation"}

_client: redis.Redis | None = None
_broker_away = False


def channel(topic: str) -> str:
    return f"{settings.REDIS_PREFIX}:nudge:{topic}"


def nudge(topic: str, **data: Any) -> None:
    """Publish from synchronous code; a broker that is away only costs the listeners their poll interval."""
    global _client, _broker_away
    if _client is None:
        _client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1)
    try:
        _client.publish(channel(topic), json.dumps(data))
        _broker_away = False
    except redis.RedisError as error:
        if not _broker_away:  # once per outage
            log.warning("nudges are lost while the broker is away", error=str(error))
        _broker_away = True


async def listen(*topics: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Messages of these topics for ever, over one subscription; reconnects when the broker comes back."""
    names = {channel(topic): topic for topic in topics}
    pause = 0.2
    while True:
        client = redis.asyncio.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=2)
        try:
            async with client.pubsub() as pubsub:
                await pubsub.subscribe(*names)
                pause = 0.2
                async for message in pubsub.listen():
                    if message["type"] == "message":
                        yield names[message["channel"].decode()], json.loads(message["data"])
        except (redis.RedisError, OSError) as error:
            log.warning("nudges interrupted", error=str(error), retry_in_s=pause)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
        finally:
            await client.aclose()
