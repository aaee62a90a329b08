"""Pages without pictures of an earlier test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from scheduling.live.hub import stop_hub
from scheduling.live.shared import forget_idle


@pytest.fixture(autouse=True)
def _fresh_pictures() -> Iterator[None]:
    forget_idle()
    yield
    forget_idle()


@pytest.fixture
async def hub_ends() -> AsyncIterator[None]:
    """The hub of this test's event loop and the connections of its threads end with the test."""
    yield
    await stop_hub()
    await sync_to_async(connections.close_all)()
