"""Next departures: who leaves when, with what charge, and what would help those that will not be ready."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from depot.models import Reservation, Vehicle
from scheduling.live import words
from scheduling.live.tiles import Outlet
from scheduling.live.words import iso
from scheduling.live.yard import Yard
from scheduling.models import AT_RISK_KWH, Plan

SHOWN = 16

Visit = tuple[datetime, str, Plan | Reservation]  # departure, key, what is planned or booked


def departures(yard: Yard, outlets: list[Outlet]) -> dict[str, dict[str, Any]]:
    """Planned visits and bookings without a plan, earliest departure first."""
    plugged = {outlet.connector.pk: outlet for outlet in outlets if outlet.plugged}
    planned = {plan.reservation_id for plan in yard.plans}
    visits: list[Visit] = [
        (plan.departure_at, f"plan-{plan_key(plan)}", plan) for plan in yard.plans if plan.departure_at > yard.now
    ]
    visits += [(one.ends_at, f"booking-{one.pk}", one) for one in yard.reservations if one.pk not in planned]
    visits.sort(key=lambda visit: visit[:2])
    return {
        key: {"order": order}
        | (planned_row(yard, visit, plugged) if isinstance(visit, Plan) else booked_row(yard, visit))
        for order, (_, key, visit) in enumerate(shown(visits))
    }


def shown(visits: list[Visit]) -> list[Visit]:
    """The next ones, and later ones only if they are at risk: those need somebody while there is time."""
    later = [visit for visit in visits[SHOWN:] if isinstance(visit[2], Plan) and visit[2].shortfall_kwh > AT_RISK_KWH]
    return visits[:SHOWN] + later[:SHOWN]


def plan_key(plan: Plan) -> str:
    """Names the visit in the same way in every run, so that the browser updates a row instead of replacing it."""
    return f"{plan.connector_id}-{int(plan.departure_at.timestamp())}"


def planned_row(yard: Yard, plan: Plan, plugged: dict[int, Outlet]) -> dict[str, Any]:
    outlet = plugged.get(plan.connector_id)
    here = outlet is not None and outlet.plan is not None and outlet.plan.pk == plan.pk
    short = plan.shortfall_kwh > AT_RISK_KWH
    slack = slack_minutes(yard, plan)
    return {
        **leaving(yard, plan.departure_at),
        "vehicle": plan.vehicle.name if plan.vehicle is not None else "Unknown vehicle",
        "bay": bay_of(yard, plan.connector_id),
        "predicted": f"{plan.predicted_soc_percent:.0f} %" if plan.predicted_soc_percent is not None else words.UNKNOWN,
        "need": f"{words.number(plan.need_kwh)} kWh",
        "short": f"{words.number(plan.shortfall_kwh)} kWh short" if short else None,
        "slack": slack_words(slack),
        "tone": "risk" if short else "tight" if slack < 30 and plan.need_kwh > AT_RISK_KWH else "fine",
        "verdict": "at risk" if short else None if here else "not plugged in",
        "why": why(plan) if short else None,
    }


def booked_row(yard: Yard, booking: Reservation) -> dict[str, Any]:
    return {
        **leaving(yard, booking.ends_at),
        "vehicle": booking.vehicle.name if booking.vehicle is not None else "Any vehicle",
        "bay": bay_of(yard, booking.connector_id),
        "predicted": words.UNKNOWN,
        "need": booked_need(booking),
        "slack": words.UNKNOWN,
        "tone": "open",
        "verdict": "no plan yet",
    }


def leaving(yard: Yard, instant: datetime) -> dict[str, Any]:
    return {
        "departs_at": iso(instant),
        "departs": words.clock(yard.depot.local(instant), yard.depot.local(yard.now)),
    }


def booked_need(booking: Reservation) -> str:
    if booking.energy_kwh is not None:
        return f"{words.number(booking.energy_kwh)} kWh"
    if booking.required_soc_percent is not None:
        return f"to {booking.required_soc_percent:.0f} %"
    return words.UNKNOWN


def bay_of(yard: Yard, connector_id: int | None) -> str:
    connector = yard.connectors_by_id.get(connector_id) if connector_id is not None else None
    return connector.bay if connector is not None else "any bay"


def max_power_kw(yard: Yard, plan: Plan) -> float:
    connector = yard.connectors_by_id.get(plan.connector_id)
    outlet = connector.max_power_kw if connector is not None else 0.0
    vehicle: Vehicle | None = plan.vehicle
    return min(outlet, vehicle.max_ac_kw) if vehicle is not None else outlet


def slack_minutes(yard: Yard, plan: Plan) -> float:
    """How long charging at full power could still wait, min; negative when even that is too late."""
    start = max(yard.now, plan.arrival_at)
    power = max_power_kw(yard, plan)
    needed = 60 * plan.need_kwh / power if power > 0 else 0.0
    return (plan.departure_at - start).total_seconds() / 60 - needed


def slack_words(minutes: float) -> str:
    """Rounded to 5 minutes, so that a row does not change with every second that passes."""
    rounded = 5 * round(minutes / 5)
    return words.span(rounded * 60) if rounded > 0 else "none" if rounded == 0 else f"−{words.span(-rounded * 60)}"


def why(plan: Plan) -> str:
    """The remedy, which names the cause as well; without one at least the cause."""
    if plan.remedy:
        return plan.remedy
    reason = words.shortfall_in_words(plan.shortfall_reason) if plan.shortfall_reason else "the need is above what fits"
    return f"{reason[0].upper()}{reason[1:]}."
