"""The replay of measured sessions: what an algorithm may know, and what is counted."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import replay
from benchmarks.bars import of_the_replay
from benchmarks.replay import (
    MOST_KW,
    OPTIMUM,
    STEP,
    Day,
    Stay,
    days_of,
    delivered,
    most_deliverable,
    read_days,
    replayed,
    shares,
    table,
)
from scheduling.engine import Problem
from scheduling.engine.arrays import FloatArray
from scheduling.engine.earliest_deadline import EarliestDeadlineFirst

PACIFIC = timezone(timedelta(hours=-7))
MIDNIGHT = datetime(2019, 5, 1, tzinfo=PACIFIC)
FULL_STEP_KWH = MOST_KW / 12


def a_day(*stays: tuple[int, int, float]) -> Day:
    """Stays as (first step, step of departure, steps at full power)."""
    return Day(MIDNIGHT, tuple(Stay(first, last, full * FULL_STEP_KWH) for first, last, full in stays))


def test_a_session_is_charged_in_the_whole_steps_of_its_stay() -> None:
    arrival, departure = MIDNIGHT + timedelta(minutes=61), MIDNIGHT + timedelta(minutes=79)
    (day,) = days_of([(arrival, departure, 50.0)])
    (stay,) = day.stays
    assert (stay.arrival, stay.departure) == (13, 15)
    assert stay.energy_kwh == pytest.approx(2 * FULL_STEP_KWH)


def test_a_session_belongs_to_the_local_day_of_its_arrival() -> None:
    late = datetime(2019, 5, 2, 6, 30, tzinfo=UTC).astimezone(PACIFIC)
    (day,) = days_of([(late, late + timedelta(hours=2), 1.0)])
    assert day.midnight == MIDNIGHT
    assert day.stays[0].arrival == 23 * 12 + 6


def test_a_session_without_a_whole_step_is_left_out() -> None:
    arrival = MIDNIGHT + timedelta(minutes=1)
    assert days_of([(arrival, arrival + timedelta(minutes=8), 1.0)]) == []


@pytest.mark.parametrize("name", ["fcfs", "edf", "llf", "pulp-lp"])
def test_room_enough_serves_everybody(name: str) -> None:
    day = a_day((0, 4, 3), (1, 6, 4), (3, 9, 2))
    assert delivered(day, 3 * MOST_KW, name) == pytest.approx(day.asked_kwh)


def test_who_comes_later_is_not_known_before(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, set[int | str]]] = []

    class Watched(EarliestDeadlineFirst):
        def allocate(self, problem: Problem) -> FloatArray:
            step = (problem.horizon.start - MIDNIGHT) // STEP
            seen.append((step, {ev.ev_id for ev in problem.evs}))
            return super().allocate(problem)

    monkeypatch.setattr(replay, "algorithm", lambda name: Watched)
    delivered(a_day((0, 4, 2), (2, 9, 7), (6, 9, 1)), MOST_KW, "watched")
    assert seen == [(0, {0}), (2, {1}), (4, {1}), (6, {1, 2})]


def test_serving_in_order_of_arrival_costs_the_one_in_a_hurry() -> None:
    day = a_day((0, 12, 3), (1, 4, 3))
    assert delivered(day, MOST_KW, "fcfs") == pytest.approx(4 * FULL_STEP_KWH)
    assert delivered(day, MOST_KW, "edf") == pytest.approx(day.asked_kwh)
    assert most_deliverable(day, MOST_KW) == pytest.approx(day.asked_kwh)


@settings(max_examples=15, deadline=None)
@given(
    stays=st.lists(
        st.tuples(st.integers(0, 10), st.integers(1, 12), st.floats(0.3, 12.0)).map(
            lambda s: (s[0], s[0] + s[1], min(s[2], s[1]))
        ),
        min_size=1,
        max_size=6,
    ),
    cap=st.sampled_from([3.0, 7.0, 14.0]),
)
def test_nobody_beats_who_knows_everything(stays: list[tuple[int, int, float]], cap: float) -> None:
    day = a_day(*sorted(stays))
    best = most_deliverable(day, cap)
    assert best <= day.asked_kwh + 1e-6
    for name in ("fcfs", "edf", "llf"):
        assert delivered(day, cap, name) <= best + 1e-6


def test_shares_are_of_all_energy_and_shown_per_cap() -> None:
    days = [a_day((0, 4, 4)), a_day((0, 4, 4), (0, 4, 4))]
    assert replayed(days[1], MOST_KW, ["edf"]) == pytest.approx(
        {"": 8 * FULL_STEP_KWH, OPTIMUM: 4 * FULL_STEP_KWH, "edf": 4 * FULL_STEP_KWH}
    )
    found = shares(days, [MOST_KW], ["edf"], workers=1)
    assert found[MOST_KW]["edf"] == pytest.approx(8 / 12)
    assert table(days, found, ["edf"]).lines == (("7 kW", "66.67", "66.67"),)


def test_the_bar_is_missed_by_an_algorithm_that_another_beats() -> None:
    rivals = {"llf": 0.95, OPTIMUM: 0.96}
    beaten = of_the_replay({20.0: {**rivals, "optimal": 0.94}})
    level = of_the_replay({20.0: {**rivals, "optimal": 0.9495}, 30.0: {**rivals, "optimal": 0.96}})
    assert [bar.reached for bar in beaten] == [False, False]
    assert [bar.reached for bar in level] == [True, False]


def test_the_measured_sessions_are_read() -> None:
    days = read_days()
    assert len(days) == 244
    assert sum(len(day.stays) for day in days) > 6500
    assert all(stay.departure > stay.arrival for day in days for stay in day.stays)
