"""Codes and numbers as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

from charging.models import ConnectorStatus

REASONS = {
    "deadline": "needed for departure",
    "cheap_price": "cheap hour",
    "cheaper_later": "cheaper later",
    "group_limit": "feeder is full",
    "site_limit": "site limit reached",
    "dr_event": "grid event",
    "min_power": "at its minimum power",
    "waiting_turn": "waiting for its turn",
    "full": "has what it needs",
    "not_plugged": "not plugged in",
    "fault": "charger fault",
    "override": "in an operator's hands",
    "fallback": "fallback of the charger",
}
REASONS_TO_WAIT = {"min_power": "room for less than its minimum power"}  # where it differs at 0 kW
SHORTFALLS = {
    "power": "vehicle or charger is too weak",
    "time": "the stay is too short",
    "limit": "feeder or site limit",
    "charger": "charger is not available",
}
STATUSES: dict[str, str] = {
    ConnectorStatus.AVAILABLE: "Free",
    ConnectorStatus.PREPARING: "Plugged in",
    ConnectorStatus.CHARGING: "Charging",
    ConnectorStatus.SUSPENDED_EVSE: "Paused by plan",
    ConnectorStatus.SUSPENDED_EV: "Paused by vehicle",
    ConnectorStatus.FINISHING: "Finished",
    ConnectorStatus.RESERVED: "Reserved",
    ConnectorStatus.UNAVAILABLE: "Out of service",
    ConnectorStatus.FAULTED: "Fault",
    ConnectorStatus.UNKNOWN: "Unknown",
}
TRIGGERS = {
    "beat": "on schedule",
    "interval": "on schedule",
    "booking": "booking changed",
    "plug-in": "vehicle plugged in",
    "unplug": "vehicle left",
    "limit": "limit changed",
    "tariff": "tariff changed",
    "charger-lost": "charger lost",
    "charger-back": "charger back",
    "contradiction": "charger contradicts its profile",
    "operator": "asked by an operator",
    "vehicle": "vehicle changed",
    "settings": "settings changed",
}
UNKNOWN = "–"


def status_in_words(code: str) -> str:
    return STATUSES.get(code, code or "Unknown")


def reason_in_words(code: str, power_kw: float = 1.0) -> str:
    """Why a vehicle gets this power in a step."""
    if power_kw <= 0 and code in REASONS_TO_WAIT:
        return REASONS_TO_WAIT[code]
    return REASONS.get(code, code.replace("_", " "))


def shortfall_in_words(code: str) -> str:
    return SHORTFALLS.get(code, code.replace("_", " "))


def trigger_in_words(code: str) -> str:
    return TRIGGERS.get(code, code.replace("-", " "))


def number(value: float | None, digits: int = 1) -> str:
    """A number for a screen: thin spaces between thousands, no minus zero."""
    if value is None:
        return UNKNOWN
    rounded = round(value, digits) + 0.0
    return f"{rounded:,.{digits}f}".replace(",", "\u202f")


def kw(value: float | None) -> str:
    return number(value, 0 if value is not None and abs(value) >= 1000 else 1)


def limit(value: float) -> str:
    return number(value, 0 if float(value).is_integer() else 1)


def percent(part: float, whole: float) -> int:
    """Length of a bar, 0 to 100."""
    return max(0, min(100, round(100 * part / whole))) if whole > 0 else (100 if part > 0 else 0)


def iso(instant: datetime | None) -> str | None:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if instant is not None else None


def span(seconds: float) -> str:
    """A length of time in its two largest units: 40 s, 12 min, 3 h 20 min, 2 d 4 h."""
    whole = round(abs(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes = whole // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"


def clock(local: datetime, now_local: datetime) -> str:
    """Wall clock of the depot; with the weekday when it is not today, with the zone when the hour comes twice."""
    text = local.strftime("%H:%M")
    if is_ambiguous(local):
        text += f" {local.tzname()}"
    return text if local.date() == now_local.date() else f"{local:%a} {text}"


def is_ambiguous(local: datetime) -> bool:
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
