"""Commands written by hand (API, admin, station page) pass the same gate as a plan (S17)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from charging.gate import LimitExceeded, exposure_of
from charging.profiles import FALLBACK_PROFILE_ID, FALLBACK_STACK, PLAN_PROFILE_ID, Schedule, schedule_of
from charging.wire.errors import ErrorCode, PayloadError
from depot.models import Connector, Station

# Keys that switch off or raise what protects the site while a charger is offline.
POWER_KEYS = {
    "ignoredprofilepurposesoffline",
    "compositescheduledefaultlimitamps",
    "compositescheduledefaultlimitwatts",
    "compositescheduledefaultnumberphases",
}


def schedules_of_command(
    station: Station, action: str, payload: dict[str, Any], now: datetime
) -> list[tuple[Connector, Schedule, dict[str, Any]]]:
    """(connector, schedule, profile) for everything in the payload that may raise a limit; connector 0 means all."""
    if action == "SetChargingProfile":
        profile, number = payload["csChargingProfiles"], payload["connectorId"]
    elif action == "RemoteStartTransaction" and "chargingProfile" in payload:
        profile, number = payload["chargingProfile"], payload.get("connectorId", 0)
    else:
        return []
    connectors = Connector.objects.filter(station=station).select_related("station")
    if number:
        connectors = connectors.filter(number=number)
    found = list(connectors)
    if station.manual and not found:
        return []  # whoever steers by hand may also ask for what does not exist
    if not found:
        known = ", ".join(str(n) for n in Connector.objects.filter(station=station).values_list("number", flat=True))
        raise PayloadError(
            ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
            "/connectorId",
            f"{station} has no connector {number}; it has {known or 'none'}.",
        )
    if len(found) > 1 and profile["chargingProfilePurpose"] != "ChargePointMaxProfile" and not station.manual:
        raise PayloadError(
            ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
            "/connectorId",
            f"{station} has {len(found)} connectors; send the profile to each of them by its number.",
        )
    if profile["chargingProfilePurpose"] == "ChargePointMaxProfile":
        return []  # it can only lower
    return [(connector, schedule_of(profile, connector, now), profile) for connector in found[:1]]


def refuse_what_endangers_the_limit(station: Station, action: str, payload: dict[str, Any], now: datetime) -> None:
    """Raises LimitExceeded or PayloadError. A manual station counts at its hardware maximum: anything may be sent."""
    if station.manual:
        return
    if action == "SetChargingProfile":
        refuse_our_slots(payload["csChargingProfiles"], payload["connectorId"])
    if action == "ClearChargingProfile":
        refuse_clearing_the_fallback(station, payload)
    if action == "ChangeConfiguration" and payload["key"].strip().lower() in POWER_KEYS:
        raise PayloadError(
            ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
            "/key",
            f"{payload['key']} changes what the charger draws without the system; set the station to manual first.",
        )
    for connector, schedule, _ in schedules_of_command(station, action, payload, now):
        exposure = exposure_of(station.depot, now, [schedule])
        if (refusal := exposure.refusal(connector.pk, schedule)) is not None:
            raise LimitExceeded(refusal)


def refuse_our_slots(profile: dict[str, Any], number: int) -> None:
    own_fallback = profile["chargingProfilePurpose"] == "TxDefaultProfile" and profile["stackLevel"] == FALLBACK_STACK
    own_ids = {FALLBACK_PROFILE_ID + number, PLAN_PROFILE_ID + number}
    if own_fallback or profile["chargingProfileId"] in own_ids:
        field = "/csChargingProfiles/stackLevel" if own_fallback else "/csChargingProfiles/chargingProfileId"
        raise PayloadError(
            ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
            field,
            "This place holds the charger's permanent fallback or its plan; use another id, and a stack level above 0 "
            "for a TxDefaultProfile, or change the connector's fallback.",
        )


def refuse_clearing_the_fallback(station: Station, payload: dict[str, Any]) -> None:
    """Criteria combine by AND and an id overrides them; none at all clears everything (P80)."""
    numbers = list(Connector.objects.filter(station=station).values_list("number", flat=True))
    if (profile_id := payload.get("id")) is not None:
        hits = profile_id in {FALLBACK_PROFILE_ID + number for number in numbers}
    else:
        hits = (
            payload.get("connectorId", 0) in {0, *numbers}
            and payload.get("chargingProfilePurpose", "TxDefaultProfile") == "TxDefaultProfile"
            and payload.get("stackLevel", FALLBACK_STACK) == FALLBACK_STACK
        )
    if hits:
        raise PayloadError(
            ErrorCode.PROPERTY_CONSTRAINT_VIOLATION,
            "/id" if profile_id is not None else "",
            "This would clear the charger's permanent fallback, and without a profile it draws full power; "
            "name the id of another profile.",
        )
