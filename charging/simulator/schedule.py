"""Which limit holds when: the charger's own composite-schedule logic. OCPP 1.6 §3.13. Pure.

A limit without any profile is None: nothing but the hardware bounds the charger (§3.13.6).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum


class Purpose(StrEnum):
    CHARGE_POINT_MAX = "ChargePointMaxProfile"
    TX_DEFAULT = "TxDefaultProfile"
    TX = "TxProfile"


class Kind(StrEnum):
    ABSOLUTE = "Absolute"
    RECURRING = "Recurring"
    RELATIVE = "Relative"


class Recurrency(StrEnum):
    DAILY = "Daily"
    WEEKLY = "Weekly"


class Unit(StrEnum):
    A = "A"
    W = "W"


RECURRENCE = {Recurrency.DAILY: timedelta(days=1), Recurrency.WEEKLY: timedelta(weeks=1)}
DEFAULT_PHASES = 3


@dataclass(frozen=True, slots=True)
class Period:
    """From `start_s` seconds after the schedule's start: A per phase or W in total."""

    start_s: int
    limit: float
    number_phases: int | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A charging profile as installed on a connector (0 = the whole station)."""

    id: int
    connector: int
    stack_level: int
    purpose: Purpose
    kind: Kind
    unit: Unit
    periods: tuple[Period, ...]
    installed_at: datetime
    start: datetime | None = None
    duration_s: int | None = None
    recurrency: Recurrency | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    transaction_id: int | None = None


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a connector is made of; `switches_phases` means numberPhases also limits the phases in use."""

    phases: int
    voltage_v: float
    max_current_a: float
    switches_phases: bool = False

    @property
    def max_power_w(self) -> float:
        return self.phases * self.voltage_v * self.max_current_a


@dataclass(frozen=True, slots=True)
class Limit:
    """A per phase, on how many phases."""

    current_a: float
    phases: int

    def in_unit(self, unit: Unit, wiring: Wiring) -> float:
        return self.current_a if unit is Unit.A else self.current_a * wiring.voltage_v * self.phases


@dataclass(frozen=True, slots=True)
class Step:
    """One period of a composite schedule, `start_s` from its beginning."""

    start_s: int
    limit: float
    number_phases: int | None


def window_at(profile: Profile, at: datetime, transaction_start: datetime | None) -> tuple[datetime, datetime | None]:
    """Start of the schedule that governs `at`, and its end if it has one. The start may lie after `at`."""
    start = profile.start
    if profile.kind is Kind.RELATIVE or start is None:
        # §3.13.1: Relative counts from the transaction's start; a station-wide one can only count from its arrival.
        station_wide = profile.purpose is Purpose.CHARGE_POINT_MAX
        start = profile.installed_at if station_wide else (transaction_start or at)
    end = None if profile.duration_s is None else start + timedelta(seconds=profile.duration_s)
    if profile.kind is Kind.RECURRING and profile.recurrency is not None and at >= start:
        every = RECURRENCE[profile.recurrency]
        start += every * ((at - start) // every)
        end = start + (every if profile.duration_s is None else min(every, timedelta(seconds=profile.duration_s)))
    return start, end


def period_at(profile: Profile, at: datetime, transaction_start: datetime | None) -> Period | None:
    """The period in force, or None when the profile says nothing about `at` (validTo and end are exclusive)."""
    if profile.valid_from is not None and at < profile.valid_from:
        return None
    if profile.valid_to is not None and at >= profile.valid_to:
        return None
    start, end = window_at(profile, at, transaction_start)
    if at < start or (end is not None and at >= end):
        return None
    offset_s = (at - start).total_seconds()
    current: Period | None = None
    for period in profile.periods:
        if period.start_s > offset_s:
            break
        current = period
    return current


def as_limit(period: Period, unit: Unit, wiring: Wiring) -> Limit:
    """Per-phase limit by nominal voltage; numberPhases is 3 when absent, never more than the connector has. §7.14."""
    told_phases = min(period.number_phases or DEFAULT_PHASES, wiring.phases)
    phases = told_phases if wiring.switches_phases else wiring.phases
    current_a = period.limit if unit is Unit.A else period.limit / (wiring.voltage_v * told_phases)
    return Limit(max(0.0, current_a), phases)


def winner(
    profiles: Iterable[Profile], purpose: Purpose, connectors: Sequence[int], at: datetime, since: datetime | None
) -> tuple[Profile, Period] | None:
    """Highest stack level that has something to say at `at`; at equal level the connector's own beats connector 0."""
    best: tuple[Profile, Period] | None = None
    for profile in profiles:
        if profile.purpose is not purpose or profile.connector not in connectors:
            continue
        if best is not None and _rank(best[0]) >= _rank(profile):
            continue
        period = period_at(profile, at, since)
        if period is not None:
            best = profile, period
    return best


def _rank(profile: Profile) -> tuple[int, int]:
    return profile.stack_level, profile.connector


def transaction_limit(
    profiles: Sequence[Profile], connector: int, wiring: Wiring, at: datetime, transaction_start: datetime | None
) -> Limit | None:
    """Limit of the TxProfile, which replaces the TxDefaultProfile while it is valid. §3.13.1."""
    found = None
    if transaction_start is not None:
        found = winner(profiles, Purpose.TX, (connector,), at, transaction_start)
    if found is None:
        found = winner(profiles, Purpose.TX_DEFAULT, (0, connector), at, transaction_start)
    return None if found is None else as_limit(found[1], found[0].unit, wiring)


def station_limit(profiles: Sequence[Profile], wiring: Wiring, at: datetime) -> Limit | None:
    """Limit of the ChargePointMaxProfile, for all connectors together."""
    found = winner(profiles, Purpose.CHARGE_POINT_MAX, (0,), at, None)
    return None if found is None else as_limit(found[1], found[0].unit, wiring)


def connector_limit(
    profiles: Sequence[Profile],
    connector: int,
    wiring: Wiring,
    at: datetime,
    transaction_start: datetime | None,
    sharing: int = 1,
) -> Limit:
    """What the connector may take: the least of profiles, its share of the station's maximum, and the hardware."""
    limits = [Limit(wiring.max_current_a, wiring.phases)]
    own = transaction_limit(profiles, connector, wiring, at, transaction_start)
    if own is not None:
        limits.append(own)
    station = station_limit(profiles, wiring, at)
    if station is not None:
        limits.append(Limit(station.current_a / max(1, sharing), station.phases))
    return Limit(min(limit.current_a for limit in limits), min(limit.phases for limit in limits))


def change_points(
    profiles: Iterable[Profile], begin: datetime, end: datetime, transaction_start: datetime | None
) -> list[datetime]:
    """Instants in [begin, end) at which some profile may start to say something else."""
    points = {begin}
    for profile in profiles:
        points.update(at for at in (profile.valid_from, profile.valid_to) if at is not None)
        at: datetime | None = begin
        while at is not None and at < end:
            start, stop = window_at(profile, at, transaction_start)
            points.update((start, *(start + timedelta(seconds=period.start_s) for period in profile.periods)))
            if stop is not None:
                points.add(stop)
            recurring = profile.kind is Kind.RECURRING and profile.recurrency
            at = start + RECURRENCE[recurring] if recurring else None
    return sorted(point for point in points if begin <= point < end)


def merged(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The same schedule without periods that change nothing."""
    kept: list[Step] = []
    for step in steps:
        if not kept or (kept[-1].limit, kept[-1].number_phases) != (step.limit, step.number_phases):
            kept.append(step)
    return tuple(kept)


def composite(
    profiles: Sequence[Profile],
    connector: int,
    wiring: Wiring,
    begin: datetime,
    duration_s: int,
    unit: Unit,
    transaction_start: datetime | None,
    sharing: int = 1,
) -> tuple[Step, ...]:
    """Composite schedule of one connector, limits rounded down to 0.1. §5.7."""
    since = transaction_start
    anchored = _anchored(profiles, begin, since)
    steps = []
    for at in change_points(anchored, begin, begin + timedelta(seconds=duration_s), since):
        limit = connector_limit(anchored, connector, wiring, at, since, sharing)
        steps.append(
            Step(int((at - begin).total_seconds()), rounded_down(limit.in_unit(unit, wiring)), _told(limit, wiring))
        )
    return merged(steps)


def _anchored(profiles: Sequence[Profile], begin: datetime, transaction_start: datetime | None) -> list[Profile]:
    """Without a transaction a Relative default would start anew at each instant: let it start with the answer."""
    if transaction_start is not None:
        return list(profiles)
    return [_from(profile, begin) if _floats(profile) else profile for profile in profiles]


def _floats(profile: Profile) -> bool:
    return profile.purpose is not Purpose.CHARGE_POINT_MAX and (profile.kind is Kind.RELATIVE or profile.start is None)


def _from(profile: Profile, begin: datetime) -> Profile:
    return replace(profile, kind=Kind.ABSOLUTE, start=begin)


def _told(limit: Limit, wiring: Wiring) -> int | None:
    return None if limit.phases == DEFAULT_PHASES else limit.phases


def rounded_down(value: float) -> float:
    """Down to a multiple of 0.1, as the protocol wants limits; 1e-6 absorbs binary fractions."""
    return math.floor(value * 10.0 + 1e-6) / 10.0


def summed(schedules: Sequence[tuple[Step, ...]], ceiling: Sequence[Step] = ()) -> tuple[Step, ...]:
    """Station-wide schedule: the connectors' sum, capped by the station's own maximum where it has one."""
    starts = sorted({step.start_s for schedule in (*schedules, ceiling) for step in schedule})
    steps = []
    for start_s in starts:
        total = sum(_value_at(schedule, start_s) for schedule in schedules)
        cap = _value_at(ceiling, start_s) if ceiling else math.inf
        steps.append(Step(start_s, rounded_down(min(total, cap)), None))
    return merged(steps)


def _value_at(schedule: Sequence[Step], start_s: int) -> float:
    value = 0.0
    for step in schedule:
        if step.start_s > start_s:
            break
        value = step.limit
    return value
