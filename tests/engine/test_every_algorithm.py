"""What holds for every plan of every algorithm, on random depots."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.engine import ALGORITHMS, Algorithm, Problem, algorithm, check
from scheduling.engine.linear import PulpLinearProgram
from scheduling.engine.model import slack_prices
from scheduling.engine.reasons import REASONS, explain
from tests.engine.depots import random_problem
from tests.engine.direct import least_objective

CONTROLLED = [name for name in ALGORITHMS if name != "uncontrolled"]
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=40, deadline=None)


def planned(name: str, problem: Problem) -> Algorithm:
    run = algorithm(name)(problem.evs, horizon=problem.horizon, tree=problem.tree, price_per_kwh=problem.price_per_kwh)
    run.calculate()
    return run


@pytest.mark.parametrize("name", CONTROLLED)
@few
@given(seed=seeds, amps=st.booleans())
def test_the_checker_passes_every_plan(name: str, seed: int, amps: bool) -> None:
    problem = random_problem(seed, amps=amps)
    result = planned(name, problem).result
    assert check(problem, result.power) == ()
    assert (problem.energy(result.power) <= problem.need_kwh + 0.01).all()


@few
@given(seed=seeds)
def test_the_linear_programme_is_as_good_as_the_same_problem_written_directly_into_highs(seed: int) -> None:
    problem = random_problem(seed)
    run = planned("pulp-lp", problem)
    assert isinstance(run, PulpLinearProgram)
    assert run.relaxed is not None
    assert run.result.status == "optimal"
    # A fallback below the minimum is planned for cautiously, so such vehicles are left to the checker's test.
    if ((problem.free_power > 0) & (problem.free_power < problem.min_power - 1e-9)).any():
        return
    slack = slack_prices(problem)
    ours = float(slack @ problem.unmet(run.relaxed)) + problem.cost(run.relaxed)
    assert ours == pytest.approx(least_objective(problem, slack), rel=1e-6, abs=1e-6)


@few
@given(seed=seeds)
def test_amps_per_phase_are_limited_like_the_same_problem_written_directly_into_highs(seed: int) -> None:
    problem = random_problem(seed, amps=True)
    if ((problem.free_power > 0) & (problem.free_power < problem.min_power - 1e-9)).any():
        return
    run = planned("pulp-lp", problem)
    assert isinstance(run, PulpLinearProgram)
    assert run.relaxed is not None
    slack = slack_prices(problem)
    ours = float(slack @ problem.unmet(run.relaxed)) + problem.cost(run.relaxed)
    assert ours == pytest.approx(least_objective(problem, slack), rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("name", ALGORITHMS)
@settings(max_examples=15, deadline=None)
@given(seed=seeds)
def test_wa21_the_order_of_the_vehicles_does_not_matter(name: str, seed: int) -> None:
    problem = random_problem(seed)
    turned = Problem.of(problem.evs[::-1], problem.horizon, problem.tree, problem.price_per_kwh)
    there, back = planned(name, problem).result, planned(name, turned).result
    np.testing.assert_array_equal(there.power, back.power[::-1])


@few
@given(seed=seeds)
def test_every_step_of_every_vehicle_has_a_reason(seed: int) -> None:
    problem = random_problem(seed)
    power = planned("pulp-lp", problem).result.power
    codes = explain(problem, power)
    assert [len(row) for row in codes] == [problem.horizon.steps] * len(problem.evs)
    for i, row in enumerate(codes):
        for step, code in enumerate(row):
            assert code in REASONS
            assert (code == "not_plugged") == (not problem.present[i, step])
            if power[i, step] > 1e-3:
                assert code not in ("full", "cheaper_later", "waiting_turn")


@few
@given(seed=seeds)
def test_shortfalls_tell_exactly_what_is_missing(seed: int) -> None:
    problem = random_problem(seed)
    result = planned("pulp-lp", problem).result
    told = {shortfall.ev_id: shortfall for shortfall in result.shortfalls}
    for ev, kwh in zip(problem.evs, problem.unmet(result.power), strict=True):
        later = max((ev.departure_time - problem.horizon.end).total_seconds() / 3600, 0) * ev.max_power
        if ev.ev_id in told:
            assert told[ev.ev_id].kwh == pytest.approx(kwh - later)
            assert told[ev.ev_id].remedy.endswith(".")
        else:
            assert kwh - later <= 0.01 or ev.ev_id in result.deferred


def test_an_unknown_algorithm_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match=f"'simplex': choose one of {', '.join(ALGORITHMS)}"):
        algorithm("simplex")
