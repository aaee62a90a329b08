"""Uncertain arrivals and departures with a margin."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest

from scheduling.engine import EV, Horizon, PowerTree, Problem, programme
from scheduling.engine.arrays import FloatArray
from tests.engine.depots import NOON

HOUR = timedelta(hours=1)
STEPS = 8


def at(hour: int) -> datetime:
    return NOON + hour * HOUR


def vehicle(i: int = 0, energy: float = 10.0, stay: tuple[int, int] = (1, 7), **more: object) -> EV:
    return EV(i, False, i, 1, 0.0, 10.0, at(stay[0]), at(stay[1]), energy, **more)  # type: ignore[arg-type]


def depot(*evs: EV, limit: float = 100.0) -> Problem:
    return Problem.of(evs, Horizon(NOON, HOUR, STEPS), PowerTree.single(np.full(STEPS, limit)), [0.1] * STEPS)


def window(problem: Problem, i: int = 0) -> tuple[int, int]:
    return int(problem.first_step[i]), int(problem.last_step[i])


def linear(problem: Problem) -> FloatArray:
    return programme.solve(problem, time_limit_s=30.0).power


def test_who_may_come_late_is_planned_from_its_latest_arrival() -> None:
    assert window(programme.careful(depot(vehicle(arrival_latest=at(3))))) == (3, 7)


def test_who_has_a_margin_is_ready_that_long_before_the_departure() -> None:
    assert window(programme.careful(depot(vehicle(departure_margin=2 * HOUR)))) == (1, 5)


def test_certain_stays_are_left_alone() -> None:
    problem = depot(vehicle(), vehicle(1, arrival_latest=at(1)))
    assert programme.careful(problem) is problem


def test_a_vehicle_that_is_there_has_arrived() -> None:
    problem = depot(EV(0, True, 0, 1, 0.0, 10.0, at(0), at(7), 10.0, arrival_latest=at(3)))
    assert programme.careful(problem) is problem


@pytest.mark.parametrize(
    ("energy", "expected"), [(20.0, (3, 5)), (30.0, (3, 6)), (40.0, (3, 7)), (45.0, (2, 7)), (99.0, (1, 7))]
)
def test_a_need_that_does_not_fit_takes_from_the_margin_then_from_the_uncertain_hours(
    energy: float, expected: tuple[int, int]
) -> None:
    ev = vehicle(energy=energy, arrival_latest=at(3), departure_margin=2 * HOUR)
    assert window(programme.careful(depot(ev))) == expected


def test_a_battery_that_tapers_needs_a_longer_window() -> None:
    taper = ((0.0, 10.0), (50.0, 10.0), (100.0, 2.0))
    ev = vehicle(energy=28.0, departure_margin=3 * HOUR, soc=50.0, battery_kwh=60.0, taper=taper)
    assert window(programme.careful(depot(vehicle(energy=28.0, departure_margin=3 * HOUR)))) == (1, 4)
    assert window(programme.careful(depot(ev)))[1] > 4


def test_a_latest_arrival_after_the_departure_leaves_what_the_need_takes() -> None:
    ev = vehicle(energy=15.0, arrival_latest=at(7), departure_margin=HOUR)
    assert window(programme.careful(depot(ev))) == (5, 7)


def test_who_misses_energy_gets_its_whole_stay_and_others_keep_to_theirs() -> None:
    problem = depot(vehicle(0, 10.0, departure_margin=4 * HOUR), vehicle(1, 10.0, departure_margin=4 * HOUR), limit=5.0)
    careful = programme.careful(problem)
    unmet = problem.unmet(linear(careful))
    assert unmet.sum() == pytest.approx(10.0)
    released = programme.released(problem, careful, unmet)
    assert [window(released, i) == (1, 7) for i in (0, 1)] == (unmet > 0.01).tolist()
    assert problem.unmet(linear(released)) == pytest.approx([0.0, 0.0], abs=1e-6)


def test_a_narrow_stay_does_not_take_energy_from_one_that_has_no_choice() -> None:
    problem = depot(
        vehicle(0, 20.0, (1, 3), priority=1),
        vehicle(1, 20.0, (1, 7), departure_margin=4 * HOUR, priority=2),
        limit=10.0,
    )
    careful = programme.careful(problem)
    unmet = problem.unmet(linear(careful))
    assert unmet == pytest.approx([20.0, 0.0], abs=1e-6)
    assert problem.unmet(linear(programme.released(problem, careful, unmet))) == pytest.approx([0.0, 0.0], abs=1e-6)


def test_when_nobody_misses_what_a_whole_stay_could_give_the_careful_plan_stays() -> None:
    problem = depot(vehicle(0, 500.0), vehicle(1, departure_margin=HOUR))
    careful = programme.careful(problem)
    assert programme.released(problem, careful, problem.unmet(linear(careful))) is careful
