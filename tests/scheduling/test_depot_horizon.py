"""The steps that a depot's plan is made of, and everything that reads them afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from django.utils import timezone

from charging.models import Command
from depot.models import Depot, LoadGroup
from scheduling.live.first_heat import first_heat
from scheduling.live.snapshot import snapshot
from scheduling.live.yard import step_at
from scheduling.models import PlanRun
from scheduling.planner import plan
from tests.factories import make_depot, make_load_group, make_reservation, make_tariff, make_vehicle
from tests.scheduling.yard import outlet, stay, world

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 18, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def depot() -> Depot:
    return make_depot(tariff=make_tariff())


@pytest.fixture
def site(depot: Depot) -> LoadGroup:
    return make_load_group(depot, limit_kw=100, slug="grid")


def test_steps_have_the_depots_resolution_for_a_day_and_are_hours_afterwards(depot: Depot, site: LoadGroup) -> None:
    Depot.objects.update(horizon_hours=72)
    translation, _ = world(depot, NOW)
    horizon = translation.get_horizon(depot.slug, NOW)
    lengths = np.round(horizon.hours, 6)
    day = horizon.step_at(NOW + 25 * HOUR)
    assert day is not None
    assert set(lengths[1 : day - 3]) == {0.25}
    assert set(lengths[day + 1 :]) == {1.0}
    assert horizon.end >= NOW + 72 * HOUR
    assert horizon.steps < 160


def test_a_day_has_no_coarse_steps(depot: Depot, site: LoadGroup) -> None:
    translation, _ = world(depot, NOW)
    assert translation.get_horizon(depot.slug, NOW).hours.max() == 0.25


def test_near_arrivals_and_departures_and_the_margin_before_them_are_borders(depot: Depot, site: LoadGroup) -> None:
    Depot.objects.update(departure_margin_minutes=10)
    stay(site, now=NOW, hours=1.1)  # leaves at 19:13
    make_reservation(
        connector=outlet(site),
        vehicle=make_vehicle(depot, soc_percent=20),
        starts_at=NOW + timedelta(minutes=34),
        ends_at=NOW + 9.05 * HOUR,
    )
    translation, _ = world(depot, NOW)
    borders = translation.get_horizon(depot.slug, NOW).borders
    assert {NOW + 1.1 * HOUR, NOW + 1.1 * HOUR - timedelta(minutes=10), NOW + timedelta(minutes=34)} <= set(borders)
    assert NOW + 9.05 * HOUR not in borders  # a later run will see it near


def test_no_part_of_a_step_before_a_departure_is_lost(depot: Depot, site: LoadGroup) -> None:
    now = timezone.now()
    session = stay(site, now=now, hours=1.12, energy_kwh=100, soc=0)
    run = plan(depot.pk, "test")
    assert run is not None
    (row,) = run.plans.all()
    left = (row.departure_at - run.horizon_start).total_seconds() / 3600
    most = min(session.connector.max_power_kw, 22.0)
    assert row.energy_kwh == pytest.approx(most * left, rel=0.01)


def test_a_booking_that_begins_in_the_second_of_the_plan_may_use_the_first_step(depot: Depot, site: LoadGroup) -> None:
    begins = NOW + timedelta(milliseconds=430)
    make_reservation(
        connector=outlet(site), vehicle=make_vehicle(depot, soc_percent=20), starts_at=begins, ends_at=begins + HOUR
    )
    translation, (ev,) = world(depot, NOW + timedelta(milliseconds=900))
    assert ev.arrival_index(horizon=translation.get_horizon(depot.slug, translation.now)) == 0


def test_a_run_keeps_its_borders(depot: Depot, site: LoadGroup) -> None:
    stay(site, now=timezone.now(), hours=1.1)
    run = plan(depot.pk, "test")
    assert run is not None
    stored = PlanRun.objects.get(pk=run.pk)
    assert [border.isoformat().replace("+00:00", "Z") for border in stored.horizon.borders] == stored.site["borders"]
    (row,) = stored.plans.all()
    assert np.dot(row.power_kw, stored.horizon.hours) == pytest.approx(row.energy_kwh, abs=0.01)


def test_an_older_run_without_borders_has_equal_steps(depot: Depot) -> None:
    run = PlanRun(depot=depot, horizon_start=NOW, resolution_s=900, steps=3)
    quarter = NOW.replace(minute=15)
    assert run.horizon.borders == (NOW, *(quarter + k * timedelta(minutes=15) for k in range(3)))
    assert step_at(run, NOW.replace(minute=20)) == 1


def test_the_present_step_is_found_where_steps_differ(depot: Depot) -> None:
    run = PlanRun(depot=depot, horizon_start=NOW, resolution_s=900, steps=3, borders=[0, 100, 1000, 4600])
    found = [step_at(run, NOW + timedelta(seconds=s)) for s in (-1, 0, 99, 100, 999, 4599, 4600)]
    assert found == [None, 0, 0, 1, 1, 2, None]
    failed = PlanRun(depot=depot, horizon_start=NOW, resolution_s=900, steps=0)
    assert step_at(failed, NOW) is None


def test_the_heatmap_is_true_to_time(depot: Depot, site: LoadGroup) -> None:
    stay(site, now=timezone.now(), hours=1.1, energy_kwh=100, soc=0)
    plan(depot.pk, "test")
    picture = snapshot(depot)
    heat, (row,) = first_heat(picture), first_heat(picture).rows
    borders = picture["heat"]["borders"]
    assert heat.seconds == borders[-1] - borders[0]
    assert row.stay.width == pytest.approx(1.1 * 3600, abs=5)
    assert sum(cell.width for cell in row.cells) == pytest.approx(row.stay.width, abs=61)


def test_the_same_plan_on_another_grid_is_not_sent_again(depot: Depot, site: LoadGroup) -> None:

    stay(site, now=timezone.now(), hours=20, energy_kwh=100, soc=0)
    plan(depot.pk, "test")
    sent = Command.objects.filter(natural_key__startswith="plan").count()
    make_reservation(
        connector=outlet(site, status="Available"),
        vehicle=make_vehicle(depot, soc_percent=79),
        starts_at=timezone.now() + timedelta(minutes=34),
        energy_kwh=1,
    )
    plan(depot.pk, "test")
    assert Command.objects.filter(natural_key__startswith="plan").count() == sent == 1
