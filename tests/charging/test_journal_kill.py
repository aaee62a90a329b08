"""kill -9 at any point loses nothing that was answered (D1), and a retry has one effect."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone
from websockets.exceptions import ConnectionClosed

from charging.models import Frame, MeterSample, Session
from charging.wire.timestamps import wire_time
from tests.charging.rig import Charger, Server, until
from tests.factories import make_station

MESSAGES = 300


def database_url() -> str:
    """The test's own database, as another process names it."""
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    login = quote(given["USER"]) + (f":{quote(given['PASSWORD'])}" if given["PASSWORD"] else "")
    return f"postgres://{login}@{given['HOST']}:{given['PORT'] or 5432}/{given['NAME']}"


class Elsewhere(Server):
    """The whole web process in a process of its own, to be killed."""

    def __init__(self, port: int) -> None:
        self.port = port
        env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "depot.settings",
            "DATABASE_URL": database_url(),
            "REDIS_URL": settings.REDIS_URL,
            "SECRET_KEY": settings.SECRET_KEY,
            "FLEET_DEPOT_DEMO": "1",
        }
        argv = [sys.executable, "-m", "uvicorn", "depot.asgi:application", "--port", str(port), "--no-access-log"]
        self.process = subprocess.Popen(
            [*argv, "--ws", "websockets-sansio", "--log-level", "error"],
            cwd=Path(settings.BASE_DIR),
            env=env,
            stderr=subprocess.DEVNULL,
        )
        until(self.answers, 60)

    def answers(self) -> bool:
        assert self.process.poll() is None, "the web process ended early"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def elsewhere(port: int) -> Iterator[Elsewhere]:
    server = Elsewhere(port)
    try:
        yield server
    finally:
        server.kill()


def meter_values(number: int) -> dict[str, Any]:
    stamp = wire_time(timezone.now())
    return {"connectorId": 1, "meterValue": [{"timestamp": stamp, "sampledValue": [{"value": str(number)}]}]}


def answered_before_the_end(charger: Charger, server: Elsewhere, kill_after: int) -> list[str]:
    answered: list[str] = []
    try:
        while len(answered) < MESSAGES:
            frame = charger.frame()
            if frame[0] != 3:
                continue
            answered.append(frame[1])
            if len(answered) == kill_after:
                server.kill()
    except ConnectionClosed:
        return answered
    return answered


@pytest.mark.usefixtures("transactional_db")
def test_d1_kill_9_loses_nothing_that_was_answered(free_port: int) -> None:
    station = make_station(manual=True)
    start = {"connectorId": 1, "idTag": "T", "meterStart": 7, "timestamp": wire_time(timezone.now())}
    with elsewhere(free_port) as server, server.booted(station.identity) as charger:
        number = charger.call("StartTransaction", start)["transactionId"]
        for message in range(MESSAGES):
            charger.ask("MeterValues", meter_values(message), f"n{message}")
        answered = answered_before_the_end(charger, server, kill_after=20)
        assert answered
    stored = set(Frame.objects.filter(direction="in").values_list("message_id", flat=True))
    assert set(answered) <= stored
    assert MeterSample.objects.count() >= 1
    with elsewhere(free_port) as server, server.connect(station.identity) as charger:
        assert charger.call("StartTransaction", start)["transactionId"] == number
        charger.call("MeterValues", meter_values(0))
    assert Session.objects.count() == 1
