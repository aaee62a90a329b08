"""One per web process: its charger sockets, and what runs beside them (journal, derivation, pump, tick)."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog
from django.db import connection, transaction
from django.utils import timezone

from charging import links, metrics
from charging.desired import reconcile_station
from charging.handshake import UnknownKnocks
from charging.intake.derived import Derivation
from charging.intake.entry import Arrival, Entry
from charging.intake.journal import DATABASE_GONE, GroupCommit
from charging.nudges import LIVE, nudge
from charging.pump import CommandPump
from charging.threads import DatabaseThreads
from depot import lifespan

if TYPE_CHECKING:
    from charging.consumers import ChargerConsumer

log = structlog.get_logger(__name__)

OWNER = f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(4)}"
HANDSHAKE_THREADS = 4
FLUSH_EVERY_S = 0.5
TICK_S = 1.0
LINKS_EVERY_S = 5.0
TRY_AGAIN_LATER = 1013
SERVICE_RESTART = 1012
POLICY_VIOLATION = 1008
SKEW_WINDOW = 8
SKEW_NEWS_S = 1.0
Job = Callable[[], object]


def collect_garbage_less_often() -> None:
    """Frames live for milliseconds and hold no cycles: looking for some every 700 objects costs a tenth of the CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


class ChargerProcess:
    """Sockets by station, and the tasks that serve all of them."""

    def __init__(self) -> None:
        self.owner = OWNER
        self.sockets: dict[int, ChargerConsumer] = {}
        self.away = False
        self.stopping = False
        self.unknown = UnknownKnocks()
        self.derivation = Derivation()
        self.journal = GroupCommit(on_delivered=self._delivered, on_away=self._database_away)
        self.handshakes = DatabaseThreads("ocpp-handshake", HANDSHAKE_THREADS)
        self.background = DatabaseThreads("ocpp-background")
        self._announcer = DatabaseThreads("ocpp-announce")
        self._writer = DatabaseThreads("ocpp-derived")
        self.pump = CommandPump(self)
        self._skew: dict[int, list[float]] = {}
        self._skew_written: dict[int, float] = {}
        self._heard: set[int] = set()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        collect_garbage_less_often()
        self.journal.start()
        self.pump.start()
        self._tasks = [
            asyncio.create_task(self._flush_for_ever(), name="ocpp-derived"),
            asyncio.create_task(self._tick_for_ever(), name="ocpp-tick"),
        ]

    async def stop(self) -> None:
        """Answer what was received, tell the chargers to come again, leave the links offline but unalarmed."""
        self.stopping = True
        await self.journal.drain()
        for consumer in list(self.sockets.values()):
            consumer.close(SERVICE_RESTART, "the server restarts")
        await self.pump.stop()
        await self.journal.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._flush(seen=True)
        try:
            await self.background.run(links.close_links_quietly, self.owner, timezone.now())
        except DATABASE_GONE as error:
            log.warning("links stay open", error=str(error))
        for threads in (self.handshakes, self.background, self._announcer, self._writer):
            await asyncio.to_thread(threads.stop)

    # --- sockets -----------------------------------------------------------------------------------------------------

    def enter(self, consumer: ChargerConsumer) -> None:
        """The newest connection wins; an older one in this process closes at once (P14)."""
        station_id = consumer.station.id
        older = self.sockets.get(station_id)
        if older is not None and older.epoch > consumer.epoch:
            consumer.close(POLICY_VIOLATION, "a newer connection of this charger is open")
            return
        self.sockets[station_id] = consumer
        if older is not None:
            older.close(POLICY_VIOLATION, "a newer connection of this charger was opened")
        metrics.SOCKETS.set(len(self.sockets))
        self.later(partial(links.announce_back, station_id))
        if consumer.registered:
            self.later(partial(reconcile_station, station_id, "connect"))  # P31
        self.pump.wake()

    def leave(self, consumer: ChargerConsumer, *, quietly: bool = False) -> None:
        """Mark the station offline, unless this was an older connection; quietly when we are the ones who leave."""
        station_id = consumer.station.id
        if self.sockets.get(station_id) is consumer:
            del self.sockets[station_id]
        metrics.SOCKETS.set(len(self.sockets))
        if not (quietly or self.stopping):
            job = partial(links.close_link, station_id, consumer.epoch, timezone.now())
            self.handshakes.submit(_guarded, job)

    def later(self, job: Job) -> None:
        """Run database work that nobody waits for, in order; its failure is logged."""
        self.background.submit(_guarded, job)

    def announce(self, job: Job) -> None:
        """Tell other rooms, in order, without waiting behind a storm of reconnects."""
        self._announcer.submit(_guarded, job)

    # --- after a commit ----------------------------------------------------------------------------------------------

    def _delivered(self, batch: Sequence[Entry]) -> None:
        for entry in batch:
            arrival, meaning = entry.arrival, entry.meaning
            if meaning.samples:
                self.derivation.take_samples(arrival, meaning.samples)
                self._note_skew(arrival, meaning.samples[-1].at)
            findings = meaning.findings + (entry.outcome.findings if entry.outcome else ())
            if findings:
                self.derivation.take_findings(arrival.station, findings)
            if entry.outcome is not None:
                for job in entry.outcome.after:
                    self.announce(job)
                if meaning.action in ("StatusNotification", "StartTransaction", "StopTransaction"):
                    self.announce(partial(nudge, LIVE, depot=arrival.station.depot_id, what="status"))

    def _note_skew(self, arrival: Arrival, stamped: datetime) -> None:
        """The charger's clock minus ours, s: of the last messages the one that travelled fastest."""
        window = self._skew.setdefault(arrival.station.id, [])
        window.append((stamped - arrival.at).total_seconds())
        del window[:-SKEW_WINDOW]
        self._heard.add(arrival.station.id)

    def forget_skew(self, station_id: int) -> None:
        """After a boot the charger's clock may be another one: nothing is known of it until it speaks again."""
        self._skew.pop(station_id, None)
        self._skew_written.pop(station_id, None)

    def _changed_skews(self) -> dict[int, float]:
        heard, self._heard = self._heard, set()
        measured = {station_id: max(self._skew[station_id]) for station_id in heard if station_id in self._skew}
        changed = {
            station_id: skew_s
            for station_id, skew_s in measured.items()
            if abs(skew_s - self._skew_written.get(station_id, float("inf"))) > SKEW_NEWS_S
        }
        self._skew_written.update(changed)
        return changed

    async def _flush_for_ever(self) -> None:
        seen_at = time.monotonic()
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            seen = time.monotonic() - seen_at >= links.SEEN_EVERY_S
            await self._flush(seen=seen)
            if seen:
                seen_at = time.monotonic()

    async def _flush(self, *, seen: bool) -> None:
        if self.away:
            return
        pending = self.derivation.swap()
        try:
            if pending:
                depots = await self._writer.run(self.derivation.write, pending, timezone.now())
                for depot_id in depots:
                    self.announce(partial(nudge, LIVE, depot=depot_id, what="meter"))
            if seen and self.sockets:
                await self._writer.run(links.note_seen, self.owner, timezone.now())
            if skews := self._changed_skews():
                await self._writer.run(links.note_skews, skews)
        except DATABASE_GONE as error:
            log.warning("derived state waits for the database", error=str(error))
            self.derivation.put_back(pending)
        except Exception:
            log.exception("derived state not written", connectors=len(pending.readings))

    # --- tick --------------------------------------------------------------------------------------------------------

    async def _tick_for_ever(self) -> None:
        checked_at = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            try:
                if self.away:
                    await self._probe()
                now = time.monotonic()
                for consumer in list(self.sockets.values()):
                    consumer.expire(now)
                if now - checked_at >= LINKS_EVERY_S and not self.away:
                    checked_at = now
                    await self.check_links()
            except Exception:
                log.exception("tick failed")

    async def check_links(self) -> None:
        """Close sockets that are no longer the newest, and links of ours that lost their socket unnoticed."""
        held = {station_id: consumer.epoch for station_id, consumer in self.sockets.items()}
        stale, ghosts = await self.handshakes.run(links.lost_sockets, self.owner, held)
        for station_id in stale:
            consumer = self.sockets.get(station_id)
            if consumer is not None and consumer.epoch == held[station_id]:
                consumer.close(POLICY_VIOLATION, "a newer connection of this charger was opened elsewhere")
        for station_id, epoch in ghosts:
            if station_id not in self.sockets:
                self.later(partial(links.close_link, station_id, epoch, timezone.now()))

    def _database_away(self, lost: Sequence[Entry]) -> None:
        """Close every socket, so that the chargers queue and lose no attempt (rule 2)."""
        self.away = True
        for consumer in list(self.sockets.values()):
            consumer.close(TRY_AGAIN_LATER, "the database is away")

    async def _probe(self) -> None:
        try:
            await self.handshakes.run(_probe)
        except DATABASE_GONE:
            return
        log.info("database is back")
        self.away = False


def _probe() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _guarded(job: Job) -> None:
    try:
        job()
    except Exception:
        log.exception("background work failed", job=str(job))


_current: tuple[asyncio.AbstractEventLoop, ChargerProcess] | None = None


def current() -> ChargerProcess:
    """The running loop's process object, started on first use where the server has no lifespan."""
    global _current
    loop = asyncio.get_running_loop()
    if _current is None or _current[0] is not loop:
        process = ChargerProcess()
        process.start()
        _current = (loop, process)
    return _current[1]


@lifespan.on_start
async def start_process() -> None:
    current()


@lifespan.on_stop
async def stop_process() -> None:
    global _current
    if _current is not None and _current[0] is asyncio.get_running_loop():
        process, _current = _current[1], None
        await process.stop()
