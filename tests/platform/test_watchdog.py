"""A process that lives and does nothing is started again; somebody else's outage is not held against it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from depot.supervisor.child import Child, ChildSpec
from depot.supervisor.readiness import WebProbe
from depot.supervisor.watchdog import PATIENCE_S, Watchdog

pytestmark = pytest.mark.once


class Watched(Child):
    """A child whose process is imagined."""

    killed = 0
    running = True

    def kill_group(self) -> None:
        self.killed += 1


@pytest.fixture
def children(tmp_path: Path) -> dict[str, Watched]:
    spec = ChildSpec("x", (sys.executable, "-c", ""))
    return {name: Watched(spec, tmp_path / "x.log", tmp_path, lambda: 0.0) for name in ("web", "worker", "beat")}


@pytest.fixture
def watchdog(children: dict[str, Watched]) -> Watchdog:
    return Watchdog(dict(children), WebProbe("127.0.0.1", 1), lambda text: None, lambda: 0.0)


def killed(children: dict[str, Watched]) -> dict[str, int]:
    return {name: child.killed for name, child in children.items() if child.killed}


def test_a_silent_worker_is_restarted_after_a_minute(watchdog: Watchdog, children: dict[str, Watched]) -> None:
    watchdog.consider({"worker"}, 100.0)
    watchdog.consider({"worker"}, 100.0 + PATIENCE_S - 1)
    assert killed(children) == {}
    watchdog.consider({"worker"}, 100.0 + PATIENCE_S)
    assert killed(children) == {"worker": 1}


def test_a_word_in_between_starts_the_minute_anew(watchdog: Watchdog, children: dict[str, Watched]) -> None:
    watchdog.consider({"worker"}, 100.0)
    watchdog.consider(set(), 130.0)
    watchdog.consider({"worker"}, 131.0)
    watchdog.consider({"worker"}, 170.0)
    assert killed(children) == {}


def test_a_fresh_process_gets_its_minute(watchdog: Watchdog, children: dict[str, Watched]) -> None:
    watchdog.consider({"worker"}, 100.0)
    children["worker"].started_at = 150.0
    watchdog.consider({"worker"}, 170.0)
    assert killed(children) == {}


def test_nobody_is_blamed_for_a_missing_broker(watchdog: Watchdog, children: dict[str, Watched]) -> None:
    for now in (100.0, 200.0, 300.0):
        watchdog.consider({"broker", "worker", "beat"}, now)
    assert killed(children) == {}


def test_nobody_is_blamed_for_a_missing_database(watchdog: Watchdog, children: dict[str, Watched]) -> None:
    for now in (100.0, 200.0, 300.0):
        watchdog.consider({"database"}, now)
    assert killed(children) == {}


def test_a_hanging_web_process_is_restarted(watchdog: Watchdog, children: dict[str, Watched]) -> None:
    """Nobody listens on the probe's port."""
    missing = set(watchdog.probe.missing())
    watchdog.consider(missing, 100.0)
    watchdog.consider(missing, 200.0)
    assert killed(children) == {"web": 1}
