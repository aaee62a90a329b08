"""OCPP 1.6 SmartCharging profile. OCPP 1.6 §3.13, §5.5, §5.7, §5.16, §7.8-7.14."""

from typing import Literal

from charging.wire.v16.types import (
    AcceptedOrRejected,
    ConnectorId,
    Count,
    Id,
    Message,
    Open,
    PhaseCount,
    Tenths,
    Timestamp,
)

ChargingProfilePurpose = Literal["ChargePointMaxProfile", "TxDefaultProfile", "TxProfile"]
ChargingProfileKind = Literal["Absolute", "Recurring", "Relative"]
RecurrencyKind = Literal["Daily", "Weekly"]
ChargingRateUnit = Literal["A", "W"]


class ChargingSchedulePeriod(Message, frozen=True):
    """`start_period` in s from the schedule's start, `limit` in A per phase or W in total, multiples of 0.1."""

    start_period: Count
    limit: Tenths
    number_phases: PhaseCount | None = None


class ChargingSchedule(Message, frozen=True):
    """Limits over time; `duration` in s, without one the last period lasts for ever (P68)."""

    charging_rate_unit: ChargingRateUnit
    charging_schedule_period: tuple[ChargingSchedulePeriod, ...]
    duration: Count | None = None
    start_schedule: Timestamp | None = None
    min_charging_rate: Tenths | None = None


class ChargingProfile(Message, frozen=True):
    """The highest valid stack level of a purpose wins; the same id or slot is replaced (P67)."""

    charging_profile_id: Id
    stack_level: Count
    charging_profile_purpose: ChargingProfilePurpose
    charging_profile_kind: ChargingProfileKind
    charging_schedule: ChargingSchedule
    transaction_id: Id | None = None
    recurrency_kind: RecurrencyKind | None = None
    valid_from: Timestamp | None = None
    valid_to: Timestamp | None = None


class SetChargingProfile(Message, frozen=True):
    """Install a profile; connector 0 means the charger or all of its connectors (P66)."""

    connector_id: ConnectorId
    cs_charging_profiles: ChargingProfile


class SetChargingProfileResponse(Message, frozen=True):
    """Accepted is a claim, to be verified."""

    status: Open[Literal["Accepted", "Rejected", "NotSupported"]]


class ClearChargingProfile(Message, frozen=True):
    """Criteria combine by AND, an id overrides them, none at all clears everything (P80)."""

    id: Id | None = None
    connector_id: ConnectorId | None = None
    charging_profile_purpose: ChargingProfilePurpose | None = None
    stack_level: Count | None = None


class ClearChargingProfileResponse(Message, frozen=True):
    """Unknown means already absent (P80)."""

    status: Open[Literal["Accepted", "Unknown"]]


class GetCompositeSchedule(Message, frozen=True):
    """Ask what the charger will obey for `duration` s; connector 0 is the grid draw (P74)."""

    connector_id: ConnectorId
    duration: Count
    charging_rate_unit: ChargingRateUnit | None = None


class CompositePeriod(Message, frozen=True):
    """A period as the charger reports it: -1 and huge limits occur, and mean nothing (P74)."""

    start_period: Id
    limit: float
    number_phases: Id | None = None


class CompositeSchedule(Message, frozen=True):
    """A schedule as the charger reports it; ignore its `start_schedule` (errata 3.57)."""

    charging_rate_unit: Open[ChargingRateUnit]
    charging_schedule_period: tuple[CompositePeriod, ...]
    duration: Id | None = None
    start_schedule: Timestamp | None = None
    min_charging_rate: float | None = None


class GetCompositeScheduleResponse(Message, frozen=True):
    """Accepted may come without a schedule or with an empty one: unverified (P74)."""

    status: Open[AcceptedOrRejected]
    connector_id: Id | None = None
    schedule_start: Timestamp | None = None
    charging_schedule: CompositeSchedule | None = None
