"""Recorded behaviour of the reference system: what was sound is matched, what was a defect is done right."""

import json
from datetime import datetime, timedelta
from itertools import groupby
from math import floor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scheduling.engine import ALGORITHMS, EV, Algorithm, ChargingRateUnit, Horizon, Options, round_down_datetime
from scheduling.engine.arrays import FloatArray
from scheduling.engine.go import GoAlgorithm
from scheduling.engine.pulp_numerical import PulpNumericalAlgorithm

RECORDED = json.loads((Path(__file__).parent / "oracles" / "optivgi.json").read_text())
CASES: dict[str, dict[str, Any]] = {case["id"]: case for case in RECORDED["cases"]}
ON_POWER = [name for name, case in CASES.items() if not case["defects"] and case["compare_on"] == "power"]
EXACT = [name for name in ("pulp-lp", "optimal") if name in ALGORITHMS]
A, W = ChargingRateUnit.A, ChargingRateUnit.W


class LikeTheReference(GoAlgorithm):
    """Energy moves to the front until the first full step stops it."""

    JUMP_FULL_STEPS = False


def planned(case: dict[str, Any], algorithm_cls: type[Algorithm]) -> Algorithm:
    evs = [
        EV(
            row["ev_id"],
            row["active"],
            row["station_id"],
            row["connector_id"],
            row["min_power"],
            row["max_power"],
            datetime.fromisoformat(row["arrival_time"]),
            datetime.fromisoformat(row["departure_time"]),
            row["energy"],
            ChargingRateUnit(row["unit"]),
            row["voltage"],
            phases=1,
        )
        for row in case["evs"]
    ]
    options = Options(resolution=timedelta(minutes=case["resolution_minutes"]))
    own = type(algorithm_cls.__name__, (algorithm_cls,), case["flags"])
    run: Algorithm = own(evs, case["peak_power_demand"], datetime.fromisoformat(case["now"]), options=options)
    run.calculate()
    return run


def powers(run: Algorithm) -> dict[str, FloatArray]:
    return {str(ev.ev_id): np.asarray(ev.power) for ev in run.evs}


def unmet(run: Algorithm) -> dict[str, float]:
    """Per vehicle in its own unit, those that arrive after the horizon left out."""
    deferred = set(run.result.deferred)
    return {str(ev.ev_id): ev.energy - ev.energy_charged() for ev in run.evs if ev.ev_id not in deferred}


def assert_reaches_what_is_possible(case: dict[str, Any], run: Algorithm) -> None:
    ours, result = case["ours"], run.result
    assert result.violations == ()
    missing = {ev: max(kwh, 0.0) for ev, kwh in unmet(run).items()}
    in_kwh = sum(missing[str(ev.ev_id)] * ev.kw_per_unit for ev in run.evs if str(ev.ev_id) in missing)
    total = in_kwh if ours["unit"] == "kWh" else sum(missing.values())
    assert total == pytest.approx(ours["min_unmet_total"], abs=1e-3)
    assert {str(ev_id) for ev_id in result.deferred} == set(ours.get("deferred_beyond_horizon", {}))
    for ev, kwh in ours["physically_undeliverable"].items():
        assert missing[ev] >= kwh - 1e-3
    draw = sum((ev.power_kw if ours["unit"] == "kWh" else ev.power for ev in run.evs), np.zeros(run.horizon.steps))
    assert (draw <= np.array(case["peak_power_demand"]) + 1e-6).all()
    for ev in run.evs:
        assert ev.energy_charged() <= ev.energy + 0.01
        on = ev.power > 1e-6
        assert (ev.power <= ev.max_power + 1e-6).all()
        assert (ev.power[on] >= ev.min_power - 1e-6).all()
        stay = range(ev.arrival_index(), ev.departure_index())
        assert not on[[step for step in range(run.horizon.steps) if step not in stay]].any()


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("go")])
def test_the_heuristic_serves_all_that_can_be_served(case: str) -> None:
    assert_reaches_what_is_possible(CASES[case], planned(CASES[case], GoAlgorithm))


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("pulp")])
def test_the_fair_programme_serves_all_that_can_be_served(case: str) -> None:
    assert_reaches_what_is_possible(CASES[case], planned(CASES[case], PulpNumericalAlgorithm))


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("case", CASES)
def test_the_exact_planners_serve_all_that_can_be_served(case: str, name: str) -> None:
    assert_reaches_what_is_possible(CASES[case], planned(CASES[case], ALGORITHMS[name]))


# --- sound cases are matched -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ON_POWER)
def test_sound_plans_of_the_heuristic_are_matched_step_by_step(case: str) -> None:
    ours = powers(planned(CASES[case], LikeTheReference))
    for ev, recorded in CASES[case]["power"].items():
        np.testing.assert_allclose(ours[ev], recorded, atol=1e-6)


@pytest.mark.parametrize("case", ON_POWER)
def test_sound_cases_get_the_same_energy_with_full_steps_jumped(case: str) -> None:
    run = planned(CASES[case], GoAlgorithm)
    recorded = CASES[case]["energy_charged"]
    assert {str(ev.ev_id): ev.energy_charged() for ev in run.evs} == pytest.approx(recorded, abs=1e-6)


def test_the_fair_programme_has_the_recorded_fraction_and_objective() -> None:
    case = CASES["pulp-14-http-api"]
    run = planned(case, PulpNumericalAlgorithm)
    assert isinstance(run, PulpNumericalAlgorithm)
    assert run.percentage == pytest.approx(case["lp"]["percentage"], rel=1e-6)
    assert run.objective == pytest.approx(case["lp"]["objective"], rel=1e-6)


def merged(profile: dict[str, Any]) -> dict[str, Any]:
    """Limits rounded down to one decimal, equal neighbours merged, seconds as integers."""
    schedule = profile["chargingSchedule"]
    rounded = [
        (int(period["startPeriod"]), floor(period["limit"] * 10 + 1e-6) / 10)
        for period in schedule["chargingSchedulePeriod"]
    ]
    periods = [next(same) for _, same in groupby(rounded, key=lambda period: period[1])]
    return {**profile, "chargingSchedule": {**schedule, "chargingSchedulePeriod": periods}}


@pytest.mark.parametrize("case", ON_POWER)
def test_profiles_of_sound_plans_are_the_recorded_ones(case: str) -> None:
    run, recorded = planned(CASES[case], LikeTheReference), CASES[case]
    for ev in run.evs:
        ev.max_periods = 1000
    kinds = {
        "charging_profiles": run.get_charging_profiles(),
        "charging_profiles_other_unit": run.get_charging_profiles(A),
        "current_power_profiles": run.get_current_power(),
    }
    for kind in kinds.keys() & recorded.keys():
        for ev, profile in kinds[kind].items():
            assert merged(profile) == merged(recorded[kind][str(ev.ev_id)])


def test_energy_totals_of_sound_plans_are_the_recorded_ones() -> None:
    run = planned(CASES["go-19-depot-15min"], LikeTheReference)
    totals = {str(ev.ev_id): kwh for ev, kwh in run.get_total_energy_charged().items()}
    assert totals == pytest.approx(CASES["go-19-depot-15min"]["energy_charged"])


# --- what was wrong there is right here ------------------------------------------------------------------------------


def test_go_01_an_ample_site_gives_the_request_and_then_nothing() -> None:
    assert powers(planned(CASES["go-01-single-ample"], GoAlgorithm))["1"].tolist() == [10, 10, 0, 0, 0, 0]


@pytest.mark.parametrize("planner", [GoAlgorithm, *(ALGORITHMS[name] for name in EXACT)])
def test_go_06_and_go_15_charging_moves_to_the_front_past_full_and_forbidden_steps(planner: type[Algorithm]) -> None:
    gap, forbidden = CASES["go-06-shift-gap"], CASES["go-15-zero-limit-step"]
    assert powers(planned(gap, planner))["1"] == pytest.approx([6, 6, 0, 0, 0, 0])
    assert powers(planned(forbidden, planner))["1"] == pytest.approx([5, 0, 0, 0, 0, 0])


def test_go_05_without_the_shift_charging_is_as_late_as_possible() -> None:
    assert powers(planned(CASES["go-05-no-shift"], GoAlgorithm))["1"].tolist() == [0, 0, 0, 6, 6, 0]


@pytest.mark.parametrize("case", ["go-09-min-infeasible", "pulp-05-min-infeasible"])
def test_go_09_and_pulp_05_vehicles_take_turns_where_their_minima_do_not_fit(case: str) -> None:
    run = planned(CASES[case], GoAlgorithm if case.startswith("go") else PulpNumericalAlgorithm)
    first, second = powers(run).values()
    assert not ((first > 0) & (second > 0)).any()
    assert run.get_total_energy_charged() == pytest.approx(dict.fromkeys(run.evs, 8.0))
    assert "infeasible" not in run.result.status.lower()


def test_go_11_the_fairness_factor_decides_who_gets_scarce_energy() -> None:
    run = planned(CASES["go-11-fairness-2"], GoAlgorithm)
    assert sum(run.get_total_energy_charged().values()) == pytest.approx(24)
    equal = type("Equal", (GoAlgorithm,), {})
    case = {**CASES["go-11-fairness-2"], "flags": {"FAIRNESS_FACTOR": 0.0}}
    shares = list(planned(case, equal).get_total_energy_charged().values())
    assert shares == pytest.approx([14, 10])


def test_pulp_06_a_hopeless_vehicle_costs_only_itself() -> None:
    run = planned(CASES["pulp-06-hopeless-ev"], PulpNumericalAlgorithm)
    assert {str(ev.ev_id): kwh for ev, kwh in run.get_total_energy_charged().items()} == pytest.approx(
        {"1": 20, "2": 10}
    )
    (shortfall,) = run.result.shortfalls
    assert (shortfall.ev_id, shortfall.reason) == (2, "time")
    assert shortfall.kwh == pytest.approx(30)


def test_pulp_07_a_vehicle_beyond_the_horizon_is_deferred() -> None:
    run = planned(CASES["pulp-07-out-of-horizon"], PulpNumericalAlgorithm)
    assert run.evs[0].energy_charged() == pytest.approx(20)
    assert run.result.deferred == (2,)
    assert run.result.shortfalls == ()


def test_pulp_10_nothing_flows_in_a_step_without_a_limit_to_spare() -> None:
    run = planned(CASES["pulp-10-zero-limit-step"], PulpNumericalAlgorithm)
    assert run.evs[0].power[1] == 0
    assert run.evs[0].energy_charged() == pytest.approx(5)


def test_pulp_11_an_empty_depot_has_an_empty_plan() -> None:
    run = planned(CASES["pulp-11-no-evs-zero-limit"], PulpNumericalAlgorithm)
    assert run.get_charging_profiles() == {}
    assert run.result.status == "empty"


# --- scalars ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row", [row for row in RECORDED["scalars"] if row["fn"] == "ChargingRateUnit.convert"], ids=str
)
def test_conversions(row: dict[str, Any]) -> None:
    target, source = ChargingRateUnit(row["self"]), ChargingRateUnit(row["unit"])
    expected = row.get("ours", row["result"])
    if expected == "ValueError":
        with pytest.raises(ValueError, match="Voltage -5"):
            target.convert(row["value"], source, row["voltage"])
    else:
        assert target.convert(row["value"], source, row["voltage"]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("row", [row for row in RECORDED["scalars"] if row["fn"] == "round_down_datetime"], ids=str)
def test_rounding_down(row: dict[str, Any]) -> None:
    moment, expected = datetime.fromisoformat(row["dt"]), row.get("ours", row["result"])
    if expected == "ValueError":
        with pytest.raises(ValueError, match="0 minutes"):
            round_down_datetime(moment, row["minute"])
    else:
        assert round_down_datetime(moment, row["minute"]) == datetime.fromisoformat(expected)


@pytest.mark.parametrize("row", [row for row in RECORDED["scalars"] if row["fn"].startswith("EV.")], ids=str)
def test_indices(row: dict[str, Any]) -> None:
    now = datetime.fromisoformat(CASES["go-01-single-ample"]["now"])
    horizon = Horizon(now, timedelta(minutes=row["resolution_minutes"]), row["timesteps"])
    arrival, departure = (now + timedelta(hours=row[key]) for key in ("arrival_h", "departure_h"))
    ev = EV(1, False, 1, 1, 0.0, 10.0, arrival, departure, 10.0)
    found = [ev.arrival_index(horizon=horizon), ev.departure_index(horizon=horizon)]
    assert found == row.get("ours", row["result"])
