"""A small CSMS that speaks the HTTP contract and the WebSocket of the reference example, on random ports."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

WAIT_S = 20


def iso(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")


def vehicle(ev_id: int = 1, *, arrives_in_h: float = -1, leaves_in_h: float = 4, **more: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "ev_id": ev_id,
        "station_id": ev_id,
        "connector_id": 1,
        "min_power": 0.0,
        "max_power": 7.0,
        "arrival_time": iso(now + timedelta(hours=arrives_in_h)),
        "departure_time": iso(now + timedelta(hours=leaves_in_h)),
        "energy_needed": 100.0,
        **more,
    }


@dataclass
class Csms:
    """What the server answers, and what it was told."""

    evs: dict[str, list[Any]] = field(default_factory=lambda: {"Group 1": [vehicle()]})
    future_evs: dict[str, list[Any]] = field(default_factory=dict)
    limits: dict[str, Any] = field(default_factory=lambda: {"Group 1": {iso(datetime.now(UTC)): 10.0}})
    authorization: str | None = None
    asked: list[tuple[str, dict[str, list[str]]]] = field(default_factory=list)
    powers: Queue[dict[str, Any]] = field(default_factory=Queue)
    http_port: int = 0
    websocket_port: int = 0
    listeners: Queue[ServerConnection] = field(default_factory=Queue)

    def next_powers(self) -> dict[str, Any]:
        """The next profiles that were sent, by vehicle."""
        content: dict[str, Any] = self.powers.get(timeout=WAIT_S)
        powers: dict[str, Any] = content["powers"]
        return powers

    def answer(self, path: str, group: str) -> object:
        if path == "/evs":
            return {"evs": self.evs.get(group, []), "voltage": 200.0}
        if path == "/future_evs":
            return {"future_evs": self.future_evs.get(group, []), "voltage": 200.0}
        if path == "/peak_power_demand":
            return self.limits.get(group, {})
        return None


def limits_of(profile: dict[str, Any]) -> list[float]:
    return [period["limit"] for period in profile["chargingSchedule"]["chargingSchedulePeriod"]]


@contextmanager
def running(csms: Csms) -> Iterator[Csms]:
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(csms))
    socket = serve(lambda connection: keep_open(csms, connection), "127.0.0.1", 0)
    csms.http_port, csms.websocket_port = http.server_address[1], socket.socket.getsockname()[1]
    threads = [threading.Thread(target=http.serve_forever, args=(0.02,)), threading.Thread(target=socket.serve_forever)]
    for thread in threads:
        thread.start()
    try:
        yield csms
    finally:
        http.shutdown()
        http.server_close()
        while not csms.listeners.empty():
            csms.listeners.get().close()
        socket.shutdown()
        for thread in threads:
            thread.join()


def keep_open(csms: Csms, connection: ServerConnection) -> None:
    csms.listeners.put(connection)
    try:
        for _ in connection:
            pass
    except ConnectionClosed:
        pass


def handler_of(csms: Csms) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = parse_qs(url.query)
            csms.asked.append((url.path, query))
            self.respond(csms.answer(url.path, query.get("group_name", [""])[0]))

        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/powers" and self.is_allowed():
                csms.powers.put(content)
            self.respond({"status": "Power sent"} if self.path == "/powers" else None)

        def is_allowed(self) -> bool:
            return csms.authorization in (None, self.headers.get("Authorization"))

        def respond(self, content: object) -> None:
            if not self.is_allowed():
                status, content = 401, {"error": "Unauthorized"}
            else:
                status, content = (404, {"error": "Not Found"}) if content is None else (200, content)
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return None

    return Handler
