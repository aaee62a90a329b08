"""The charger's socket: OCPP 1.6J over Channels, with its own dispatch (no thread hop, no channel layer)."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any

import structlog
from channels.consumer import AsyncConsumer
from django.conf import settings
from django.utils import timezone

from charging import metrics, process
from charging.commands import Answer, ClaimedCommand
from charging.desired import reconcile_station
from charging.handshake import Admission, Knock, Refusal, admit, knock_of, record_unknown
from charging.intake.entry import Arrival, Entry, FrameRow, Meaning, StationRef, storable
from charging.intake.journal import DATABASE_GONE
from charging.intake.meaning import meaning_of
from charging.nudges import LIVE, nudge
from charging.wire import session as rpc
from charging.wire.decoding import stored_form

log = structlog.get_logger(__name__)

NO_COMMON_SUBPROTOCOL = 1002
MAX_UNANSWERED = 64  # frames of one socket on their way to the database before its reading pauses
MAX_BACKLOG_OF_WRITES = 1000

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class ChargerConsumer(AsyncConsumer):
    """One charger. It reads, hands on to the journal, and sends what the journal or the pump give it."""

    station: StationRef
    epoch: int
    registered: bool

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        self.base_send = send
        self.process = process.current()
        await receive()  # websocket.connect
        admission = await self._open(scope)
        if admission is None:
            return
        del scope
        message: dict[str, Any] = {}
        try:
            while (message := await receive())["type"] == "websocket.receive":
                await self.dispatch(message)
        finally:
            self.closed = True
            self._resume_reading()
            self.process.leave(self, quietly=message.get("code") == process.SERVICE_RESTART)

    # --- opening -----------------------------------------------------------------------------------------------------

    async def _open(self, scope: dict[str, Any]) -> Admission | None:
        try:
            admission = await self._admit(scope)
        except Refusal as refusal:
            metrics.HANDSHAKES.labels(str(refusal.status)).inc()
            await self._refuse(refusal)
            return None
        metrics.HANDSHAKES.labels("101").inc()
        if not admission.speaks:
            await self.base_send({"type": "websocket.accept"})
            await self.base_send({"type": "websocket.close", "code": NO_COMMON_SUBPROTOCOL, "reason": "offer ocpp1.6"})
            return None
        self.station, self.epoch, self.registered = admission.station, admission.epoch, admission.registered
        self.session = rpc.RpcSession(settings.OCPP_CALL_TIMEOUT_S)
        self.closed = False
        self._unanswered = 0
        self._room: asyncio.Future[None] | None = None
        self._unsent: deque[dict[str, Any]] | None = None
        self._writing: asyncio.Task[None] | None = None
        try:
            await self.base_send({"type": "websocket.accept", "subprotocol": admission.subprotocol})
        except BaseException:
            self.closed = True
            self.process.leave(self)
            raise
        self.process.enter(self)
        return admission

    async def _admit(self, scope: dict[str, Any]) -> Admission:
        knock = knock_of(scope)
        if knock.from_browser:
            raise Refusal(403, "This address is for chargers, not for browsers.")
        if self.process.away or self.process.stopping:
            raise Refusal(503, "The database is away; try again.")
        try:
            return await self.process.handshakes.run(admit, knock, self.process.owner, timezone.now())
        except DATABASE_GONE as error:
            log.warning("handshake without database", error=str(error))
            raise Refusal(503, "The database is away; try again.") from error
        except Refusal as refusal:
            self._note_refusal(knock, refusal)
            raise

    def _note_refusal(self, knock: Knock, refusal: Refusal) -> None:
        log.info("charger refused", identity=knock.identity[:60], status=refusal.status, remote=knock.remote_address)
        if refusal.status != 404:
            return
        attempts = self.process.unknown.count(knock.identity)
        if attempts:
            self.process.later(
                partial(
                    record_unknown, knock.identity, knock.remote_address, knock.subprotocols, attempts, timezone.now()
                )
            )
            self.process.announce(partial(nudge, LIVE, depot=None, what="unknown-station"))

    async def _refuse(self, refusal: Refusal) -> None:
        """Answer before the upgrade with a real status, as chargers expect it (ASGI: websocket.http.response)."""
        headers = [*refusal.headers, (b"content-type", b"text/plain; charset=utf-8")]
        await self.base_send({"type": "websocket.http.response.start", "status": refusal.status, "headers": headers})
        await self.base_send({"type": "websocket.http.response.body", "body": refusal.reason.encode()})

    # --- reading -----------------------------------------------------------------------------------------------------

    async def dispatch(self, message: dict[str, Any]) -> None:
        """One frame in; returns when there is room for the next."""
        text = message.get("text")
        self._take(text.encode(errors="surrogatepass") if text is not None else message.get("bytes") or b"")
        if self._unanswered >= MAX_UNANSWERED and not self.closed:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def _take(self, raw: bytes) -> None:
        if self.closed:
            return
        journal = self.process.journal
        if self.process.away or journal.backlog >= settings.OCPP_SHED_LOAD_AFTER:
            self.close(process.TRY_AGAIN_LATER, "too much to store; try again")
            return
        arrival = Arrival(self.station, self.epoch, timezone.now())
        for event in self.session.receive(raw, time.monotonic()):
            entry = self._entry(event, arrival, raw)
            if entry is not None:
                metrics.count_received(entry.meaning.action)
                self._unanswered += 1
                journal.add(entry)

    def _entry(self, event: rpc.Event, arrival: Arrival, raw: bytes) -> Entry | None:
        if isinstance(event, rpc.IncomingCall):
            meaning = meaning_of(event, arrival, registered=self.registered)
            error = ": ".join(meaning.refusal) if meaning.refusal else ""
            return Entry(self, arrival, event.message_id, raw, meaning, error=error)
        if isinstance(event, rpc.Answered):
            self._answered(event, arrival)
            return Entry(self, arrival, "", raw, Meaning("", findings=event.findings))
        if isinstance(event, rpc.SendNow):
            return Entry(self, arrival, "", raw, Meaning(""), reply=event.frame, error=event.reason)
        if isinstance(event, rpc.Ignored):
            return Entry(self, arrival, "", raw, Meaning(""), error=event.reason)
        self.close(event.code, event.reason)
        return None

    def _answered(self, event: rpc.Answered, arrival: Arrival) -> None:
        error = event.error
        self.process.pump.answered(
            Answer(
                command_id=uuid.UUID(event.command_id),
                at=arrival.at,
                result=None if event.result is None else stored_form(event.result),
                error_code=storable(error.code, 40) if error else "",
                error_description=storable(error.description, 300) if error else "",
                late=event.late,
            )
        )

    # --- what the journal gives back ---------------------------------------------------------------------------------

    def deliver(self, entry: Entry) -> None:
        """The frame is durable: answer it, and then do what has to follow the answer (P30)."""
        self._unanswered -= 1
        if self._room is not None and self._unanswered < MAX_UNANSWERED:
            self._resume_reading()
        frame = self._answer_to(entry)
        if frame is not None:
            self._send_frame(frame, entry.message_id)
        if entry.meaning.action == "BootNotification" and entry.outcome is not None and entry.meaning.refusal is None:
            self._booted()

    def _answer_to(self, entry: Entry) -> bytes | None:
        meaning = entry.meaning
        if entry.reply is not None:
            return entry.reply
        if meaning.refusal is not None:
            code, sentence = meaning.refusal
            metrics.REFUSED.labels(code.value).inc()
            return self.session.refuse(entry.message_id, code, sentence)
        answer = entry.outcome.answer if entry.outcome is not None else meaning.answer
        return None if answer is None else self.session.answer(entry.message_id, answer)

    def _booted(self) -> None:
        """A second boot on one socket is a restart: what was under way is lost (P34)."""
        for command_id in self.session.closed():
            self.process.pump.unanswered(uuid.UUID(command_id))
        self.registered = True
        self.process.forget_skew(self.station.id)
        self.process.later(partial(reconcile_station, self.station.id, "boot"))

    def _resume_reading(self) -> None:
        if self._room is not None:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None

    # --- what the pump wants -----------------------------------------------------------------------------------------

    def send_command(self, command: ClaimedCommand) -> bool:
        """Put a CALL on the wire; False when another one is open or the socket is closing (P21)."""
        if self.closed:
            return False
        frame = self.session.call(str(command.id), command.action, command.payload, time.monotonic())
        if frame is None:
            return False
        self._send_frame(frame, "", command.action)
        return True

    def expire(self, now: float) -> None:
        """Give up waiting for an answer that is overdue at `now` (monotonic)."""
        for overdue in self.session.expire(now):
            self.process.pump.unanswered(uuid.UUID(overdue.command_id))

    # --- sending -----------------------------------------------------------------------------------------------------

    def _send_frame(self, frame: bytes, message_id: str, action: str = "") -> None:
        if self.closed:
            return
        row = FrameRow(self.station.id, self.epoch, "out", timezone.now(), storable(message_id, 36), action, frame, "")
        self.process.journal.add_outgoing(row)
        self._send({"type": "websocket.send", "text": frame.decode()})

    def close(self, code: int, reason: str) -> None:
        """Close from our side; the reading loop ends by itself."""
        if self.closed:
            return
        self.closed = True
        self._resume_reading()
        self._send({"type": "websocket.close", "code": code, "reason": reason})

    def _send(self, message: dict[str, Any]) -> None:
        """Send without waiting: usually done at once, for a charger that does not read in a task of its own."""
        if self._unsent is not None:
            self._unsent.append(message)
            if len(self._unsent) > MAX_BACKLOG_OF_WRITES and not self.closed:
                self.close(process.POLICY_VIOLATION, "the charger does not read its answers")
            return
        step = self.base_send(message)
        assert isinstance(step, Coroutine)
        try:
            waits_for = step.send(None)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 (servers differ in what they raise for a socket that is gone)
            self._lost(error)
            return
        self._unsent = deque()
        self._writing = asyncio.create_task(self._send_rest(step, waits_for))

    async def _send_rest(self, step: Coroutine[Any, Any, None], waits_for: Any) -> None:
        assert self._unsent is not None
        try:
            await _Continued(step, waits_for)
            while self._unsent:
                await self.base_send(self._unsent.popleft())
        except Exception as error:  # noqa: BLE001
            self._lost(error)
        finally:
            self._unsent = None
            self._writing = None

    def _lost(self, error: Exception) -> None:
        """The socket went away under us; the reading loop hears of it too."""
        log.debug("frame not sent", station=self.station.identity, error=repr(error))


class _Continued:
    """Awaits the rest of a coroutine whose first step was taken by hand and now waits for `waits_for`."""

    def __init__(self, step: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self.step = step
        self.waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        while True:
            try:
                yield self.waits_for
            except BaseException as error:  # noqa: BLE001 (a cancellation belongs to the coroutine)
                resume = partial(self.step.throw, error)
            else:
                resume = partial(self.step.send, None)
            try:
                self.waits_for = resume()
            except StopIteration:
                return
