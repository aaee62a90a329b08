"""From a linear optimum to a plan that chargers can follow."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.engine import EV, DemandCharge, Horizon, Node, PowerTree, Problem, Site, check, flow, programme, shape
from scheduling.engine.arrays import FloatArray
from scheduling.engine.shape.board import missing_by_class
from tests.engine.depots import NOON, random_problem, reference_problem

SEEDS = st.integers(0, 10**6)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    shape.warm_up()


def linear(problem: Problem) -> FloatArray:
    return programme.solve(problem, time_limit_s=20).power


def with_evs(problem: Problem, evs: list[EV], price: FloatArray | None = None, site: Site | None = None) -> Problem:
    prices = problem.price_per_kwh if price is None else price
    return Problem.of(evs, problem.horizon, problem.tree, prices, site or problem.site)


def never_worse(problem: Problem, plan: FloatArray, bound: FloatArray, gap_kwh: float) -> bool:
    """Whether the first class of need in which the plans differ is served better by `plan`."""
    more = missing_by_class(problem, plan) - missing_by_class(problem, bound)
    noticed = more[np.abs(more) > gap_kwh]
    return not noticed.size or bool(noticed[0] < 0)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, amps=st.booleans())
def test_the_checker_passes_every_plan(seed: int, amps: bool) -> None:
    problem = random_problem(seed, amps=amps)
    plan = shape.shaped(problem, linear(problem))
    assert check(problem, plan) == ()
    active = plan > 0
    assert (plan >= problem.min_power[:, None] - 1e-6)[active].all()
    load = problem.rows.coefficients @ problem.excess_power(plan)
    assert (load <= problem.rows.limits + 1e-5).all()


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, amps=st.booleans())
def test_small_depots_serve_as_much_as_the_mixed_integer_optimum_at_its_money(seed: int, amps: bool) -> None:
    problem = random_problem(seed, amps=amps)
    plan, best = shape.shaped(problem, linear(problem)), shape.full_milp(problem, 20.0)
    assert best is not None
    assert check(problem, best) == ()
    served = float(problem.energy(best) @ problem.efficiency)
    assert never_worse(problem, plan, best, 1e-3 * served + 1e-3)
    if np.abs(missing_by_class(problem, plan) - missing_by_class(problem, best)).max() < 1e-3:
        money = problem.money(best).steering
        assert problem.money(plan).steering <= money + 2e-3 * abs(money) + 1e-3


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_without_minimum_powers_nothing_is_lost_and_no_step_changes_its_load(seed: int) -> None:
    plain = random_problem(seed)
    steps = plain.horizon.steps
    rising: FloatArray = 0.1 + 0.01 * np.random.default_rng(seed).permutation(steps).astype(np.float64)
    problem = with_evs(plain, [replace(ev, min_power=0.0) for ev in plain.evs], rising)
    before = linear(problem)
    plan = shape.shaped(problem, before)
    np.testing.assert_allclose(plan.sum(axis=0), before.sum(axis=0), atol=1e-5)
    np.testing.assert_allclose(problem.energy(plan), problem.energy(before), atol=1e-5)
    assert shape.periods(plan).sum() <= shape.periods(before).sum()


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, so_far=st.floats(0, 60))
def test_the_peak_that_costs_stays_where_the_energy_fits_below_it(seed: int, so_far: float) -> None:
    plain = random_problem(seed)
    site = Site(demand_charges=(DemandCharge(5.0, so_far),))
    problem = with_evs(plain, list(plain.evs), site=site)
    before = linear(problem)
    plan = shape.shaped(problem, before)
    assert check(problem, plan) == ()
    highest = max(float(before.sum(axis=0).max(initial=0.0)), so_far)
    if float(plan.sum(axis=0).max(initial=0.0)) > highest + 1e-5:
        capped = Node("cap", None, np.full(problem.horizon.steps, highest))
        nodes = tuple(replace(node, parent="cap") if node.parent is None else node for node in problem.tree.nodes)
        unfallen = [replace(ev, free_power=0.0) for ev in problem.evs]
        below = Problem.of(unfallen, problem.horizon, PowerTree((*nodes, capped)), problem.price_per_kwh)
        best = shape.full_milp(below, 20.0)
        assert best is not None
        more = missing_by_class(problem, best) - missing_by_class(problem, before)
        assert (np.abs(more) > 1e-4 * problem.energy(before).sum()).any()


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_the_same_problem_has_the_same_plan(seed: int) -> None:
    problem = random_problem(seed)
    before = linear(problem)
    np.testing.assert_array_equal(shape.shaped(problem, before), shape.shaped(problem, before))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, amps=st.booleans())
def test_no_time_at_all_still_gives_a_valid_plan(seed: int, amps: bool) -> None:
    problem = random_problem(seed, amps=amps)
    assert check(problem, shape.shaped(problem, linear(problem), deadline_s=0.0)) == ()


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, amps=st.booleans())
def test_before_the_code_is_compiled_plans_keep_minimum_powers_too(seed: int, amps: bool) -> None:
    problem = random_problem(seed, amps=amps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scheduling.engine.shape.plan.ready", lambda: False)
        plan = shape.shaped(problem, linear(problem))
    assert check(problem, plan) == ()


@pytest.mark.parametrize("size", [40, 200])
def test_the_reference_depots_keep_within_a_thousandth_of_the_linear_bound(size: int) -> None:
    problem = reference_problem(size, with_minimum=True)
    before = flow.solve(problem).power
    plan = shape.shaped(problem, before)
    assert check(problem, plan) == ()
    served = problem.energy(before).sum()
    assert problem.energy(plan).sum() >= 0.999 * served
    assert problem.money(plan).steering <= 1.001 * problem.money(before).steering
    assert shape.periods(plan).mean() <= 7.0


def test_a_lone_vehicle_raises_the_peak_rather_than_miss_its_need() -> None:
    horizon = Horizon(NOON, timedelta(hours=1), 10)
    ev = EV(1, True, 1, 1, 4.14, 11.0, NOON, horizon.end, 8.28)
    site = Site(demand_charges=(DemandCharge(10.0),))
    problem = Problem.of([ev], horizon, PowerTree.single([20.0] * 10), np.full(10, 0.2), site)
    plan = shape.shaped(problem, np.full((1, 10), 0.828))
    assert sorted(plan[0])[-2:] == pytest.approx([4.14, 4.14])
    assert problem.unmet(plan).sum() == pytest.approx(0.0, abs=1e-6)


def test_more_than_the_limits_allow_is_cut_to_them() -> None:
    horizon = Horizon(NOON, timedelta(hours=1), 2)
    evs = [EV(k, True, k, 1, 0.0, 11.0, NOON, horizon.end, 22.0) for k in (1, 2)]
    problem = Problem.of(evs, horizon, PowerTree.single([10.0, 10.0]))
    plan = shape.shaped(problem, np.full((2, 2), 5.0005))
    np.testing.assert_allclose(plan.sum(axis=0), [10.0, 10.0])


def test_periods_are_counted_from_the_first_power_on() -> None:
    plan = np.array([[0.0, 0.0, 0.0], [0.0, 7.0, 7.0], [7.0, 0.0, 7.0]])
    assert shape.periods(plan).tolist() == [0, 1, 3]


def test_an_empty_depot_has_an_empty_plan() -> None:
    horizon = Horizon(NOON, timedelta(hours=1), 3)
    problem = Problem.of([], horizon, PowerTree.single([1.0] * 3))
    assert shape.shaped(problem, problem.zeros()).shape == (0, 3)
