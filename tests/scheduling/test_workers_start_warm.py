"""A planning worker has the engine compiled while it already plans."""

from __future__ import annotations

from unittest.mock import patch

from celery.signals import worker_ready

from scheduling.engine import flow


def test_a_worker_that_starts_fills_the_cache_of_compiled_code() -> None:
    with patch.object(flow, "warm_in_background") as warm:
        answers = worker_ready.send(sender=None)
    assert warm.call_count == 1
    assert not [error for _, error in answers if isinstance(error, Exception)]
