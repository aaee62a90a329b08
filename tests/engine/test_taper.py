"""Power that falls with the state of charge."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.engine import EV, Horizon, PowerTree, Problem, programme
from scheduling.engine.arrays import FloatArray
from scheduling.engine.checker import check
from tests.engine.depots import NOON

HALF_HOUR = timedelta(minutes=30)
DC = ((0.0, 50.0), (60.0, 50.0), (100.0, 5.0))
STEPS = 12

curves = st.lists(st.tuples(st.floats(0, 100), st.floats(0.5, 100)), min_size=1, max_size=5, unique_by=lambda p: p[0])


def tapering(
    i: int = 0,
    energy: float = 30.0,
    *,
    soc: float = 20.0,
    taper: tuple[tuple[float, float], ...] = DC,
    most: float = 50.0,
    efficiency: float = 0.95,
    stay: tuple[int, int] = (0, STEPS),
) -> EV:
    """A battery of 60 kWh that is charged in half hours from noon."""
    arrival, departure = (NOON + k * HALF_HOUR for k in stay)
    return EV(
        i,
        False,
        i,
        1,
        0.0,
        most,
        arrival,
        departure,
        energy,
        soc=soc,
        battery_kwh=60.0,
        taper=taper,
        efficiency=efficiency,
    )


def depot(evs: list[EV], limit: float, price: list[float] | FloatArray) -> Problem:
    return Problem.of(evs, Horizon(NOON, HALF_HOUR, STEPS), PowerTree.single(np.full(STEPS, limit)), price)


def linear(problem: Problem) -> FloatArray:
    return programme.solve(problem, time_limit_s=30.0).power


@given(
    curve=curves, soc=st.floats(0, 100), hours=st.floats(0.01, 4), most=st.floats(1, 120), efficiency=st.floats(0.5, 1)
)
@settings(max_examples=60, deadline=None)
def test_the_most_energy_is_the_integral_along_the_curve(
    curve: list[tuple[float, float]], soc: float, hours: float, most: float, efficiency: float
) -> None:
    taper = tuple(sorted((round(s, 2), p) for s, p in curve))
    if len({s for s, _ in taper}) < len(taper):
        taper = taper[:1]
    ev = tapering(soc=soc, taper=taper, most=most, efficiency=efficiency)
    count = 4000
    state, taken, span = soc, 0.0, hours / count
    socs, powers = np.array(taper).T
    for _ in range(count):
        kw = min(most, float(np.interp(state, socs, powers)))
        step = min(kw * span, (100.0 - state) * 0.6 / efficiency)
        taken += step
        state += step * efficiency / 0.6
    assert float(programme.most_energy(ev, soc, hours)) == pytest.approx(taken, rel=0.02, abs=0.05)


def test_the_first_value_holds_below_its_point_and_the_last_one_up_to_full() -> None:
    ev = tapering(taper=((50.0, 20.0), (80.0, 10.0)), efficiency=1.0)
    socs = np.array([0.0, 20.0, 85.0, 99.0, 100.0])
    assert programme.most_energy(ev, socs, 0.5) == pytest.approx([10.0, 10.0, 5.0, 0.6, 0.0])


def test_a_charge_in_two_halves_takes_what_it_takes_in_one() -> None:
    ev = tapering()
    first = float(programme.most_energy(ev, 20.0, 1.0))
    second = float(programme.most_energy(ev, 20.0 + first * 0.95 / 0.6, 1.0))
    assert first + second == pytest.approx(float(programme.most_energy(ev, 20.0, 2.0)))


def test_a_battery_follows_a_plan_only_as_far_as_it_can() -> None:
    problem = depot(
        [tapering(energy=48.0), EV(1, False, 1, 1, 0, 50.0, NOON, NOON + 6 * HALF_HOUR, 40.0)], 200.0, [0.1] * 12
    )
    wish = np.full((2, STEPS), 50.0)
    followed = programme.follow(problem, wish)
    assert followed[1] == pytest.approx(wish[1])
    assert followed[0, 0] == pytest.approx(50.0 * (25.0 / 25.0))
    assert (np.diff(followed[0]) <= 1e-9).all()
    total = float(programme.most_energy(problem.evs[0], 20.0, 6.0))
    assert followed[0] @ problem.hours == pytest.approx(total)
    modest = np.full((2, STEPS), 2.0)
    assert programme.follow(problem, modest) == pytest.approx(modest)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_a_plan_stays_below_the_curve_and_within_the_limits_and_serves_what_an_early_charge_could(seed: int) -> None:
    rng = np.random.default_rng(seed)
    evs = []
    for i in range(int(rng.integers(1, 5))):
        soc, stay = float(rng.uniform(5, 80)), (int(rng.integers(0, 5)), int(rng.integers(7, 13)))
        ev = tapering(i, 1.0, soc=soc, stay=stay)
        most = float(programme.most_energy(ev, soc, 0.5 * (stay[1] - stay[0])))
        evs.append(tapering(i, float(rng.uniform(0.2, 0.99)) * most * 0.95, soc=soc, stay=stay))
    problem = depot(evs, 50.0 * len(evs), rng.choice([0.1, 0.2, 0.3], STEPS))
    power = programme.tapered(problem, linear)
    assert check(problem, power) == ()
    assert programme.follow(problem, power) == pytest.approx(power, abs=1e-9)
    assert problem.unmet(power) == pytest.approx(np.zeros(len(evs)), abs=0.01)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_money_and_service_come_close_to_those_of_a_programme_that_knows_the_curve(seed: int) -> None:
    """With a falling curve the energy of a step is a concave function of the state: tangents make it linear."""
    rng = np.random.default_rng(seed)
    evs = [
        tapering(i, float(rng.uniform(10, 35)), soc=float(rng.uniform(10, 40)), stay=(int(rng.integers(0, 4)), 12))
        for i in range(3)
    ]
    problem = depot(evs, 60.0, np.round(rng.uniform(0.1, 0.4, STEPS), 2))
    power = programme.tapered(problem, linear)
    served, money = _with_tangents(problem)
    assert power.sum() * 0.5 >= served * (1 - 1e-4)
    assert problem.cost(power) <= money * 1.03


def test_a_vehicle_that_gives_back_keeps_its_least_state_where_its_taper_lets_it_charge_less() -> None:
    ev = tapering(energy=0.0, soc=50.0, taper=((0.0, 4.0), (100.0, 4.0)))
    ev = replace(ev, discharge_power=20.0, least_soc=45.0)
    problem = depot([ev], 200.0, [0.1] * 12)
    wish = np.array([[50.0, 50.0, -20.0, -20.0] + [0.0] * 8])
    followed = programme.follow(problem, wish)
    held = 30.0 + np.cumsum(0.5 * (0.95 * np.maximum(followed[0], 0) - np.maximum(-followed[0], 0) / 0.95))
    assert held.min() == pytest.approx(27.0)
    assert check(replace(problem, need_kwh=np.array([10.0])), followed) == ()


def test_vehicles_without_a_curve_are_planned_once() -> None:
    calls: list[Problem] = []

    def once(problem: Problem) -> FloatArray:
        calls.append(problem)
        return linear(problem)

    problem = depot([EV(0, False, 0, 1, 0, 50.0, NOON, NOON + 6 * HALF_HOUR, 40.0)], 200.0, [0.1] * 12)
    assert programme.tapered(problem, once) == pytest.approx(linear(problem))
    assert calls == [problem]


def test_what_a_rough_planner_asks_too_much_is_made_up_for_later() -> None:
    """A planner that knows no maxima puts all into the first two steps; the battery takes it over more of them."""

    def rough(problem: Problem) -> FloatArray:
        power = problem.zeros()
        power[0, :2] = problem.need_kwh[0]
        return power

    problem = depot([tapering(energy=45.0)], 200.0, [0.1] * 12)
    power = programme.tapered(problem, rough, rounds=1)
    assert problem.unmet(power) == pytest.approx([0.0], abs=0.01)
    assert power[0, 1] < 50.0
    assert power[0, 2] > 0.0


def _with_tangents(problem: Problem) -> tuple[float, float]:
    """Most energy, and least money for it, where each step takes at most what every tangent of the curve allows."""
    h = highspy.Highs()  # type: ignore[no-untyped-call]
    h.setOptionValue("output_flag", False)
    n = len(problem.evs)
    for i in range(n):
        for t in range(STEPS):
            h.addCol(0.0, 0.0, float(problem.most_power[i, t]) * 0.5, 0, [], [])
    column = np.arange(n * STEPS).reshape(n, STEPS)
    for i, ev in enumerate(problem.evs):
        h.addRow(0.0, float(problem.need_kwh[i]), STEPS, column[i], np.ones(STEPS))
        assert ev.soc is not None
        for soc in np.linspace(0.0, 100.0, 41):
            here = float(programme.most_energy(ev, soc, 0.5))
            slope = (
                (float(programme.most_energy(ev, min(soc + 0.01, 100.0), 0.5)) - here) / (min(soc + 0.01, 100.0) - soc)
                if soc < 100.0
                else (here - float(programme.most_energy(ev, soc - 0.01, 0.5))) / 0.01
            )
            per_kwh = slope * 0.95 / 0.6
            for t in range(STEPS):
                values = [1.0, *[-per_kwh] * t]
                h.addRow(-np.inf, here + slope * (ev.soc - soc), t + 1, [column[i, t], *column[i, :t]], values)
    for t in range(STEPS):
        h.addRow(0.0, float(problem.rows.limits[0, t]) * 0.5, n, column[:, t], np.ones(n))
    for c in column.ravel():
        h.changeColCost(int(c), -1.0)
    h.run()
    served = -float(h.getObjectiveValue())
    h.addRow(served - 1e-6, np.inf, n * STEPS, column.ravel(), np.ones(n * STEPS))
    for i in range(n):
        for t in range(STEPS):
            h.changeColCost(int(column[i, t]), float(problem.price_per_kwh[t]))
    h.run()
    assert h.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return served, float(h.getObjectiveValue())
