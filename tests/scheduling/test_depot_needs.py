"""From bookings, vehicles and chargers to the vehicles that the engine schedules."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.utils import timezone

from charging.models import Command, ConnectorState
from depot.models import Connector, Depot, LoadGroup
from scheduling.engine import Problem
from scheduling.engine.shortfall import shortfalls_of
from scheduling.live.words import REASONS
from scheduling.planner import plan
from tests.factories import make_depot, make_load_group, make_reservation, make_station, make_tariff, make_vehicle
from tests.scheduling.yard import only_ev, outlet, stay, world

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 18, 7, tzinfo=UTC)
MINUTES = timedelta(minutes=1)


@pytest.fixture
def depot() -> Depot:
    return make_depot(tariff=make_tariff(), time_zone="UTC")


@pytest.fixture
def site(depot: Depot) -> LoadGroup:
    return make_load_group(depot, limit_kw=100, slug="grid")


def booked(site: LoadGroup, *, starts_in: timedelta, hours: float = 6, **fields: Any) -> Connector:
    connector = outlet(site, status="Available")
    starts_at = NOW + starts_in
    make_reservation(
        connector=connector,
        vehicle=make_vehicle(site.depot, max_ac_kw=22, soc_percent=50),
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=hours),
        **fields,
    )
    return connector


def test_without_a_minimum_all_of_the_need_is_one(depot: Depot, site: LoadGroup) -> None:
    stay(site, now=NOW, energy_kwh=20)
    assert only_ev(depot, NOW).minimum_energy is None


def test_energy_goes_into_the_battery_and_the_meter_sees_the_losses(depot: Depot, site: LoadGroup) -> None:
    stay(site, now=NOW, energy_kwh=20, vehicle_fields={"charging_efficiency": 0.8})
    ev = only_ev(depot, NOW)
    assert (ev.energy, ev.efficiency) == pytest.approx((16, 0.8))


def test_a_minimum_energy_counts_what_is_delivered_already(depot: Depot, site: LoadGroup) -> None:
    session = stay(
        site, now=NOW, energy_kwh=20, minimum_energy_kwh=12, vehicle_fields={"charging_efficiency": 1, "soc_percent": 0}
    )
    session.energy_kwh = 5
    session.save()
    ev = only_ev(depot, NOW)
    assert (ev.energy, ev.minimum_energy) == pytest.approx((15, 7))
    session.energy_kwh = 13
    session.save()
    assert only_ev(depot, NOW).minimum_energy == 0


def test_a_minimum_soc_comes_before_the_target(depot: Depot, site: LoadGroup) -> None:
    stay(site, now=NOW, soc=20, required_soc_percent=80, minimum_soc_percent=50)
    ev = only_ev(depot, NOW)
    assert (ev.energy, ev.minimum_energy) == pytest.approx((60, 30))


def test_a_minimum_is_never_more_than_what_fits_the_battery(depot: Depot, site: LoadGroup) -> None:
    stay(site, now=NOW, soc=95, energy_kwh=40, minimum_energy_kwh=30, vehicle_fields={"charging_efficiency": 1})
    ev = only_ev(depot, NOW)
    assert ev.minimum_energy == ev.energy == pytest.approx(5)


def test_a_charging_curve_below_the_outlets_power_becomes_a_taper(depot: Depot, site: LoadGroup) -> None:
    stay(site, now=NOW, soc=60, vehicle_fields={"charging_curve": [[80, 22], [100, 4]]})
    ev = only_ev(depot, NOW)
    assert ev.taper == ((80, 22), (100, 4))
    assert (ev.soc, ev.battery_kwh) == (60, 100)


@pytest.mark.parametrize(("soc", "curve"), [(None, [[80, 22], [100, 4]]), (60, [[80, 50], [100, 30]]), (60, [])])
def test_there_is_no_taper_without_a_soc_or_where_the_outlet_is_weaker(
    depot: Depot, site: LoadGroup, soc: float | None, curve: list[list[float]]
) -> None:
    connector = outlet(site)
    vehicle = make_vehicle(depot, max_ac_kw=22, battery_kwh=100, soc_percent=soc, charging_curve=curve)
    make_reservation(connector=connector, vehicle=vehicle, starts_at=NOW)
    assert only_ev(depot, NOW).taper == ()


def test_the_curve_of_a_one_phase_vehicle_is_counted_on_all_phases(depot: Depot, site: LoadGroup) -> None:
    traits = {"phases": 1, "max_ac_kw": 7, "charging_curve": [[80, 7], [100, 2]]}
    stay(site, now=NOW, soc=60, vehicle_fields=traits)
    assert np.allclose(only_ev(depot, NOW).taper, [[80, 21], [100, 6]])


def test_the_margin_is_kept_only_where_energy_allows(depot: Depot, site: LoadGroup) -> None:
    Depot.objects.update(departure_margin_minutes=20)
    stay(site, now=NOW, hours=3)
    ev = only_ev(depot, NOW)
    assert (ev.departure_time, ev.departure_margin) == (NOW + timedelta(hours=3), 20 * MINUTES)


def test_a_stay_without_a_booking_has_no_margin(depot: Depot, site: LoadGroup) -> None:
    Depot.objects.update(departure_margin_minutes=20, default_stay_hours=5)
    session = stay(site, now=NOW)
    session.reservation = None
    session.save()
    ev = only_ev(depot, NOW)
    assert (ev.departure_time, ev.departure_margin) == (NOW + timedelta(hours=5), timedelta(0))


def test_an_arrival_is_as_uncertain_as_the_depot_knows(depot: Depot, site: LoadGroup) -> None:
    booked(site, starts_in=timedelta(hours=1))
    assert only_ev(depot, NOW).arrival_latest is None
    Depot.objects.update(arrival_uncertainty_minutes=25)
    assert only_ev(depot, NOW).arrival_latest == NOW + timedelta(hours=1) + 25 * MINUTES


def test_a_late_vehicle_may_come_at_any_time_until_it_counts_as_a_no_show(depot: Depot, site: LoadGroup) -> None:
    booked(site, starts_in=-10 * MINUTES)
    ev = only_ev(depot, NOW)
    assert (ev.arrival_time, ev.arrival_latest) == (NOW, NOW + 20 * MINUTES)


def test_switching_times_are_the_depots(depot: Depot, site: LoadGroup) -> None:
    Depot.objects.update(min_on_minutes=30, min_off_minutes=10)
    stay(site, now=NOW)
    ev = only_ev(depot, NOW)
    assert (ev.min_on, ev.min_off) == (30 * MINUTES, 10 * MINUTES)


def test_a_vehicle_at_a_faulted_charger_is_held_and_its_draw_is_counted(depot: Depot, site: LoadGroup) -> None:
    stay(site, now=NOW)
    session = stay(site, now=NOW)
    translation, _ = world(depot, NOW)
    horizon = translation.get_horizon(depot.slug, NOW)
    (before,) = translation.get_power_tree(depot.slug, horizon).nodes
    ConnectorState.objects.filter(connector=session.connector).update(status="Faulted")
    translation, evs = world(depot, NOW)
    assert sorted(ev.hold for ev in evs) == ["", "fault"]
    (after,) = translation.get_power_tree(depot.slug, horizon).nodes
    assert before.limit_kw is not None
    assert after.limit_kw is not None
    taken = np.subtract(before.limit_kw, after.limit_kw)
    assert taken.min() == pytest.approx(session.connector.max_power_kw)


def test_the_plan_shows_why_a_held_vehicle_gets_nothing(depot: Depot, site: LoadGroup) -> None:

    faulted = stay(site, now=timezone.now())
    ConnectorState.objects.filter(connector=faulted.connector).update(status="Faulted")
    taken_over = stay(site, now=timezone.now(), connector=manual_outlet(site))
    run = plan(depot.pk, "test")
    assert run is not None
    assert run.status == "published"
    rows = {row.session_id: row for row in run.plans.all()}
    assert set(rows[faulted.pk].reasons) == {"fault", "not_plugged"}
    assert set(rows[taken_over.pk].reasons) == {"override", "not_plugged"}
    assert sum(rows[faulted.pk].power_kw + rows[taken_over.pk].power_kw) == 0
    assert rows[faulted.pk].shortfall_kwh > 0
    assert rows[taken_over.pk].shortfall_kwh == 0  # what an operator gives is unknown
    assert {"fault", "override"} <= set(REASONS)


def manual_outlet(site: LoadGroup) -> Connector:
    return make_station(load_group=site, manual=True, online=True).connectors.get()


def test_held_vehicles_get_no_profile(depot: Depot, site: LoadGroup) -> None:

    session = stay(site, now=timezone.now())
    ConnectorState.objects.filter(connector=session.connector).update(status="Faulted")
    plan(depot.pk, "test")
    assert not Command.objects.filter(natural_key__startswith="plan").exists()


def test_a_vehicle_that_is_held_misses_what_it_needs(depot: Depot, site: LoadGroup) -> None:
    session = stay(site, now=NOW, energy_kwh=20)
    ConnectorState.objects.filter(connector=session.connector).update(status="Faulted")
    translation, evs = world(depot, NOW)

    horizon = translation.get_horizon(depot.slug, NOW)
    problem = Problem.of(evs, horizon, translation.get_power_tree(depot.slug, horizon))
    (shortfall,) = shortfalls_of(problem, problem.zeros())
    assert shortfall.kwh == pytest.approx(20)


def test_what_makes_a_small_rest_a_whole_step_comes_after_everybodys_needs(depot: Depot, site: LoadGroup) -> None:
    stay(site, now=NOW, energy_kwh=0.3, vehicle_fields={"charging_efficiency": 1})
    ev = only_ev(depot, NOW)
    assert ev.energy == pytest.approx(6 * 0.69 / 4)
    assert ev.minimum_energy == pytest.approx(0.3)


def test_nothing_is_missing_where_only_a_part_of_that_step_is(depot: Depot, site: LoadGroup) -> None:
    Depot.objects.update(departure_margin_minutes=0)
    now = timezone.now()
    stay(site, now=now - timedelta(hours=1), hours=1.1, energy_kwh=0.4)  # leaves in six minutes: 2.2 kWh at most
    LoadGroup.objects.update(limit_kw=4.2)
    run = plan(depot.pk, "test")
    assert run is not None
    row = run.plans.get()
    assert row.energy_kwh >= row.need_kwh
    assert (row.shortfall_kwh, row.remedy, run.shortfall_kwh) == (0, "", 0)
