"""The profiles a station holds: reading them from the wire, refusing what the protocol forbids, replacing, clearing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from charging.simulator.schedule import Kind, Period, Profile, Purpose, Recurrency, Unit

MAX_STACK_LEVEL = 8
MAX_PERIODS = 24
MAX_INSTALLED = 10


class ProfileRefused(ValueError):
    """Why a profile is Rejected."""


def instant(text: str) -> datetime:
    """RFC 3339 to aware UTC; a missing zone is read as UTC (OCPP 1.6 §3.14)."""
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def profile_from_wire(connector: int, content: Mapping[str, Any], installed_at: datetime) -> Profile:
    """A profile from `csChargingProfiles` with the `ocpp` package's snake_case keys."""
    schedule = content["charging_schedule"]
    recurrency = content.get("recurrency_kind")
    return Profile(
        id=content["charging_profile_id"],
        connector=connector,
        stack_level=content["stack_level"],
        purpose=Purpose(content["charging_profile_purpose"]),
        kind=Kind(content["charging_profile_kind"]),
        unit=Unit(schedule["charging_rate_unit"]),
        periods=tuple(
            Period(period["start_period"], float(period["limit"]), period.get("number_phases"))
            for period in schedule["charging_schedule_period"]
        ),
        installed_at=installed_at,
        start=_optional_instant(schedule.get("start_schedule")),
        duration_s=schedule.get("duration"),
        recurrency=None if recurrency is None else Recurrency(recurrency),
        valid_from=_optional_instant(content.get("valid_from")),
        valid_to=_optional_instant(content.get("valid_to")),
        transaction_id=content.get("transaction_id"),
    )


def _optional_instant(text: str | None) -> datetime | None:
    return None if text is None else instant(text)


def check_form(profile: Profile, units: frozenset[Unit]) -> None:
    """Raise ProfileRefused when the content is against OCPP 1.6 §3.13, §5.16 or this station's limits."""
    if not 0 <= profile.stack_level <= MAX_STACK_LEVEL:
        raise ProfileRefused(f"stackLevel {profile.stack_level} is outside 0 to {MAX_STACK_LEVEL}")
    if not 1 <= len(profile.periods) <= MAX_PERIODS:
        raise ProfileRefused(f"{len(profile.periods)} periods, 1 to {MAX_PERIODS} are possible")
    starts = [period.start_s for period in profile.periods]
    if starts[0] != 0 or starts != sorted(set(starts)):
        raise ProfileRefused(f"startPeriods {starts} must begin with 0 and rise")
    if any(period.limit < 0 for period in profile.periods):
        raise ProfileRefused("a limit is negative")
    if profile.unit not in units:
        raise ProfileRefused(f"chargingRateUnit {profile.unit} is not supported")
    if profile.kind is Kind.RECURRING and (profile.recurrency is None or profile.start is None):
        raise ProfileRefused("a Recurring profile needs recurrencyKind and startSchedule")


def check_place(profile: Profile, connectors: int, running_transaction: int | None) -> None:
    """Raise ProfileRefused when purpose, connector and transaction do not fit. OCPP 1.6 §3.13.1, §5.16."""
    if not 0 <= profile.connector <= connectors:
        raise ProfileRefused(f"there is no connector {profile.connector}")
    if profile.purpose is Purpose.CHARGE_POINT_MAX and profile.connector != 0:
        raise ProfileRefused("a ChargePointMaxProfile belongs to connector 0")
    if profile.purpose is not Purpose.TX:
        return
    if profile.connector == 0:
        raise ProfileRefused("a TxProfile belongs to one connector")
    if running_transaction is None:
        raise ProfileRefused(f"no transaction is running on connector {profile.connector}")
    if profile.transaction_id != running_transaction:
        raise ProfileRefused(f"transaction {profile.transaction_id} is not the running one, {running_transaction}")


class ProfileStore:
    """Profiles of one station, in the order in which they came."""

    def __init__(self) -> None:
        self._profiles: list[Profile] = []

    @property
    def all(self) -> tuple[Profile, ...]:
        return tuple(self._profiles)

    def install(self, profile: Profile) -> None:
        """Replace the same id, or the same purpose, stack level and connector (§5.16.3); ProfileRefused when full."""
        kept = [known for known in self._profiles if not _replaces(profile, known)]
        if len(kept) >= MAX_INSTALLED:
            raise ProfileRefused(f"{MAX_INSTALLED} profiles are installed already")
        self._profiles = [*kept, profile]

    def clear(
        self,
        *,
        id: int | None = None,
        connector: int | None = None,
        purpose: Purpose | None = None,
        stack_level: int | None = None,
    ) -> int:
        """Remove by id alone, or by all given criteria together (§5.4, errata 3.25); the number removed."""
        kept = [
            profile
            for profile in self._profiles
            if (
                profile.id != id
                if id is not None
                else (connector is not None and profile.connector != connector)
                or (purpose is not None and profile.purpose is not purpose)
                or (stack_level is not None and profile.stack_level != stack_level)
            )
        ]
        removed = len(self._profiles) - len(kept)
        self._profiles = kept
        return removed

    def end_transaction(self, connector: int) -> None:
        """A TxProfile dies with its transaction (§3.13.1)."""
        self.clear(connector=connector, purpose=Purpose.TX)

    def forget(self) -> None:
        self._profiles = []


def _replaces(new: Profile, known: Profile) -> bool:
    same_slot = (new.purpose, new.stack_level, new.connector) == (known.purpose, known.stack_level, known.connector)
    return new.id == known.id or same_slot
