"""The default planner on random depots: exact where the problem is linear, within stated gaps where it is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.engine import ALGORITHMS, EV, Algorithm, Horizon, Options, PowerTree, Problem, algorithm, check
from scheduling.engine.arrays import FloatArray
from scheduling.engine.optimal import OptimalPlanner
from scheduling.engine.programme import SolverFailed
from scheduling.engine.shape import full_milp, missing_by_class
from tests.engine.deep_depots import deep_depot
from tests.engine.depots import NOON, random_problem
from tests.engine.full_depots import full_problem
from tests.engine.judge import judged

seeds = st.integers(0, 2**32 - 1)
KEEPING_LIMITS = [name for name in ALGORITHMS if name not in ("optimal", "uncontrolled")]


def planned(problem: Problem, name: str = "optimal", options: Options | None = None) -> Algorithm:
    run = algorithm(name)(
        problem.evs,
        horizon=problem.horizon,
        tree=problem.tree,
        price_per_kwh=problem.price_per_kwh,
        site=problem.site,
        options=options,
    )
    run.calculate()
    return run


def of(evs: list[EV], problem: Problem) -> Problem:
    return Problem.of(evs, problem.horizon, problem.tree, problem.price_per_kwh, problem.site)


def without_minimum(problem: Problem) -> Problem:
    return of([replace(ev, min_power=0.0) for ev in problem.evs], problem)


def is_worse(problem: Problem, power: FloatArray, other: FloatArray, tolerance: float) -> bool:
    """Whether a plan serves less than another one in the strict order, or as much for more money."""
    more = missing_by_class(problem, power) - missing_by_class(problem, other)
    noticed = more[np.abs(more) > tolerance]
    if noticed.size:
        return bool(noticed[0] > 0)
    return problem.money(power).steering > problem.money(other).steering + tolerance


@settings(max_examples=40, deadline=None)
@given(seeds)
def test_on_the_linear_problem_it_equals_the_solver_in_every_class_and_in_money(seed: int) -> None:
    problem = full_problem(seed)
    result = planned(problem).result
    assert result.status == "optimal"
    assert check(problem, result.power, result.dispatch) == ()
    missing, money = judged(problem)
    found = [float(kwh) for kwh in _missing(problem, result.power)]
    assert found == pytest.approx(missing, abs=0.02)
    if found == pytest.approx(missing, abs=1e-4):
        assert result.money.steering == pytest.approx(money, rel=1e-4, abs=2e-3)


def _missing(problem: Problem, power: FloatArray) -> FloatArray:
    served = problem.served(power)
    minimum = np.maximum(problem.minimum_kwh - served, 0.0) * problem.efficiency
    rest = np.maximum(problem.need_kwh - np.maximum(served, problem.minimum_kwh), 0.0) * problem.efficiency
    levels = np.unique(problem.priority)[::-1]
    return np.array([part[problem.priority == level].sum() for part in (minimum, rest) for level in levels])


@pytest.mark.parametrize("name", KEEPING_LIMITS)
@settings(max_examples=12, deadline=None)
@given(seed=seeds)
def test_on_the_linear_problem_nobody_does_better_in_the_strict_order(name: str, seed: int) -> None:
    problem = without_minimum(random_problem(seed))
    assert not is_worse(problem, planned(problem).result.power, planned(problem, name).result.power, 0.02)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_with_minimum_powers_it_stays_within_a_thousandth_of_the_mixed_integer_programme(seed: int) -> None:
    problem = random_problem(seed)
    run = planned(problem)
    best = full_milp(problem, 20.0)
    if best is None:
        return
    served = float(problem.energy(best).sum())
    more = missing_by_class(problem, run.result.power) - missing_by_class(problem, best)
    noticed = more[np.abs(more) > 1e-3 * served + 0.02]
    assert not noticed.size or noticed[0] < 0


@settings(max_examples=25, deadline=None)
@given(seeds, st.booleans())
def test_nobody_charges_below_the_minimum_power(seed: int, amps: bool) -> None:
    problem = random_problem(seed, amps=amps)
    power = planned(problem).result.power
    low = (power > 1e-3) & (power < problem.min_power[:, None] - 1e-3)
    assert not low.any()


@settings(max_examples=25, deadline=None)
@given(seeds, st.randoms(use_true_random=False))
def test_permuting_the_vehicles_changes_nothing(seed: int, dice: object) -> None:
    problem = deep_depot(seed)
    order = np.random.default_rng(seed).permutation(len(problem.evs))
    turned = of([problem.evs[k] for k in order], problem)
    there, back = planned(problem).result.power, planned(turned).result.power
    np.testing.assert_allclose(there[order], back, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(0.0, 20.0))
def test_more_power_never_serves_less_on_the_linear_problem(seed: int, more_kw: float) -> None:
    problem = without_minimum(random_problem(seed))
    wider = replace(
        problem,
        tree=PowerTree(
            tuple(
                replace(node, limit_kw=None if node.limit_kw is None else node.limit_kw + more_kw)
                for node in problem.tree.nodes
            )
        ),
    )
    before, after = planned(problem).result.power, planned(wider).result.power
    more = missing_by_class(problem, after) - missing_by_class(problem, before)
    noticed = more[np.abs(more) > 0.02]
    assert not noticed.size or noticed[0] < 0


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_one_impossible_need_costs_the_others_nothing_but_what_it_takes(seed: int) -> None:
    problem = without_minimum(random_problem(seed))
    if not problem.evs:
        return
    alone = planned(problem).result
    broken = replace(problem.evs[0], energy=1e5, priority=0, minimum_energy=None)
    result = planned(of([broken, *problem.evs[1:]], problem)).result
    others = np.arange(1, len(problem.evs))
    missing = problem.unmet(result.power)[others].sum() - problem.unmet(alone.power)[others].sum()
    assert missing <= 0.02 * len(others)
    assert result.ok


def test_a_vehicle_that_may_come_late_is_planned_for_after_its_latest_arrival() -> None:
    evs = [_vehicle(arrival_latest=NOON + timedelta(hours=3), active=False)]
    power = planned(_flat(evs)).result.power
    assert not power[0, :3].any()
    assert power[0, 3:].sum() == pytest.approx(20)
    hasty = [replace(evs[0], energy=75.0)]
    assert planned(_flat(hasty)).result.shortfalls == ()


def test_the_margin_before_a_departure_is_used_only_for_energy_that_would_be_missing() -> None:
    relaxed = _flat([_vehicle(departure_margin=timedelta(hours=2))], price=np.linspace(0.4, 0.1, 8))
    assert not planned(relaxed).result.power[0, 6:].any()
    hasty = _flat([_vehicle(departure_margin=timedelta(hours=2), energy=75.0)], price=np.linspace(0.4, 0.1, 8))
    assert planned(hasty).result.shortfalls == ()


def test_the_minimum_need_of_all_comes_before_the_desired_rest_of_the_most_important() -> None:
    evs = [
        _vehicle(energy=40.0, minimum_energy=10.0, priority=5),
        _vehicle(ev_id="other", energy=20.0, minimum_energy=20.0),
    ]
    result = planned(_flat(evs, limit=5.0)).result
    assert result.problem.energy(result.power) == pytest.approx([20.0, 20.0])


def test_power_falls_with_the_state_of_charge() -> None:
    ev = _vehicle(energy=20.0, soc=70.0, battery_kwh=60.0, taper=((80.0, 10.0), (100.0, 1.0)))
    result = planned(_flat([ev])).result
    assert result.ok
    assert result.power[0, 0] == pytest.approx(6 + 1000 / 75 * (1 - np.exp(-0.3)), abs=1e-3)  # 10 kW up to 80 %
    assert (np.diff(result.power[0]) <= 1e-6).all()


def test_with_flat_prices_the_least_lax_charge_first() -> None:
    evs = [_vehicle(), _vehicle(ev_id="hurried", energy=30.0, departure_time=NOON + timedelta(hours=4))]
    power = planned(_flat(evs, limit=10.0)).result.power
    assert power[1, :3] == pytest.approx([10, 10, 10])


def test_runs_and_pauses_last_their_shortest_times() -> None:
    price = np.array([0.1, 0.4, 0.1, 0.4, 0.1, 0.4, 0.1, 0.4])
    ev = _vehicle(
        energy=30.0, min_power=5.0, min_on=timedelta(hours=3), min_off=timedelta(hours=2), in_force=np.zeros(8)
    )
    power = planned(_flat([ev], price=price)).result.power[0]
    assert power.sum() == pytest.approx(30, abs=1e-3)
    on = np.flatnonzero(power)
    runs = np.split(on, np.flatnonzero(np.diff(on) > 1) + 1)
    assert all(len(run) >= 3 or run[-1] == 7 for run in runs)


def test_a_failing_solver_means_a_greedy_plan_that_says_so() -> None:
    problem = full_problem(3)
    storage = replace(problem.site, pv_kw=np.ones(problem.horizon.steps))
    with patch("scheduling.engine.programme.solve", side_effect=SolverFailed("HiGHS reports an error")):
        result = planned(replace(problem, site=storage)).result
    assert result.status == "fallback: HiGHS reports an error"
    assert result.ok


def test_before_the_code_is_compiled_it_plans_by_another_exact_route() -> None:
    problem = without_minimum(random_problem(5))
    with (
        patch("scheduling.engine.flow.ready", return_value=False),
        patch("scheduling.engine.flow.warm_in_background") as warming,
    ):
        cold = planned(problem).result
    assert warming.called
    assert cold.status == "optimal"
    warm = planned(problem).result
    assert cold.money.steering == pytest.approx(warm.money.steering, rel=1e-6)


def test_the_bound_is_the_linear_optimum_that_the_plan_stays_near() -> None:
    problem = deep_depot(11)
    run = planned(problem)
    assert isinstance(run, OptimalPlanner)
    assert run.bound is not None
    assert problem.money(run.bound).steering <= run.result.money.steering + 1e-6


def _vehicle(**changes: object) -> EV:
    values: dict[str, object] = {
        "ev_id": "bus",
        "active": True,
        "station_id": "CP-1",
        "connector_id": 1,
        "min_power": 0.0,
        "max_power": 10.0,
        "arrival_time": NOON,
        "departure_time": NOON + timedelta(hours=8),
        "energy": 20.0,
    }
    return EV(**(values | changes))  # type: ignore[arg-type]


def _flat(evs: list[EV], *, limit: float = 50.0, price: FloatArray | None = None) -> Problem:
    horizon = Horizon(NOON, timedelta(hours=1), 8)
    return Problem.of(evs, horizon, PowerTree.single([limit] * 8), np.full(8, 0.2) if price is None else price)
