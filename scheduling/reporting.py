"""What a finished optimisation leaves in the database for people to read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from charging.exposure import Exposure
from depot.models import Depot
from scheduling.engine import EV, Solution
from scheduling.engine.reasons import explain
from scheduling.models import Plan
from scheduling.needs import Visit


def plan_rows(solution: Solution, visits: dict[EV, Visit]) -> list[Plan]:
    """One unsaved Plan per vehicle; energies at the meter."""
    reasons = explain(solution.problem, solution.power)
    shortfalls = {shortfall.ev_id: shortfall for shortfall in solution.shortfalls}
    hours = solution.problem.horizon.hours
    rows = []
    for index, ev in enumerate(solution.problem.evs):
        visit, power = visits[ev], solution.power[index] * visits[ev].power_share
        shortfall = shortfalls.get(ev.ev_id)
        energy = float(power @ hours)
        rows.append(
            Plan(
                connector=visit.connector,
                vehicle=visit.vehicle,
                session=visit.session,
                reservation=visit.reservation,
                arrival_at=ev.arrival_time,
                departure_at=ev.departure_time,
                power_kw=[round(value, 3) for value in power.tolist()],
                reasons=list(reasons[index]),
                need_kwh=round(ev.energy, 3),
                energy_kwh=round(energy, 3),
                shortfall_kwh=round(shortfall.kwh * visit.power_share, 3) if shortfall else 0.0,
                shortfall_reason=shortfall.reason if shortfall else "",
                remedy=shortfall.remedy[:300] if shortfall else "",
                predicted_soc_percent=visit.soc_after(energy),
            )
        )
    return rows


def site_series(depot: Depot, exposure: Exposure, solution: Solution, now: datetime) -> dict[str, Any]:
    """Limit, expected building load and planned charging per node and step, kW; and the price per kWh."""
    horizon = solution.problem.horizon
    limits = {node.name: horizon.sample(node.kw, combine="min") for node in exposure.nodes}
    groups = [group for group in depot.load_groups.select_related("depot", "parent") if group.slug in limits]
    nodes = {}
    for group in groups:
        below = [other for other in groups if other.pk == group.pk or group in other.ancestors()]
        building = [sum(other.building_load_at(border) for other in below) for border in horizon.borders[:-1]]
        worst = [sum(other.building_worst_at(border) for other in below) for border in horizon.borders[:-1]]
        carried = [
            index for index, ev in enumerate(solution.problem.evs) if group.slug in solution.problem.tree.above(ev)
        ]
        planned = solution.power[carried].sum(axis=0) if carried else solution.problem.horizon.hours * 0
        nodes[group.slug] = {
            "limit_kw": [
                round(room + reserve, 3) for room, reserve in zip(limits[group.slug].tolist(), worst, strict=True)
            ],
            "building_kw": [round(load, 3) for load in building],
            "planned_kw": [round(load, 3) for load in planned.tolist()],
        }
    return {
        "nodes": nodes,
        "borders": [border.isoformat().replace("+00:00", "Z") for border in horizon.borders],
        "price_per_kwh": [round(price, 6) for price in solution.problem.price_per_kwh.tolist()],
    }
