"""What is asked for, what stands against it, and what is offered instead."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Need:
    """Energy from the grid, kWh, or the SoC at departure, percent. Neither means the depot's default target.

    A minimum says which part of it must be there; the rest is served after everybody's minimum. None: all of it.
    """

    energy_kwh: float | None = None
    required_soc_percent: float | None = None
    minimum_energy_kwh: float | None = None
    minimum_soc_percent: float | None = None


@dataclass(frozen=True)
class Requirements:
    """What a bay must offer when any bay will do."""

    plug: str = ""
    power_required_kw: float | None = None


@dataclass(frozen=True)
class Conflict:
    """A booking in the way; kind `buffer` when only the gap that is kept after a reservation clashes."""

    id: UUID
    starts_at: datetime
    ends_at: datetime
    kind: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Alternative:
    """A free period; `available_kwh` is the most that bay and vehicle allow by the end that was asked for."""

    connector_id: int
    bay: str
    starts_at: datetime
    ends_at: datetime
    available_kwh: float

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "connector": self.connector_id}


class InvalidBooking(ValueError):
    """The request makes no sense whatever is free: a sentence per field."""

    def __init__(self, errors: dict[str, str]) -> None:
        self.errors = errors
        super().__init__(" ".join(errors.values()))


class InvalidTransition(InvalidBooking):
    """The reservation's state does not allow the step."""


class BookingConflict(Exception):
    """The bay is taken; says by what, and what is free instead."""

    def __init__(self, conflicts: list[Conflict], alternatives: list[Alternative], *, bay: str = "") -> None:
        self.conflicts = conflicts
        self.alternatives = alternatives
        self.bay = bay
        super().__init__(f"Bay {bay} is taken in this period." if bay else "No suitable bay is free in this period.")

    def in_words(self, zone: ZoneInfo) -> str:
        """One paragraph in local time for people."""
        words = [str(self)]
        if self.conflicts:
            words.append(f"In the way: {'; '.join(_period(each, zone) for each in self.conflicts)}.")
        if self.alternatives:
            offers = (f"bay {each.bay} {_period(each, zone)}" for each in self.alternatives)
            words.append(f"Free instead: {'; '.join(offers)}.")
        else:
            words.append("Nothing suitable is free in the next days.")
        return " ".join(words)


def _period(each: Conflict | Alternative, zone: ZoneInfo) -> str:
    starts_at, ends_at = each.starts_at.astimezone(zone), each.ends_at.astimezone(zone)
    until = f"{ends_at:%H:%M}" if starts_at.date() == ends_at.date() else f"{ends_at:%a %d %b %H:%M}"
    gap = " and the gap kept around it" if isinstance(each, Conflict) and each.kind == "buffer" else ""
    return f"{starts_at:%a %d %b %H:%M} to {until} {ends_at.tzname()}{gap}"
