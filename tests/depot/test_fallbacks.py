"""Fallbacks: what all chargers may draw unasked fits at every node and phase, beside the worst building."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from depot.fallbacks import check_fallbacks, propose_fallbacks, store_fallbacks
from depot.models import Connector, LoadGroup
from tests.factories import make_connector, make_depot, make_limit, make_load_group, make_station

pytestmark = pytest.mark.django_db


def charger(group: LoadGroup, **fields: Any) -> Connector:
    return make_connector(make_station(load_group=group, connectors=0), **fields)


def test_what_fits_is_not_mentioned() -> None:
    group = make_load_group(limit_kw=5)
    charger(group, fallback_a=6)
    assert check_fallbacks(group.depot) == []


def test_a_misfit_names_node_and_numbers() -> None:
    group = make_load_group(limit_kw=5, building_load_kw=[1.0] * 23 + [2.0], building_reserve_kw=0.5)
    charger(group, fallback_a=6)
    (misfit,) = check_fallbacks(group.depot)
    assert (misfit.node, misfit.limit_kw, misfit.building_kw) == (group.name, 5, 2.5)
    assert misfit.fallback_kw == pytest.approx(4.14)
    assert "fallbacks of 4.1 kW and a building of up to 2.5 kW exceed the limit of 5.0 kW" in str(misfit)


def test_children_count_in_every_ancestor() -> None:
    root = make_load_group(limit_kw=10)
    feeders = [make_load_group(parent=root, limit_kw=6) for _ in range(3)]
    for feeder in feeders:
        charger(feeder, fallback_a=6)
    assert [misfit.node for misfit in check_fallbacks(root.depot)] == [root.name]


def test_buildings_below_count_hour_by_hour() -> None:
    root = make_load_group(limit_kw=15)
    make_load_group(parent=root, building_load_kw=[10.0] * 12 + [0.0] * 12)
    make_load_group(parent=root, building_load_kw=[0.0] * 12 + [10.0] * 12)
    charger(root, fallback_a=6)  # 4.14 kW beside 10 kW in every hour
    assert check_fallbacks(root.depot) == []


def test_phases_are_checked_where_a_node_limits_them() -> None:
    group = make_load_group(limit_kw=100, limit_a=11)
    for _ in range(2):
        charger(group, phases=1, phase_rotation="231", fallback_a=6)
    (misfit,) = check_fallbacks(group.depot)
    assert (misfit.phase, misfit.fallback_kw, misfit.limit_kw) == (2, 12, 11)


def test_a_temporary_limit_counts_in_its_hours() -> None:
    group = make_load_group(limit_kw=20, building_load_kw=[0.0] * 24)
    charger(group, fallback_a=6)
    make_limit(group, limit_kw=4)
    (misfit,) = check_fallbacks(group.depot)
    assert misfit.limit_kw == 4


def test_a_soft_or_past_limit_does_not_count() -> None:
    group = make_load_group(limit_kw=20)
    charger(group, fallback_a=6)
    past = timezone.now() - timedelta(hours=2)
    make_limit(group, limit_kw=1, starts_at=past, ends_at=past + timedelta(hours=1))
    make_limit(group, limit_kw=1, hard=False)
    assert check_fallbacks(group.depot) == []


def test_an_unsaved_row_can_stand_in() -> None:
    group = make_load_group(limit_kw=20)
    connector = charger(group)
    connector.fallback_a = 32
    assert check_fallbacks(group.depot) == []
    assert len(check_fallbacks(group.depot, instead=[connector])) == 1


def test_the_proposal_fills_a_third_of_each_node_and_spreads_over_feeders() -> None:
    root = make_load_group(limit_kw=100)
    feeders = [make_load_group(parent=root, limit_kw=60) for _ in range(2)]
    for feeder in feeders:
        for _ in range(20):
            charger(feeder)
    proposal = propose_fallbacks(root.depot)
    assert sorted(set(proposal.values())) == [0.0, 6.0]
    granted = [pk for pk, current_a in proposal.items() if current_a]
    assert len(granted) == 8  # 8 x 4.14 kW are 33.1 of 100 kW
    per_feeder = Connector.objects.filter(pk__in=granted).values_list("station__load_group", flat=True)
    assert sorted(per_feeder) == sorted([feeders[0].pk] * 4 + [feeders[1].pk] * 4)


def test_the_proposal_leaves_room_for_the_building() -> None:
    group = make_load_group(limit_kw=12, building_load_kw=[10.0] * 24)
    charger(group)
    assert set(propose_fallbacks(group.depot).values()) == {0.0}


class AnyTree(TestCase):
    @settings(deadline=None, max_examples=30)
    @given(
        root_kw=st.floats(5, 200),
        feeder_kw=st.floats(5, 100),
        root_a=st.one_of(st.none(), st.floats(10, 300)),
        building_kw=st.floats(0, 100),
        phases=st.lists(st.sampled_from([(1, "123"), (1, "231"), (1, "312"), (3, "123")]), max_size=8),
    )
    def test_a_stored_proposal_always_fits(
        self, root_kw: float, feeder_kw: float, root_a: float | None, building_kw: float, phases: list[tuple[int, str]]
    ) -> None:
        depot = make_depot()
        root = make_load_group(depot, limit_kw=root_kw, limit_a=root_a, building_load_kw=[building_kw] * 24)
        feeder = make_load_group(parent=root, limit_kw=feeder_kw)
        for place, (count, rotation) in enumerate(phases):
            charger(root if place % 2 else feeder, phases=count, phase_rotation=rotation)
        store_fallbacks(propose_fallbacks(depot))
        assert check_fallbacks(depot) == []
