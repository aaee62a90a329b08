"""A tiny central system for tests: `ocpp` over a real TCP socket on a free loopback port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from charging.simulator.charger import ChargingStation
from charging.simulator.clock import VirtualClock
from charging.simulator.config import ConnectorConfig, StationConfig, Visit
from charging.simulator.meter import MeterStation
from charging.simulator.station import Station, Surroundings
from charging.simulator.witness import Witness

START = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Received:
    """One CALL of a station."""

    identity: str
    action: str
    payload: dict[str, Any]
    message_id: str


@dataclass
class Answers:
    """What the central system says; tests change it."""

    boot: list[str] = field(default_factory=list)
    authorize: str = "Accepted"
    start: str = "Accepted"
    drop_before_answering: str | None = None
    refuse_with: HTTPStatus | None = None
    next_transaction: int = 1


class _Peer(ChargePoint):
    """The central system's end of one socket."""

    def __init__(self, identity: str, socket: ServerConnection, central: Central) -> None:
        super().__init__(identity, socket, response_timeout=20)
        self.socket = socket
        self.central = central

    async def _take(self, action: str, message_id: str, payload: dict[str, Any]) -> None:
        self.central.take(Received(self.id, action, payload, message_id))
        if self.central.answers.drop_before_answering == action:
            self.central.answers.drop_before_answering = None
            await self.socket.close(1012)

    @on("BootNotification")
    async def on_boot(self, call_unique_id: str, **payload: Any) -> Any:
        await self._take("BootNotification", call_unique_id, payload)
        status = self.central.answers.boot.pop(0) if self.central.answers.boot else "Accepted"
        return call_result.BootNotification(current_time="2026-03-02T18:00:00Z", interval=300, status=status)

    @on("Heartbeat")
    async def on_heartbeat(self, call_unique_id: str, **payload: Any) -> Any:
        await self._take("Heartbeat", call_unique_id, payload)
        return call_result.Heartbeat(current_time="2026-03-02T18:00:00Z")

    @on("StatusNotification")
    async def on_status(self, call_unique_id: str, **payload: Any) -> Any:
        await self._take("StatusNotification", call_unique_id, payload)
        return call_result.StatusNotification()

    @on("Authorize")
    async def on_authorize_tag(self, call_unique_id: str, **payload: Any) -> Any:
        await self._take("Authorize", call_unique_id, payload)
        return call_result.Authorize(id_tag_info={"status": self.central.answers.authorize})

    @on("StartTransaction")
    async def on_start_transaction(self, call_unique_id: str, **payload: Any) -> Any:
        await self._take("StartTransaction", call_unique_id, payload)
        number = self.central.transaction_of(self.id, payload)
        return call_result.StartTransaction(number, id_tag_info={"status": self.central.answers.start})

    @on("StopTransaction")
    async def on_stop_transaction(self, call_unique_id: str, **payload: Any) -> Any:
        await self._take("StopTransaction", call_unique_id, payload)
        return call_result.StopTransaction()

    @on("MeterValues")
    async def on_meter_values(self, call_unique_id: str, **payload: Any) -> Any:
        await self._take("MeterValues", call_unique_id, payload)
        return call_result.MeterValues()


class Central:
    """Keeps what came, answers as `answers` says, and calls stations."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers = Answers()
        self.headers: list[str | None] = []
        self._peers: dict[str, _Peer] = {}
        self._transactions: dict[tuple[Any, ...], int] = {}
        self._server: Server | None = None
        self._news = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp"

    async def open(self) -> None:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            subprotocols=[Subprotocol("ocpp1.6")],
            process_request=self._admit,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.headers.append(request.headers.get("Authorization"))
        refuse_with = self.answers.refuse_with
        return None if refuse_with is None else connection.respond(refuse_with, "no\n")

    async def _serve(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        identity = socket.request.path.rsplit("/", 1)[-1]
        peer = self._peers[identity] = _Peer(identity, socket, self)
        try:
            await peer.start()
        except ConnectionClosed:
            if self._peers.get(identity) is peer:
                del self._peers[identity]

    def take(self, message: Received) -> None:
        self.received.append(message)
        self._news.set()

    async def heard(self, enough: Callable[[], bool]) -> None:
        """Wait for messages of stations in real time until they are enough."""
        while not enough():
            self._news.clear()
            await self._news.wait()

    def transaction_of(self, identity: str, payload: dict[str, Any]) -> int:
        """The same id for the same StartTransaction, as a central system has to."""
        key = identity, payload["connector_id"], payload["id_tag"], payload["timestamp"], payload["meter_start"]
        if key not in self._transactions:
            self._transactions[key] = self.answers.next_transaction
            self.answers.next_transaction += 1
        return self._transactions[key]

    async def call(self, identity: str, payload: Any) -> Any:
        return await self._peers[identity].call(payload, suppress=False)

    async def drop(self, identity: str, code: int = 1012) -> None:
        await self._peers[identity].socket.close(code)

    def actions(self, *, without: Iterable[str] = ("Heartbeat", "MeterValues")) -> list[str]:
        return [each.action for each in self.received if each.action not in without]

    def of(self, action: str) -> list[dict[str, Any]]:
        return [each.payload for each in self.received if each.action == action]

    def statuses(self, connector: int = 1) -> list[str]:
        return [each["status"] for each in self.of("StatusNotification") if each["connector_id"] == connector]


async def until(condition: Callable[[], bool]) -> None:
    """Let the sockets work until it is so."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0)


class Depot:
    """Stations on one virtual clock in front of one central system."""

    def __init__(self, central: Central, seed: int = 7) -> None:
        self.central = central
        self.clock = VirtualClock(START, self._settle)
        self.witness = Witness()
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.stations: list[Station] = []
        self._seed = seed
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def surroundings(self) -> Surroundings:
        return Surroundings(
            self._seed,
            self.witness,
            emit=lambda event, station, facts: self.events.append((event, station, facts)),
            validate=True,
        )

    def charger(self, config: StationConfig | None = None, visits: Iterable[Visit] = ()) -> ChargingStation:
        station = ChargingStation(config or one_connector(), self.central.url, self.clock, self.surroundings, visits)
        self.start(station)
        return station

    def meter(self, config: StationConfig) -> MeterStation:
        station = MeterStation(config, self.central.url, self.clock, self.surroundings)
        self.start(station)
        return station

    def start(self, station: Station) -> None:
        self.stations.append(station)
        self._tasks.append(asyncio.create_task(station.run()))

    async def pass_time(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    async def come_online(self) -> None:
        await self.pass_time(2.0)
        assert all(station.online for station in self.stations)

    async def lose_link(self, station: Station, code: int = 1012) -> None:
        await self.central.drop(station.identity, code)
        await until(lambda: not station.online)
        await self._settle()

    async def _settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        await until(lambda: not any(station.busy for station in self.stations))

    def told(self, event: str) -> list[dict[str, Any]]:
        return [facts for name, _, facts in self.events if name == event]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self.told("error") == []


@asynccontextmanager
async def depot(seed: int = 7) -> Any:
    central = Central()
    await central.open()
    yard = Depot(central, seed)
    try:
        yield yard
    finally:
        await yard.close()
        await central.close()


def one_connector(**changes: Any) -> StationConfig:
    values: dict[str, Any] = {"identity": "FD-01", "password": "secret", "connectors": (ConnectorConfig(number=1),)}
    return StationConfig(**(values | changes))


def profile(
    number: int,
    purpose: str,
    limits: Iterable[tuple[int, float]],
    *,
    stack: int = 1,
    unit: str = "A",
    transaction: int | None = None,
    kind: str = "Absolute",
    **more: Any,
) -> dict[str, Any]:
    """csChargingProfiles for `ocpp` calls."""
    schedule: dict[str, Any] = {
        "charging_rate_unit": unit,
        "charging_schedule_period": [{"start_period": start, "limit": limit} for start, limit in limits],
    }
    if kind != "Relative":
        schedule["start_schedule"] = START.isoformat()
    content: dict[str, Any] = {
        "charging_profile_id": number,
        "stack_level": stack,
        "charging_profile_purpose": purpose,
        "charging_profile_kind": kind,
        "charging_schedule": schedule | more.pop("schedule", {}),
        **more,
    }
    if transaction is not None:
        content["transaction_id"] = transaction
    return content
