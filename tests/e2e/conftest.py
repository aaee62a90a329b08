"""A system of its own for every module: on SQLite and the embedded broker, or on PostgreSQL and Redis."""

from __future__ import annotations

import json
import os
import socket
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from django.conf import settings

from tests.conftest import ON_SERVICES
from tests.e2e.fleet import Fleet
from tests.e2e.system import Client, System, eventually

QUICK = {"OCPP_METER_INTERVAL_S": "2", "OCPP_SETTLE_S": "4", "API_RATE": "100000/min"}


@dataclass
class SmallDepot:
    """The small depot, running, with all its chargers connected."""

    system: System
    fleet: Fleet
    client: Client
    connectors: dict[str, int]
    vehicles: dict[str, str]


@pytest.fixture(scope="module")
def services() -> Iterator[dict[str, str]]:
    """Environment that puts a system on a database and a broker prefix of its own; empty on the embedded default."""
    if not ON_SERVICES:
        yield {}
        return
    import psycopg
    from psycopg import sql

    name = f"fleet_depot_e2e_{uuid.uuid4().hex[:12]}"
    given = os.environ["DATABASE_URL"]
    with psycopg.connect(given, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield {
            "DATABASE_URL": urlsplit(given)._replace(path=f"/{name}").geturl(),
            "REDIS_URL": settings.REDIS_URL,
            "REDIS_PREFIX": name,
        }
    finally:
        with psycopg.connect(given, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        with redis.Redis.from_url(settings.REDIS_URL) as client:
            if keys := list(client.scan_iter(f"{name}*")):
                client.delete(*keys)


@pytest.fixture(scope="module")
def new_system(tmp_path_factory: pytest.TempPathFactory, services: dict[str, str]) -> Iterator[Callable[[], System]]:
    """Makes systems that are not started yet; whatever still runs at the end is ended."""
    made: list[System] = []

    def make() -> System:
        folder = tmp_path_factory.mktemp("e2e") / "var"
        folder.mkdir(mode=0o700)
        system = System(folder, free_port(), {**services, **QUICK})
        made.append(system)
        return system

    yield make
    for system in made:
        system.end_by_force()


@pytest.fixture(scope="module")
def small_depot(new_system: Callable[[], System]) -> Iterator[SmallDepot]:
    """Started as a user would, with eight chargers and a meter connected, and nobody plugged in."""
    system = new_system()
    system.manage("migrate", "-v0")
    system.start()
    known: dict[str, Any] = json.loads(system.python("-m", "tests.e2e.small_yard").splitlines()[-1])
    client = system.client(known["api_key"])
    with Fleet(system.port, known["fallback_a"]) as fleet:
        eventually(fleet.all_online, "all chargers are online")
        yield SmallDepot(system, fleet, client, known["connectors"], known["vehicles"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
