"""What every station does: find the central system, register, keep alive, send in order, come back after a loss."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ocpp.exceptions import OCPPError, SecurityError
from ocpp.v16 import call
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.frames import CloseCode

from charging.simulator.clock import Clock, ScaledClock
from charging.simulator.config import StationConfig
from charging.simulator.defects import Defects
from charging.simulator.keys import ConfigurationKeys, KeyRow
from charging.simulator.link import backoff_s, dial, reason_of, speaks_ocpp
from charging.simulator.outbox import Outbox, Outgoing
from charging.simulator.schedule import Step
from charging.simulator.wire import Payload, Wire
from charging.simulator.witness import Witness

TICK_S = 1.0
REAL_TICK_S = 0.2
START_JITTER_S = 1.5
REBOOT_S = 3.0
REGISTRATION_RETRY_S = 10.0
FIRMWARE = "1.0.0"

Emit = Callable[[str, str, dict[str, Any]], None]


class RebootRequested(Exception):
    """The station restarts: the socket closes, and the next one begins with a BootNotification."""


class LinkLost(Exception):
    """The link cannot go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all stations of one run share."""

    seed: int = 0
    witness: Witness | None = None
    emit: Emit = lambda event, station, facts: None
    validate: bool = False
    """Check every sent message against the schemas: costs about as much as all the rest."""


ALONE = Surroundings()


@dataclass(frozen=True, slots=True)
class Composite:
    """A composite schedule as it is told."""

    begin: str
    duration_s: int
    unit: str
    steps: tuple[Step, ...]


async def _end(*tasks: asyncio.Task[None]) -> None:
    """Cancel until they are done: before Python 3.12 `wait_for` swallows a cancellation that meets its result."""
    pending: set[asyncio.Task[None]] = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=0.05)
        for task in done:
            if not task.cancelled():
                task.exception()


def stamp(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


class Station:
    """A station without connectors. Subclasses live in `live` and answer more commands."""

    building = False

    def __init__(
        self,
        config: StationConfig,
        url: str,
        clock: Clock | None = None,
        surroundings: Surroundings = ALONE,
    ) -> None:
        self.config = config
        self.identity = config.identity
        self.clock: Clock = clock or ScaledClock()
        self.defects = Defects(config.defects)
        self.dice = random.Random(f"{surroundings.seed}:{config.identity}")
        self.keys = self._make_keys()
        self.outbox = Outbox()
        self.online = False
        """The socket is open and the registration Accepted."""
        self.known = False
        """The registration was Accepted once since the last boot."""
        self._rests = False
        self._url = url
        self._surroundings = surroundings
        self._heartbeat_due_s = math.inf
        self._tick_s = max(TICK_S, REAL_TICK_S * self.clock.speed)
        self._attempt = 0

    def _make_keys(self) -> ConfigurationKeys:
        return ConfigurationKeys(
            connectors=0,
            rate_unit="Current",
            meter_interval_s=self.config.meter_interval_s,
            switches_phases=False,
            charges=False,
        )

    @property
    def power_w(self) -> float:
        """Power through the station now, W."""
        return 0.0

    @property
    def busy(self) -> bool:
        """Something goes on that needs no time to pass: a socket opens, a CALL waits for its answer or could leave."""
        return not self._rests or (self.online and len(self.outbox) > 0)

    async def _pause(self, seconds: float) -> None:
        self._rests = True
        await self.clock.pause(seconds)
        self._rests = False

    def emit(self, event: str, **facts: Any) -> None:
        self._surroundings.emit(event, self.identity, facts)

    # Life

    async def run(self) -> None:
        """Live until cancelled."""
        await self._pause(START_JITTER_S * self.dice.random())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._live_on())
            group.create_task(self._stay_connected())

    async def _live_on(self) -> None:
        due_s = self.clock.elapsed()
        while True:
            self.tick()
            due_s = max(due_s + self._tick_s, self.clock.elapsed())
            await self.clock.sleep(due_s - self.clock.elapsed())

    def tick(self) -> None:
        """Let the station's world reach the present, and queue what has become due."""
        self.live(self.clock.now())
        if self.online and self.clock.elapsed() >= self._heartbeat_due_s:
            self._heartbeat_due_s = self.clock.elapsed() + max(1, self.keys.number("HeartbeatInterval"))
            self.outbox.put(Outgoing("Heartbeat", call.Heartbeat))
        self.observe()

    def live(self, now: datetime) -> None:
        """Advance to `now`."""

    def observe(self) -> None:
        """Tell the witness what flows."""
        if self._surroundings.witness is not None:
            self._surroundings.witness.observe(self.identity, self.power_w, building=self.building)

    # Link

    async def _stay_connected(self) -> None:
        while True:
            try:
                await self._one_connection()
            except RebootRequested:
                await self._reboot()
                continue
            except (OSError, ConnectionClosed, InvalidHandshake, TimeoutError, LinkLost) as error:
                reason = str(error) if isinstance(error, LinkLost) else reason_of(error)
            wait_s = backoff_s(self._attempt, self.dice)
            self._attempt += 1
            self.emit("offline", reason=reason, retry_in_s=round(wait_s, 1))
            await self._pause(wait_s)

    async def _reboot(self) -> None:
        self.emit("reboot")
        self._lose_state()
        self._attempt = 0
        await self._pause(REBOOT_S)

    def _lose_state(self) -> None:
        self.known = False
        self.forget_after_reboot()

    def forget_after_reboot(self) -> None:
        """Lose what does not survive a reboot."""

    async def _one_connection(self) -> None:
        """Serve one socket until it ends; always raises why it ended."""
        ping_interval_s = self.keys.number("WebSocketPingInterval")
        async with dial(self._url, self.identity, self.config.password, ping_interval_s) as socket:
            if not speaks_ocpp(socket):
                raise LinkLost("the central system does not speak ocpp1.6")
            wire = Wire(self.identity, socket, self, self.dice, validate=self._surroundings.validate)
            listening = asyncio.create_task(wire.listen())
            working = asyncio.create_task(self._work(wire))
            try:
                done, _ = await asyncio.wait((listening, working), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                self.online = self._rests = False
                await _end(listening, working)
                await socket.close(CloseCode.GOING_AWAY)
                self.outbox.lose_link()

    async def _work(self, wire: Wire) -> None:
        """Register if that is due, report the present state, then send what waits, in order."""
        if not self.known:
            await self._register(wire)
        self.online = True
        self._attempt = 0
        self._heartbeat_due_s = self.clock.elapsed() + max(1, self.keys.number("HeartbeatInterval"))
        self.emit("online")
        self.outbox.put_first(self.present_state())
        self.tick()
        while True:
            self._rests = not len(self.outbox)
            message = await self.outbox.take()
            self._rests = False
            await self._send(wire, message)

    def _boot_notification(self) -> Any:
        return call.BootNotification(
            charge_point_model=self.config.model,
            charge_point_vendor=self.config.vendor,
            charge_point_serial_number=self.identity[:25],
            firmware_version=FIRMWARE,
        )

    async def _register(self, wire: Wire) -> None:
        """BootNotification until Accepted. §4.2."""
        while True:
            try:
                answer = await wire.request(self._boot_notification())
            except OCPPError as error:
                raise LinkLost(f"BootNotification was answered with {error}") from error
            self.emit("boot", status=str(answer.status), interval_s=answer.interval)
            if answer.status == "Accepted":
                break
            await self._pause(answer.interval or REGISTRATION_RETRY_S)
        if answer.interval:
            self.keys.change("HeartbeatInterval", str(answer.interval))
        self.known = True

    def present_state(self) -> Iterable[Outgoing]:
        """What a fresh connection is told first."""
        return ()

    async def _send(self, wire: Wire, message: Outgoing) -> None:
        """Send one message; a durable one that was not answered goes back to the head of the queue."""
        if message.action == "Reset":
            raise RebootRequested
        settled = False
        try:
            answer = await wire.request(message.build())
            settled = True
        except SecurityError:
            self.known = False
            raise LinkLost("the central system wants a new BootNotification") from None
        except (OCPPError, TypeError, TimeoutError) as error:
            settled = not await self._may_retry(message, error)
            return
        finally:
            if not settled:
                self.outbox.put_back(message)
        self._learn(message, answer)

    def _learn(self, message: Outgoing, answer: Any) -> None:
        """Act on an answer; one that makes no sense is reported and changes nothing."""
        if message.answered is None:
            return
        try:
            message.answered(answer)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self.emit("error", action=message.action, reason=f"answer not understood: {error!r}"[:200])

    async def _may_retry(self, message: Outgoing, error: Exception) -> bool:
        """After a failure to process, a transaction message has a few more attempts. §3.7.1."""
        message.attempts += 1
        self.emit("error", action=message.action, reason=f"{type(error).__name__}: {error}"[:200])
        if not message.durable or message.attempts >= self.keys.number("TransactionMessageAttempts"):
            message.drop()
            return False
        self._rests = True
        await self.clock.sleep(self.keys.number("TransactionMessageRetryInterval") * message.attempts)
        self._rests = False
        return True

    # Commands every station knows

    def change_availability(self, connector: int, operative: bool) -> str:
        return "Rejected"

    def change_configuration(self, key: str, value: str) -> str:
        status = self.keys.change(key, value)
        self.emit("configured", key=key, value=value, status=status)
        if status == "Accepted":
            self.keys_changed()
        return status

    def keys_changed(self) -> None:
        """React to new values."""
        due_s = self.clock.elapsed() + max(1, self.keys.number("HeartbeatInterval"))
        self._heartbeat_due_s = min(self._heartbeat_due_s, due_s)

    def get_configuration(self, keys: list[str] | None) -> tuple[list[KeyRow], list[str]]:
        return self.keys.read(keys)

    def remote_start(self, id_tag: str, connector: int | None, profile: Payload | None) -> str:
        return "Rejected"

    def remote_stop(self, transaction_id: int) -> str:
        return "Rejected"

    def reset(self, hard: bool) -> str:
        reset = Outgoing("Reset", call.Heartbeat, dropped=self._lose_state)
        self.prepare_reset(hard)
        if hard:
            self.outbox.put_first([reset])
        else:
            self.outbox.put(reset)
        return "Accepted"

    def prepare_reset(self, hard: bool) -> None:
        """Stop what runs."""

    def unlock(self, connector: int) -> str:
        return "NotSupported"

    def trigger(self, message: str, connector: int | None) -> str:
        if message == "Heartbeat":
            self.outbox.put(Outgoing("Heartbeat", call.Heartbeat))
        elif message == "BootNotification":
            self.outbox.put(Outgoing("BootNotification", self._boot_notification))
        else:
            return "NotImplemented"
        return "Accepted"

    async def set_charging_profile(self, connector: int, profile: Payload) -> str:
        return "NotSupported"

    def clear_charging_profile(
        self, id: int | None, connector: int | None, purpose: str | None, stack_level: int | None
    ) -> str:
        return "Unknown"

    def composite_schedule(self, connector: int, duration_s: int, unit: str | None) -> Composite | None:
        return None
