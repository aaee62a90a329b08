"""The recorded problems of the reference planner: the same optimum where it is sound, better where it is not."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scheduling.engine import EV, Algorithm, Horizon, PowerTree, algorithm
from scheduling.engine.arrays import FloatArray
from scheduling.engine.kpi import energy_kpis, state_of_energy

MIDNIGHT = datetime(2026, 1, 12, tzinfo=UTC)
CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "oracles/smartcharging.json").read_text())["cases"]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["id"]))


def planned(case: dict[str, Any]) -> Algorithm:
    """The case through the algorithm of its formulation."""
    step = timedelta(seconds=case["time_step_s"])
    horizon = Horizon(MIDNIGHT, step, case["horizon_length"])
    evs = [
        EV(
            row["vehicle"],
            False,
            "",
            1,
            0.0,
            row["powerNom"],
            MIDNIGHT + row["arrivalTime"] * step,
            MIDNIGHT + row["departureTime"] * step,
            row["energyRequired"],
            efficiency=case["efficiency"],
            battery_kwh=row["energyMax"],
            soc=100 * row["arrivalSOE"] / row["energyMax"],
        )
        for row in case["vehicles"]
    ]
    limit = np.broadcast_to(np.asarray(case["limit_kw"], dtype=np.float64), (horizon.steps,))
    price = np.full(horizon.steps, float(case["prices"]["price_energy_buy"]))
    run = algorithm(f"day-ahead-{case['formulation']}")(
        evs, horizon=horizon, tree=PowerTree.single(limit), price_per_kwh=price
    )
    run.calculate()
    assert run.result.ok
    assert run.result.status == "optimal"
    return run


def unmet_battery_kwh(run: Algorithm) -> FloatArray:
    problem = run.result.problem
    return problem.unmet(run.result.power) * problem.efficiency


def recorded_objective(case: dict[str, Any], run: Algorithm) -> float:
    """Their objective at our plan: energy at its price, and unmet energy by the size of the battery."""
    size = np.array([row["energyMax"] for row in case["vehicles"]])
    energy = case["prices"]["price_energy_buy"] * run.result.problem.energy(run.result.power).sum()
    return float(energy + case["prices"]["penalty_unsatisfied"] * (unmet_battery_kwh(run) / size).sum())


def test_there_are_twelve_cases() -> None:
    assert len(CASES) == 12


@every_case
def test_no_more_energy_is_missing_than_in_their_optimum(case: dict[str, Any]) -> None:
    assert unmet_battery_kwh(planned(case)).sum() == pytest.approx(sum(case["unmet_battery_kwh"]), abs=1e-3)


@pytest.mark.parametrize(
    "case", [case for case in CASES if "WB02" not in case["defects"]], ids=lambda case: str(case["id"])
)
def test_sound_optima_are_matched_in_objective_and_energy(case: dict[str, Any]) -> None:
    run = planned(case)
    assert recorded_objective(case, run) == pytest.approx(case["objective"], rel=1e-5)
    energy = run.result.problem.energy(run.result.power)
    np.testing.assert_allclose(energy, case["grid_energy_kwh"], atol=1e-3)


@pytest.mark.parametrize(
    "case", [case for case in CASES if "WB02" in case["defects"]], ids=lambda case: str(case["id"])
)
def test_wb02_what_is_missing_falls_on_the_most_patient_not_on_the_largest_battery(case: dict[str, Any]) -> None:
    run = planned(case)
    problem, unmet = run.result.problem, unmet_battery_kwh(run)
    largest, patient = 1, int(np.argmax(problem.laxity_hours))
    assert case["unmet_battery_kwh"][largest] == pytest.approx(3.65)
    limit, there = np.array(case["limit_kw"]), problem.present[largest]
    all_it_can_get = float((limit * problem.hours)[there].sum()) * case["efficiency"]
    assert unmet[largest] == pytest.approx(problem.evs[largest].energy - all_it_can_get, abs=1e-6)
    assert unmet[patient] == pytest.approx(unmet.sum() - unmet[largest], abs=1e-6)


@every_case
def test_wb13_the_workload_is_told_on_either_side_of_the_charger(case: dict[str, Any]) -> None:
    run, recorded = planned(case), case["kpi_station"]
    kpis = energy_kpis(run.result.problem, run.result.power)
    assert kpis.grid_kwh.sum() == pytest.approx(recorded["energykWh"], abs=0.006)
    assert kpis.planned_battery_kwh.sum() == pytest.approx(recorded["energyPlannedkWh"], abs=0.006)
    assert kpis.vehicles == recorded["nbrVehicles"]
    mixed = 100 * kpis.grid_kwh.sum() / kpis.planned_battery_kwh.sum()
    assert mixed == pytest.approx(recorded["workloadPct"], abs=0.02)
    served = 100 * (1 - sum(case["unmet_battery_kwh"]) / recorded["energyPlannedkWh"])
    assert kpis.station_workload_battery_percent == pytest.approx(served, abs=0.01)
    assert kpis.station_workload_grid_percent == pytest.approx(served, abs=0.01)


@every_case
def test_batteries_end_with_what_they_came_with_and_what_was_charged(case: dict[str, Any]) -> None:
    run = planned(case)
    state = state_of_energy(run.result.problem, run.result.power)
    arrived = np.array([row["arrivalSOE"] for row in case["vehicles"]])
    wanted = np.array([row["energyRequired"] for row in case["vehicles"]])
    np.testing.assert_allclose(state.kwh[:, 0], arrived, atol=1e-9)
    np.testing.assert_allclose(state.kwh[:, -1], arrived + wanted - unmet_battery_kwh(run), atol=1e-6)
    assert (state.percent <= 100 + 1e-6).all()
    assert (np.diff(state.kwh, axis=1) >= -1e-9).all()
