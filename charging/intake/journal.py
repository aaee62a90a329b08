"""Group commit: frames of all sockets of a process become durable together, then their answers leave, in order.

While one batch is in the database the next one gathers; under load batches grow, idle a frame commits alone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import structlog
from django.db import InterfaceError, OperationalError, transaction

from charging import metrics
from charging.intake import storage
from charging.intake.entry import Entry, FrameRow, Outcome
from charging.threads import DatabaseThreads
from charging.wire.errors import ErrorCode

log = structlog.get_logger(__name__)

MAX_BATCH = 1000
RETRIES = 3
IDLE_FLUSH_S = 1.0  # how long an outgoing frame may wait for company
DATABASE_GONE = (OperationalError, InterfaceError)
CONFIRMED_ANYHOW = frozenset({"StopTransaction", "StatusNotification"})
NOT_PROCESSED = (ErrorCode.INTERNAL_ERROR, "the message is stored, but could not be processed")
TRANSIENT = ("deadlock detected", "could not serialize")


class GroupCommit:
    """The writer of one process. `on_delivered` hears of every committed batch, `on_away` of a lost database."""

    def __init__(
        self, *, on_delivered: Callable[[Sequence[Entry]], None], on_away: Callable[[Sequence[Entry]], None]
    ) -> None:
        self._on_delivered = on_delivered
        self._on_away = on_away
        self._waiting: list[Entry] = []
        self._outgoing: list[FrameRow] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._draining = False
        self._threads = DatabaseThreads("ocpp-journal")
        self._task: asyncio.Task[None] | None = None

    @property
    def backlog(self) -> int:
        return len(self._waiting)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="ocpp-journal")

    def add(self, entry: Entry) -> None:
        """Queue a frame; its socket's `deliver` is called once it is durable, or never."""
        self._waiting.append(entry)
        self._wake.set()

    def add_outgoing(self, row: FrameRow) -> None:
        """Queue a sent frame for whichever commit comes next."""
        self._outgoing.append(row)

    async def drain(self) -> None:
        """Wait until everything queued so far is durable."""
        self._draining = True
        self._idle.clear()
        self._wake.set()
        await self._idle.wait()
        self._draining = False

    async def stop(self) -> None:
        if self._task is not None:
            await self.drain()
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._threads.stop)

    async def _run(self) -> None:
        while True:
            if not self._waiting and not (self._draining and self._outgoing):
                self._idle.set()
                await self._woken()
            self._wake.clear()
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            outgoing, self._outgoing = self._outgoing, []
            if batch or outgoing:
                await self._commit(batch, outgoing)

    async def _woken(self) -> None:
        try:
            async with asyncio.timeout(IDLE_FLUSH_S):  # wait_for may swallow a cancellation in Python 3.11
                await self._wake.wait()
        except TimeoutError:
            self._wake.set()

    async def _commit(self, batch: list[Entry], outgoing: list[FrameRow]) -> None:
        started = time.perf_counter()
        try:
            await self._threads.run(store, batch, outgoing)
        except DATABASE_GONE as error:
            metrics.DATABASE_AWAY.inc()
            log.error("journal lost its database", frames=len(batch), error=str(error))
            self._away(batch)
            return
        except Exception:
            log.exception("journal failed", frames=len(batch))
            self._away(batch)
            return
        metrics.COMMIT.observe(time.perf_counter() - started)
        metrics.BATCH.observe(len(batch))
        for entry in batch:
            try:
                entry.socket.deliver(entry)
            except Exception:
                log.exception("answer not delivered", station=entry.arrival.station.identity)
        self._on_delivered(batch)

    def _away(self, batch: list[Entry]) -> None:
        """Nothing of this was stored, so nothing is answered: the chargers keep it and come again (D1, rule 2)."""
        lost = batch + self._waiting
        self._waiting = []
        self._outgoing = []
        self._on_away(lost)


def store(batch: Sequence[Entry], outgoing: Sequence[FrameRow]) -> None:
    """Make a batch durable in one transaction; a row that the database refuses is isolated, not the batch lost."""
    for attempt in range(RETRIES):
        try:
            _store_together(batch, outgoing)
            return
        except DATABASE_GONE as error:
            if attempt + 1 == RETRIES or not any(words in str(error) for words in TRANSIENT):
                raise
        except Exception:
            log.exception("batch refused", frames=len(batch))
            break
    _store_one_by_one(batch, outgoing)


def _store_together(batch: Sequence[Entry], outgoing: Sequence[FrameRow]) -> None:
    with transaction.atomic():
        effective = [entry for entry in batch if entry.meaning.effect is not None]
        if effective:
            storage.lock_stations(entry.arrival.station.id for entry in effective)
            for entry in effective:
                _apply(entry)
        frames = [entry.frame() for entry in batch]
        frames.extend(outgoing)
        storage.write_frames(frames)
        storage.write_samples([row for entry in batch for row in entry.meaning.samples])


def _store_one_by_one(batch: Sequence[Entry], outgoing: Sequence[FrameRow]) -> None:
    _store_together((), outgoing)
    for entry in batch:
        try:
            _store_together([entry], ())
        except DATABASE_GONE:
            raise
        except Exception as error:
            log.exception(
                "frame kept without effect", action=entry.meaning.action, station=entry.arrival.station.identity
            )
            _strip(entry, error)
            _store_together([entry], ())


def _strip(entry: Entry, error: Exception) -> None:
    """Leave only the frame itself, and the answer that needs nothing from the database."""
    meaning = entry.meaning
    entry.error = f"kept without effect: {error}"
    entry.outcome = None
    meaning.samples = ()
    if meaning.effect is not None:
        meaning.effect = None
        if meaning.action in CONFIRMED_ANYHOW:
            meaning.answer = b"{}"
        else:
            meaning.refusal = NOT_PROCESSED


def _apply(entry: Entry) -> None:
    """Run an effect in a savepoint. Its unexpected failure is ours, not the charger's: the frame is kept (P38)."""
    meaning = entry.meaning
    assert meaning.effect is not None
    try:
        with transaction.atomic():
            entry.outcome = meaning.effect(entry.arrival)
            entry.error = ""
        return
    except DATABASE_GONE:
        raise
    except Exception as error:
        log.exception("effect failed", action=meaning.action, station=entry.arrival.station.identity)
        entry.error = f"{type(error).__name__}: {error}"
    if meaning.last_resort is not None:
        with transaction.atomic():
            entry.outcome = meaning.last_resort(entry.arrival)
    else:
        meaning.refusal = NOT_PROCESSED
        entry.outcome = Outcome()
