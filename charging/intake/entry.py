"""What travels from a socket through the journal and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple, Protocol

from charging.wire.errors import ErrorCode, Finding
from charging.wire.frames import Payload
from charging.wire.metering import MeterTraits


@dataclass(frozen=True, slots=True)
class StationRef:
    """What a socket has to know of its station."""

    id: int
    identity: str
    depot_id: int
    is_meter: bool = False
    meters: Mapping[int, MeterTraits] = field(default_factory=dict)  # by connector number


@dataclass(frozen=True, slots=True)
class Arrival:
    """Who said something, over which connection, and when it arrived."""

    station: StationRef
    epoch: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a message changed: the answer that may leave after the commit, and what is told to others then."""

    answer: Payload = b"{}"
    after: tuple[Callable[[], object], ...] = ()
    findings: tuple[Finding, ...] = ()


class SampleRow(NamedTuple):
    """A MeterSample in the order of its columns; W, Wh, A per phase, V, percent."""

    station_id: int
    number: int
    transaction_id: int | None
    at: datetime
    received_at: datetime
    context: str
    content_hash: str
    energy_wh: float | None
    power_w: float | None
    current_1_a: float | None
    current_2_a: float | None
    current_3_a: float | None
    voltage_v: float | None
    offered_a: float | None
    soc_percent: float | None
    flags: str


class FrameRow(NamedTuple):
    """A Frame in the order of its columns."""

    station_id: int
    epoch: int
    direction: str
    at: datetime
    message_id: str
    action: str
    raw: bytes
    error: str


Effect = Callable[[Arrival], Outcome]


@dataclass(slots=True)
class Meaning:
    """What a message says for the database and for its sender. Without an effect the answer is known at once."""

    action: str
    effect: Effect | None = None
    samples: Sequence[SampleRow] = ()
    answer: Payload | None = None
    refusal: tuple[ErrorCode, str] | None = None
    findings: tuple[Finding, ...] = ()
    last_resort: Effect | None = None
    """What is answered when the effect fails unexpectedly; without one the charger hears InternalError."""


class Socket(Protocol):
    """The journal's view of a consumer."""

    def deliver(self, entry: Entry) -> None: ...


@dataclass(slots=True, eq=False)
class Entry:
    """One incoming frame on its way through a group commit."""

    socket: Socket
    arrival: Arrival
    message_id: str
    raw: bytes
    meaning: Meaning
    reply: bytes | None = None  # a ready frame: a refusal of a broken frame, or a repeated answer
    error: str = ""
    outcome: Outcome | None = field(default=None)

    def frame(self) -> FrameRow:
        arrival, meaning = self.arrival, self.meaning
        return FrameRow(
            arrival.station.id,
            arrival.epoch,
            "in",
            arrival.at,
            storable(self.message_id, 36),
            storable(meaning.action, 40),
            self.raw,
            storable(self.error, 200),
        )


def storable(text: str, length: int) -> str:
    """Text as a column takes it: short enough, without NUL and lone surrogates (P28)."""
    if text.isascii() and "\x00" not in text:
        return text[:length]
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()[:length]
