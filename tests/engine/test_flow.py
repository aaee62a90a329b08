"""The flow plans the linear problem exactly: HiGHS, asked class by class, cannot do better."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scheduling.engine import EV, Battery, DemandCharge, Horizon, Node, PowerTree, Problem, Site, check
from scheduling.engine.arrays import FloatArray
from scheduling.engine.flow import FlowPlan, solve
from scheduling.engine.network import not_a_flow
from tests.engine.deep_depots import deep_depot
from tests.engine.depots import NOON, random_problem, reference_problem
from tests.engine.flow_judge import FlowJudge, served_by_class

seeds = st.integers(0, 2**32 - 1)
HOURS = Horizon(NOON, timedelta(hours=1), 6)


def ev(ev_id: int, energy: float, *, hours: tuple[int, int] = (0, 6), most: float = 10.0, **also: object) -> EV:
    begin, end = (NOON + timedelta(hours=hour) for hour in hours)
    return EV(ev_id, hours[0] == 0, ev_id, 1, 0.0, most, begin, end, energy, **also)  # type: ignore[arg-type]


def plan_of(
    evs: list[EV], limit: float | FloatArray, price: list[float] | None = None, site: Site | None = None
) -> FlowPlan:
    tree = PowerTree.single(np.broadcast_to(limit, 6).astype(np.float64))
    return solve(Problem.of(evs, HOURS, tree, price or [0.2] * 6, site))


def assert_allowed(problem: Problem, plan: FlowPlan) -> None:
    # The linear problem knows no minimum powers: they are restored afterwards.
    broken = [violation for violation in check(problem, plan.power) if violation.rule != "minimum"]
    assert not broken, broken
    assert plan.unmet_kwh == pytest.approx(problem.unmet(plan.power), abs=1e-6)


def assert_best(problem: Problem, plan: FlowPlan, tolerance: float = 1e-6) -> None:
    verdict = FlowJudge(problem).verdict()
    assert served_by_class(problem, plan.power) == pytest.approx(verdict.served_kwh, rel=1e-6, abs=2e-6)
    assert problem.money(plan.power).steering == pytest.approx(verdict.money, rel=tolerance, abs=tolerance)


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_energy_per_class_and_money_are_those_of_the_linear_programme(seed: int) -> None:
    problem = deep_depot(seed)
    assert not_a_flow(problem) == ""
    plan = solve(problem)
    assert plan.status == "optimal"
    assert plan.peak_kw is None
    assert_allowed(problem, plan)
    assert_best(problem, plan)


@settings(max_examples=150, deadline=None)
@given(seeds)
def test_with_a_demand_charge_the_objective_is_that_of_the_linear_programme(seed: int) -> None:
    problem = deep_depot(seed, demand=True)
    assert not_a_flow(problem) == ""
    plan = solve(problem)
    assert plan.status == "optimal"
    assert_allowed(problem, plan)
    assert_best(problem, plan, 1e-5)


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_two_level_depots_with_fallbacks_are_planned_exactly(seed: int) -> None:
    problem = random_problem(seed)
    assume(not_a_flow(problem) == "")
    plan = solve(problem)
    assert_allowed(problem, plan)
    assert_best(problem, plan)


@settings(max_examples=40, deadline=None)
@given(seeds, st.booleans())
def test_the_order_of_the_vehicles_changes_nothing_that_matters(seed: int, demand: bool) -> None:
    problem = deep_depot(seed, demand=demand)
    order = np.random.default_rng(seed).permutation(len(problem.evs))
    shuffled = problem.rearranged(order)
    one, other = solve(problem), solve(shuffled)
    assert served_by_class(shuffled, other.power) == pytest.approx(served_by_class(problem, one.power), abs=1e-6)
    money = problem.money(one.power).steering
    assert shuffled.money(other.power).steering == pytest.approx(money, rel=1e-6, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(seeds, st.booleans())
def test_the_same_problem_gets_the_same_plan(seed: int, demand: bool) -> None:
    one, other = solve(deep_depot(seed, demand=demand)), solve(deep_depot(seed, demand=demand))
    assert (one.power == other.power).all()


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_more_power_never_serves_less(seed: int) -> None:
    problem = deep_depot(seed)
    nodes = tuple(
        replace(node, limit_kw=None if node.limit_kw is None else node.limit_kw + 2.0) for node in problem.tree.nodes
    )
    wider = replace(problem, tree=PowerTree(nodes))
    assert solve(wider).unmet_kwh.sum() <= solve(problem).unmet_kwh.sum() + 1e-6


@pytest.mark.parametrize(("n", "cost"), [(40, 528.3), (200, 2410.6), (1000, 11628.5)])
def test_the_measured_depots_cost_what_the_yardstick_says(n: int, cost: float) -> None:
    problem = reference_problem(n)
    plan = solve(problem)
    assert_allowed(problem, plan)
    assert plan.unmet_kwh.max() == pytest.approx(0.0, abs=1e-6)
    assert problem.money(plan.power).steering == pytest.approx(cost, abs=0.06)


def test_a_demand_charge_is_weighed_against_the_price_of_energy() -> None:
    cheap_first = [0.1, 0.2, 0.2, 0.2, 0.2, 0.2]
    dear, idle = (Site(demand_charges=(DemandCharge(price),)) for price in (1.0, 0.01))
    flat, steep = (plan_of([ev(1, 30.0, most=30.0)], 30.0, cheap_first, site) for site in (dear, idle))
    assert flat.power[0] == pytest.approx([5.0] * 6)
    assert flat.peak_kw == pytest.approx(5.0)
    assert steep.power[0] == pytest.approx([30.0, 0, 0, 0, 0, 0])


def test_a_peak_that_is_paid_for_is_used_and_the_building_has_its_part_of_it() -> None:
    building = np.array([8.0, 8.0, 0.0, 0.0, 0.0, 0.0])
    site = Site(building_kw=building, demand_charges=(DemandCharge(50.0, peak_so_far_kw=10.0),))
    plan = plan_of([ev(1, 14.0)], 30.0, [0.1, 0.1, 0.5, 0.6, 0.7, 0.8], site)
    assert plan.power[0] == pytest.approx([2.0, 2.0, 10.0, 0, 0, 0])
    assert plan.peak_kw == pytest.approx(10.0)


def test_a_demand_charge_counts_in_its_steps_only() -> None:
    evening = np.array([True, True, False, False, False, False])
    site = Site(demand_charges=(DemandCharge(50.0, steps=evening),))
    plan = plan_of([ev(1, 20.0)], 30.0, [0.1, 0.1, 0.5, 0.6, 0.7, 0.8], site)
    assert plan.power[0] == pytest.approx([0, 0, 10.0, 10.0, 0, 0])
    assert plan.peak_kw == 0.0


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_no_demand_charge_reduces_what_is_served(seed: int) -> None:
    problem = deep_depot(seed, demand=True)
    without = solve(replace(problem, site=replace(problem.site, demand_charges=())))
    served = served_by_class(problem, solve(problem).power)
    assert served == pytest.approx(served_by_class(problem, without.power), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_when_the_time_is_up_the_plan_is_allowed_and_serves_the_same(seed: int) -> None:
    problem = deep_depot(seed, demand=True)
    plan, best = solve(problem, deadline_s=0.0), solve(problem)
    assert_allowed(problem, plan)
    assert plan.status in ("optimal", "feasible")
    assert served_by_class(problem, plan.power) == pytest.approx(served_by_class(problem, best.power), abs=1e-6)
    assert problem.money(plan.power).steering >= problem.money(best.power).steering - 1e-6


def test_a_search_that_was_cut_short_says_so() -> None:
    site = Site(demand_charges=(DemandCharge(1.0),))
    problem = Problem.of([ev(1, 30.0)], HOURS, PowerTree.single([30.0] * 6), [0.1, *[0.2] * 5], site)
    assert solve(problem, deadline_s=0.0).status == "feasible"


def test_the_more_important_vehicle_is_served_first() -> None:
    plan = plan_of([ev(1, 40.0), ev(2, 40.0, priority=2), ev(3, 40.0)], 10.0)
    assert plan.unmet_kwh[1] == pytest.approx(0.0)
    assert plan.unmet_kwh.sum() == pytest.approx(60.0)


def test_every_minimum_comes_before_the_desired_rest_of_the_more_important() -> None:
    plan = plan_of([ev(1, 30.0, minimum_energy=30.0), ev(2, 60.0, minimum_energy=10.0, priority=2)], 10.0)
    assert plan.unmet_kwh == pytest.approx([0.0, 30.0])


def test_among_equals_the_more_efficient_vehicle_is_served() -> None:
    plan = plan_of([ev(1, 36.0, efficiency=0.9), ev(2, 40.0)], 10.0)
    assert plan.unmet_kwh == pytest.approx([20.0, 0.0])


def test_among_equals_the_less_lax_vehicle_is_served() -> None:
    plan = plan_of([ev(1, 30.0), ev(2, 50.0), ev(3, 30.0)], 10.0)
    assert plan.unmet_kwh[1] == pytest.approx(0.0)


def test_a_hopeless_vehicle_takes_nothing_from_one_that_can_be_ready() -> None:
    plan = plan_of([ev(1, 500.0), ev(2, 50.0)], 10.0)
    assert plan.unmet_kwh == pytest.approx([490.0, 0.0])


def test_a_soft_limit_is_exceeded_only_as_far_as_the_need_asks_for_it() -> None:
    root = Node("site", None, np.full(6, 30.0), soft_limit_kw=np.full(6, 4.0), soft_price_per_kwh=1.0)
    plan = solve(Problem.of([ev(1, 25.0)], HOURS, PowerTree((root,)), [0.1, 0.2, 0.3, 0.3, 0.3, 0.3]))
    assert plan.power[0] == pytest.approx([5.0, 4.0, 4.0, 4.0, 4.0, 4.0])


def test_what_passes_the_nodes_counts_in_the_peak_but_in_no_room() -> None:
    site = Site(demand_charges=(DemandCharge(50.0),))
    root = Node("site", None, np.full(6, 3.0), reserved_kw=3.0)
    vehicle = ev(1, 12.0, free_power=3.0)
    plan = solve(Problem.of([vehicle], HOURS, PowerTree((root,)), [0.1, *[0.2] * 5], site))
    assert plan.power[0] == pytest.approx([2.0] * 6)
    assert plan.peak_kw == pytest.approx(2.0)


def test_early_steps_come_first_where_the_price_is_the_same() -> None:
    assert plan_of([ev(1, 15.0)], 30.0).power[0] == pytest.approx([10.0, 5.0, 0, 0, 0, 0])


def test_where_it_costs_nothing_the_plan_in_force_stays() -> None:
    mine, other = np.array([0, 10.0, 0, 0, 0, 0]), np.array([10.0, 0, 0, 0, 0, 0])
    for first, second in ((mine, other), (other, mine)):
        plan = plan_of([ev(1, 10.0, in_force=first), ev(2, 10.0, in_force=second)], 10.0)
        assert plan.power[0] == pytest.approx(first)
        assert plan.power[1] == pytest.approx(second)


def test_who_is_held_or_wants_nothing_or_comes_too_late_gets_nothing() -> None:
    evs = [ev(1, 10.0, hold="fault"), ev(2, 0.0), ev(3, 5.0, hours=(6, 8))]
    plan = plan_of(evs, 10.0)
    assert not plan.power.any()
    assert plan.unmet_kwh == pytest.approx([10.0, 0.0, 5.0])


def test_no_vehicles_make_an_empty_plan() -> None:
    assert plan_of([], 10.0).power.shape == (0, 6)


@pytest.mark.parametrize(
    ("site", "clause"),
    [
        (Site(pv_kw=np.ones(6)), "sun or a battery"),
        (Site(battery=Battery(10.0, 5.0, 5.0, 5.0)), "sun or a battery"),
        (Site(building_kw=np.full(6, -1.0)), "the building feeds in"),
        (Site(demand_charges=(DemandCharge(1.0), DemandCharge(2.0))), "several demand charges"),
    ],
)
def test_a_problem_that_is_no_flow_is_named(site: Site, clause: str) -> None:
    problem = Problem.of([ev(1, 10.0)], HOURS, PowerTree.single([10.0] * 6), [0.1] * 6, site)
    assert clause in not_a_flow(problem)


def test_limits_that_cross_each_other_are_no_flow() -> None:
    nodes = (Node("west", None, np.full(6, 5.0)), Node("east", None, np.full(6, 5.0)))
    evs = [ev(1, 10.0, nodes=("west",)), ev(2, 10.0, nodes=("west", "east")), ev(3, 10.0, nodes=("east",))]
    problem = Problem.of(evs, HOURS, PowerTree(nodes), [0.1] * 6)
    assert "cross" in not_a_flow(problem)
    with pytest.raises(ValueError, match="cross each other"):
        solve(problem)
