"""A real server on a real port, and a charger that says exactly what a test wants said."""

from __future__ import annotations

import base64
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Self

import uvicorn
import websockets.sync.client
from channels.routing import ProtocolTypeRouter, URLRouter
from django.db import connection
from django.urls import re_path

from charging.consumers import ChargerConsumer
from depot.lifespan import LifespanApplication
from tests.factories import STATION_KEY

Frame = list[Any]

application = ProtocolTypeRouter(
    {
        "websocket": URLRouter([re_path(r"^ocpp(?:/|$)", ChargerConsumer.as_asgi())]),
        "lifespan": LifespanApplication(),
    }
)


class Server:
    """The charger sockets under uvicorn in a thread of this process."""

    def __init__(self) -> None:
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        config = uvicorn.Config(application, loop="asyncio", ws="websockets-sansio", lifespan="on", log_config=None)
        self.uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.uvicorn.run, kwargs={"sockets": [self.socket]})

    def start(self) -> None:
        self._thread.start()
        until(lambda: self.uvicorn.started)

    def stop(self) -> None:
        self.uvicorn.should_exit = True
        self._thread.join()
        self.socket.close()

    def url(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"

    def connect(
        self,
        identity: str,
        *,
        key: str | bytes | None = STATION_KEY,
        user: str | None = None,
        subprotocols: list[str] | None = None,
        path: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Charger:
        sent = dict(headers or {})
        if key is not None:
            secret = key.encode() if isinstance(key, str) else key
            sent["Authorization"] = "Basic " + base64.b64encode((user or identity).encode() + b":" + secret).decode()
        names: Any = ["ocpp1.6"] if subprotocols is None else subprotocols
        return Charger(
            websockets.sync.client.connect(
                self.url(path or f"/ocpp/{identity}"),
                subprotocols=names or None,
                additional_headers=sent,
                compression=None,
                proxy=None,
            )
        )

    def booted(self, identity: str, **options: Any) -> Charger:
        charger = self.connect(identity, **options)
        charger.boot()
        return charger


@contextmanager
def serving() -> Iterator[Server]:
    server = Server()
    server.start()
    try:
        yield server
    finally:
        server.stop()
        connection.close()


class Charger:
    """A client that keeps answers and calls of the system apart."""

    def __init__(self, connecting: AbstractContextManager[websockets.sync.client.ClientConnection]) -> None:
        self._open = ExitStack()
        self.socket = self._open.enter_context(connecting)
        self.calls: list[Frame] = []
        self.answers: dict[Any, Frame] = {}
        self._ids = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._open.close()

    def say(self, frame: object) -> None:
        """Send anything: text and bytes as they are, the rest as JSON."""
        self.socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    def ask(self, action: str, payload: object, message_id: str = "") -> str:
        """Send a CALL and return its id without waiting."""
        message_id = message_id or f"m{next(self._ids)}"
        self.say([2, message_id, action, payload])
        return message_id

    def frame(self, timeout: float = 20) -> Frame:
        raw = self.socket.recv(timeout)
        found: Frame = json.loads(raw)
        return found

    def answer(self, message_id: Any) -> Frame:
        """The CALLRESULT or CALLERROR to this message."""
        while message_id not in self.answers:
            self._sort(self.frame())
        return self.answers.pop(message_id)

    def next_call(self) -> Frame:
        """The next CALL of the system."""
        while not self.calls:
            self._sort(self.frame())
        return self.calls.pop(0)

    def next_command(self, action: str) -> Frame:
        """The next CALL of this action; others are accepted on the way."""
        while (call := self.next_call())[2] != action:
            self.say([3, call[1], {"status": "Accepted"}])
        return call

    def _sort(self, frame: Frame) -> None:
        if frame[0] == 2:
            self.calls.append(frame)
        else:
            self.answers[frame[1]] = frame

    def call(self, action: str, payload: object) -> Any:
        """The payload of the CALLRESULT."""
        answer = self.answer(self.ask(action, payload))
        assert answer[0] == 3, answer
        return answer[2]

    def error(self, action: str, payload: object) -> Frame:
        answer = self.answer(self.ask(action, payload))
        assert answer[0] == 4, answer
        return answer

    def boot(self) -> Any:
        return self.call("BootNotification", {"chargePointVendor": "Ford", "chargePointModel": "T"})

    def closed_with(self) -> int:
        """The close code; frames before it are dropped."""
        while True:
            try:
                self.socket.recv(20)
            except websockets.exceptions.ConnectionClosed:
                return self.socket.protocol.close_code or 0


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for something another thread or process does; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.01)
