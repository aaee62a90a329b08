"""What a charging profile must obey beyond its schema before it is sent (P66, P69, P72). OCPP 1.6 §3.13."""

from itertools import pairwise
from math import floor

from charging.wire.errors import ErrorCode, PayloadError
from charging.wire.v16.core import RemoteStartTransaction
from charging.wire.v16.smart_charging import ChargingProfile, ChargingSchedule, SetChargingProfile
from charging.wire.v16.types import Message

SET_PATH = "/csChargingProfiles"
START_PATH = "/chargingProfile"


def check(message: Message) -> None:
    """Raise PayloadError when the message carries a profile that a charger has to refuse or would misread."""
    if isinstance(message, SetChargingProfile):
        _check_place(message)
        _check_profile(message.cs_charging_profiles, SET_PATH)
    if isinstance(message, RemoteStartTransaction) and message.charging_profile is not None:
        _check_start(message.charging_profile)
        _check_profile(message.charging_profile, START_PATH)


def _check_place(message: SetChargingProfile) -> None:
    profile = message.cs_charging_profiles
    if profile.charging_profile_purpose == "ChargePointMaxProfile" and message.connector_id != 0:
        raise _wrong("/connectorId", "a ChargePointMaxProfile goes to connector 0")
    if profile.charging_profile_purpose == "TxProfile":
        if message.connector_id == 0:
            raise _wrong("/connectorId", "a TxProfile goes to one connector, not to 0")
        if profile.transaction_id is None:
            raise _missing(f"{SET_PATH}/transactionId", "a TxProfile names the running transaction")
    elif profile.transaction_id is not None:
        raise _wrong(f"{SET_PATH}/transactionId", "only a TxProfile has a transaction")


def _check_start(profile: ChargingProfile) -> None:
    if profile.charging_profile_purpose != "TxProfile":
        raise _wrong(f"{START_PATH}/chargingProfilePurpose", "a remote start carries a TxProfile")
    if profile.transaction_id is not None:
        raise _wrong(f"{START_PATH}/transactionId", "the transaction does not exist yet, leave it out")


def _check_profile(profile: ChargingProfile, path: str) -> None:
    schedule = profile.charging_schedule
    start = f"{path}/chargingSchedule/startSchedule"
    if profile.charging_profile_kind == "Relative":
        if schedule.start_schedule is not None:
            raise _wrong(start, "a Relative profile has no start")
    elif schedule.start_schedule is None:
        raise _missing(start, f"an {profile.charging_profile_kind} profile needs its start".replace("an R", "a R"))
    if (profile.charging_profile_kind == "Recurring") != (profile.recurrency_kind is not None):
        raise _wrong(f"{path}/recurrencyKind", "belongs to a Recurring profile, and to no other")
    if profile.valid_from and profile.valid_to and profile.valid_from >= profile.valid_to:
        raise _wrong(f"{path}/validTo", "lies not after validFrom")
    _check_periods(schedule, f"{path}/chargingSchedule/chargingSchedulePeriod")


def _check_periods(schedule: ChargingSchedule, path: str) -> None:
    starts = [period.start_period for period in schedule.charging_schedule_period]
    if starts[0] != 0:
        raise _wrong(f"{path}/0/startPeriod", "the first period starts at 0")
    for index, (before, after) in enumerate(pairwise(starts), start=1):
        if after <= before:
            raise _wrong(f"{path}/{index}/startPeriod", "periods start one after the other")


def wire_limit(limit: float) -> float:
    """A limit in A or W rounded down to the 0.1 that the schema allows (P71); float noise costs no tenth."""
    return floor(limit * 10 + 1e-6) / 10


def _wrong(field: str, sentence: str) -> PayloadError:
    return PayloadError(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, field, sentence)


def _missing(field: str, sentence: str) -> PayloadError:
    return PayloadError(ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION, field, sentence)
