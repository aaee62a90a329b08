"""Where the tests run: on the embedded default, or with FLEET_DEPOT_TEST_ON=services on PostgreSQL and Redis.

REQUIRE=services,browser turns the skips of such tests into failures.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from django.conf import settings

from scheduling.engine import flow, shape

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REQUIRED = {word.strip() for word in os.environ.get("REQUIRE", "").split(",") if word.strip()}
ON_SERVICES = os.environ.get("FLEET_DEPOT_TEST_ON") == "services"
SERVICES_GIVEN = os.environ.get("FLEET_DEPOT_SERVICES_GIVEN") == "1"

NO_CHROMIUM = "no Chromium on PATH: install one (Debian: apt-get install chromium)"
NO_SERVICES = (
    "no PostgreSQL and Redis: set DATABASE_URL=postgres://user@host:5432/name and REDIS_URL=redis://host:6379/0"
)
SECOND_PASS = "for the pass on PostgreSQL and Redis: FLEET_DEPOT_TEST_ON=services (make test does both)"
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


# --- which tests run -------------------------------------------------------------------------------------------------


def compile_the_planner() -> None:
    """Once for all processes of the run, so that tests judge the compiled planner and never wait for it half-way."""
    if not (flow.ready() and shape.ready()):
        subprocess.run([sys.executable, "-m", "scheduling.engine.flow.warm"], cwd=Path(__file__).parents[1], check=True)


def pytest_configure(config: pytest.Config) -> None:
    shutil.rmtree(settings.VAR, ignore_errors=True)  # of a killed run with the same process id
    Path(settings.STATIC_ROOT).mkdir(parents=True)
    Path(settings.VAR).chmod(0o700)
    config.add_cleanup(lambda: shutil.rmtree(settings.VAR, ignore_errors=True))
    if not hasattr(config, "workerinput"):
        compile_the_planner()
    if "services" in REQUIRED and not SERVICES_GIVEN:
        raise pytest.UsageError(f"REQUIRE names services, but there is {NO_SERVICES}.")
    if ON_SERVICES and (problem := services_problem()):
        if "services" in REQUIRED:
            raise pytest.UsageError(f"REQUIRE names services, but {problem}")
        pytest.exit(f"The pass on PostgreSQL and Redis was skipped: {problem}", returncode=0)


def services_problem() -> str | None:
    """One sentence why the second pass cannot run."""
    if not SERVICES_GIVEN:
        return f"there is {NO_SERVICES}."
    import psycopg

    try:
        psycopg.connect(os.environ["DATABASE_URL"], connect_timeout=3).close()
    except psycopg.Error as error:
        return f"DATABASE_URL is not reachable: {' '.join(str(error).split())}"
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=3) as client:
            client.ping()
    except redis.RedisError as error:
        return f"REDIS_URL is not reachable: {error}"
    return None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    deselected: list[pytest.Item] = []
    for item in items:
        if {"chromium", "browser", "page"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("browser")
        if ON_SERVICES and (item.get_closest_marker("once") or item.get_closest_marker("browser")):
            deselected.append(item)
        elif not ON_SERVICES and item.get_closest_marker("services"):
            if SERVICES_GIVEN:
                deselected.append(item)  # their turn comes in the second pass
            else:
                item.add_marker(pytest.mark.skip(reason=NO_SERVICES))
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if item not in set(deselected)]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    wanted = sorted(name for name in REQUIRED if item.get_closest_marker(name))
    if report.skipped and wanted and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"REQUIRE names {', '.join(wanted)}, but the test was left out. {reason}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was skipped, and how to get it."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        if isinstance(report.longrepr, tuple):
            reasons[report.longrepr[2].removeprefix("Skipped: ")] += 1
    known = [(reason, count) for reason, count in reasons.items() if reason in {NO_CHROMIUM, NO_SERVICES}]
    where = "PostgreSQL and Redis" if ON_SERVICES else "the embedded default (SQLite, Valkey)"
    terminalreporter.section("where")
    terminalreporter.write_line(f"Ran on {where}.")
    for reason, count in known:
        terminalreporter.write_line(f"Skipped {count}: {reason}")
    if not ON_SERVICES and not SERVICES_GIVEN:
        terminalreporter.write_line(f"The pass on PostgreSQL and Redis was left out: {NO_SERVICES}")


# --- broker ----------------------------------------------------------------------------------------------------------


@dataclass
class Broker:
    """A Valkey of our own on a Unix socket."""

    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"unix://{self.folder / 'valkey.sock'}?db=0"

    def start(self) -> None:
        from depot.supervisor.children import broker

        spec = broker(self.folder / "valkey.sock", self.folder)
        self.process = subprocess.Popen(spec.argv, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + 10
        with redis.Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                    return
                except redis.RedisError:
                    if time.monotonic() > deadline or self.process.poll() is not None:
                        raise
                    time.sleep(0.005)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def kill(self) -> None:
        self.stop(signal.SIGKILL)


@pytest.fixture(scope="session", autouse=True)
def _broker_of_the_settings() -> Iterator[None]:
    """settings.REDIS_URL answers during every test."""
    if ON_SERVICES:
        yield
        return
    broker = Broker(Path(settings.VAR))
    broker.start()
    yield
    broker.stop()


@pytest.fixture
def redis_url(_broker_of_the_settings: None) -> str:
    """Address of the broker that the settings name, emptied."""
    url: str = settings.REDIS_URL
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def live_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker for this test alone, to be stopped, killed and started again."""
    broker = Broker(tmp_path_factory.mktemp("valkey"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# --- browser ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the machine's Chromium."""
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            return path
    pytest.skip(NO_CHROMIUM)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """Per module: Playwright leaves an event loop running in this thread, which asyncio tests must not meet."""
    from playwright.sync_api import sync_playwright

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        with sync_playwright() as playwright:
            running = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
            yield running
            running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a context of its own, at desktop width."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()
