"""What the reference system gets wrong must be right here; every test carries the number of its rule."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from scheduling.engine import (
    ALGORITHMS,
    EV,
    Algorithm,
    ChargingRateUnit,
    Horizon,
    Node,
    Options,
    PowerTree,
    Problem,
    Solution,
    algorithm,
    pulp_highs,
    round_down_datetime,
)
from scheduling.engine.linear import PulpLinearProgram

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)
HOURLY = Options(resolution=timedelta(hours=1))
A, W = ChargingRateUnit.A, ChargingRateUnit.W
CONTROLLED = [name for name in ALGORITHMS if name != "uncontrolled"]


def ev(ev_id: int | str = 1, arrives: float = 0, leaves: float = 4, need: float = 20, **more: Any) -> EV:
    """A vehicle of up to 10 kW with times in hours after noon."""
    values: dict[str, Any] = {
        "active": arrives <= 0,
        "station_id": ev_id,
        "connector_id": 1,
        "min_power": 0.0,
        "max_power": 10.0,
        "arrival_time": NOON + timedelta(hours=arrives),
        "departure_time": NOON + timedelta(hours=leaves),
        "energy": need,
    }
    return EV(ev_id, **(values | more))


def plan(evs: list[EV], limits: list[float], name: str = "pulp-lp", **more: Any) -> Solution:
    run = algorithm(name)(evs, limits, NOON, options=HOURLY, **more)
    run.calculate()
    assert run.result.ok, run.result.violations
    return run.result


@pytest.mark.parametrize("voltage", [None, 0])
def test_wa01_without_a_voltage_the_default_converts(voltage: float | None) -> None:
    assert A.convert(16, A, voltage) == 16
    assert A.convert(7.2, W, voltage) == pytest.approx(30)
    assert W.convert(16, A, voltage) == 3840
    assert W.convert(7.2, W, voltage) == 7200


def test_wa02_a_negative_voltage_is_refused() -> None:
    with pytest.raises(ValueError, match="-5"):
        A.convert(7.2, W, -5)
    with pytest.raises(ValueError, match="-230"):
        ev(voltage=-230)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"min_power": 11.0}, "minimum power 11.0 is above maximum 10.0"),
        ({"leaves": 0}, "not after its arrival"),
        ({"leaves": -1}, "not after its arrival"),
        ({"need": -1}, "energy -1 is negative"),
        ({"need": float("nan")}, "finite"),
        ({"max_power": float("inf")}, "finite"),
        ({"arrival_time": datetime(2026, 1, 12, 12)}, "naive"),  # the point is the missing zone
        ({"phases": 4}, "4 phases"),
        ({"efficiency": 0.0}, "efficiency"),
        ({"nodes": ("cellar",)}, "'cellar'"),
    ],
)
def test_wa03_impossible_vehicle_data_is_refused_with_a_sentence(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        plan([ev(**wrong)], [10.0] * 4)


def test_wa04_every_run_has_its_own_steps() -> None:
    fine = Horizon(NOON, timedelta(minutes=1), 240)
    coarse = Horizon(NOON, timedelta(hours=1), 4)
    for horizon in (fine, coarse):
        run = PulpLinearProgram([ev(need=15)], horizon=horizon, tree=PowerTree.single([10.0] * horizon.steps))
        run.calculate()
        assert run.result.power.shape == (1, horizon.steps)
        assert run.evs[0].energy_charged() == pytest.approx(15)
    with pytest.raises(ValueError, match="longer than zero"):
        Horizon(NOON, timedelta(0))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_wa06_nobody_gets_more_than_the_need(name: str) -> None:
    vehicle = ev(need=20)
    run = algorithm(name)([vehicle], [50.0] * 6, NOON, options=HOURLY)
    run.calculate()
    assert vehicle.energy_charged() == pytest.approx(20, abs=0.01)


def test_wa07_a_vehicle_after_the_horizon_is_deferred_and_the_others_planned_as_if_alone() -> None:
    alone = plan([ev(1)], [20.0] * 6)
    together = plan([ev(1), ev(2, arrives=9, leaves=12)], [20.0] * 6)
    np.testing.assert_array_equal(together.power[0], alone.power[0])
    assert together.deferred == (2,)
    assert together.shortfalls == ()


@pytest.mark.parametrize("name", CONTROLLED)
def test_wa08_a_hopeless_vehicle_does_not_hold_back_the_others(name: str) -> None:
    result = plan([ev(1, leaves=5), ev(2, leaves=1, need=40)], [20.0] * 6, name)
    assert result.problem.energy(result.power) == pytest.approx([20, 10])
    (shortfall,) = result.shortfalls
    assert (shortfall.ev_id, shortfall.reason) == (2, "time")
    assert shortfall.kwh == pytest.approx(30)
    assert "leave 3 h 00 min later" in shortfall.remedy


@pytest.mark.parametrize("name", CONTROLLED)
def test_wa09_power_is_zero_or_at_least_the_minimum(name: str) -> None:
    result = plan([ev(1, leaves=5, need=10, min_power=1.5), ev(2, leaves=3, need=6, min_power=1.5)], [9.0] * 6, name)
    assert ((result.power == 0) | (result.power >= 1.5 - 1e-9)).all()
    assert result.problem.unmet(result.power) == pytest.approx([0, 0], abs=1e-6)


def test_wa10_a_solver_without_an_optimum_gives_a_checked_plan_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def give_up(*_: object) -> None:
        raise pulp_highs.SolverFailed("HiGHS reports Not Solved, No Solution Found")

    monkeypatch.setattr("scheduling.engine.linear.solve", give_up)
    result = plan([ev(1), ev(2)], [12.0] * 6)
    assert result.status == "fallback: HiGHS reports Not Solved, No Solution Found"
    assert result.problem.unmet(result.power).sum() == 0


def test_wa10_running_out_of_time_is_no_optimum() -> None:
    run = PulpLinearProgram(
        [ev(k, need=12) for k in range(30)], [80.0] * 24, NOON, options=Options(HOURLY.resolution, time_limit_s=0.0)
    )
    run.calculate()
    assert run.result.status.startswith("fallback: HiGHS")
    assert run.result.ok
    assert run.relaxed is None


@pytest.mark.parametrize("name", ALGORITHMS)
def test_wa11_empty_full_and_dark_depots_have_a_plan(name: str) -> None:
    assert plan([], [0.0] * 6, name).status == "empty"
    assert plan([ev(need=0)], [10.0] * 6, name).power.sum() == 0
    if name != "uncontrolled":
        dark = plan([ev(need=5)], [0.0] * 6, name)
        assert dark.power.sum() == 0
        assert dark.shortfalls[0].reason == "limit"
        gap = plan([ev(need=15, leaves=3)], [10.0, 0.0, 10.0], name)
        assert gap.power[0].tolist() == [10, 0, 5]


def test_wa12_the_last_step_before_departure_and_horizon_end_is_used() -> None:
    assert plan([ev(leaves=12, need=60)], [20.0] * 6).power[0].tolist() == [10] * 6
    assert plan([ev(leaves=2, need=20)], [20.0] * 6).power[0].tolist() == [10, 10, 0, 0, 0, 0]


def test_wa13_amps_and_kilowatts_share_a_limit_in_kilowatts() -> None:
    three_phase = ev(2, unit=A, voltage=240.0, phases=3, max_power=32.0, need=30)
    result = plan([ev(1), three_phase], [12.0] * 6)
    assert result.power.sum(axis=0).max() <= 12 + 1e-6
    assert three_phase.energy_charged() == pytest.approx(30)  # Ah per phase
    assert result.problem.energy(result.power)[1] == pytest.approx(30 * 0.72)


def test_wa13_a_depot_in_amps_has_its_limit_in_amps() -> None:
    evs = [ev(k, unit=A, voltage=volts, max_power=32.0, min_power=6.0, need=40) for k, volts in ((1, 240), (2, 230))]
    run = PulpLinearProgram(evs, [40.0] * 6, NOON, options=HOURLY)
    run.calculate()
    assert run.result.ok
    assert (evs[0].power + evs[1].power).max() == pytest.approx(40)
    assert list(run.get_total_energy_charged().values()) == pytest.approx([40, 40])


def test_wa14_a_vehicle_id_that_comes_twice_is_refused_with_both_rows() -> None:
    with pytest.raises(ValueError, match="7 comes twice, in rows 0 and 2"):
        plan([ev(7), ev(8), ev(7)], [10.0] * 6)


def test_wa15_no_active_step_is_below_the_minimum_in_the_profile_either() -> None:
    evs = [ev(k, leaves=6, need=11, min_power=4.14, max_power=11.0, unit=W) for k in range(1, 6)]
    run = PulpLinearProgram(evs, [13.0] * 6, NOON, options=HOURLY)
    run.calculate()
    for profile in run.get_charging_profiles(A).values():
        limits = [p["limit"] for p in profile["chargingSchedule"]["chargingSchedulePeriod"]]
        assert all(limit == 0 or limit >= 6.0 for limit in limits)


def test_wa16_deadlines_come_before_limits_and_limits_before_money() -> None:
    price = np.array([5.0, 0.1, 0.1, 9.0])
    urgent, patient = ev(1, leaves=1, need=10), ev(2, need=18)
    result = plan([urgent, patient], [10.0] * 4, price_per_kwh=price)
    assert result.power[0].tolist() == [10, 0, 0, 0]
    assert result.power[1] == pytest.approx([0, 10, 8, 0])
    assert result.summary["cost"] == pytest.approx(51.8)
    scarce = plan([ev(1, need=40, priority=1), ev(2, need=40, priority=2)], [10.0] * 4, price_per_kwh=price)
    assert scarce.problem.unmet(scarce.power) == pytest.approx([40, 0])


@pytest.mark.parametrize("name", ["pulp-lp", "edf", "fcfs"])
def test_wa18_minimum_powers_that_do_not_fit_together_take_turns(name: str) -> None:
    result = plan([ev(1, need=8, min_power=4.0), ev(2, need=8, min_power=4.0)], [6.0] * 6, name)
    assert result.problem.energy(result.power) == pytest.approx([8, 8])
    assert ((result.power > 0).sum(axis=0) <= 1).all()


def test_wa20_nobody_misses_energy_where_a_feasible_plan_exists() -> None:
    result = plan([ev(1), ev(2, arrives=2, need=10)], [10.0] * 6)
    assert result.shortfalls == ()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_wa24_calculating_twice_changes_nothing(name: str) -> None:
    evs = [ev(1, min_power=2.0), ev(2, need=13)]
    run = algorithm(name)(evs, [50.0] * 6, NOON, options=HOURLY)
    run.calculate()
    first = [vehicle.power.copy() for vehicle in evs]
    run.calculate()
    np.testing.assert_array_equal(first, [vehicle.power for vehicle in evs])
    assert [vehicle.energy for vehicle in evs] == [20, 13]


def test_wa25_profiles_have_whole_seconds_and_limits_rounded_down_to_a_tenth() -> None:
    vehicle = ev(need=12.3456, leaves=2, max_power=7.77777)
    run = PulpLinearProgram([vehicle], [50.0] * 6, NOON, options=HOURLY)
    run.calculate()
    schedule = vehicle.charging_profile(NOON)["chargingSchedule"]
    assert schedule["startSchedule"] == "2026-01-12T12:00:00Z"
    assert schedule["chargingRateUnit"] == "W"
    assert schedule["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 7777.7, "numberPhases": 3},
        {"startPeriod": 3600, "limit": 4567.8, "numberPhases": 3},
        {"startPeriod": 7200, "limit": 0.0, "numberPhases": 3},
    ]
    assert all(isinstance(p["startPeriod"], int) for p in schedule["chargingSchedulePeriod"])
    (now,) = vehicle.current_charging_profile(NOON, A)["chargingSchedule"]["chargingSchedulePeriod"]
    assert now == {"startPeriod": 0, "limit": 11.2, "numberPhases": 3}


def test_wa27_a_start_in_local_time_is_sent_as_the_same_instant_in_utc() -> None:
    vienna = datetime.fromisoformat("2026-07-12T14:00:00+02:00")
    vehicle = ev(arrival_time=vienna, departure_time=vienna + timedelta(hours=3))
    run = PulpLinearProgram([vehicle], [50.0] * 6, vienna, options=HOURLY)
    run.calculate()
    assert vehicle.charging_profile(vienna)["chargingSchedule"]["startSchedule"] == "2026-07-12T12:00:00Z"


def test_wa28_only_active_vehicles_have_profiles() -> None:
    run = PulpLinearProgram([ev(1), ev(2, arrives=1, leaves=5)], [50.0] * 6, NOON, options=HOURLY)
    run.calculate()
    assert [vehicle.ev_id for vehicle in run.get_charging_profiles()] == [1]
    assert [vehicle.ev_id for vehicle in run.get_current_power()] == [1]
    assert run.result.power[1].sum() == pytest.approx(20)


def test_wa29_a_profile_has_at_most_twelve_periods_and_is_never_above_the_plan() -> None:
    vehicle = ev(max_power=50.0, leaves=40)
    vehicle.horizon = Horizon(NOON, timedelta(minutes=15), 96)
    vehicle.power = np.random.default_rng(1).uniform(5, 50, 96)
    periods = vehicle.charging_profile(NOON)["chargingSchedule"]["chargingSchedulePeriod"]
    assert len(periods) == 12
    for step in range(96):
        limit = [p["limit"] for p in periods if p["startPeriod"] <= step * 900][-1]
        assert limit <= vehicle.power[step] * 1000
        assert step >= 11 or limit > vehicle.power[step] * 1000 - 0.1


@pytest.mark.parametrize(
    ("minutes", "expected"), [(15, "10:30:00"), (1, "10:37:00"), (60, "10:00:00"), (90, "10:30:00"), (0.5, "10:37:30")]
)
def test_wa31_rounding_counts_from_local_midnight(minutes: float, expected: str) -> None:
    assert round_down_datetime(datetime.fromisoformat("2026-01-01T10:37:45.5+01:00"), minutes).isoformat() == (
        f"2026-01-01T{expected}+01:00"
    )
    for wrong in (0, -15, float("nan")):
        with pytest.raises(ValueError, match="above zero"):
            round_down_datetime(NOON, wrong)


def test_wa35_a_future_vehicle_starts_with_the_first_whole_step_and_a_plugged_one_now() -> None:
    horizon = Horizon(NOON + timedelta(minutes=7), timedelta(hours=1), 6)
    future = ev(arrives=1.5, leaves=3.9)
    assert (future.arrival_index(horizon=horizon), future.departure_index(horizon=horizon)) == (2, 3)
    plugged = ev(arrives=-0.5, leaves=2)
    assert (plugged.arrival_index(horizon=horizon), plugged.departure_index(horizon=horizon)) == (0, 2)
    charger_clock_ahead = ev(arrives=0.2, leaves=2, active=True)
    assert charger_clock_ahead.arrival_index(horizon=horizon) == 0
    late = ev(arrives=8, leaves=9)
    assert (late.arrival_index(horizon=horizon), late.departure_index(horizon=horizon)) == (6, 6)


class Halves(Algorithm):
    """Written against the reference system: fills the vehicles itself."""

    def calculate(self) -> None:
        for vehicle in self.evs:
            for t in range(vehicle.arrival_index(self.now), vehicle.departure_index(self.now)):
                vehicle.power[t] = min(vehicle.max_power, self.peak_power_demand[t] / len(self.evs))


def test_a_class_that_only_has_calculate_runs_and_is_judged() -> None:
    run = Halves([ev(1), ev(2)], [6.0] * 4, NOON, options=HOURLY)
    run.calculate()
    assert run.get_total_energy_charged() == {run.evs[0]: 12.0, run.evs[1]: 12.0}
    assert run.result.ok
    greedy = Halves([ev(1, need=1)], [20.0] * 4, NOON, options=HOURLY)
    greedy.calculate()
    assert [violation.rule for violation in greedy.result.violations] == ["energy"]


def test_an_algorithm_without_calculate_or_allocate_is_refused() -> None:
    class Nothing(Algorithm):
        """Implements nothing."""

    with pytest.raises(TypeError, match="neither allocate nor calculate"):
        Nothing([], [1.0], NOON)


def test_vehicles_are_equal_by_id_and_hide_their_power() -> None:
    assert ev(1) == ev(1, need=3)
    assert len({ev(1), ev(1, need=3), ev(2)}) == 2
    assert "power=" not in repr(ev(1)).replace("_power=", "")


def test_fallbacks_are_reserved_at_the_node_and_free_for_the_vehicle() -> None:
    horizon = Horizon(NOON, timedelta(hours=1), 4)
    tree = PowerTree((Node("site", None, np.full(4, 20.0), reserved_kw=12.0),))
    evs = [ev(k, need=40, free_power=4.0, max_power=22.0) for k in (1, 2)]  # a third connector is empty
    run = PulpLinearProgram(evs, horizon=horizon, tree=tree)
    run.calculate()
    assert run.result.ok
    assert run.result.power.sum(axis=0) == pytest.approx([16.0] * 4)  # 20 less the empty connector's 4


def test_a_plan_in_force_is_kept_where_it_costs_nothing() -> None:
    horizon, tree = Horizon(NOON, timedelta(hours=1), 4), PowerTree.single([10.0] * 4)
    one, two = ev(1, need=10), ev(2, need=10)
    one.in_force, two.in_force = np.array([0.0, 10, 0, 0]), np.array([10.0, 0, 0, 0])
    run = PulpLinearProgram([one, two], horizon=horizon, tree=tree)
    run.calculate()
    np.testing.assert_allclose(run.result.power, [one.in_force, two.in_force], atol=1e-9)


def test_cbc_finds_a_plan_of_the_same_worth() -> None:
    evs, price = [ev(k, need=7 * k) for k in range(1, 5)], np.array([0.4, 0.1, 0.2, 0.3])
    money = [
        algorithm_cost(PulpLinearProgram(evs, [22.0] * 4, NOON, price_per_kwh=price, options=options))
        for options in (HOURLY, Options(HOURLY.resolution, solver="CBC"))
    ]
    assert money[0] == pytest.approx(money[1], abs=1e-6)


def algorithm_cost(run: Algorithm) -> float:
    run.calculate()
    assert run.result.status == "optimal"
    return run.result.summary["cost"]


def test_prices_and_limits_must_fit_the_horizon() -> None:
    with pytest.raises(ValueError, match="3 prices do not fit"):
        plan([ev()], [10.0] * 4, price_per_kwh=np.ones(3))
    horizon = Horizon(NOON, timedelta(hours=1), 4)
    with pytest.raises(ValueError, match="'site' has 3 values"):
        Problem.of([ev()], horizon, PowerTree.single([1.0] * 3))


def test_a_limit_that_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="'site' is not a number in step 2"):
        plan([ev()], [10.0, 10.0, float("nan"), 10.0])


def test_a_solver_that_cannot_run_gives_a_plan_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulp_highs, "_cbc_path", lambda: "/nowhere/cbc")
    run = PulpLinearProgram([ev()], [10.0] * 4, NOON, options=Options(HOURLY.resolution, solver="CBC"))
    run.calculate()
    assert run.result.status.startswith("fallback: CBC did not run")
    assert run.result.ok
    assert run.result.shortfalls == ()
