"""What a finished optimisation leaves in the database for people to read."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import datetime
from typing import Any

import numpy as np

from charging.exposure import Exposure
from depot.models import Depot
from scheduling.engine import EV, Solution
from scheduling.engine.arrays import FloatArray
from scheduling.engine.reasons import Why
from scheduling.engine.remedies import Remedy
from scheduling.engine.wording import Clock
from scheduling.grid_connection import building_kw, worst_building_kw
from scheduling.models import Plan, PlanRun
from scheduling.needs import Visit
from scheduling.worth import NodeValues

HARDLY_SHORT_KWH = 0.01
WORTH_NOTHING = 5e-5  # money per kWh


def summary_of(solution: Solution) -> dict[str, float]:
    """Key figures of the run, and its money by component."""
    return {name: round(value, 6) for name, value in {**solution.summary, "co2_cost": solution.money.co2}.items()}


def plan_rows(solution: Solution, visits: dict[EV, Visit], run: PlanRun) -> list[Plan]:
    """One unsaved Plan per vehicle; energies at the meter."""
    why = solution.why
    shortfalls = {shortfall.ev_id: shortfall for shortfall in solution.shortfalls}
    hours = solution.problem.horizon.hours
    rows = []
    for index, ev in enumerate(solution.problem.evs):
        visit, power = visits[ev], solution.power[index] * visits[ev].power_share
        energy = float(power @ hours)
        shortfall = shortfalls.get(ev.ev_id) if ev.hold != "override" else None  # what an operator gives is unknown
        missing = min(shortfall.kwh * visit.power_share, visit.need_kwh - energy) if shortfall else 0.0
        if missing < HARDLY_SHORT_KWH:  # it misses a part of what was added to make a whole step of a small rest
            shortfall, missing = None, 0.0
        rows.append(
            Plan(
                run=run,
                connector=visit.connector,
                vehicle=visit.vehicle,
                session=visit.session,
                reservation=visit.reservation,
                arrival_at=ev.arrival_time,
                departure_at=ev.departure_time,
                power_kw=rounded(power),
                reasons=why.codes[index],
                limit_nodes=why.node[index] if any(why.node[index]) else [],
                why=told(why, index, run.depot),
                need_kwh=round(visit.need_kwh, 3),
                energy_kwh=round(energy, 3),
                shortfall_kwh=round(missing, 3),
                shortfall_reason=shortfall.reason if shortfall else "",
                remedy=shortfall.sentence(clock_of(run.depot))[:500] if shortfall else "",
                remedies=[remedy_as_data(remedy) for remedy in shortfall.remedies] if shortfall else [],
                predicted_soc_percent=visit.soc_after(energy),
            )
        )
    return rows


def told(why: Why, row: int, depot: Depot) -> list[tuple[int, str]]:
    """(first step, sentence) of each stretch in which a vehicle's power and its reason stay the same; local times."""
    steps = list(zip(why.codes[row], why.node[row], rounded(why.power[row]), strict=True))
    changes = [step for step, now in enumerate(steps) if step == 0 or now != steps[step - 1]]
    clock = clock_of(depot)
    return [(step, why.sentence(row, step, clock)) for step in changes]


def clock_of(depot: Depot) -> Clock:
    """Words instants as the depot's wall clock shows them."""
    return lambda instant: f"{depot.local(instant):%H:%M}"


def remedy_as_data(remedy: Remedy) -> dict[str, Any]:
    """The kind of help (more_power, later_departure, ...) with its numbers; instants as UTC text."""
    kind = re.sub(r"(?<!^)(?=[A-Z])", "_", type(remedy).__name__).lower()
    return {"kind": kind, **{name: utc_text(value) for name, value in asdict(remedy).items()}}


def utc_text(value: Any) -> Any:
    """An instant as the API writes it; anything else as it is."""
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def marginal_series(solution: Solution) -> dict[str, NodeValues]:
    """Per node where more power would help: money that a kWh more saves per step, and the steps it serves more in."""
    values = solution.marginal_values
    return {
        node: {"saved_per_kwh": rounded(saved, 6), "serves_more": np.flatnonzero(serves).tolist()}
        for node, saved, serves in zip(values.nodes, values.saved_per_kwh, values.serves_more, strict=True)
        if (saved > WORTH_NOTHING).any() or serves.any()
    }


def site_series(depot: Depot, exposure: Exposure, solution: Solution) -> dict[str, Any]:
    """Limit, expected building load and planned charging per node and step, kW; and the price per kWh."""
    horizon = solution.problem.horizon
    limits = {node.name: horizon.sample(node.kw, combine="min") for node in exposure.nodes}
    groups = [group for group in depot.load_groups.select_related("depot", "parent") if group.slug in limits]
    nodes = {}
    for group in groups:
        below = [other for other in groups if other.pk == group.pk or group in other.ancestors()]
        limit = limits[group.slug] + worst_building_kw(below, horizon)
        carried = [
            index for index, ev in enumerate(solution.problem.evs) if group.slug in solution.problem.tree.above(ev)
        ]
        planned = solution.power[carried].sum(axis=0) if carried else solution.problem.horizon.hours * 0
        nodes[group.slug] = {
            "limit_kw": rounded(limit),
            "building_kw": rounded(building_kw(below, horizon)),
            "planned_kw": rounded(planned),
        }
    return {
        "nodes": nodes,
        "borders": [utc_text(border) for border in horizon.borders],
        "price_per_kwh": rounded(solution.problem.price_per_kwh, 6),
    }


def rounded(values: FloatArray, digits: int = 3) -> list[float]:
    return [round(value, digits) for value in values.tolist()]
