"""The simple rules: who charges when, and that each of them keeps what every plan must keep."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.engine import EV, Algorithm, Horizon, Node, Options, PowerTree, Problem, algorithm
from scheduling.engine.arrays import FloatArray
from tests.engine.deep_depots import deep_depot
from tests.engine.depots import reference_problem

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HEURISTICS = ("round-robin", "fcfs", "edf", "llf", "go", "pulp-numerical")
seeds = st.integers(0, 2**32 - 1)


def ev(
    ev_id: int, need: float = 100.0, *, leaves: float = 6, least: float = 0.0, most: float = 10.0, **more: object
) -> EV:
    until = NOON + leaves * HOUR
    return replace(EV(ev_id, True, ev_id, 1, least, most, NOON, until, need), **more)  # type: ignore[arg-type]


def planned(name: str, problem: Problem) -> Algorithm:
    run = algorithm(name)(
        problem.evs,
        horizon=problem.horizon,
        tree=problem.tree,
        price_per_kwh=problem.price_per_kwh,
        site=problem.site,
    )
    run.calculate()
    return run


def power(name: str, evs: list[EV], limit: float, tree: PowerTree | None = None) -> FloatArray:
    horizon = Horizon(NOON, HOUR, 6)
    run = algorithm(name)(evs, horizon=horizon, tree=tree or PowerTree.single([limit] * 6))
    run.calculate()
    assert run.result.ok
    return run.result.power


# --- round robin -----------------------------------------------------------------------------------------------------


def test_round_robin_shares_every_step_equally_whatever_the_deadlines() -> None:
    assert power("round-robin", [ev(1), ev(2, leaves=2), ev(3)], 9.0)[:, 0].tolist() == [3, 3, 3]


def test_round_robin_gives_the_others_what_one_cannot_take() -> None:
    assert power("round-robin", [ev(1, most=2.0), ev(2), ev(3)], 12.0)[:, 0].tolist() == [2, 5, 5]


def test_round_robin_keeps_to_a_feeder_and_shares_the_rest_elsewhere() -> None:
    tree = PowerTree((Node("site", None, np.full(6, 12.0)), Node("feeder", "site", np.full(6, 2.0))))
    evs = [ev(1, nodes=("feeder",)), ev(2, nodes=("feeder",)), ev(3, nodes=("site",)), ev(4, nodes=("site",))]
    assert power("round-robin", evs, 0.0, tree)[:, 0].tolist() == pytest.approx([1, 1, 5, 5])


def test_round_robin_lets_vehicles_take_turns_where_minimum_powers_do_not_fit() -> None:
    plan = power("round-robin", [ev(k, least=4.0) for k in range(3)], 6.0)
    assert ((plan > 0).sum(axis=0) == 1).all()
    assert (plan > 0).sum(axis=1).tolist() == [2, 2, 2]


def test_round_robin_gives_free_power_beside_the_shares() -> None:
    reserved = PowerTree((Node("site", None, np.full(6, 10.0), reserved_kw=4.0),))
    plan = power("round-robin", [ev(1, free_power=4.0), ev(2)], 0.0, reserved)
    assert plan[:, 0].tolist() == [7, 3]


# --- the others ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["edf", "llf"])
def test_the_most_urgent_vehicle_charges_first(name: str) -> None:
    assert power(name, [ev(1, 20.0), ev(2, 10.0, leaves=2)], 10.0)[:, 0].tolist() == [0, 10]


def test_first_come_is_served_first() -> None:
    early = replace(ev(2), arrival_time=NOON - HOUR)
    assert power("fcfs", [ev(1), early], 10.0)[:, 0].tolist() == [0, 10]


@pytest.mark.parametrize("name", ["round-robin", "llf", "edf", "fcfs", "go"])
def test_no_crumb_below_the_minimum_power_is_left_over(name: str) -> None:
    plan = power(name, [ev(1, 13.0, least=4.0, most=6.0), ev(2, 13.0, least=4.0, most=6.0)], 12.0)
    assert plan.sum(axis=1) == pytest.approx([13, 13])


def test_uncontrolled_charging_says_so_and_names_what_it_breaks() -> None:
    run = algorithm("uncontrolled")([ev(1), ev(2)], horizon=Horizon(NOON, HOUR, 6), tree=PowerTree.single([15.0] * 6))
    run.calculate()
    assert run.result.status == "uncontrolled"
    assert [violation.rule for violation in run.result.violations] == ["limit_kw"]
    assert not run.result.ok


@pytest.mark.parametrize("name", [*HEURISTICS, "uncontrolled"])
def test_a_held_vehicle_is_left_alone_and_does_not_count(name: str) -> None:
    plan = power(name, [ev(1, hold="fault"), ev(2, 30.0)], 10.0)
    assert plan[0].sum() == 0
    assert plan[1].sum() == pytest.approx(30)


@pytest.mark.parametrize("name", HEURISTICS)
def test_steps_of_different_lengths_carry_different_energy(name: str) -> None:
    horizon = Horizon.between([NOON, NOON + HOUR / 6, NOON + HOUR, NOON + 4 * HOUR], HOUR / 6)
    run = algorithm(name)([ev(1, 20.0, leaves=4, most=7.0)], horizon=horizon, tree=PowerTree.single([6.0, 6.0, 6.0]))
    run.calculate()
    assert run.result.problem.energy(run.result.power) == pytest.approx([20])


def battery_of(vehicle: EV, rng: np.random.Generator) -> EV:
    """The vehicle with a battery that tapers, gives back or not, and is held now and then."""
    size = max(vehicle.energy * vehicle.efficiency, 1.0) * float(rng.uniform(1.2, 4.0))
    top = vehicle.max_power
    return replace(
        vehicle,
        battery_kwh=size,
        soc=float(rng.uniform(0.0, 98.0 * (1.0 - vehicle.energy / size))),
        taper=((0.0, top), (60.0, top), (100.0, 0.1 * top)) if rng.random() < 0.5 else (),
        discharge_power=float(rng.choice([0.0, 0.0, 5.0])),
        hold="fault" if rng.random() < 0.15 else "",
    )


@pytest.mark.parametrize("name", HEURISTICS)
@settings(max_examples=25, deadline=None)
@given(seed=seeds, demand=st.booleans())
def test_the_checker_passes_every_plan_with_tapers_holds_and_uneven_steps(name: str, seed: int, demand: bool) -> None:
    bare, rng = deep_depot(seed, demand=demand), np.random.default_rng(seed)
    evs = [battery_of(vehicle, rng) for vehicle in bare.evs]
    problem = Problem.of(evs, bare.horizon, bare.tree, bare.price_per_kwh, bare.site)
    assert planned(name, problem).result.violations == ()


@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_go_serves_as_much_as_any_plan_can_under_one_limit_without_minimum_powers(seed: int) -> None:
    deep, rng = deep_depot(seed), np.random.default_rng(seed)
    evs = [replace(vehicle, min_power=0.0, free_power=0.0, nodes=()) for vehicle in deep.evs]
    limit = rng.uniform(0.0, 0.6, deep.horizon.steps) * sum(vehicle.max_power for vehicle in evs)
    problem = Problem.of(evs, deep.horizon, PowerTree.single(limit))
    ours, best = (problem.energy(planned(name, problem).result.power).sum() for name in ("go", "pulp-lp"))
    assert ours == pytest.approx(best, abs=1e-3)


@pytest.mark.parametrize("with_minimum", [False, True])
@pytest.mark.parametrize("name", ["go", "llf", "pulp-numerical"])
def test_wa20_nothing_stays_unmet_on_the_reference_depot(name: str, with_minimum: bool) -> None:
    problem = reference_problem(40, with_minimum=with_minimum)
    result = planned(name, problem).result
    assert result.ok
    assert problem.unmet(result.power).sum() == pytest.approx(0, abs=0.01)


def test_wa19_and_wa21_go_gives_the_same_plan_twice_and_in_any_order() -> None:
    problem = reference_problem(40, with_minimum=True)
    run = planned("go", problem)
    first = run.result.power.copy()
    run.calculate()
    np.testing.assert_array_equal(run.result.power, first)
    turned = Problem.of(problem.evs[::-1], problem.horizon, problem.tree)
    np.testing.assert_array_equal(planned("go", turned).result.power[::-1], first)


def test_pulp_numerical_holds_nobody_back_for_those_that_cannot_be_helped() -> None:
    evs = [ev(1, 40.0, leaves=1), ev(2, 80.0, leaves=2), ev(3, 20.0), ev(4, 30.0)]
    run = algorithm("pulp-numerical")(evs, horizon=Horizon(NOON, HOUR, 6), tree=PowerTree.single([40.0] * 6))
    run.calculate()
    assert run.result.problem.energy(run.result.power) == pytest.approx([10, 20, 20, 30])


def test_pulp_numerical_shares_scarce_energy_by_the_same_fraction_of_each_need() -> None:
    run = algorithm("pulp-numerical")(
        [ev(1, 60.0), ev(2, 30.0), ev(3, 90.0, leaves=1)],
        horizon=Horizon(NOON, HOUR, 6),
        tree=PowerTree.single([10.0] * 6),
    )
    run.calculate()
    served = run.result.problem.energy(run.result.power)
    assert served.sum() == pytest.approx(60)
    assert served[:2] / [60, 30] == pytest.approx(np.array([50 / 90, 50 / 90]), abs=1e-5)
    assert served[2] == pytest.approx(10, abs=1e-5)


def test_pulp_numerical_without_an_optimum_has_a_plan_and_says_so() -> None:
    options = Options(time_limit_s=0.0)
    run = algorithm("pulp-numerical")([ev(1, 20.0)], [10.0] * 6, NOON, options=replace(options, resolution=HOUR))
    run.calculate()
    assert run.result.status == "fallback: the time limit was reached"
    assert run.evs[0].energy_charged() == pytest.approx(20)
