"""One tile per connector: what it does, what it should do, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse

from charging.models import ConnectorState, ConnectorStatus, Session
from depot.models import Connector, Reservation, VehicleState
from scheduling.live import words
from scheduling.live.words import iso, kw, percent
from scheduling.live.yard import STALE_AFTER, Yard, is_online, link_of, state_of
from scheduling.models import AT_RISK_KWH, Plan

DRAWS_KW = 0.1  # below this a vehicle is not charging
NOTED_KW = 0.5  # a plan above this that is not taken is worth a note
PLUGGED = {
    ConnectorStatus.PREPARING,
    ConnectorStatus.CHARGING,
    ConnectorStatus.SUSPENDED_EVSE,
    ConnectorStatus.SUSPENDED_EV,
    ConnectorStatus.FINISHING,
}
SOC_STALE_PARKED = timedelta(minutes=30)
SOC_STALE_CHARGING = timedelta(minutes=5)


@dataclass(frozen=True)
class Outlet:
    """What is known about a connector at the instant of the picture; None is unknown, never zero."""

    connector: Connector
    state: ConnectorState | None
    session: Session | None
    plan: Plan | None
    online: bool
    power_kw: float | None
    planned_kw: float | None
    reason: str

    @property
    def status(self) -> str:
        return self.state.status if self.state is not None else ConnectorStatus.UNKNOWN

    @property
    def plugged(self) -> bool:
        return self.session is not None or (self.online and self.status in PLUGGED)

    @property
    def charging(self) -> bool:
        return self.plugged and self.power_kw is not None and self.power_kw >= DRAWS_KW

    @property
    def faulted(self) -> bool:
        return self.online and self.status in {ConnectorStatus.FAULTED, ConnectorStatus.UNAVAILABLE}

    @property
    def waiting(self) -> bool:
        """Plugged in, takes nothing now, and the plan still has energy for it."""
        return self.plugged and not self.charging and not self.faulted and self.plan is not None and self.needs_more

    @property
    def needs_more(self) -> bool:
        return self.plan is not None and self.plan.energy_kwh + self.plan.shortfall_kwh > 0.05


def outlet_of(yard: Yard, connector: Connector) -> Outlet:
    state, session = state_of(connector), yard.sessions.get(connector.pk)
    online = is_online(connector.station)
    plan = yard.plan_of(connector)
    planned, reason = planned_now(yard, plan)
    return Outlet(
        connector=connector,
        state=state,
        session=session,
        plan=plan,
        online=online,
        power_kw=power_now(state, session, online, yard.now),
        planned_kw=planned,
        reason=reason,
    )


def power_now(state: ConnectorState | None, session: Session | None, online: bool, now: datetime) -> float | None:
    """Measured kW if the reading is fresh; 0 for an idle connector of a connected charger; else unknown."""
    if not online or state is None:
        return None
    fresh = state.sampled_at is not None and now - state.sampled_at <= STALE_AFTER
    if fresh and state.power_kw is not None:
        return state.power_kw if session is not None or state.status in PLUGGED else 0.0
    return None if session is not None or state.status in PLUGGED else 0.0


def planned_now(yard: Yard, plan: Plan | None) -> tuple[float | None, str]:
    """Planned kW and reason code of the step that contains now."""
    step = yard.step_now
    if plan is None or step is None or step >= len(plan.power_kw):
        return None, ""
    reason = plan.reasons[step] if step < len(plan.reasons) else ""
    return float(plan.power_kw[step]), str(reason)


def tiles(yard: Yard, outlets: list[Outlet]) -> dict[str, dict[str, Any]]:
    groups = {group.pk: group.slug for group in yard.groups}
    booked = next_reservations(yard)
    return {
        str(outlet.connector.pk): {
            "order": order,
            "group": groups.get(outlet.connector.station.load_group_id),
            **tile(yard, outlet, booked.get(outlet.connector.pk)),
        }
        for order, outlet in enumerate(outlets)
    }


def next_reservations(yard: Yard) -> dict[int, Reservation]:
    """The running or next reservation of each connector."""
    found: dict[int, Reservation] = {}
    for reservation in yard.reservations:
        if reservation.connector_id is not None:
            found.setdefault(reservation.connector_id, reservation)
    return found


def tile(yard: Yard, outlet: Outlet, booked: Reservation | None) -> dict[str, Any]:
    connector, station = outlet.connector, outlet.connector.station
    link = link_of(station)
    leaves = departure_of(outlet, booked, yard.now)
    return {
        "bay": connector.bay,
        "station": station.identity,
        "href": reverse("station", args=[yard.depot.slug, station.identity]),
        "vehicle": vehicle_name(outlet),
        "tone": tone(outlet),
        "status": status_words(outlet),
        "power": kw(outlet.power_kw),
        "planned": kw(outlet.planned_kw) if outlet.plugged and outlet.planned_kw is not None else None,
        "fill": percent(outlet.power_kw or 0.0, connector.max_power_kw),
        "mark": percent(outlet.planned_kw, connector.max_power_kw)
        if outlet.plugged and outlet.planned_kw is not None
        else None,
        "seen_at": iso(link.last_seen_at) if link is not None and not outlet.online else None,
        "sampled_at": iso(outlet.state.sampled_at) if is_stale(outlet) and outlet.state else None,
        **soc(yard, outlet),
        "departs_at": iso(leaves) if outlet.plugged else None,
        "note": note(yard, outlet, booked),
        "risk": risk(outlet),
    }


def vehicle_name(outlet: Outlet) -> str | None:
    session = outlet.session
    if session is None:
        return "Unknown vehicle" if outlet.plugged else None
    if session.vehicle is not None:
        return session.vehicle.name
    return f"Unknown vehicle ({session.id_tag})" if session.id_tag else "Unknown vehicle"


def is_stale(outlet: Outlet) -> bool:
    return outlet.online and outlet.power_kw is None


def tone(outlet: Outlet) -> str:
    """Colour family of the tile."""
    if outlet.state is None or not outlet.online or outlet.status == ConnectorStatus.UNKNOWN:
        return "unknown"
    if outlet.faulted:
        return "fault"
    if is_stale(outlet):
        return "unknown"
    if outlet.charging:
        return "charging"
    if not outlet.plugged:
        return "free"
    return "waiting" if outlet.waiting else "ready"


def status_words(outlet: Outlet) -> str:
    if link_of(outlet.connector.station) is None:
        return "Never connected"
    if not outlet.online:
        return "Offline"
    if is_stale(outlet):
        return "Unknown"
    if outlet.status in {ConnectorStatus.CHARGING, ConnectorStatus.SUSPENDED_EVSE} and outlet.waiting:
        return "Waiting"
    return words.status_in_words(outlet.status)


def soc(yard: Yard, outlet: Outlet) -> dict[str, Any]:
    """State of charge with its age, or the estimate from delivered energy, said to be one."""
    session = outlet.session
    if session is None:
        return {}
    if session.soc_percent is not None and session.last_sample_at is not None:
        return reported_soc(session.soc_percent, "charger", session.last_sample_at, yard.now, outlet.charging)
    stored = yard.soc.get(session.vehicle_id)
    estimate = estimated_soc(session, stored)
    if estimate is not None and outlet.power_kw is not None:
        return {"soc": f"{estimate:.0f} %", "soc_note": "est."}
    if estimate is not None:
        return {"soc": "SoC unknown", "soc_note": f"est. {estimate:.0f} %", "soc_at": iso(session.last_sample_at)}
    if stored is not None:
        return reported_soc(stored.soc_percent, stored.source, stored.measured_at, yard.now, outlet.charging)
    return {"soc": "SoC unknown"}


def reported_soc(value: float, source: str, at: datetime, now: datetime, charging: bool) -> dict[str, Any]:
    allowed = SOC_STALE_CHARGING if charging else SOC_STALE_PARKED
    if now - at > allowed:
        return {"soc": "SoC unknown", "soc_note": f"was {value:.0f} %", "soc_at": iso(at)}
    return {"soc": f"{value:.0f} %", "soc_note": "est." if source == VehicleState.Source.MODEL else None}


def estimated_soc(session: Session, stored: VehicleState | None) -> float | None:
    """Start of the session plus what was delivered since, through the vehicle's efficiency; percent."""
    vehicle = session.vehicle
    start = session.start_soc_percent
    if start is None and stored is not None and stored.measured_at <= session.started_at:
        start = stored.soc_percent
    if vehicle is None or start is None:
        return None
    gained = 100 * session.energy_kwh * vehicle.charging_efficiency / vehicle.battery_kwh
    return min(100.0, start + gained)


def departure_of(outlet: Outlet, booked: Reservation | None, now: datetime) -> datetime | None:
    if outlet.plan is not None and outlet.plan.arrival_at <= now:
        return outlet.plan.departure_at
    if outlet.session is not None and outlet.session.reservation is not None:
        return outlet.session.reservation.ends_at
    return booked.ends_at if booked is not None and booked.starts_at <= now else None


def note(yard: Yard, outlet: Outlet, booked: Reservation | None) -> str | None:
    """The one sentence that explains the tile."""
    connector, state = outlet.connector, outlet.state
    if not outlet.online:
        return f"Counts with its fallback of {words.number(connector.fallback_kw)} kW"
    if outlet.faulted and state is not None:
        return fault_words(state)
    if outlet.plugged:
        return plugged_note(yard, outlet)
    if booked is None:
        return None
    who = booked.vehicle.name if booked.vehicle is not None else "any vehicle"
    local, now = yard.depot.local(booked.starts_at), yard.depot.local(yard.now)
    when = "now" if booked.starts_at <= yard.now else words.clock(local, now)
    return f"Booked {when}: {who}"


def plugged_note(yard: Yard, outlet: Outlet) -> str | None:
    connector = outlet.connector
    meter = (connector.station_id, connector.number)
    if held := yard.held.get(meter) or yard.held.get((connector.station_id, 0)):
        return f"Raise held: {held}"
    if outlet.session is not None and meter not in yard.on_plan:
        return f"On fallback: {words.number(connector.fallback_a, 0)} A per phase"
    if outlet.power_kw is not None and outlet.power_kw < DRAWS_KW and (outlet.planned_kw or 0) >= NOTED_KW:
        return "Takes nothing although the plan offers power"
    if outlet.reason:
        text = words.reason_in_words(outlet.reason, outlet.planned_kw or 0.0)
        return text[0].upper() + text[1:]
    return "Not in a plan yet" if outlet.plan is None else None


def fault_words(state: ConnectorState) -> str:
    parts = [part for part in (state.info, state.error_code) if part and part != "NoError"]
    return " · ".join(parts) or "The charger gave no reason"


def risk(outlet: Outlet) -> str | None:
    plan = outlet.plan
    if plan is None or plan.shortfall_kwh <= AT_RISK_KWH or not outlet.plugged:
        return None
    return f"{words.number(plan.shortfall_kwh)} kWh short"
