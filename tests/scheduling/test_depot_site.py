"""What stands at a depot's grid connection: building, peaks paid for, soft limits and emissions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from charging.models import MeterSample
from depot.models import Depot, LoadGroup, Station
from depot.pricing import demand_charges_at
from scheduling.engine import Site
from scheduling.models import MonthPeak
from scheduling.peaks import paid_for_kw, window_loads
from tests.factories import make_depot, make_limit, make_load_group, make_station, make_tariff
from tests.scheduling.yard import stay, world

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
MARCH = date(2026, 3, 1)
ENERGY = {"type": "energy_flat", "price_per_kwh": 0.2}
DEMAND = {"type": "demand", "price_per_kw": 12.5, "window_minutes": 15}
HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)


def depot_with(*demands: dict[str, Any], **fields: Any) -> Depot:
    tariff = make_tariff(elements=[ENERGY, *demands])
    depot = make_depot(**{"tariff": tariff, "time_zone": "UTC", **fields})
    make_load_group(depot, limit_kw=100, slug="grid")
    return depot


def site_at(depot: Depot, now: datetime = NOW) -> Site:
    translation, _ = world(depot, now)
    return translation.get_site(depot.slug, translation.get_horizon(depot.slug, now))


def measured(station: Station, number: int, kw: float, *, start: datetime, minutes: int, every: int = 1) -> None:
    MeterSample.objects.bulk_create(
        MeterSample(
            station=station,
            number=number,
            at=(at := start + timedelta(minutes=minute)),
            received_at=at,
            content_hash=f"{number}-{minute}",
            power_w=kw * 1000,
        )
        for minute in range(0, minutes, every)
    )


def root(depot: Depot) -> LoadGroup:
    return depot.load_groups.get(parent=None)


def test_a_depot_without_anything_has_a_plain_site() -> None:
    site = site_at(make_load_group(make_depot()).depot)
    assert site.demand_charges == ()
    assert site.co2_kg_per_kwh is None
    assert site.building_kw is not None
    assert not site.building_kw.any()


def test_the_building_is_the_expected_one_of_all_nodes() -> None:
    depot = depot_with()
    LoadGroup.objects.update(building_load_kw=[4.0] * 19 + [7.0] * 5, building_reserve_kw=3)
    make_load_group(depot, parent=root(depot), building_load_kw=[1.0] * 24)
    building = site_at(depot).building_kw
    assert building is not None
    assert building[:5].tolist() == [5.0] * 4 + [8.0]


def test_emissions_follow_the_local_hours() -> None:
    factors = [0.1 * hour for hour in range(24)]
    depot = depot_with(time_zone="Europe/Berlin", co2_kg_per_kwh=factors, co2_price_per_kg=0.08)
    site = site_at(depot)
    assert site.co2_kg_per_kwh is not None
    assert site.co2_kg_per_kwh[:5].tolist() == pytest.approx([1.9] * 4 + [2.0])
    assert site.co2_price_per_kg == 0.08


def test_one_factor_holds_for_all_hours() -> None:
    found = site_at(depot_with(co2_kg_per_kwh=[0.35])).co2_kg_per_kwh
    assert found is not None
    assert set(found.tolist()) == {0.35}


def test_a_demand_charge_counts_above_the_measured_peak_of_the_month() -> None:
    depot = depot_with(DEMAND)
    charger, other = make_station(depot, connectors=2), make_station(depot)
    measured(charger, 1, 20.0, start=NOW - 5 * HOUR, minutes=15)
    measured(charger, 2, 11.0, start=NOW - 5 * HOUR, minutes=15)
    measured(other, 1, 22.0, start=NOW - 4 * HOUR, minutes=15)
    paid = [site_at(depot, NOW - k * HOUR).demand_charges[0].peak_so_far_kw for k in (5, 2, 1)]
    (charge,) = site_at(depot).demand_charges
    assert paid[0] == 0
    assert (charge.price_per_kw, charge.steps) == (12.5, None)
    for _ in range(10):  # a month that nobody has read yet is read in portions
        (charge,) = site_at(depot).demand_charges
    assert charge.peak_so_far_kw == pytest.approx(31)


def test_a_window_counts_with_its_mean_and_slow_meters_are_held_until_they_speak_again() -> None:
    depot = depot_with(DEMAND)
    charger = make_station(depot)
    start = NOW - HOUR
    measured(charger, 1, 30.0, start=start, minutes=10, every=5)
    measured(charger, 1, 0.0, start=start + timedelta(minutes=10), minutes=50, every=5)
    loads = dict(window_loads(depot, start, NOW, QUARTER))
    assert loads[start] == pytest.approx(20)
    assert loads[start + QUARTER] == 0


def test_a_meter_that_falls_silent_is_not_held_for_ever() -> None:
    depot = depot_with(DEMAND)
    measured(make_station(depot), 1, 30.0, start=NOW - HOUR, minutes=1)
    loads = [load for _, load in window_loads(depot, NOW - HOUR, NOW, QUARTER)]
    assert loads == pytest.approx([6, 0, 0, 0])


def test_the_building_counts_by_its_meter_and_else_as_expected() -> None:
    depot = depot_with(DEMAND)
    meter = make_station(depot, kind="meter", connectors=0)
    LoadGroup.objects.update(building_load_kw=[8.0] * 24, building_meter=meter)
    measured(meter, 0, 40.0, start=NOW - HOUR, minutes=30)
    measured(make_station(depot), 0, 99.0, start=NOW - HOUR, minutes=30)  # a charger's own main meter adds nothing
    loads = [load for _, load in window_loads(depot, NOW - HOUR, NOW, QUARTER)]
    assert loads == pytest.approx([40, 40, (2 * 40 + 13 * 8) / 15, 8])


def test_only_finished_windows_count_and_each_is_read_once() -> None:
    depot = depot_with(DEMAND)
    now = datetime(2026, 3, 1, 3, 20, tzinfo=UTC)
    (demand,) = demand_charges_at(depot, now)
    charger = make_station(depot)
    measured(charger, 1, 10.0, start=now - timedelta(minutes=20), minutes=15)
    measured(charger, 1, 90.0, start=now - timedelta(minutes=5), minutes=5)
    assert paid_for_kw(depot, demand, MARCH, now) == pytest.approx(10)
    peak = MonthPeak.objects.get()
    assert (peak.month, peak.read_until) == (MARCH, now - timedelta(minutes=5))
    MeterSample.objects.all().delete()
    assert paid_for_kw(depot, demand, MARCH, now + timedelta(minutes=1)) == pytest.approx(10)


def test_a_month_begins_at_nothing_and_in_local_time() -> None:
    depot = depot_with(DEMAND, time_zone="Europe/Berlin")
    MonthPeak.objects.create(depot=depot, month=date(2026, 2, 1), peak_kw=70, read_until=NOW)
    (charge,) = site_at(depot, datetime(2026, 2, 28, 23, 30, tzinfo=UTC)).demand_charges
    assert charge.peak_so_far_kw == 0


def test_a_horizon_over_the_end_of_the_month_has_a_charge_for_each_month() -> None:
    depot = depot_with(DEMAND)
    now = datetime(2026, 3, 31, 12, 0, tzinfo=UTC)
    MonthPeak.objects.create(depot=depot, month=MARCH, peak_kw=55, read_until=now)
    ending, beginning = site_at(depot, now).demand_charges
    assert (ending.peak_so_far_kw, beginning.peak_so_far_kw) == (55, 0)
    assert ending.steps is not None
    assert beginning.steps is not None
    assert ending.steps.tolist() == [True] * 48 + [False] * 48
    assert (ending.steps ^ beginning.steps).all()


def test_a_ratchet_compounds_over_the_months_before() -> None:
    ratchet = {"percent": 75, "of": "billed_demand", "lookback_months": 11}
    depot = depot_with(DEMAND | {"ratchet": ratchet})
    (demand,) = demand_charges_at(depot, NOW)
    MonthPeak.objects.create(depot=depot, month=date(2025, 1, 1), peak_kw=900)
    MonthPeak.objects.create(depot=depot, month=date(2025, 6, 1), peak_kw=100)  # billed 675, of the ratchet
    assert paid_for_kw(depot, demand, date(2025, 12, 1), datetime(2025, 12, 1, tzinfo=UTC)) == pytest.approx(675)
    assert paid_for_kw(depot, demand, MARCH, datetime(2026, 3, 1, tzinfo=UTC)) == pytest.approx(0.75 * 675)


def test_a_floor_of_the_contract_is_paid_for_in_any_case() -> None:
    depot = depot_with(DEMAND | {"contract_kw": 200, "floor": {"percent_of_contract": 50}})
    assert site_at(depot).demand_charges[0].peak_so_far_kw == 100


def test_a_charge_for_some_hours_counts_in_those_only() -> None:
    depot = depot_with(DEMAND | {"days": "weekday", "start": "19:00", "end": "21:00"})
    (charge,) = site_at(depot).demand_charges
    assert charge.steps is not None
    assert np.flatnonzero(charge.steps).tolist() == list(range(4, 12))
    assert MonthPeak.objects.get().counted == "15 min, weekday, 19:00 to 21:00"


def test_a_charge_outside_its_season_is_none() -> None:
    assert site_at(depot_with(DEMAND | {"months": [6, 7, 8]})).demand_charges == ()


def test_a_tariff_that_cannot_be_read_charges_no_demand() -> None:
    depot = depot_with(DEMAND)
    assert depot.tariff is not None
    depot.tariff.versions.update(elements=[{"type": "nonsense"}])
    assert site_at(depot).demand_charges == ()


def soft(depot: Depot, **fields: Any) -> None:
    make_limit(root(depot), hard=False, starts_at=NOW - HOUR, ends_at=NOW + 2 * HOUR, **fields)


def only_node(depot: Depot) -> Any:
    translation, _ = world(depot, NOW)
    (node,) = translation.get_power_tree(depot.slug, translation.get_horizon(depot.slug, NOW)).nodes
    return node


def test_a_soft_limit_has_its_price_and_takes_no_room() -> None:
    depot = depot_with()
    LoadGroup.objects.update(building_load_kw=[5.0] * 24, building_reserve_kw=10)
    soft(depot, limit_kw=30, price_per_kwh=0.75)
    node = only_node(depot)
    assert node.limit_kw[0] == pytest.approx(85)
    assert node.soft_limit_kw[:9].tolist() == pytest.approx([25] * 8 + [node.soft_limit_kw[8]])
    assert node.soft_limit_kw[8] > 1e9
    assert node.soft_price_per_kwh == 0.75


def test_a_soft_limit_without_a_price_costs_ten_times_the_mean_energy_price() -> None:
    depot = depot_with()
    soft(depot, limit_kw=30)
    assert only_node(depot).soft_price_per_kwh == pytest.approx(2.0)


def test_of_several_soft_limits_the_lowest_and_the_highest_price_count() -> None:
    depot = depot_with()
    soft(depot, limit_kw=30, price_per_kwh=0.5)
    soft(depot, limit_kw=40, price_per_kwh=0.9)
    node = only_node(depot)
    assert (node.soft_limit_kw[0], node.soft_price_per_kwh) == (30, 0.9)


def test_the_cost_of_a_run_names_what_its_new_peak_adds() -> None:
    from django.utils import timezone

    from scheduling.planner import plan

    depot = depot_with(DEMAND)
    stay(root(depot), now=timezone.now(), hours=10, energy_kwh=60, soc=0)
    run = plan(depot.pk, "test")
    assert run is not None
    assert run.status == "published"
    assert run.summary["demand_cost"] == pytest.approx(12.5 * max(run.site["nodes"]["grid"]["planned_kw"]), abs=0.1)
