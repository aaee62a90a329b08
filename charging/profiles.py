"""Charging profiles as values: what a charger is told, in the unit it wants, and back again.

Inside, a limit is A per phase on every phase of the outlet. On the wire it is A per phase or W in total (P70).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from depot.models import Connector, Station

FALLBACK_STACK = 0
PLAN_STACK = 1
FALLBACK_PROFILE_ID = 10
PLAN_PROFILE_ID = 1000
START_IN_THE_PAST = timedelta(seconds=5)  # P69
TENTH = 10
ROUNDING_SLACK = 1e-9  # a limit that is a whole tenth up to float noise stays it

Period = tuple[int, float]


@dataclass(frozen=True)
class Schedule:
    """Limits in A per phase from `starts_at` on: ((seconds, A), ...), first at 0; over at `ends_at` (None: never)."""

    starts_at: datetime
    periods: tuple[Period, ...]
    ends_at: datetime | None = None

    def current_at(self, instant: datetime) -> float | None:
        """The limit in force, A per phase; None outside the schedule."""
        if instant < self.starts_at or (self.ends_at is not None and instant >= self.ends_at):
            return None
        elapsed = (instant - self.starts_at).total_seconds()
        return next((limit for start, limit in reversed(self.periods) if start <= elapsed), None)

    def changes(self) -> list[datetime]:
        return [self.starts_at + timedelta(seconds=start) for start, _ in self.periods]


def floor_tenth(value: float) -> float:
    """Rounded down to one decimal, as OCPP 1.6 §7.14 allows no more (P71)."""
    return math.floor(value * TENTH + ROUNDING_SLACK * TENTH) / TENTH


def to_wire(current_a: float, connector: Connector) -> float:
    """A per phase -> the station's unit, rounded down."""
    if connector.station.rate_unit == Station.RateUnit.WATT:
        return floor_tenth(current_a * connector.kw_per_ampere * 1000)
    return floor_tenth(current_a)


def from_wire(limit: float, unit: str, connector: Connector, phases: int | None = None) -> float:
    """A limit in `unit` -> A per phase of this outlet; absent phases mean three (1.6 §7.12)."""
    if unit == Station.RateUnit.AMPERE:
        return limit
    return limit / (connector.voltage_v * min(phases or 3, connector.phases))


def merged(periods: Sequence[Period]) -> list[Period]:
    """Neighbours with the same limit become one period."""
    kept: list[Period] = []
    for start, limit in periods:
        if not kept or kept[-1][1] != limit:
            kept.append((start, limit))
    return kept


def reduced(periods: Sequence[Period], most: int) -> list[Period]:
    """At most `most` periods without raising any instant: far ones melt into their lowest limit, the last stays."""
    kept = merged(periods)
    while len(kept) > most:
        tail = len(kept) - 3 if len(kept) > 2 else 0
        (start, first), (_, second) = kept[tail], kept[tail + 1]
        kept[tail : tail + 2] = [(start, min(first, second))]
        kept = merged(kept)
    return kept


def plan_payload(connector: Connector, transaction_id: int, schedule: Schedule) -> dict[str, Any]:
    """SetChargingProfile request of a plan for a running transaction (slot plan: TxProfile, stack 1)."""
    stack = min(PLAN_STACK, connector.station.max_stack_level)
    return {
        "connectorId": connector.number,
        "csChargingProfiles": {
            "chargingProfileId": PLAN_PROFILE_ID + connector.number,
            "transactionId": transaction_id,
            "stackLevel": stack,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "startSchedule": wire_time(schedule.starts_at),
                "chargingRateUnit": connector.station.rate_unit,
                "chargingSchedulePeriod": [
                    {"startPeriod": start, "limit": to_wire(limit, connector), "numberPhases": connector.phases}
                    for start, limit in schedule.periods
                ],
            },
        },
    }


def fallback_payload(connector: Connector) -> dict[str, Any]:
    """SetChargingProfile request of the permanent fallback: Relative, so that a wrong clock cannot end it."""
    return {
        "connectorId": connector.number,
        "csChargingProfiles": {
            "chargingProfileId": FALLBACK_PROFILE_ID + connector.number,
            "stackLevel": FALLBACK_STACK,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Relative",
            "chargingSchedule": {
                "chargingRateUnit": connector.station.rate_unit,
                "chargingSchedulePeriod": [
                    {
                        "startPeriod": 0,
                        "limit": to_wire(connector.fallback_a, connector),
                        "numberPhases": connector.phases,
                    }
                ],
            },
        },
    }


def schedule_of(profile: dict[str, Any], connector: Connector, now: datetime) -> Schedule:
    """What a csChargingProfiles object may let this connector draw, read on the cautious side.

    Relative and recurring schedules have no known start: their highest limit counts from now on, for ever.
    """
    schedule = profile["chargingSchedule"]
    unit = schedule["chargingRateUnit"]
    periods = tuple(
        (int(period["startPeriod"]), from_wire(float(period["limit"]), unit, connector, period.get("numberPhases")))
        for period in schedule["chargingSchedulePeriod"]
    )
    start = parse_wire_time(schedule.get("startSchedule"))
    if profile["chargingProfileKind"] != "Absolute" or start is None:
        return Schedule(now, ((0, max(limit for _, limit in periods)),))
    return Schedule(start, periods)


def wire_time(instant: datetime) -> str:
    return instant.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def parse_wire_time(text: str | None) -> datetime | None:
    if not text:
        return None
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
