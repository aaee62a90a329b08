"""The linear programme in strict order, against a second formulation written row by row."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scheduling.engine import EV, Horizon, Node, PowerTree, Problem, programme
from scheduling.engine.checker import check
from scheduling.engine.site import Battery, DemandCharge, Site
from tests.engine.depots import NOON, reference_problem
from tests.engine.full_depots import full_problem
from tests.engine.judge import judged

HOUR = timedelta(hours=1)


def solved(problem: Problem) -> programme.ProgrammePlan:
    plan = programme.solve(problem, time_limit_s=30.0)
    assert plan.status == "optimal"
    return plan


def missing_by_class(problem: Problem, plan: programme.ProgrammePlan) -> list[float]:
    """Missing battery kWh: minimum needs first, in each part the high priorities first."""
    served = problem.served(plan.power)
    minimum = np.maximum(problem.minimum_kwh - served, 0.0)
    rest = np.maximum(problem.need_kwh - served, 0.0) - minimum
    levels = sorted(set(problem.priority.tolist()), reverse=True)
    return [
        float((problem.efficiency * part)[problem.priority == level].sum())
        for part in (minimum, rest)
        for level in levels
    ]


def vehicle(i: int, energy: float, **more: object) -> EV:
    """11 kW, at home for the four hours of the horizon."""
    fields: dict[str, object] = {"max_power": 11.0, "arrival_time": NOON, "departure_time": NOON + 4 * HOUR} | more
    return EV(i, False, i, 1, 0.0, energy=energy, **fields)  # type: ignore[arg-type]


def four_hours(evs: list[EV], limit: float | list[float], price: list[float], **site: object) -> Problem:
    tree = PowerTree.single(np.broadcast_to(np.array(limit, dtype=np.float64), (4,)))
    return Problem.of(evs, Horizon(NOON, HOUR, 4), tree, price, Site(**site))  # type: ignore[arg-type]


@pytest.mark.parametrize("storage", [False, True], ids=["vehicles", "with sun, batteries and giving back"])
@given(seed=st.integers(0, 10**6))
@example(seed=5271)  # an early plan of equal relaxed cost would buy and sell at once
@settings(max_examples=40, deadline=None)
def test_needs_and_money_equal_those_of_a_second_formulation(seed: int, storage: bool) -> None:
    problem = full_problem(seed, storage=storage)
    plan = solved(problem)
    missing, money = judged(problem)
    assert missing_by_class(problem, plan) == pytest.approx(missing, abs=1e-4)
    assert plan.objectives.get("money", 0.0) == pytest.approx(money, abs=1e-3)
    assert problem.money(plan.power, plan.dispatch).steering == pytest.approx(money, abs=1e-3)
    assert check(problem, plan.power, plan.dispatch) == ()


@given(seed=st.integers(0, 10**6), data=st.data())
@settings(max_examples=25, deadline=None)
def test_the_order_of_the_vehicles_changes_nothing_that_matters(seed: int, data: st.DataObject) -> None:
    problem = full_problem(seed)
    order = np.array(data.draw(st.permutations(range(len(problem.evs)))), dtype=np.int64)
    plan, turned = solved(problem), solved(problem.rearranged(order))
    assert missing_by_class(problem, plan) == pytest.approx(
        missing_by_class(problem.rearranged(order), turned), abs=1e-4
    )


@pytest.mark.parametrize(("n", "cost"), [(40, 528.3), (200, 2410.6)])
def test_the_reference_depots_cost_what_the_reference_says(n: int, cost: float) -> None:
    problem = reference_problem(n)
    plan = solved(problem)
    assert problem.money(plan.power).bill == pytest.approx(cost, abs=0.05)
    assert plan.unmet_kwh == pytest.approx(np.zeros(n), abs=1e-6)


def test_a_hopeless_need_costs_only_itself() -> None:
    problem = reference_problem(40)
    need = problem.need_kwh.copy()
    need[0] = 10.0 * problem.deliverable_kwh[0]
    plan = solved(replace(problem, need_kwh=need, minimum_kwh=need))
    assert plan.unmet_kwh.sum() == pytest.approx(2772.0, rel=1e-3)
    assert np.delete(plan.unmet_kwh, 0) == pytest.approx(np.zeros(39), abs=1e-6)


def test_a_high_priority_is_served_before_a_low_one_and_a_minimum_before_any_wish() -> None:
    evs = [
        vehicle(0, 20.0, priority=1, minimum_energy=6.0),
        vehicle(1, 20.0, priority=2, minimum_energy=10.0),
        vehicle(2, 20.0, priority=3, minimum_energy=0.0),
    ]
    plan = solved(four_hours(evs, 7.0, [0.1] * 4))
    assert 20.0 - plan.unmet_kwh == pytest.approx([6.0, 10.0, 12.0])
    assert list(plan.objectives) == [
        "minimum need, priority 2",
        "minimum need, priority 1",
        "desired energy, priority 3",
        "desired energy, priority 2",
        "desired energy, priority 1",
        "money",
    ]


def test_of_one_class_the_more_efficient_is_served_first_then_the_less_lax() -> None:
    evs = [vehicle(0, 10.0, efficiency=0.8), vehicle(1, 10.0, efficiency=1.0), vehicle(2, 20.0, efficiency=0.8)]
    plan = solved(four_hours(evs, 5.0, [0.1] * 4))
    assert plan.unmet_kwh == pytest.approx([12.5, 0.0, 15.0])


def test_who_cannot_be_ready_anyway_does_not_make_another_one_late() -> None:
    hopeless = vehicle(0, 90.0)
    plan = solved(four_hours([hopeless, vehicle(1, 8.0)], 11.0, [0.1] * 4))
    assert plan.unmet_kwh == pytest.approx([90.0 - 36.0, 0.0])


def test_energy_below_the_fallback_needs_no_room() -> None:
    evs = [vehicle(0, 12.0, free_power=3.0), vehicle(1, 12.0)]
    plan = solved(four_hours(evs, 3.0, [0.1] * 4))
    assert plan.unmet_kwh == pytest.approx([0.0, 0.0])


def test_a_fallback_below_the_minimum_power_counts_with_its_share() -> None:
    ev = EV(0, False, 0, 1, 6.0, 12.0, NOON, NOON + 4 * HOUR, 100.0, free_power=3.0)
    power = solved(four_hours([ev], 3.0, [0.1] * 4)).power
    assert power == pytest.approx(np.full((1, 4), 6.0))


def test_every_grid_connection_has_its_own_limit_and_the_peak_is_that_of_all() -> None:
    evs = [vehicle(0, 20.0, nodes=("north",)), vehicle(1, 20.0, nodes=("south",))]
    tree = PowerTree((Node("north", limit_kw=np.full(4, 3.0)), Node("south", limit_kw=np.full(4, 10.0))))
    problem = Problem.of(evs, Horizon(NOON, HOUR, 4), tree, [0.1] * 4, Site(demand_charges=(DemandCharge(1.0),)))
    plan = solved(problem)
    assert plan.unmet_kwh == pytest.approx([8.0, 0.0])
    assert problem.money(plan.power).demand == pytest.approx(8.0)


def test_a_held_vehicle_gets_nothing_and_a_lowered_maximum_holds_in_its_step() -> None:
    evs = [vehicle(0, 11.0, hold="fault"), vehicle(1, 22.0)]
    problem = four_hours(evs, 22.0, [0.1] * 4)
    top = np.tile([11.0, 2.0, 11.0, 11.0], (2, 1))
    plan = solved(replace(problem, top_power=top))
    assert plan.power == pytest.approx(np.array([[0.0] * 4, [11.0, 2.0, 9.0, 0.0]]))
    assert plan.unmet_kwh == pytest.approx([11.0, 0.0])


def test_phases_are_limited_one_by_one() -> None:
    """16 A: a vehicle on L1 leaves the three-phase one what L1 still has; one on L2 would be free."""
    evs = [
        vehicle(0, 100.0, phases=1, max_power=3.68, phase_map="1", priority=2),
        vehicle(1, 100.0, phases=3),
        vehicle(2, 100.0, phases=1, max_power=3.68, phase_map="2", priority=3),
    ]
    problem = Problem.of(evs, Horizon(NOON, HOUR, 4), PowerTree.single_amps(np.array([16.0, 20.0, 32.0, 8.0])))
    power = solved(problem).power
    amps = [p / 0.23 / (1 if i != 1 else 3) for i, p in enumerate(power)]
    assert amps[0] == pytest.approx([16, 16, 16, 8])
    assert amps[2] == pytest.approx([16, 16, 16, 8])
    assert amps[1] == pytest.approx([0, 4, 11.0 / 0.69, 0])


def test_of_equal_costs_the_early_plan_is_taken_unless_another_one_is_in_force() -> None:
    evs = [vehicle(0, 11.0), vehicle(1, 11.0, in_force=np.array([0.0, 0.0, 11.0, 0.0]))]
    power = solved(four_hours(evs, 22.0, [0.1] * 4)).power
    assert power == pytest.approx(np.array([[11.0, 0, 0, 0], [0, 0, 11.0, 0]]))


def test_steps_of_a_minute_and_of_an_hour_cost_by_their_length() -> None:
    horizon = Horizon.between([NOON, NOON + timedelta(minutes=1), NOON + HOUR, NOON + 3 * HOUR])
    problem = Problem.of([vehicle(0, 12.0)], horizon, PowerTree.single([11.0] * 3), [0.1, 0.1001, 0.3])
    power = solved(problem).power[0]
    assert power[:2] == pytest.approx([11.0, 11.0])
    assert power @ problem.hours == pytest.approx(12.0)


def test_a_peak_is_raised_only_where_that_is_worth_it() -> None:
    charges = (DemandCharge(1.0, 4.0),)
    cheap_once = [0.5, 0.5, 0.0, 0.5]
    flat = solved(four_hours([vehicle(0, 16.0)], 11.0, cheap_once, demand_charges=charges)).power
    assert flat == pytest.approx(np.full((1, 4), 4.0))
    worth = (DemandCharge(0.4, 4.0),)
    spiky = solved(four_hours([vehicle(0, 16.0)], 11.0, cheap_once, demand_charges=worth)).power
    assert spiky[0, 2] == pytest.approx(11.0)


def test_peaks_count_the_building_and_only_in_their_steps() -> None:
    on_peak = DemandCharge(2.0, 6.0, np.array([True, True, False, False]))
    building = np.array([6.0, 2.0, 50.0, 50.0])
    problem = four_hours([vehicle(0, 26.0)], 11.0, [0.1] * 4, demand_charges=(on_peak,), building_kw=building)
    plan = solved(problem)
    assert plan.power == pytest.approx(np.array([[0.0, 4.0, 11.0, 11.0]]))
    assert problem.money(plan.power).demand == pytest.approx(0.0, abs=1e-9)


def test_a_soft_limit_is_exceeded_only_for_a_saving_or_a_need() -> None:
    tree = PowerTree((Node("site", soft_limit_kw=np.full(2, 5.0), soft_price_per_kwh=0.2),))
    for price, expected in (([0.1, 0.2], [5.0, 5.0]), ([0.1, 0.4], [10.0, 0.0])):
        problem = Problem.of([vehicle(0, 10.0, departure_time=NOON + 2 * HOUR)], Horizon(NOON, HOUR, 2), tree, price)
        assert solved(problem).power == pytest.approx(np.array([expected]))


def test_emissions_steer_the_plan_by_their_weight() -> None:
    co2 = np.array([0.9, 0.9, 0.9, 0.1])
    for weight, step in ((0.0, 0), (0.2, 3)):
        site = {"co2_kg_per_kwh": co2, "co2_price_per_kg": weight}
        plan = solved(four_hours([vehicle(0, 11.0)], 11.0, [0.1, 0.2, 0.2, 0.15], **site))
        assert plan.power[0, step] == pytest.approx(11.0)


def test_without_time_there_is_no_plan_but_an_error_that_says_so() -> None:
    with pytest.raises(programme.SolverFailed, match="time"):
        programme.solve(reference_problem(40), time_limit_s=0.0)


@pytest.mark.parametrize("calls", range(9))
def test_when_the_time_is_up_the_last_objective_decided_gives_the_plan(
    calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock that jumps after some calls. Needs, a battery's target and negative prices all have their turn."""
    ticks = iter([0.0] * calls)
    problem = full_of_conflicts()
    best = solved(problem)
    monkeypatch.setattr("scheduling.engine.programme.highs.perf_counter", lambda: next(ticks, 1e12))
    monkeypatch.setattr("scheduling.engine.programme.lexicographic.perf_counter", lambda: 0.0)
    try:
        plan = programme.solve(problem, time_limit_s=1e3)
    except programme.SolverFailed:
        assert calls < 4
        return
    assert check(problem, plan.power, plan.dispatch) == ()
    assert missing_by_class(problem, plan) == pytest.approx(missing_by_class(problem, best), abs=1e-4)
    assert plan.objectives["money"] >= best.objectives["money"] - 1e-6
    assert (plan.status == "optimal") == (calls >= 7)


def test_without_time_to_choose_directions_nobody_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1e12])
    full = vehicle(0, 0.0, soc=100.0, battery_kwh=60.0, discharge_power=11.0, efficiency=0.9)
    problem = Problem.of([full], Horizon(NOON, HOUR, 1), PowerTree.single([20.0]), [-0.5])
    monkeypatch.setattr("scheduling.engine.programme.highs.perf_counter", lambda: next(ticks, 0.0))
    monkeypatch.setattr("scheduling.engine.programme.lexicographic.perf_counter", lambda: 0.0)
    plan = programme.solve(problem, time_limit_s=1e3)
    assert plan.status == "feasible"
    assert plan.power == pytest.approx(np.zeros((1, 1)), abs=1e-6)


def full_of_conflicts() -> Problem:
    """Too little power at first, two classes, a full vehicle before negative prices and a battery that wants more."""
    full = vehicle(2, 0.0, soc=100.0, battery_kwh=60.0, discharge_power=11.0, efficiency=0.9)
    evs = [vehicle(0, 20.0, departure_time=NOON + 2 * HOUR), vehicle(1, 20.0, priority=2), full]
    battery = Battery(20.0, 5.0, 10.0, 10.0, efficiency=0.9, end_soe_kwh=15.0)
    price = [0.2, 0.1, -0.5, -0.5]
    return four_hours(evs, [8.0, 8.0, 40.0, 40.0], price, battery=battery, building_kw=np.full(4, 30.0))


def test_nobody_to_plan_is_no_problem() -> None:
    plan = solved(four_hours([], 11.0, [0.1] * 4))
    assert plan.power.shape == (0, 4)
    late = vehicle(0, 5.0, arrival_time=NOON + 9 * HOUR, departure_time=NOON + 10 * HOUR)
    assert solved(four_hours([late], 11.0, [0.1] * 4)).unmet_kwh == pytest.approx([5.0])
