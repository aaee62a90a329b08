"""Periods for the wire: never above the plan, whatever the rounding, the merging and the charger's clock do."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.engine import ChargingRateUnit, Horizon
from scheduling.engine.profile import Period, charging_schedule, periods_of, to_wire

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)
HOURS = Horizon(NOON, timedelta(hours=1), 4)
A, W = ChargingRateUnit.A, ChargingRateUnit.W


def schedule(power: list[float], horizon: Horizon = HOURS, **more: float) -> list[Period]:
    values = {"max_periods": 20, "fallback_kw": 1.38} | more
    return charging_schedule(np.array(power), horizon, unit=A, voltage=230, phases=1, **values)  # type: ignore[arg-type]


def test_equal_neighbours_are_one_period_and_the_fallback_begins_at_the_end() -> None:
    assert schedule([2.3, 2.3, 0.0, 4.6]) == [
        Period(0, 10.0),
        Period(7200, 0.0),
        Period(10800, 20.0),
        Period(14400, 6.0),
    ]


@pytest.mark.parametrize(
    ("kw", "unit", "phases", "limit"),
    [
        (4.14, A, 3, 6.0),
        (4.1399, A, 3, 5.9),
        (7.2, A, 1, 31.3),
        (22.0, A, 3, 31.8),
        (7.77777, W, 3, 7777.7),
        (6.9, W, 3, 6900.0),
        (0.0, A, 1, 0.0),
        (-1e-9, A, 1, 0.0),
    ],
)
def test_limits_are_rounded_down_to_a_tenth(kw: float, unit: ChargingRateUnit, phases: int, limit: float) -> None:
    assert to_wire(kw, unit=unit, voltage=230, phases=phases) == limit


def test_falls_come_early_and_rises_late_by_the_skew() -> None:
    assert schedule([2.3, 4.6, 2.3, 2.3], skew_s=60) == [
        Period(0, 10.0),
        Period(3660, 20.0),
        Period(7140, 10.0),
        Period(14400, 6.0),
    ]


def test_a_late_start_advances_falls_only() -> None:
    assert schedule([2.3, 4.6, 2.3, 2.3], start_lag_s=30) == [
        Period(0, 10.0),
        Period(3600, 20.0),
        Period(7170, 10.0),
        Period(14400, 6.0),
    ]


def test_what_the_skew_swallows_vanishes() -> None:
    minutes = Horizon(NOON, timedelta(minutes=1), 4)
    assert schedule([2.3, 4.6, 2.3, 2.3], minutes, skew_s=60) == [Period(0, 10.0), Period(240, 6.0)]


def test_near_periods_are_exact_and_the_tail_is_its_lowest_value() -> None:
    assert schedule([2.3, 4.6, 1.38, 3.45], max_periods=3) == [Period(0, 10.0), Period(3600, 6.0), Period(14400, 6.0)]
    assert schedule([2.3, 4.6, 0.0, 3.45], max_periods=2) == [Period(0, 0.0), Period(14400, 6.0)]
    assert schedule([2.3, 4.6, 2.3, 3.45], max_periods=1) == [Period(0, 6.0)]


def test_the_plan_alone_has_no_fallback_period() -> None:
    assert periods_of(np.array([1.0, 0, 0, 2.0]), HOURS, unit=W, voltage=230, phases=3, max_periods=12) == [
        Period(0, 1000.0),
        Period(3600, 0.0),
        Period(10800, 2000.0),
    ]


@settings(max_examples=150, deadline=None)
@given(
    powers=st.lists(st.sampled_from([0.0, 0.0, 4.14, 7.123, 11.0, 22.0]), min_size=1, max_size=30),
    offset=st.floats(0, 899, allow_nan=False),
    max_periods=st.integers(2, 14),
    skew=st.integers(0, 120),
    lag=st.integers(0, 90),
    fallback=st.sampled_from([0.0, 4.14]),
)
def test_a_charger_with_a_wrong_clock_stays_below_the_plan(
    powers: list[float], offset: float, max_periods: int, skew: int, lag: int, fallback: float
) -> None:
    horizon = Horizon(NOON + timedelta(seconds=offset), timedelta(minutes=15), len(powers))
    periods = charging_schedule(
        np.array(powers),
        horizon,
        unit=A,
        voltage=230,
        phases=3,
        max_periods=max_periods,
        fallback_kw=fallback,
        skew_s=skew,
        start_lag_s=lag,
    )
    end = int(horizon.border_seconds[-1])
    assert len(periods) <= max_periods
    assert periods[0].start_s == 0
    assert (periods[-1].start_s, periods[-1].limit) == (end, to_wire(fallback, unit=A, voltage=230, phases=3))
    starts = [period.start_s for period in periods]
    assert starts == sorted(set(starts))
    assert all(a.limit != b.limit for a, b in pairwise(periods[:-1]))
    assert all(period.limit == 0 or period.limit >= 6.0 for period in periods[:-1])
    for period, following in pairwise(periods):
        for real in (period.start_s - skew, period.start_s + lag + skew, following.start_s + lag + skew - 0.001):
            step = int(np.searchsorted(horizon.border_seconds, real, side="right")) - 1
            if 0 <= step < len(powers):
                assert period.limit * 230 * 3 / 1000 <= powers[step] + 1e-6
