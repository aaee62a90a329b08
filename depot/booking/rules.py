"""What every booking must satisfy before anything is looked up: times, need, owner."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from depot.booking.terms import InvalidBooking
from depot.models import Depot, Reservation

SHORTEST = timedelta(minutes=15)
LONGEST = timedelta(hours=24)
FARTHEST_AHEAD = timedelta(days=730)
MOST_ENERGY_KWH = 10_000
CANCEL_REASONS = (
    *("POWER_OUTAGE", "BROKEN_CHARGER", "FULL", "BLOCKED"),
    *("TRAFFIC", "BROKEN_VEHICLE", "NO_CANCELED", "UNKNOWN"),
)


def check(reservation: Reservation, *, now: datetime) -> None:
    """InvalidBooking with a sentence per wrong field."""
    errors = _times(reservation.starts_at, reservation.ends_at, now)
    errors |= _need(reservation.energy_kwh, reservation.required_soc_percent)
    errors |= _minimum(reservation)
    errors |= _place(reservation, reservation.depot)
    errors |= _texts(reservation)
    if errors:
        raise InvalidBooking(errors)


def _times(starts_at: Any, ends_at: Any, now: datetime) -> dict[str, str]:
    errors: dict[str, str] = {}
    for name, value in (("starts_at", starts_at), ("ends_at", ends_at)):
        if not isinstance(value, datetime):
            errors[name] = f"{value!r} is not a time."
        elif value.tzinfo is None or value.utcoffset() is None:
            errors[name] = (
                f"{value.isoformat()} has no time zone; add an offset, for example {value.isoformat()}+01:00."
            )
    if errors:
        return errors
    length = ends_at - starts_at
    if length <= timedelta(0):
        errors["ends_at"] = f"The end {ends_at.isoformat()} is not after the start {starts_at.isoformat()}."
    elif ends_at <= now:
        errors["ends_at"] = f"The period is over: {ends_at.isoformat()} lies in the past."
    elif not SHORTEST <= length <= LONGEST:
        errors["ends_at"] = f"A booking lasts from 15 minutes to 24 hours; this one lasts {length}."
    elif starts_at - now > FARTHEST_AHEAD:
        errors["starts_at"] = f"{starts_at.isoformat()} is more than two years ahead."
    return errors


def _need(energy_kwh: Any, soc_percent: Any) -> dict[str, str]:
    errors: dict[str, str] = {}
    if energy_kwh is not None and soc_percent is not None:
        errors["energy_kwh"] = "Give the energy or the target SoC, not both."
    if energy_kwh is not None and not _between(energy_kwh, 0, MOST_ENERGY_KWH):
        errors["energy_kwh"] = f"{energy_kwh!r} is not an energy from 0 to {MOST_ENERGY_KWH} kWh."
    if soc_percent is not None and not _between(soc_percent, 0, 100):
        errors["required_soc_percent"] = f"{soc_percent!r} is not a SoC from 0 to 100 %."
    return errors


def _minimum(reservation: Reservation) -> dict[str, str]:
    """The part that must be there is said once, and is no more than what is wanted."""
    errors: dict[str, str] = {}
    energy, soc = reservation.minimum_energy_kwh, reservation.minimum_soc_percent
    if energy is not None and soc is not None:
        errors["minimum_energy_kwh"] = "Give the minimum energy or the minimum SoC, not both."
    elif energy is not None and not _between(energy, 0, MOST_ENERGY_KWH):
        errors["minimum_energy_kwh"] = f"{energy!r} is not an energy from 0 to {MOST_ENERGY_KWH} kWh."
    elif _exceeds(energy, reservation.energy_kwh):
        errors["minimum_energy_kwh"] = f"The minimum of {energy} kWh is above the {reservation.energy_kwh} kWh wanted."
    if soc is not None and not _between(soc, 0, 100):
        errors["minimum_soc_percent"] = f"{soc!r} is not a SoC from 0 to 100 %."
    elif _exceeds(soc, reservation.required_soc_percent):
        errors["minimum_soc_percent"] = (
            f"The minimum of {soc} % is above the target of {reservation.required_soc_percent} %."
        )
    return errors


def _exceeds(part: Any, whole: Any) -> bool:
    return part is not None and _between(whole, -math.inf, math.inf) and part > whole


def _between(value: Any, least: float, most: float) -> bool:
    numeric = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return numeric and least <= value <= most


def _place(reservation: Reservation, depot: Depot) -> dict[str, str]:
    errors: dict[str, str] = {}
    if reservation.connector is not None and reservation.connector.station.depot_id != depot.pk:
        errors["connector"] = f"{reservation.connector} stands in another depot than {depot}."
    if reservation.vehicle is not None and reservation.vehicle.depot_id != depot.pk:
        errors["vehicle"] = f"{reservation.vehicle} belongs to another depot than {depot}."
    return errors


def _texts(reservation: Reservation) -> dict[str, str]:
    errors: dict[str, str] = {}
    priority = reservation.priority
    if isinstance(priority, bool) or not isinstance(priority, int) or not 1 <= priority <= 9:
        errors["priority"] = f"{priority!r} is not a priority from 1 (normal) to 9."
    if len(reservation.external_id) > 64:
        errors["external_id"] = "An external id has at most 64 characters."
    if len(reservation.notes) > 500:
        errors["notes"] = "Notes have at most 500 characters."
    taken = Reservation.objects.filter(depot_id=reservation.depot_id, external_id=reservation.external_id)
    if reservation.external_id and taken.exclude(pk=reservation.pk).exists():
        errors["external_id"] = f"Another reservation has the external id {reservation.external_id!r}."
    return errors
