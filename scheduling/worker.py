"""Plans whenever something happens and at every full interval: the loop around the runner."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from queue import Empty
from threading import Event

import structlog

from scheduling.engine import Algorithm, Options
from scheduling.runner import scm_runner
from scheduling.translation import EventQueue, Translation

TIMER_EVENT = "Timer Event"
TIMER_INTERVAL_S = 60.0

log = structlog.get_logger(__name__)


def scm_worker(
    event_queue: EventQueue,
    translation_cls: Callable[[], AbstractContextManager[Translation]],
    algorithm_cls: type[Algorithm],
    *,
    groups: Sequence[str] | None = None,
    options: Options | None = None,
) -> None:
    """Open the translation once and plan all groups after every event, until None is read from the queue.

    Events that have piled up meanwhile are one reason for one cycle. An error is logged and the loop goes on.
    """
    with translation_cls() as translation:
        while (reasons := next_reasons(event_queue)) is not None:
            log.info("planning", because=reasons)
            try:
                scm_runner(translation, algorithm_cls, groups=groups, options=options)
            except Exception:
                log.exception("the cycle failed")


def next_reasons(event_queue: EventQueue) -> list[str] | None:
    """Wait for an event and take all that are there, each word once; None if the end is among them."""
    events = [event_queue.get()]
    while True:
        try:
            events.append(event_queue.get_nowait())
        except Empty:
            break
    words = [event for event in events if event is not None]
    return list(dict.fromkeys(words)) if len(words) == len(events) else None


def timer_thread_worker(
    event_queue: EventQueue, *, interval_s: float = TIMER_INTERVAL_S, stop: Event | None = None
) -> None:
    """Put a "Timer Event" at every full interval of the clock, by default each minute, until `stop` is set."""
    if not interval_s > 0:
        raise ValueError(f"A timer interval of {interval_s} s must be above zero.")
    stop = stop or Event()
    while True:
        due = (time.time() // interval_s + 1) * interval_s
        while (left := due - time.time()) > 0:
            if stop.wait(left):
                return
        event_queue.put(TIMER_EVENT)
