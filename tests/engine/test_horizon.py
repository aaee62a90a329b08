"""The time grid."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.engine import Horizon

QUARTER = timedelta(minutes=15)


def test_the_first_step_ends_at_the_next_multiple_of_the_resolution() -> None:
    horizon = Horizon(datetime(2026, 1, 12, 12, 7, 30, tzinfo=UTC), QUARTER, 3)
    assert [f"{border:%H:%M:%S}" for border in horizon.borders] == [
        "12:07:30",
        "12:15:00",
        "12:30:00",
        "12:45:00",
    ]
    assert horizon.hours.tolist() == [0.125, 0.25, 0.25]
    assert horizon.border_seconds.tolist() == [0, 450, 1350, 2250]
    assert horizon.end == horizon.borders[-1]


def test_a_start_on_the_grid_has_a_whole_first_step() -> None:
    assert Horizon(datetime(2026, 1, 12, 12, tzinfo=UTC), QUARTER, 2).hours.tolist() == [0.25, 0.25]


def test_local_times_become_utc_and_a_switch_of_clocks_changes_no_step() -> None:
    berlin = datetime(2026, 3, 29, 0, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    horizon = Horizon(berlin, timedelta(hours=1), 5)
    assert horizon.start == datetime(2026, 3, 28, 23, 30, tzinfo=UTC)
    assert horizon.start.tzinfo is UTC
    assert horizon.hours.tolist() == [0.5, 1, 1, 1, 1]


def test_equal_horizons_are_equal_values() -> None:
    start = datetime(2026, 1, 12, 12, 7, tzinfo=UTC)
    assert Horizon(start) == Horizon(start)
    assert len({Horizon(start), Horizon(start), Horizon(start, steps=4)}) == 2


def test_a_naive_start_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        Horizon(datetime(2026, 1, 12, 12))
    with pytest.raises(ValueError, match="at least one step"):
        Horizon(datetime(2026, 1, 12, 12, tzinfo=UTC), QUARTER, 0)


@given(
    offset=st.integers(0, 3599),
    minutes=st.sampled_from([1, 5, 7, 15, 60]),
    at=st.integers(-5000, 90000),
)
def test_arrivals_round_up_and_departures_down(offset: int, minutes: int, at: int) -> None:
    horizon = Horizon(datetime(2026, 1, 12, 12, tzinfo=UTC) + timedelta(seconds=offset), timedelta(minutes=minutes), 24)
    instant = horizon.start + timedelta(seconds=at)
    first, last = horizon.first_step_at_or_after(instant), horizon.last_border_at_or_before(instant)
    assert first == 24 or horizon.borders[first] >= instant
    assert first == 0 or horizon.borders[first - 1] < instant
    assert last == 0 or horizon.borders[last] <= instant
    assert last == 24 or horizon.borders[last + 1] > instant
    step = horizon.step_at(instant)
    assert (step is None) == (not horizon.start <= instant < horizon.end)
    if step is not None:
        assert horizon.borders[step] <= instant < horizon.borders[step + 1]


def test_a_series_is_sampled_by_time_or_by_its_worst_value() -> None:
    horizon = Horizon(datetime(2026, 1, 12, 12, 5, tzinfo=UTC), QUARTER, 4)
    series = [(horizon.start + timedelta(minutes=m), v) for m, v in ((-60, 10.0), (5, 20.0), (25, 30.0), (500, 99.0))]
    np.testing.assert_allclose(horizon.sample(series), [15, 20, 30, 30])
    np.testing.assert_allclose(horizon.sample(series, combine="min"), [10, 20, 30, 30])
    np.testing.assert_allclose(horizon.sample(series, combine="max"), [20, 20, 30, 30])
    np.testing.assert_allclose(horizon.sample([(horizon.start + timedelta(minutes=30), 7.0)]), [7] * 4)
    with pytest.raises(ValueError, match="at least one point"):
        horizon.sample([])


def test_a_cut_beside_a_border_takes_its_place_so_that_no_part_of_a_step_is_lost() -> None:
    start = datetime(2026, 3, 2, 14, 50, tzinfo=UTC)
    cut = datetime(2026, 3, 2, 14, 59, 20, tzinfo=UTC)
    quarter = timedelta(minutes=15)
    horizon = Horizon.graded(start, [(timedelta(hours=1), quarter)], cuts=[cut, cut + timedelta(seconds=30)])
    assert horizon.borders[:3] == (start, cut, datetime(2026, 3, 2, 15, 15, tzinfo=UTC))
    near_start = Horizon.graded(start, [(timedelta(hours=1), quarter)], cuts=[start + timedelta(seconds=30)])
    assert near_start.borders[1] == datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
