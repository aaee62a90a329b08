"""The server of the socket tests; it works on the test's own database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.charging.rig import Server, serving


@pytest.fixture
def server(transactional_db: Any) -> Iterator[Server]:
    with serving() as running:
        yield running
