"""Chargers as cheap as they can be made: raw WebSocket frames on asyncio, in a process of their own.

Reads orders as JSON lines on stdin and writes one JSON line per finished order on stdout.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

UNMASKED = b"\0\0\0\0"  # a mask that changes nothing: legal, and free
VALUES = (
    '{"value":"%d","measurand":"Energy.Active.Import.Register","unit":"Wh"},'
    '{"value":"11040","measurand":"Power.Active.Import","unit":"W"},'
    '{"value":"16.0","measurand":"Current.Import","unit":"A","phase":"L1"},'
    '{"value":"55","measurand":"SoC","unit":"Percent"}'
)


def client_frame(text: bytes) -> bytes:
    size = len(text)
    head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    return head + UNMASKED + text


class Charger(asyncio.Protocol):
    """One socket. With `busy` it sends its next MeterValues when the last one is answered."""

    def __init__(self, index: int, request: bytes) -> None:
        self.index = index
        self.request = request
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.buffer = b""
        self.busy = False
        self.answered = 0
        self.sent = 0
        self.clock = datetime.now(UTC)
        self.calls: dict[str, float] = {}
        self.upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self.request)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"charger {self.index} was not admitted"))

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.upgraded:
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 101 " not in head[:20]:
                raise ConnectionError(head[:100].decode())
            self.upgraded, self.buffer = True, rest
            self.ready.set_result(None)
        while len(self.buffer) >= 2:
            size, start = self.buffer[1] & 0x7F, 2
            if size == 126:
                size, start = int.from_bytes(self.buffer[2:4], "big"), 4
            if len(self.buffer) < start + size:
                return
            opcode, payload = self.buffer[0] & 0x0F, self.buffer[start : start + size]
            self.buffer = self.buffer[start + size :]
            self.take(opcode, payload)

    def take(self, opcode: int, payload: bytes) -> None:
        if opcode == 9:
            self.transport.write(bytes((0x8A, 0x80 | len(payload))) + UNMASKED + payload)
        elif payload[:2] == b"[2" and not payload.startswith(b'[2,"m'):
            arrived = time.monotonic()
            call = json.loads(payload)
            self.calls[str(call[3].get("data"))] = arrived
            self.transport.write(client_frame(b'[3,"%b",{"status":"Accepted"}]' % call[1].encode()))
        elif opcode == 1:
            self.answered += 1
            if self.busy:
                self.send()

    def send(self) -> None:
        """A MeterValues with a time of its own, so that each makes a row."""
        self.sent += 1
        self.clock += timedelta(milliseconds=1)
        stamp = self.clock.isoformat(timespec="milliseconds")[:23] + "Z"
        text = (
            f'[2,"m{self.sent}","MeterValues",{{"connectorId":1,"meterValue":[{{"timestamp":"{stamp}",'
            f'"sampledValue":[{VALUES % (1000 + self.sent)}]}}]}}]'
        )
        self.transport.write(client_frame(text.encode()))


def upgrade_request(host: str, identity: str, key: str) -> bytes:
    login = base64.b64encode(f"{identity}:{key}".encode()).decode()
    return (
        f"GET /ocpp/{identity} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(b'0' * 16).decode()}\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Protocol: ocpp1.6\r\nAuthorization: Basic {login}\r\n\r\n"
    ).encode()


async def connect(port: int, identities: Sequence[str], key: str) -> list[Charger]:
    loop = asyncio.get_running_loop()
    chargers: list[Charger] = []
    for start in range(0, len(identities), 50):
        batch = []
        for index, identity in enumerate(identities[start : start + 50], start=start):
            request = upgrade_request(f"127.0.0.1:{port}", identity, key)
            _, charger = await loop.create_connection(lambda i=index, r=request: Charger(i, r), "127.0.0.1", port)  # type: ignore[misc]
            batch.append(charger)
        await asyncio.gather(*(charger.ready for charger in batch))
        chargers += batch
    return chargers


async def flat_out(chargers: Sequence[Charger], seconds: float) -> dict[str, float]:
    """Every charger sends again as soon as it is answered."""
    before = sum(charger.answered for charger in chargers)
    started = time.monotonic()
    for charger in chargers:
        charger.busy = True
        charger.send()
    await asyncio.sleep(seconds)
    elapsed = time.monotonic() - started
    answered = sum(charger.answered for charger in chargers) - before
    for charger in chargers:
        charger.busy = False
    return {"answered": answered, "seconds": elapsed}


async def paced(chargers: Sequence[Charger], per_second: float, until: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while not until.is_set():
        for charger in chargers:
            charger.send()
            due += 1 / per_second
            if (pause := due - loop.time()) > 0:
                await asyncio.sleep(pause)
            if until.is_set():
                return


async def main() -> None:
    loop = asyncio.get_running_loop()
    chargers: list[Charger] = []
    stop = asyncio.Event()
    pacing: asyncio.Task[None] | None = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order: dict[str, Any] = json.loads(line)
        answer: dict[str, Any] = {}
        match order["do"]:
            case "connect":
                chargers += await connect(order["port"], order["identities"], order["key"])
                answer = {"open": len(chargers)}
            case "flat out":
                answer = await flat_out(chargers, order["seconds"])
            case "pace":
                stop.clear()
                pacing = asyncio.create_task(paced(chargers, order["per_second"], stop))
            case "unpace":
                stop.set()
                if pacing is not None:
                    await pacing
            case "calls":
                answer = {marker: at for charger in chargers for marker, at in charger.calls.items()}
            case "close":
                for charger in chargers:
                    charger.transport.abort()
                chargers = []
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
