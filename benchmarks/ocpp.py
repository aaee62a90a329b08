"""One web process under chargers: durable messages, CPU per message, command latency, memory per connection.

Every figure comes from a server in a process of its own; the load, the database and the broker share its machine.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.rows import Row

ROOT = Path(__file__).resolve().parent.parent
KEY = "a-key-for-benchmarks"
STATIONS = 2_000
BUSY = 200  # chargers that send
RUNS = 3
SECONDS = 4.0
COMMANDS = 150
PACE_PER_S = 1_000
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

SEED = f"""
import django; django.setup()
from django.utils import timezone
from charging.models import StationLink
from depot.credentials import hash_station_key
from depot.models import Connector, Depot, LoadGroup, Station
depot = Depot.objects.create(slug="bench", name="Bench", planning_enabled=False)
node = LoadGroup.objects.create(depot=depot, slug="grid", name="Grid", limit_kw=1e6)
digest = hash_station_key({KEY!r})
Station.objects.bulk_create(
    Station(depot=depot, load_group=node, identity=f"B{{i:05}}", key_hash=digest, manual=True)
    for i in range({STATIONS})
)
stations = list(Station.objects.all())
Connector.objects.bulk_create(Connector(station=s, number=1, bay=s.identity) for s in stations)
StationLink.objects.bulk_create(StationLink(station=s, registration="Accepted") for s in stations)
"""

# The worker's side: queues commands and prints when it began with each.
WORKER = """
import django; django.setup()
import json, sys, time
from charging.commands import queue_command
from depot.models import Station
stations = {s.identity: s for s in Station.objects.select_related("depot", "load_group")[:200]}
print("ready", flush=True)
for line in sys.stdin:
    order = json.loads(line)
    began = {}
    due = time.monotonic()
    for n in range(order["commands"]):
        marker = f"{order['name']}{n}"
        station = stations[f"B{n % 200:05}"]
        began[marker] = time.monotonic()
        payload = {"vendorId": "bench", "data": marker}
        queue_command(station=station, action="DataTransfer", payload=payload, cause="bench")
        due += 0.04
        time.sleep(max(0.0, due - time.monotonic()))
    print(json.dumps(began), flush=True)
"""

ECHO = """
import asyncio, logging, sys
from websockets.asyncio.server import serve
async def echo(ws):
    async for message in ws:
        await ws.send(message)
logging.disable()  # clients that vanish are no news here
async def main():
    async with serve(echo, "127.0.0.1", int(sys.argv[1]), compression=None, subprotocols=["ocpp1.6"]):
        await asyncio.get_running_loop().create_future()
asyncio.run(main())
"""


class Lines:
    """A child process that answers orders line by line."""

    def __init__(self, argv: Sequence[str], env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            argv, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def read(self) -> str:
        assert self.process.stdout is not None
        if not (line := self.process.stdout.readline()):
            raise RuntimeError(f"{self.process.args!r} ended early")
        return line

    def tell(self, **order: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def ask(self, **order: Any) -> Any:
        self.tell(**order)
        return json.loads(self.read())

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def child(argv: Sequence[str], env: dict[str, str], port: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A child process, ready as soon as its port answers."""
    process = subprocess.Popen(argv, cwd=ROOT, env=env, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while port is not None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise
                time.sleep(0.02)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def load(env: dict[str, str]) -> Iterator[Lines]:
    lines = Lines([sys.executable, "-m", "benchmarks.ocpp_load"], env)
    try:
        yield lines
    finally:
        lines.stop()


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def resident_kb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return float(status.partition("VmRSS:")[2].split()[0])


def flat_out(chargers: Lines, pid: int) -> tuple[float, float]:
    """Messages per second and CPU us per message of the server, medians of several runs."""
    chargers.ask(do="flat out", seconds=1.0)
    rates, costs = [], []
    for _ in range(RUNS):
        before = cpu_s(pid)
        result = chargers.ask(do="flat out", seconds=SECONDS)
        rates.append(result["answered"] / result["seconds"])
        costs.append((cpu_s(pid) - before) / result["answered"] * 1e6)
    return statistics.median(rates), statistics.median(costs)


def bare_echo(env: dict[str, str]) -> list[Row]:
    port = free_port()
    with child([sys.executable, "-c", ECHO, str(port)], env, port) as server, load(env) as chargers:
        chargers.ask(do="connect", port=port, identities=[f"B{i}" for i in range(BUSY)], key=KEY)
        rate, cost = flat_out(chargers, server.pid)
    return [
        Row("bare websockets echo", round(rate), "msg/s", f"{BUSY} sockets, nothing stored"),
        Row("bare websockets echo, CPU", round(cost, 1), "us/msg"),
    ]


def latencies(name: str, chargers: Lines, worker: Lines) -> list[float]:
    began = worker.ask(name=name, commands=COMMANDS)
    deadline = time.monotonic() + 10
    while True:
        arrived = chargers.ask(do="calls")
        if began.keys() <= arrived.keys() or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return sorted((arrived.get(marker, deadline) - at) * 1000 for marker, at in began.items())


def latency_rows(name: str, found: list[float]) -> list[Row]:
    p99 = found[min(len(found) - 1, round(len(found) * 0.99))]
    note = f"{len(found)} commands, worker to charger"
    return [
        Row(f"{name}, p50", round(statistics.median(found), 1), "ms", note),
        Row(f"{name}, p99", round(p99, 1), "ms", note),
    ]


def one_process(label: str, env: dict[str, str], *, bare_us: float) -> list[Row]:
    """All figures of one web process on the database that `env` names; `bare_us` is what the echo needs a message."""
    run = [sys.executable, "manage.py", "migrate", "-v", "0"]
    subprocess.run(run, cwd=ROOT, env=env, check=True)
    subprocess.run([sys.executable, "-c", SEED], cwd=ROOT, env=env, check=True)
    identities = [f"B{i:05}" for i in range(STATIONS)]
    port = free_port()
    rows: list[Row] = []
    argv = [sys.executable, "-m", "uvicorn", "depot.asgi:application", "--port", str(port), "--no-access-log"]
    argv += ["--ws", "websockets-sansio", "--ws-ping-interval", "20", "--log-level", "warning"]
    with child(argv, env, port) as server, load(env) as chargers:
        chargers.ask(do="connect", port=port, identities=identities[:BUSY], key=KEY)
        rate, cost = flat_out(chargers, server.pid)
        rows.append(Row(f"{label}: durable MeterValues", round(rate), "msg/s", f"{BUSY} chargers, one CALL each"))
        rows.append(Row(f"{label}: CPU of the web process", round(cost, 1), "us/msg"))
        rows.append(Row(f"{label}: CPU of the web process / bare echo", round(cost / bare_us, 2), "x"))
        worker = Lines([sys.executable, "-c", WORKER], env)
        try:
            worker.read()
            latencies("warm", chargers, worker)
            rows += latency_rows(f"{label}: command, idle", latencies("idle", chargers, worker))
            chargers.ask(do="pace", per_second=PACE_PER_S)
            busy = latencies("busy", chargers, worker)
            chargers.ask(do="unpace")
            rows += latency_rows(f"{label}: command under {PACE_PER_S} msg/s", busy)
        finally:
            worker.stop()
    with child(argv, env, port) as server, load(env) as chargers:
        chargers.ask(do="connect", port=port, identities=identities[:20], key=KEY)
        time.sleep(2)
        before = resident_kb(server.pid)
        chargers.ask(do="connect", port=port, identities=identities[20:], key=KEY)
        time.sleep(3)
        each = (resident_kb(server.pid) - before) / (STATIONS - 20)
        rows.append(Row(f"{label}: memory per idle charger", round(each, 1), "KB", f"{STATIONS} connections"))
    return rows


@contextmanager
def broker(folder: Path) -> Iterator[str]:
    from depot.supervisor.children import broker as spec

    path = folder / "valkey.sock"
    with child(spec(path, folder).argv, dict(os.environ)):
        while not path.exists():
            time.sleep(0.02)
        yield f"unix://{path}?db=0"


@contextmanager
def scratch_database(url: str) -> Iterator[str]:
    """A PostgreSQL database of our own beside the given one."""
    import psycopg
    from psycopg import sql

    name = f"bench_{secrets.token_hex(4)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield urlsplit(url)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def run() -> list[Row]:
    """The rows of the table; PostgreSQL joins in when DATABASE_URL names one."""
    given = os.environ.get("DATABASE_URL", "")
    with tempfile.TemporaryDirectory(prefix="fd-bench-") as name, broker(Path(name)) as redis_url:
        env = {key: value for key, value in os.environ.items() if key != "DATABASE_URL"}
        env |= {
            "DJANGO_SETTINGS_MODULE": "depot.settings",
            "SECRET_KEY": secrets.token_hex(32),
            "FLEET_DEPOT_DEMO": "1",
            "FLEET_DEPOT_VAR": name,
            "FLEET_DEPOT_LOG_LEVEL": "WARNING",
            "REDIS_URL": redis_url,
        }
        (Path(name) / "static").mkdir()
        rows = bare_echo(env)
        bare_us = rows[-1].value
        rows += one_process("SQLite", env, bare_us=bare_us)
        if given.startswith("postgres"):
            with scratch_database(given) as url:
                rows += one_process("PostgreSQL", {**env, "DATABASE_URL": url}, bare_us=bare_us)
        return rows


if __name__ == "__main__":
    for row in run():
        print(f"{row.name:45} {row.value:>10} {row.unit:8} {row.note}")
