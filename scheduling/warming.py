"""A worker that starts has the engine's loops compiled beside it, so that no plan waits for the compiler."""

from __future__ import annotations

from typing import Any

from celery.signals import worker_ready

from scheduling.engine import flow


@worker_ready.connect
def compile_in_background(**_: Any) -> None:
    """Until that is done plans come from the other exact route; where nothing can be kept on disk they stay with it."""
    flow.warm_in_background()
