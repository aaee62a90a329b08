"""The charger's own composite-schedule logic: purposes, stack levels, kinds, ends, units, phases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.simulator.schedule import (
    Kind,
    Limit,
    Period,
    Profile,
    Purpose,
    Recurrency,
    Step,
    Unit,
    Wiring,
    composite,
    connector_limit,
    rounded_down,
    summed,
)

T0 = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
THREE = Wiring(phases=3, voltage_v=230.0, max_current_a=32.0)
ONE = Wiring(phases=1, voltage_v=208.0, max_current_a=32.0)


def tx_default(limit: float = 10.0, *, stack: int = 0, connector: int = 1, **changes: Any) -> Profile:
    base = Profile(
        id=10 * stack + connector,
        connector=connector,
        stack_level=stack,
        purpose=Purpose.TX_DEFAULT,
        kind=Kind.ABSOLUTE,
        unit=Unit.A,
        periods=(Period(0, limit),),
        installed_at=T0,
        start=T0,
    )
    return replace(base, **changes)


def tx(limit: float = 10.0, **changes: Any) -> Profile:
    values: dict[str, Any] = {"id": 1001, "purpose": Purpose.TX, "transaction_id": 1} | changes
    return tx_default(limit, **values)


def station_max(limit: float, **changes: Any) -> Profile:
    values: dict[str, Any] = {"id": 1, "connector": 0, "purpose": Purpose.CHARGE_POINT_MAX} | changes
    return tx_default(limit, **values)


def current(
    *profiles: Profile, after_s: float = 60.0, wiring: Wiring = THREE, since: datetime | None = T0, sharing: int = 1
) -> float:
    at = T0 + timedelta(seconds=after_s)
    return connector_limit(profiles, 1, wiring, at, since, sharing).current_a


class TestPurposes:
    def test_without_any_profile_the_hardware_is_the_limit(self) -> None:
        assert connector_limit((), 1, THREE, T0, T0) == Limit(32.0, 3)

    def test_a_profile_cannot_exceed_the_hardware(self) -> None:
        assert current(tx(63.0)) == 32.0

    def test_a_tx_profile_replaces_a_lower_default(self) -> None:
        assert current(tx_default(6.0), tx(20.0)) == 20.0

    def test_a_tx_profile_replaces_even_a_default_of_a_higher_stack_level(self) -> None:
        assert current(tx_default(6.0, stack=8), tx(20.0, stack_level=0)) == 20.0

    def test_without_a_transaction_a_tx_profile_says_nothing(self) -> None:
        assert current(tx_default(6.0), tx(20.0), since=None) == 6.0

    def test_the_station_maximum_is_the_ceiling_of_everything(self) -> None:
        assert current(station_max(8.0), tx(20.0)) == 8.0
        assert current(station_max(8.0)) == 8.0
        assert current(station_max(20.0), tx_default(6.0)) == 6.0

    def test_the_station_maximum_is_divided_among_its_users(self) -> None:
        assert current(station_max(24.0), sharing=2) == 12.0

    def test_a_default_for_the_station_holds_for_each_connector(self) -> None:
        assert current(tx_default(7.0, connector=0)) == 7.0

    def test_a_profile_of_another_connector_is_none_of_ours(self) -> None:
        assert current(tx_default(7.0, connector=2), tx(8.0, connector=2)) == 32.0


class TestStackLevels:
    def test_the_highest_level_wins_even_when_it_allows_more(self) -> None:
        assert current(tx_default(6.0, stack=0), tx_default(16.0, stack=1)) == 16.0
        assert current(tx_default(16.0, stack=1), tx_default(6.0, stack=0)) == 16.0

    def test_at_equal_level_the_connectors_own_profile_wins(self) -> None:
        assert current(tx_default(16.0, connector=1), tx_default(6.0, connector=0)) == 16.0
        assert current(tx_default(6.0, connector=0), tx_default(16.0, connector=1)) == 16.0

    def test_a_higher_level_for_the_station_beats_the_connectors_own(self) -> None:
        assert current(tx_default(16.0, connector=0, stack=3), tx_default(6.0, stack=0)) == 16.0

    def test_after_its_duration_the_next_lower_level_applies(self) -> None:
        profiles = (tx_default(6.0, stack=0), tx_default(16.0, stack=1, duration_s=100))
        assert current(*profiles, after_s=99.9) == 16.0
        assert current(*profiles, after_s=100) == 6.0

    def test_without_a_lower_level_the_end_frees_the_charger(self) -> None:
        assert current(tx_default(6.0, duration_s=100), after_s=100) == 32.0

    def test_an_ended_tx_profile_gives_way_to_the_default(self) -> None:
        assert current(tx_default(6.0), tx(20.0, duration_s=100), after_s=200) == 6.0


class TestValidity:
    def test_valid_from_is_inclusive_and_valid_to_exclusive(self) -> None:
        leased = tx_default(16.0, stack=1, valid_from=T0 + timedelta(seconds=10), valid_to=T0 + timedelta(seconds=20))
        reached = [current(tx_default(6.0), leased, after_s=after_s) for after_s in (9.9, 10, 19.9, 20)]
        assert reached == [6.0, 16.0, 16.0, 6.0]

    def test_a_future_valid_from_in_the_only_slot_opens_a_gap(self) -> None:
        assert current(tx_default(6.0, valid_from=T0 + timedelta(hours=1))) == 32.0

    def test_a_future_start_is_not_yet_in_force(self) -> None:
        late = tx_default(16.0, stack=1, start=T0 + timedelta(seconds=100))
        assert current(tx_default(6.0), late, after_s=99) == 6.0
        assert current(tx_default(6.0), late, after_s=100) == 16.0


class TestKinds:
    periods = (Period(0, 10.0), Period(600, 20.0), Period(1200, 0.0))

    def test_periods_follow_one_another(self) -> None:
        planned = tx(periods=self.periods)
        assert [current(planned, after_s=s) for s in (0, 599, 600, 1199, 1200, 99_999)] == [10, 10, 20, 20, 0, 0]

    def test_absolute_counts_from_its_start(self) -> None:
        planned = tx(periods=self.periods, start=T0 - timedelta(seconds=600))
        assert current(planned, after_s=0) == 20.0

    def test_relative_counts_from_the_start_of_the_transaction(self) -> None:
        planned = tx_default(periods=self.periods, kind=Kind.RELATIVE, start=None)
        assert current(planned, after_s=700, since=T0 + timedelta(seconds=200)) == 10.0
        assert current(planned, after_s=800, since=T0 + timedelta(seconds=200)) == 20.0

    def test_relative_without_a_transaction_stands_at_its_beginning(self) -> None:
        planned = tx_default(periods=self.periods, kind=Kind.RELATIVE, start=None)
        assert current(planned, after_s=5000, since=None) == 10.0

    def test_absolute_without_a_start_is_read_as_relative(self) -> None:
        planned = tx_default(periods=self.periods, start=None)
        assert current(planned, after_s=700, since=T0) == 20.0

    def test_daily_comes_back_every_24_hours(self) -> None:
        night = tx_default(16.0, stack=1, kind=Kind.RECURRING, recurrency=Recurrency.DAILY, duration_s=3600, start=T0)
        profiles = (tx_default(6.0), night)
        for day in (0, 1, 30):
            assert current(*profiles, after_s=day * 86_400 + 3599) == 16.0
            assert current(*profiles, after_s=day * 86_400 + 3600) == 6.0

    def test_weekly_comes_back_every_168_hours(self) -> None:
        weekly = tx_default(
            16.0, stack=1, kind=Kind.RECURRING, recurrency=Recurrency.WEEKLY, duration_s=86_400, start=T0
        )
        profiles = (tx_default(6.0), weekly)
        assert current(*profiles, after_s=86_400) == 6.0
        assert current(*profiles, after_s=7 * 86_400) == 16.0

    def test_recurring_without_duration_fills_its_whole_interval(self) -> None:
        daily = tx_default(periods=self.periods, kind=Kind.RECURRING, recurrency=Recurrency.DAILY)
        assert current(daily, after_s=86_399) == 0.0
        assert current(daily, after_s=86_400) == 10.0

    def test_recurring_is_silent_before_its_first_start(self) -> None:
        daily = tx_default(10.0, kind=Kind.RECURRING, recurrency=Recurrency.DAILY, start=T0 + timedelta(hours=1))
        assert current(daily, after_s=0) == 32.0


class TestUnitsAndPhases:
    def test_watts_are_the_total_of_three_phases_when_nothing_is_said(self) -> None:
        assert current(tx(6900.0, unit=Unit.W)) == pytest.approx(10.0)

    def test_watts_with_number_phases_are_divided_by_it(self) -> None:
        assert current(tx(unit=Unit.W, periods=(Period(0, 2300.0, 1),))) == pytest.approx(10.0)

    def test_a_one_phase_connector_takes_the_whole_power_on_its_phase(self) -> None:
        assert current(tx(2080.0, unit=Unit.W), wiring=ONE) == pytest.approx(10.0)
        assert current(tx(unit=Unit.W, periods=(Period(0, 2080.0, 3),)), wiring=ONE) == pytest.approx(10.0)

    def test_amperes_are_per_phase_whatever_the_phases(self) -> None:
        assert current(tx(periods=(Period(0, 10.0, 1),))) == 10.0
        assert current(tx(10.0), wiring=ONE) == 10.0

    def test_only_a_switching_connector_goes_to_fewer_phases(self) -> None:
        one_phase = tx(periods=(Period(0, 10.0, 1),))
        assert connector_limit((one_phase,), 1, THREE, T0, T0) == Limit(10.0, 3)
        assert connector_limit((one_phase,), 1, replace(THREE, switches_phases=True), T0, T0) == Limit(10.0, 1)


class TestComposite:
    def steps(self, *profiles: Profile, unit: Unit = Unit.A, duration_s: int = 3600) -> list[tuple[int, float]]:
        told = composite(profiles, 1, THREE, T0, duration_s, unit, T0)
        return [(step.start_s, step.limit) for step in told]

    def test_it_is_the_hardware_without_profiles(self) -> None:
        assert self.steps() == [(0, 32.0)]
        assert self.steps(unit=Unit.W) == [(0, 22_080.0)]

    def test_it_changes_where_any_profile_does(self) -> None:
        told = self.steps(
            station_max(30.0),
            tx_default(6.0),
            tx(periods=(Period(0, 10.0), Period(600, 20.0), Period(1200, 31.0)), duration_s=1800),
        )
        assert told == [(0, 10.0), (600, 20.0), (1200, 30.0), (1800, 6.0)]

    def test_periods_that_change_nothing_are_left_out(self) -> None:
        assert self.steps(tx(periods=(Period(0, 10.0), Period(600, 10.0)))) == [(0, 10.0)]

    def test_a_daily_profile_shows_every_return(self) -> None:
        daily = tx_default(10.0, kind=Kind.RECURRING, recurrency=Recurrency.DAILY, duration_s=3600)
        told = self.steps(daily, duration_s=2 * 86_400)
        assert told == [(0, 10.0), (3600, 32.0), (86_400, 10.0), (90_000, 32.0)]

    def test_a_relative_default_without_transaction_runs_from_the_answer(self) -> None:
        planned = tx_default(kind=Kind.RELATIVE, start=None, periods=(Period(0, 10.0), Period(60, 20.0)))
        told = composite((planned,), 1, THREE, T0, 600, Unit.A, None)
        assert [(step.start_s, step.limit) for step in told] == [(0, 10.0), (60, 20.0)]

    def test_limits_are_rounded_down_to_a_tenth(self) -> None:
        assert self.steps(tx(7000.0, unit=Unit.W)) == [(0, 10.1)]
        assert rounded_down(16.3) == 16.3

    def test_the_station_tells_the_sum_under_its_maximum(self) -> None:
        first, second = (Step(0, 10.0, None), Step(60, 20.0, None)), (Step(0, 16.0, None),)
        assert [(step.start_s, step.limit) for step in summed([first, second])] == [(0, 26.0), (60, 36.0)]
        capped = summed([first, second], (Step(0, 30.0, None),))
        assert [(step.start_s, step.limit) for step in capped] == [(0, 26.0), (60, 30.0)]

    @given(data=st.data())
    def test_it_says_at_every_instant_what_is_obeyed(self, data: st.DataObject) -> None:
        profiles = data.draw(st.lists(_profiles(), max_size=5))
        since = T0 - timedelta(seconds=data.draw(st.integers(0, 5000)))
        told = composite(profiles, 1, THREE, T0, 7200, Unit.A, since)
        after_s = data.draw(st.integers(0, 7199))
        obeyed = connector_limit(profiles, 1, THREE, T0 + timedelta(seconds=after_s), since)
        announced = [step.limit for step in told if step.start_s <= after_s][-1]
        assert announced == rounded_down(obeyed.current_a)
        assert announced <= THREE.max_current_a


@st.composite
def _profiles(draw: st.DrawFn) -> Profile:
    purpose = draw(st.sampled_from(list(Purpose)))
    kind = draw(st.sampled_from(list(Kind)))
    starts = sorted(draw(st.sets(st.integers(1, 6000), max_size=4)))
    optional_offset = st.none() | st.integers(-3600, 7200)
    valid_from, valid_to = draw(optional_offset), draw(optional_offset)
    return Profile(
        id=draw(st.integers(1, 999)),
        connector=0 if purpose is Purpose.CHARGE_POINT_MAX else 1,
        stack_level=draw(st.integers(0, 3)),
        purpose=purpose,
        kind=kind,
        unit=draw(st.sampled_from(list(Unit))),
        periods=tuple(Period(start, draw(st.integers(0, 400)) / 10) for start in (0, *starts)),
        installed_at=T0 - timedelta(seconds=draw(st.integers(0, 3600))),
        start=None if kind is Kind.RELATIVE else T0 + timedelta(seconds=draw(st.integers(-90_000, 7200))),
        duration_s=draw(st.none() | st.integers(1, 7200)),
        recurrency=Recurrency.DAILY if kind is Kind.RECURRING else None,
        valid_from=None if valid_from is None else T0 + timedelta(seconds=valid_from),
        valid_to=None if valid_to is None else T0 + timedelta(seconds=valid_to),
        transaction_id=1 if purpose is Purpose.TX else None,
    )
