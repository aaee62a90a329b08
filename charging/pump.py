"""Carries commands from the database to this process's sockets, and the answers back."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

import structlog
from django.utils import timezone

from charging import commands, metrics
from charging.commands import Answer, ClaimedCommand
from charging.intake.journal import DATABASE_GONE
from charging.nudges import COMMANDS, listen
from charging.threads import DatabaseThreads

if TYPE_CHECKING:
    from charging.consumers import ChargerConsumer

log = structlog.get_logger(__name__)

POLL_S = 1.0
UPGRADE_TAKES_S = 5.0


class Holder(Protocol):
    """The pump's view of the process."""

    owner: str
    away: bool
    sockets: dict[int, ChargerConsumer]

    async def check_links(self) -> None: ...


class CommandPump:
    """One task and one thread: record what came back, claim what may leave, send it, wait for a reason to go on."""

    def __init__(self, process: Holder) -> None:
        self._process = process
        self._answers: list[Answer] = []
        self._unknown: list[uuid.UUID] = []
        self._early: list[tuple[float, ClaimedCommand]] = []
        self._wake = asyncio.Event()
        self._threads = DatabaseThreads("ocpp-pump")
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._run(), name="ocpp-pump"),
            asyncio.create_task(self._listen(), name="ocpp-pump-nudges"),
        ]

    def wake(self) -> None:
        self._wake.set()

    def answered(self, answer: Answer) -> None:
        outcome = "error" if answer.error_code else str((answer.result or {}).get("status", "answered")).lower()
        known = outcome in {"accepted", "rejected", "error", "answered", "notsupported", "scheduled", "rebootrequired"}
        metrics.COMMANDS.labels(outcome if known else "other").inc()
        self._answers.append(answer)
        self._wake.set()

    def unanswered(self, command_id: uuid.UUID) -> None:
        """No answer in time, or no socket to send over: both done and not done."""
        metrics.COMMANDS.labels("unknown").inc()
        self._unknown.append(command_id)
        self._wake.set()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._record_last()
        await asyncio.to_thread(self._threads.stop)

    async def _record_last(self) -> None:
        answers, unknown, self._answers, self._unknown = self._answers, self._unknown, [], []
        try:
            await self._threads.run(record, answers, unknown, timezone.now())
        except DATABASE_GONE as error:
            log.warning("answers not recorded", commands=len(answers), error=str(error))

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            self._wake.clear()
            work = self._process.sockets or self._answers or self._unknown or self._early
            if self._process.away or not work:
                continue
            try:
                await self._turn()
            except Exception:
                log.exception("command pump stumbled")
                await asyncio.sleep(POLL_S)

    async def _turn(self) -> None:
        answers, unknown, self._answers, self._unknown = self._answers, self._unknown, [], []
        claim = bool(self._process.sockets)
        try:
            claimed = await self._threads.run(turn, answers, unknown, self._process.owner, claim=claim)
        except Exception:
            self._answers[:0], self._unknown[:0] = answers, unknown
            raise
        clock = time.monotonic()
        early, self._early = self._early, []
        for since, command in [*early, *((clock, command) for command in claimed)]:
            self._send(command, waited_s=clock - since)

    def _send(self, command: ClaimedCommand, *, waited_s: float) -> None:
        """Put it on its socket. A link may be in the database a moment before its upgrade has finished here."""
        consumer = self._process.sockets.get(command.station_id)
        if consumer is None or consumer.epoch < command.epoch:
            if waited_s < UPGRADE_TAKES_S:
                self._early.append((time.monotonic() - waited_s, command))
            else:
                self.unanswered(command.id)
        elif consumer.epoch != command.epoch or not consumer.send_command(command):
            self.unanswered(command.id)

    async def _listen(self) -> None:
        async for _, data in listen(COMMANDS):
            try:
                stations: list[int] = data.get("stations", [])
                ours = [station for station in stations if station in self._process.sockets]
                if ours and data.get("moved"):
                    await self._process.check_links()
                elif ours:
                    self.wake()
            except Exception:
                log.exception("nudge not understood")


def record(answers: list[Answer], unknown: list[uuid.UUID], now: datetime) -> None:
    if answers:
        commands.record_answers(answers)
    if unknown:
        commands.record_timeouts(unknown, now)


def turn(answers: list[Answer], unknown: list[uuid.UUID], owner: str, *, claim: bool) -> list[ClaimedCommand]:
    """One visit to the database: record first, because a raise may have waited for just that answer."""
    now = timezone.now()
    record(answers, unknown, now)
    return commands.claim_commands(owner, now) if claim else []
