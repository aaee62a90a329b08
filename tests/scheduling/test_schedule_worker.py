"""When plans are made: events, timer, end."""

import threading
import time
from contextlib import AbstractContextManager, nullcontext
from queue import Queue, SimpleQueue
from typing import Any, cast

import pytest

from scheduling import worker
from scheduling.engine.go import GoAlgorithm
from scheduling.translation import Translation
from scheduling.worker import TIMER_EVENT, scm_worker, timer_thread_worker

NOWHERE = cast(AbstractContextManager[Translation], nullcontext())


def cycles(events: list[str | None], monkeypatch: pytest.MonkeyPatch, runner: Any = None) -> int:
    """How many cycles the worker makes of events that have all happened, until none is left."""
    waiting: Queue[str | None] = Queue()
    done: list[int] = []

    def run(*_: Any, **__: Any) -> None:
        done.append(1)
        if waiting.empty():
            waiting.put(None)
        if runner is not None:
            runner()

    monkeypatch.setattr(worker, "scm_runner", run)
    for event in events:
        waiting.put(event)
    scm_worker(waiting, lambda: NOWHERE, GoAlgorithm)
    return len(done)


def test_wa30_events_that_have_piled_up_make_one_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cycles(["Start", TIMER_EVENT, "OCPP Event: StatusNotification", TIMER_EVENT], monkeypatch) == 1


def test_none_ends_the_worker_without_another_cycle(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cycles(["Start", None], monkeypatch) == 0


def test_an_exception_in_a_cycle_does_not_end_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("the runner itself is broken")

    assert cycles(["Start"], monkeypatch, fail) == 1


def test_the_timer_speaks_at_full_intervals_of_the_clock_until_it_is_stopped() -> None:
    events: SimpleQueue[str | None] = SimpleQueue()
    stop = threading.Event()
    timer = threading.Thread(target=timer_thread_worker, args=(events,), kwargs={"interval_s": 0.05, "stop": stop})
    begun = time.time() // 0.05
    timer.start()
    assert [events.get(timeout=20) for _ in range(3)] == [TIMER_EVENT] * 3
    assert time.time() // 0.05 >= begun + 3
    stop.set()
    timer.join()


@pytest.mark.parametrize("interval", [0.0, -1.0, float("nan")])
def test_an_impossible_interval_is_refused(interval: float) -> None:
    with pytest.raises(ValueError, match="above zero"):
        timer_thread_worker(SimpleQueue(), interval_s=interval)
