"""The picture of a depot: everything the live page shows, ready to be written into it, without nulls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils import timezone

from depot.models import Depot, Incident, LoadGroup
from scheduling.live import words
from scheduling.live.departures import departures, plan_key
from scheduling.live.measured import node_series
from scheduling.live.merge import Picture, without_nulls
from scheduling.live.tiles import Outlet, outlet_of, tiles
from scheduling.live.words import iso, kw, percent
from scheduling.live.yard import STALE_AFTER, Memory, Yard, read_yard
from scheduling.models import AT_RISK_KWH

OVERDUE_RUNS = 3  # planning intervals without a run before the plan counts as old


@dataclass(frozen=True)
class NodeNow:
    """Power at a node of the tree now, kW."""

    group: LoadGroup
    charging_kw: float
    building_kw: float
    building_measured: bool
    unknown: int  # connectors whose power is not known
    limit_kw: float
    planned_kw: float | None  # charging and building

    @property
    def total_kw(self) -> float:
        return self.charging_kw + self.building_kw


def snapshot(depot: Depot, *, now: datetime | None = None, memory: Memory | None = None) -> Picture:
    """Read the depot and draw it. Queries do not grow with the number of connectors."""
    return draw(read_yard(depot, now or timezone.now(), memory))


def draw(yard: Yard) -> Picture:
    outlets = [outlet_of(yard, connector) for connector in yard.connectors]
    nodes = [(depth, node_now(yard, group, outlets)) for depth, group in yard.tree()]
    picture: Picture = without_nulls(
        {
            "kpi": kpi(yard, outlets, nodes[0][1] if nodes else None),
            "nodes": {node.group.slug: node_row(order, depth, node) for order, (depth, node) in enumerate(nodes)},
            "tiles": tiles(yard, outlets),
            "departures": departures(yard, outlets),
            "incidents": incidents(yard),
            "knocking": knocking(yard),
            "heat": heat(yard),
            "chart": chart(yard),
        }
    )
    return picture


def node_now(yard: Yard, group: LoadGroup, outlets: list[Outlet]) -> NodeNow:
    nodes = {node.pk for node in yard.subtree(group)}
    below = [outlet for outlet in outlets if outlet.connector.station.load_group_id in nodes]
    buildings = [building_now(yard, node) for node in yard.subtree(group)]
    return NodeNow(
        group=group,
        charging_kw=sum(outlet.power_kw or 0.0 for outlet in below),
        building_kw=sum(load for load, _ in buildings),
        building_measured=all(measured for _, measured in buildings),
        unknown=sum(outlet.power_kw is None for outlet in below),
        limit_kw=yard.limit_kw(group),
        planned_kw=planned_at_node(yard, group),
    )


def building_now(yard: Yard, group: LoadGroup) -> tuple[float, bool]:
    """The building's kW on this node itself and whether it is measured (a node without building counts as such)."""
    meter = yard.meters.get(group.building_meter_id) if group.building_meter_id is not None else None
    if meter is not None and yard.now - meter.sampled_at <= STALE_AFTER:
        return meter.power_kw, True
    expected = group.building_load_at(yard.now)
    return expected, group.building_meter_id is None and not expected


def planned_at_node(yard: Yard, group: LoadGroup) -> float | None:
    if yard.run is None or yard.step_now is None:
        return None
    node = plan_nodes(yard).get(group.slug)
    step = yard.step_now
    if not node or step >= len(node.get("planned_kw", [])):
        return None
    building = node.get("building_kw", [])
    return float(node["planned_kw"][step]) + (float(building[step]) if step < len(building) else 0.0)


def plan_nodes(yard: Yard) -> dict[str, Any]:
    site = yard.run.site if yard.run is not None else {}
    nodes = site.get("nodes") if isinstance(site, dict) else None
    return nodes if isinstance(nodes, dict) else {}


def node_row(order: int, depth: int, node: NodeNow) -> dict[str, Any]:
    over = node.total_kw > node.limit_kw + 0.05
    return {
        "order": order,
        "depth": depth,
        "name": node.group.name,
        "power": kw(node.total_kw),
        "limit": words.limit(node.limit_kw),
        "fill": percent(node.total_kw, node.limit_kw),
        "mark": percent(node.planned_kw, node.limit_kw) if node.planned_kw is not None else None,
        "planned": kw(node.planned_kw) if node.planned_kw is not None else None,
        "tone": "over" if over else "high" if node.total_kw > 0.95 * node.limit_kw else "fine",
        "note": node_note(node),
    }


def node_note(node: NodeNow) -> str | None:
    parts = []
    if node.building_kw:
        parts.append(f"building {kw(node.building_kw)}{'' if node.building_measured else ' expected'}")
    if node.unknown:
        parts.append(f"{node.unknown} unknown")
    return ", ".join(parts) or None


def kpi(yard: Yard, outlets: list[Outlet], site: NodeNow | None) -> dict[str, Any]:
    at_risk = [plan for plan in yard.plans if plan.departure_at > yard.now and plan.shortfall_kwh > AT_RISK_KWH]
    unseen = [incident for incident in yard.incidents if incident.acknowledged_at is None]
    critical = any(incident.severity == Incident.Severity.CRITICAL for incident in unseen)
    return {
        **site_kpi(site),
        "charging": str(sum(outlet.charging for outlet in outlets)),
        "plugged": str(sum(outlet.plugged for outlet in outlets)),
        "waiting": str(sum(outlet.waiting for outlet in outlets)),
        "bays": str(len(outlets)),
        "risk": str(len(at_risk)),
        "risk_tone": "bad" if at_risk else None,
        "risk_note": f"{words.number(sum(plan.shortfall_kwh for plan in at_risk))} kWh short" if at_risk else None,
        "incidents": str(len(yard.incidents)),
        "incidents_tone": "bad" if critical else "warn" if unseen else None,
        "incidents_note": f"{len(unseen)} not acknowledged" if unseen else None,
        **run_kpi(yard),
    }


def site_kpi(site: NodeNow | None) -> dict[str, Any]:
    if site is None:
        return {"power": words.UNKNOWN, "limit": words.UNKNOWN, "fill": 0}
    row = node_row(0, 0, site)
    return {"power": row["power"], "limit": row["limit"], "fill": row["fill"], "mark": row["mark"]} | {
        "power_note": row["note"],
        "power_tone": "bad" if row["tone"] == "over" else None,
    }


def run_kpi(yard: Yard) -> dict[str, Any]:
    """Age, cause and outcome of the last run, and when the next is due."""
    run, planning, depot = yard.last_run, yard.planning, yard.depot
    if not depot.planning_enabled:
        return {"run_state": "Planning is off", "run_tone": "warn"}
    asked = planning is not None and planning.requests > planning.served_requests
    if run is None:
        return {"run_state": "Plan asked for" if asked else "No plan yet", "run_tone": "warn"}
    failed = run.status in {run.Status.FAILED, run.Status.REFUSED}
    late = yard.now - run.started_at > timedelta(seconds=OVERDUE_RUNS * depot.plan_interval_s)
    return {
        "run_at": iso(run.finished_at),
        "run_state": run.get_status_display() if failed else "Overdue" if late else None,
        "run_trigger": words.trigger_in_words(run.trigger),
        "run_next": iso(run.started_at + timedelta(seconds=depot.plan_interval_s)),
        "run_href": reverse("plan", args=[depot.slug, run.pk]),
        "run_tone": "bad" if failed else "warn" if late else None,
    }


def incidents(yard: Yard) -> dict[str, dict[str, Any]]:
    severity = {"critical": 0, "warning": 1, "info": 2}

    def urgency(one: Incident) -> tuple[bool, int, float]:
        return one.acknowledged_at is not None, severity.get(one.severity, 3), -one.opened_at.timestamp()

    rows = sorted(yard.incidents, key=urgency)
    return {str(incident.pk): {"order": order, **incident_row(yard, incident)} for order, incident in enumerate(rows)}


def incident_row(yard: Yard, incident: Incident) -> dict[str, Any]:
    by = incident.acknowledged_by
    return {
        "tone": incident.severity,
        "severity": incident.get_severity_display(),
        "subject": incident.subject.removeprefix(f"{yard.depot.slug}/"),
        "message": incident.message,
        "remedy": incident.remedy or None,
        "opened_at": iso(incident.opened_at),
        "count": f"{incident.count} times" if incident.count > 1 else None,
        "acknowledged": f"seen by {by.get_username() if by else 'someone'}" if incident.acknowledged_at else None,
        "href": reverse("acknowledge", args=[yard.depot.slug, incident.pk]),
    }


def knocking(yard: Yard) -> dict[str, dict[str, Any]]:
    """Identities that were refused, with the form that would adopt them."""
    adopt = reverse("admin:depot_station_add")
    return {
        str(unknown.pk): {
            "order": order,
            "identity": unknown.identity,
            "attempts": f"{unknown.attempts} attempts" if unknown.attempts != 1 else "1 attempt",
            "address": unknown.remote_address or None,
            "seen_at": iso(unknown.last_seen_at),
            "adopt": f"{adopt}?{urlencode({'identity': unknown.identity[:48], 'depot': yard.depot.pk})}",
        }
        for order, unknown in enumerate(yard.knocking)
    }


def heat(yard: Yard) -> dict[str, Any] | None:
    """Planned power per vehicle: runs of equal steps as [steps, kW, reason], so that a plan travels in a few kB."""
    run = yard.run
    if run is None:
        return None
    borders = run_borders(yard)
    bays = {connector.pk: connector.bay for connector in yard.connectors}
    rows: dict[str, dict[str, Any]] = {}
    for order, plan in enumerate(sorted(yard.plans, key=lambda one: (one.departure_at, one.connector_id))):
        steps = list(zip((round(float(value), 1) for value in plan.power_kw), plan.reasons, strict=False))
        rows[plan_key(plan)] = {
            "order": order,
            "name": plan.vehicle.name if plan.vehicle is not None else "Unknown vehicle",
            "bay": bays.get(plan.connector_id),
            "from": int(plan.arrival_at.timestamp()),
            "to": int(plan.departure_at.timestamp()),
            "short": plan.shortfall_kwh > AT_RISK_KWH or None,
            "runs": [[len(list(group)), *step] for step, group in groupby(steps)],
        }
    top = max((value for row in rows.values() for _, value, _ in row["runs"]), default=0.0)
    return {"borders": borders, "top_kw": top, "rows": rows}


def run_borders(yard: Yard) -> list[int]:
    """Instants between the steps of the run in force, s since the epoch; steps may differ in length."""
    return [int(border.timestamp()) for border in yard.run.horizon.borders] if yard.run is not None else []


def chart(yard: Yard) -> dict[str, Any]:
    """Measured kW by minute and planned kW by step, for the site and each feeder."""
    planned = plan_nodes(yard)
    site = yard.run.site if yard.run is not None else {}
    return {
        "now_limit": {group.slug: yard.limit_kw(group) for group in yard.groups},
        "measured": {group.slug: measured_of(yard, group) for group in yard.groups},
        "building": {group.slug: building_of(yard, group) for group in yard.groups},
        "plan": {
            "borders": run_borders(yard),
            "price": rounded(site.get("price_per_kwh", []), 4),
            "nodes": {slug: plan_series(node) for slug, node in planned.items()},
        }
        if planned
        else None,
    }


def plan_series(node: dict[str, Any]) -> dict[str, list[float]]:
    return {name: rounded(node.get(f"{name}_kw", []), 1) for name in ("limit", "building", "planned")}


def rounded(values: Any, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values] if isinstance(values, list) else []


def measured_of(yard: Yard, group: LoadGroup) -> dict[int, float]:
    meters = [(connector.station_id, connector.number) for connector in yard.connectors_below(group)]
    return node_series(yard.minutes, [*meters, *building_meters(yard, group)], yard.now)


def building_of(yard: Yard, group: LoadGroup) -> dict[int, float] | None:
    return node_series(yard.minutes, building_meters(yard, group), yard.now) or None


def building_meters(yard: Yard, group: LoadGroup) -> list[tuple[int, int]]:
    return [(node.building_meter_id, 0) for node in yard.subtree(group) if node.building_meter_id is not None]
