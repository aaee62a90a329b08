"""Plan the chargers of another CSMS, as its Translation connects them:

1. once at the start, at every full interval, and whenever the translation hears that something has changed;
2. each group on its own, its plan checked before it is sent;
3. until SIGTERM or SIGINT, which let the cycle under way end.
"""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event, Thread
from types import FrameType
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import import_string

from scheduling.engine import Algorithm, algorithm
from scheduling.http_translation import HttpTranslation
from scheduling.runner import scm_runner, station_groups
from scheduling.translation import Translation
from scheduling.worker import TIMER_INTERVAL_S, scm_worker, timer_thread_worker

TRANSLATIONS: dict[str, type[Translation]] = {"http": HttpTranslation}


class Command(BaseCommand):
    help = "Plan the chargers of another CSMS: at every interval and event, until SIGTERM or SIGINT."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--translation", required=True, help="dotted path of a Translation class, or http for the HTTP contract"
        )
        parser.add_argument("--algorithm", required=True, help="name of the algorithm, such as edf")
        parser.add_argument("--groups", nargs="+", metavar="GROUP", help="default: those of STATION_GROUPS")
        parser.add_argument("--once", action="store_true", help="plan once and end; fails if a group has no plan")
        parser.add_argument("--interval", type=float, default=TIMER_INTERVAL_S, metavar="SECONDS")

    def handle(
        self, *, translation: str, algorithm: str, groups: list[str] | None, once: bool, interval: float, **_: Any
    ) -> None:
        translation_cls, algorithm_cls = translation_named(translation), algorithm_named(algorithm)
        groups = groups or station_groups()
        if not groups:
            raise CommandError("There is no group to plan: give --groups, or name them in STATION_GROUPS.")
        if not interval > 0:
            raise CommandError(f"--interval {interval} must be above zero.")
        try:
            if once:
                plan_once(translation_cls, algorithm_cls, groups)
            else:
                plan_until_stopped(translation_cls, algorithm_cls, groups, interval)
        except (ImproperlyConfigured, ValueError) as error:
            raise CommandError(str(error)) from error


def translation_named(name: str) -> Callable[[], Translation]:
    """The class behind a short name or dotted path, or CommandError."""
    if name in TRANSLATIONS:
        return TRANSLATIONS[name]
    try:
        found = import_string(name)
    except ImportError as error:
        remedy = f"give the dotted path of a Translation class, or one of {', '.join(TRANSLATIONS)}"
        raise CommandError(f"Unknown translation {name!r}: {remedy} ({error}).") from error
    if not (isinstance(found, type) and issubclass(found, Translation)):
        raise CommandError(f"{name!r} is no subclass of scheduling.translation.Translation.")
    return found


def algorithm_named(name: str) -> type[Algorithm]:
    """The algorithm of that name, or CommandError."""
    try:
        return algorithm(name)
    except ValueError as error:
        raise CommandError(str(error)) from error


def plan_once(translation_cls: Callable[[], Translation], algorithm_cls: type[Algorithm], groups: list[str]) -> None:
    """One cycle; CommandError names the groups that have no plan."""
    with translation_cls() as translation:
        outcome = scm_runner(translation, algorithm_cls, groups=groups)
    failures = [f"{group}: {error}" for group, error in outcome.items() if isinstance(error, Exception)]
    if failures:
        raise CommandError(f"No plan for {'; '.join(failures)}.")


def plan_until_stopped(
    translation_cls: Callable[[], Translation], algorithm_cls: type[Algorithm], groups: list[str], interval_s: float
) -> None:
    """Cycles at the start, at every interval and after every event."""
    events: SimpleQueue[str | None] = SimpleQueue()  # a signal may come while it is being used
    stop = Event()
    threads = [
        Thread(target=timer_thread_worker, args=(events,), kwargs={"interval_s": interval_s, "stop": stop}),
        Thread(target=translation_cls().listen, args=(events, stop)),
    ]
    with stopped_by_signals(events):
        for thread in threads:
            thread.start()
        events.put("Start")
        try:
            scm_worker(events, translation_cls, algorithm_cls, groups=groups)
        finally:
            stop.set()
            for thread in threads:
                thread.join()


@contextmanager
def stopped_by_signals(events: SimpleQueue[str | None]) -> Iterator[None]:
    """SIGTERM and SIGINT end the worker after the cycle under way."""

    def end(number: int, frame: FrameType | None) -> None:
        events.put(None)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
