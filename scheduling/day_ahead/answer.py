"""What a finished day-ahead plan tells: series ready for charts, state of energy, shortfalls, KPIs and costs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import numpy as np

from scheduling.engine import Algorithm, Solution
from scheduling.engine.arrays import FloatArray
from scheduling.engine.kpi import (
    EnergyKpis,
    FinancialKpis,
    StateOfEnergy,
    energy_kpis,
    financial_kpis,
    site_peak_kw,
    state_of_energy,
)
from scheduling.engine.uncontrolled import Uncontrolled


def answer_of(planned: Algorithm, names: Mapping[str, str], currency: str) -> dict[str, Any]:
    """The plan of a calculated algorithm as JSON values; money is a decimal string in `currency`."""
    solution = planned.result
    problem = solution.problem
    energy = energy_kpis(problem, solution.power)
    money = financial_kpis(problem, solution.power, _uncontrolled(planned), solution.dispatch)
    state = state_of_energy(problem, solution.power)
    return {
        "algorithm_status": solution.status,
        "seconds": round(solution.seconds.get("total", 0.0), 4),
        "times": [_instant(border) for border in problem.horizon.borders],
        "vehicles": [_vehicle(solution, row, names, state, energy, money) for row in range(len(problem.evs))],
        "totals": _totals(solution),
        "kpis": _kpis(solution, energy, money),
        "costs": _costs(money, currency),
        "violations": [violation.message for violation in solution.violations],
    }


def _uncontrolled(planned: Algorithm) -> FloatArray:
    """The same vehicles at full power from their arrival, kW, shape (n_ev, steps)."""
    baseline = Uncontrolled(planned.evs, horizon=planned.horizon, tree=planned.tree)
    powers = [ev.power for ev in planned.evs]
    result = baseline.allocate(planned.problem)
    for ev, power in zip(planned.evs, powers, strict=True):
        ev.power = power
    return result


def _vehicle(
    solution: Solution,
    row: int,
    names: Mapping[str, str],
    state: StateOfEnergy,
    energy: EnergyKpis,
    money: FinancialKpis,
) -> dict[str, Any]:
    problem = solution.problem
    ev = problem.evs[row]
    short = next((each for each in solution.shortfalls if each.ev_id == ev.ev_id), None)
    known = bool(np.isfinite(state.percent[row]).all())
    return {
        "vehicle": str(ev.ev_id),
        "name": names.get(str(ev.ev_id), str(ev.ev_id)),
        "arrival": _instant(ev.arrival_time),
        "departure": _instant(ev.departure_time),
        "deferred": ev.ev_id in solution.deferred,
        "power_kw": _rounded(solution.power[row]),
        "state_of_energy_kwh": _rounded(state.kwh[row]),
        "soc_percent": _rounded(state.percent[row], 1) if known else None,
        "required_kwh": round(float(energy.planned_battery_kwh[row]), 3),
        "grid_kwh": round(float(energy.grid_kwh[row]), 3),
        "battery_kwh": round(float(energy.battery_kwh[row]), 3),
        "unmet_kwh": 0.0 if short is None else round(short.kwh * ev.efficiency, 3),
        "unmet_reason": "" if short is None else short.reason,
        "remedy": "" if short is None else short.remedy,
        "workload_percent": round(float(energy.workload_percent[row]), 2),
        "peak_kw": round(float(energy.peak_kw[row]), 3),
        "cost": _money(float(money.vehicle_cost[row])),
    }


def _totals(solution: Solution) -> dict[str, Any]:
    """What the root carries, kW per step, with the room for charging; null where nothing limits it."""
    problem = solution.problem
    building = problem.site.building_kw
    roots = [node for node in problem.tree.nodes if node.parent is None and node.limit_kw is not None]
    limit = roots[0].limit_kw if len(roots) == 1 else None
    return {
        "power_kw": _rounded(solution.power.sum(axis=0)),
        "limit_kw": None if limit is None else _rounded(limit),
        "building_kw": _rounded(np.zeros(problem.horizon.steps) if building is None else building),
        "price_per_kwh": _rounded(problem.price_per_kwh, 6),
        "vehicles_charging": (solution.power > 0).sum(axis=0).tolist(),
    }


def _kpis(solution: Solution, energy: EnergyKpis, money: FinancialKpis) -> dict[str, Any]:
    problem = solution.problem
    return {
        "vehicles": len(problem.evs),
        "vehicles_charged": energy.vehicles,
        "vehicles_short": len(solution.shortfalls),
        "energy_grid_kwh": round(float(energy.grid_kwh.sum()), 2),
        "energy_battery_kwh": round(float(energy.battery_kwh.sum()), 2),
        "planned_grid_kwh": round(float(energy.planned_grid_kwh.sum()), 2),
        "planned_battery_kwh": round(float(energy.planned_battery_kwh.sum()), 2),
        "unmet_battery_kwh": round(unmet_kwh(solution), 3),
        "workload_grid_percent": round(energy.station_workload_grid_percent, 2),
        "workload_battery_percent": round(energy.station_workload_battery_percent, 2),
        "peak_kw": round(energy.station_peak_kw, 2),
        "site_peak_kw": round(site_peak_kw(problem, solution.power, solution.dispatch), 2),
        "peak_reduction_kw": round(money.peak_reduction_kw, 2) + 0.0,
    }


def unmet_kwh(solution: Solution) -> float:
    """Energy that all vehicles together will miss in their batteries, kWh."""
    efficiency = {ev.ev_id: ev.efficiency for ev in solution.problem.evs}
    return sum(short.kwh * efficiency[short.ev_id] for short in solution.shortfalls)


def _costs(money: FinancialKpis, currency: str) -> dict[str, Any]:
    return {
        "currency": currency,
        "energy": _money(money.energy),
        "demand": _money(money.demand),
        "soft_limits": _money(money.soft),
        "wear": _money(money.wear),
        "bill": _money(money.bill),
        "price_per_kwh": None if money.price_per_kwh is None else _money(money.price_per_kwh),
        "uncontrolled_bill": _money(money.uncontrolled_bill),
        "uncontrolled_kwh": round(money.uncontrolled_kwh, 2),
        "saving": _money(money.saving),
        "co2_kg": round(money.co2_kg, 3),
    }


def _money(value: float) -> str:
    return f"{value + 0.0:.4f}" if abs(value) >= 5e-5 else "0.0000"


def _instant(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _rounded(values: FloatArray, digits: int = 3) -> list[float]:
    return [round(value, digits) + 0.0 for value in values.tolist()]
