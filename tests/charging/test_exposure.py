"""Worst case of a depot, as values: what may be drawing, what a new schedule adds, what may leave at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.exposure import ConnectorFacts, Exposure, NodeLimit
from charging.profiles import Schedule, merged, reduced

NOW = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
KW_PER_A = 0.69  # three phases of 230 V


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def flat(ampere: float, *, start: float = -60, end: float | None = None) -> Schedule:
    return Schedule(later(start), ((0, ampere),), None if end is None else later(end))


def outlet(
    key: int,
    *schedules: Schedule,
    node: str = "site",
    floor: float = 6,
    spread: float = 0,
    phases: tuple[int, ...] = (1, 2, 3),
    measured_a: float | None = None,
) -> ConnectorFacts:
    """A 32 A outlet of 230 V on these site phases."""
    return ConnectorFacts(
        key=key,
        label=f"B{key}",
        node=node,
        kw_per_ampere=0.23 * len(phases),
        phases=phases,
        hardware_a=32.0,
        floor_a=floor,
        schedules=schedules,
        measured_a=measured_a,
        clock_uncertainty_s=spread,
    )


def site(limit_a: float, *, name: str = "site", parent: str | None = None) -> NodeLimit:
    """A node that carries `limit_a` amperes of three-phase load."""
    return NodeLimit(name, parent, ((NOW, limit_a * KW_PER_A),))


def test_s6_a_confirmed_and_a_possible_profile_count_with_the_higher_one() -> None:
    exposure = Exposure(NOW, [outlet(1, flat(10), flat(20))], [site(40)])
    assert exposure.worst_kw(1) == pytest.approx(20 * KW_PER_A)


def test_s7_a_lease_ends_in_the_floor_after_its_clock_uncertainty() -> None:
    exposure = Exposure(NOW, [outlet(1, flat(20, end=100), spread=30)], [site(40)])
    levels = dict(zip(exposure.instants, exposure.worst_a[0].tolist(), strict=True))
    assert levels == {NOW: 20.0, later(130): 6.0}


def test_s1_a_raise_is_refused_with_node_and_numbers() -> None:
    exposure = Exposure(NOW, [outlet(1, flat(30)), outlet(2)], [site(40)], [flat(16)])
    refusal = exposure.refusal(2, flat(16))
    assert refusal is not None
    assert (refusal.node, refusal.unit) == ("site", "kW")
    assert [refusal.needed, refusal.allowed] == pytest.approx([46 * KW_PER_A, 40 * KW_PER_A])


def test_s1_every_ancestor_must_carry_a_raise() -> None:
    nodes = [site(100), site(20, name="feeder", parent="site")]
    exposure = Exposure(NOW, [outlet(1, flat(14), node="feeder"), outlet(2, node="feeder")], nodes, [flat(10)])
    refusal = exposure.refusal(2, flat(10))
    assert refusal is not None
    assert refusal.node == "feeder"


def test_s5_a_granted_raise_leaves_less_for_the_next() -> None:
    exposure = Exposure(NOW, [outlet(1), outlet(2)], [site(40)], [flat(30)])
    assert exposure.grant(1, flat(30)) is None
    assert exposure.grant(2, flat(30)) is not None


def test_a_cut_may_leave_even_where_the_node_is_over_its_limit() -> None:
    exposure = Exposure(NOW, [outlet(1, flat(32)), outlet(2, flat(32))], [site(40)], [flat(10)])
    assert [refusal.node for refusal in exposure.excess()] == ["site"]
    assert exposure.refusal(1, flat(10)) is None


def test_s15_a_raise_at_the_instant_of_anothers_fall_waits_for_both_clocks() -> None:
    falling = Schedule(NOW, ((0, 30.0), (600, 6.0)))
    early, safe = Schedule(NOW, ((0, 6.0), (610, 30.0))), Schedule(NOW, ((0, 6.0), (640, 30.0)))
    exposure = Exposure(NOW, [outlet(1, falling, spread=20), outlet(2, spread=20)], [site(40)], [early, safe])
    assert exposure.refusal(2, early) is not None
    assert exposure.refusal(2, safe) is None


def test_s11_a_measurement_above_every_limit_counts_even_above_the_hardware_maximum() -> None:
    exposure = Exposure(NOW, [outlet(1, flat(10), measured_a=35.0)], [site(40)])
    assert exposure.worst_kw(1) == pytest.approx(35 * KW_PER_A)


def test_s21_phases_are_summed_apart() -> None:
    board = NodeLimit("site", None, ((NOW, 1000.0),), ((NOW, 40.0),))
    exposure = Exposure(NOW, [outlet(1, flat(30), phases=(1,)), outlet(2, phases=(1,))], [board], [flat(20)])
    refusal = exposure.refusal(2, flat(20))
    assert refusal is not None
    assert (refusal.unit, refusal.needed) == ("A", 50.0)
    other_phase = Exposure(NOW, [outlet(1, flat(30), phases=(1,)), outlet(2, phases=(2,))], [board], [flat(20)])
    assert other_phase.refusal(2, flat(20)) is None


def test_s16_a_falling_limit_binds_from_its_first_instant() -> None:
    falling = NodeLimit("site", None, ((NOW, 40 * KW_PER_A), (later(900), 10 * KW_PER_A)))
    exposure = Exposure(NOW, [outlet(1)], [falling], [flat(20)])
    refusal = exposure.refusal(1, flat(20))
    assert refusal is not None
    assert refusal.at == later(900)


levels = st.sampled_from([0.0, 6.0, 10.0, 16.0, 25.0, 32.0])


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    starts = sorted(draw(st.sets(st.integers(1, 4000), max_size=5)))
    return Schedule(
        later(draw(st.integers(-600, 0))),
        tuple((start, draw(levels)) for start in [0, *starts]),
        later(draw(st.integers(1000, 6000))) if draw(st.booleans()) else None,
    )


@given(
    held=st.lists(st.lists(schedules(), max_size=2), min_size=3, max_size=3),
    wanted=st.lists(schedules(), min_size=3, max_size=3),
    spread=st.sampled_from([0.0, 5.0, 60.0]),
    limit=st.sampled_from([20.0, 40.0, 64.0]),
)
def test_s1_no_sequence_of_grants_adds_to_an_excess(
    held: list[list[Schedule]], wanted: list[Schedule], spread: float, limit: float
) -> None:
    outlets = [outlet(key, *profiles, spread=spread) for key, profiles in enumerate(held)]
    exposure = Exposure(NOW, outlets, [site(limit)], wanted)
    allowed = np.maximum(exposure.node_kw("site"), exposure.node_limit_kw("site"))
    for key, schedule in enumerate(wanted):
        exposure.grant(key, schedule)
    assert (exposure.node_kw("site") <= allowed + 1e-5).all()


@given(held=st.lists(schedules(), min_size=1, max_size=2), wanted=schedules(), spread=st.sampled_from([0.0, 5.0, 60.0]))
def test_the_cut_of_a_schedule_raises_nothing_at_any_clock(
    held: list[Schedule], wanted: Schedule, spread: float
) -> None:
    exposure = Exposure(NOW, [outlet(1, *held, spread=spread)], [site(0)], [wanted])
    cut = exposure.lowered(1, wanted)
    check = Exposure(NOW, [outlet(1, *held, spread=spread)], [site(0)], [wanted, cut])
    assert check.refusal(1, cut) is None


@given(schedules(), st.integers(2, 6))
def test_fewer_periods_never_raise_a_limit(schedule: Schedule, most: int) -> None:
    few = Schedule(schedule.starts_at, tuple(reduced(schedule.periods, most)), schedule.ends_at)
    assert len(few.periods) <= most
    assert few.periods[-1][1] == merged(schedule.periods)[-1][1]
    for instant in [
        schedule.starts_at,
        *schedule.changes(),
        *(c - timedelta(seconds=1) for c in schedule.changes()[1:]),
    ]:
        before, after = schedule.current_at(instant), few.current_at(instant)
        assert before is None or (after is not None and after <= before)
