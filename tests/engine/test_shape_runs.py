"""Shortest times of charging and of pausing."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.engine import EV, Horizon, PowerTree, Problem, check, programme, shape
from scheduling.engine.arrays import FloatArray
from tests.engine.depots import NOON, random_problem

HALF_HOURS = st.sampled_from([timedelta(minutes=m) for m in (0, 30, 60, 90)])
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    shape.warm_up()


def runs_of(problem: Problem, row: int, plan: FloatArray) -> list[tuple[int, int]]:
    """Begin and end step of every run of charging."""
    on = np.concatenate([[False], plan[row] > 0, [False]])
    edges = np.flatnonzero(on[1:] != on[:-1])
    return [(int(s), int(e)) for s, e in zip(edges[::2], edges[1::2], strict=True)]


def too_short(problem: Problem, row: int, plan: FloatArray) -> bool:
    """Whether a run or a pause that begins and ends within the horizon is shorter than the vehicle's times."""
    ev, borders = problem.evs[row], problem.horizon.borders
    runs = runs_of(problem, row, plan)
    charging = ev.in_force is None or ev.in_force[0] > 0
    for begin, end in runs:
        goes_on = (begin == 0 and charging) or end == problem.horizon.steps
        if not goes_on and borders[end] - borders[begin] < ev.min_on:
            return True
    pauses = [(e, s) for (_, e), (s, _) in itertools.pairwise(runs)]
    if ev.in_force is not None and ev.in_force[0] > 0 and problem.first_step[row] == 0 and runs and runs[0][0] > 0:
        pauses.append((0, runs[0][0]))
    return any(borders[s] - borders[e] < ev.min_off for e, s in pauses)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), on=HALF_HOURS, off=HALF_HOURS, before=st.sampled_from([None, 0.0, 1.0]))
def test_runs_and_pauses_last_their_shortest_times(
    seed: int, on: timedelta, off: timedelta, before: float | None
) -> None:
    plain = random_problem(seed)
    steps = plain.horizon.steps
    evs = [
        replace(ev, min_on=on, min_off=off, in_force=None if before is None else np.full(steps, before * ev.max_power))
        for ev in plain.evs
    ]
    problem = Problem.of(evs, plain.horizon, plain.tree, plain.price_per_kwh)
    plan = shape.shaped(problem, programme.solve(problem, time_limit_s=20).power)
    assert check(problem, plan) == ()
    for row in range(len(evs)):
        if too_short(problem, row, plan):
            # Only where nothing could be served else: the need is too small for one run at the minimum, or the pause
            # after the run in force would last until there is no room any more.
            too_small = problem.need_kwh[row] < problem.min_power[row] * (on + timedelta(minutes=30)) / HOUR
            had_to_pause = before == 1.0 and problem.first_step[row] == 0 and not plan[row, 0]
            assert too_small or had_to_pause
            assert len(runs_of(problem, row, plan)) == 1


def lone(price: list[float], **changes: object) -> Problem:
    horizon = Horizon(NOON, timedelta(hours=1), len(price))
    ev = replace(EV(1, True, 1, 1, 4.0, 10.0, NOON, horizon.end, 16.0), **changes)  # type: ignore[arg-type]
    return Problem.of([ev], horizon, PowerTree.single([20.0] * len(price)), np.array(price))


def test_cheap_hours_apart_become_one_run_where_it_must_last() -> None:
    problem = lone([0.5, 0.1, 0.3, 0.1, 0.5, 0.5], min_on=timedelta(hours=3), energy=20.0, in_force=np.zeros(6))
    plan = shape.shaped(problem, np.array([[0, 10.0, 0, 10.0, 0, 0]]))
    assert runs_of(problem, 0, plan) == [(1, 4)]
    assert problem.unmet(plan).sum() == pytest.approx(0.0, abs=1e-6)


def test_a_run_in_force_at_the_start_may_end_at_any_time_and_a_new_one_may_not() -> None:
    price = [0.1, 0.5, 0.5, 0.2, 0.2, 0.2, 0.5]
    already = lone(price, min_on=timedelta(hours=2), energy=10.0, in_force=np.full(7, 5.0))
    start = np.array([[10.0, 0, 0, 0, 0, 0, 0]])
    assert runs_of(already, 0, shape.shaped(already, start)) == [(0, 1)]
    fresh = lone(price, min_on=timedelta(hours=2), energy=10.0, in_force=np.zeros(7))
    (run,) = runs_of(fresh, 0, shape.shaped(fresh, start))
    assert run[1] - run[0] == 2


def test_the_mixed_integer_programme_keeps_runs_too() -> None:
    problem = lone(
        [0.1, 0.5, 0.1, 0.5, 0.1, 0.5, 0.9, 0.9], min_on=timedelta(hours=2), min_off=timedelta(hours=2), energy=24.0
    )
    plan = shape.full_milp(problem, 20.0)
    assert plan is not None
    assert not too_short(problem, 0, plan)
    assert problem.unmet(plan).sum() == pytest.approx(0.0, abs=1e-4)


def test_a_need_too_small_for_a_run_is_served_by_a_run_as_long_as_the_need() -> None:
    problem = lone([0.5, 0.1, 0.5, 0.5], min_on=timedelta(hours=3), energy=4.0, in_force=np.zeros(4))
    plan = shape.shaped(problem, np.array([[0, 4.0, 0, 0]]))
    assert plan[0].tolist() == [0, 4.0, 0, 0]
