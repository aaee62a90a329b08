"""What the live page shows of a depot."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from charging.models import Command, UnknownStation
from depot.models import Depot
from scheduling.live.shared import shared_picture
from scheduling.live.snapshot import snapshot
from scheduling.live.yard import step_at
from tests.factories import make_incident, make_limit, make_load_group, make_reservation, make_session
from tests.ui.yard import SmallYard, small_yard

pytestmark = pytest.mark.django_db


@pytest.fixture
def yard() -> SmallYard:
    return small_yard()


def picture_of(yard: SmallYard) -> dict[str, Any]:
    return snapshot(Depot.objects.get(pk=yard.depot.pk), now=yard.now)


def only_tile(yard: SmallYard) -> dict[str, Any]:
    (tile,) = picture_of(yard)["tiles"].values()
    return dict(tile)


def test_a_depot_without_anything_has_a_picture() -> None:
    depot = Depot.objects.create(slug="empty", name="Empty")
    picture = snapshot(depot)
    assert picture["tiles"] == {}
    assert picture["kpi"]["power"] == "–"


def test_a_depot_that_never_planned_says_so(yard: SmallYard) -> None:
    yard.bay("A1")
    Depot.objects.filter(pk=yard.depot.pk).update(planning_enabled=False)
    assert picture_of(yard)["kpi"]["run_state"] == "Planning is off"


def test_a_charging_vehicle_shows_measured_and_planned_power(yard: SmallYard) -> None:
    connector = yard.bay("A1", status="Charging", power_kw=6.6)
    session = yard.plug_in(connector, soc_percent=41.0, last_sample_at=yard.now)
    yard.on_plan(session)
    yard.plan(yard.run(), connector, vehicle=session.vehicle, session=session)
    tile = only_tile(yard)
    assert (tile["tone"], tile["power"], tile["planned"]) == ("charging", "6.6", "7.0")
    assert (tile["vehicle"], tile["soc"], tile["note"]) == ("Van 1", "41 %", "Needed for departure")


def test_an_old_reading_is_unknown_with_its_age(yard: SmallYard) -> None:
    connector = yard.bay("A1", status="Charging", power_kw=6.6, sampled_at=yard.now - timedelta(minutes=5))
    yard.plug_in(connector)
    tile = only_tile(yard)
    assert (tile["tone"], tile["status"], tile["power"]) == ("unknown", "Unknown", "–")
    assert "sampled_at" in tile


def test_an_offline_charger_is_unknown_and_counts_with_its_fallback(yard: SmallYard) -> None:
    yard.bay("A1", status="Charging", power_kw=6.6, online=False)
    picture = picture_of(yard)
    (tile,) = picture["tiles"].values()
    assert (tile["status"], tile["power"], tile["note"]) == ("Offline", "–", "Counts with its fallback of 4.1 kW")
    assert "seen_at" in tile
    assert picture["nodes"]["grid"]["note"] == "1 unknown"


def test_the_soc_of_a_silent_charger_is_not_shown_as_current(yard: SmallYard) -> None:
    connector = yard.bay("A1", status="Charging", online=False)
    yard.plug_in(connector, soc_percent=41.0, last_sample_at=yard.now - timedelta(hours=1))
    tile = only_tile(yard)
    assert (tile["soc"], tile["soc_note"]) == ("SoC unknown", "was 41 %")


def test_delivered_energy_gives_an_estimate_that_says_so(yard: SmallYard) -> None:
    connector = yard.bay("A1", status="Charging", power_kw=6.6)
    yard.plug_in(connector, start_soc_percent=20.0, energy_kwh=6.0)
    tile = only_tile(yard)
    assert (tile["soc"], tile["soc_note"]) == ("29 %", "est.")


def test_a_session_without_a_plan_profile_runs_on_its_fallback(yard: SmallYard) -> None:
    yard.plug_in(yard.bay("A1", status="Charging", power_kw=4.1))
    assert only_tile(yard)["note"] == "On fallback: 6 A per phase"


def test_a_held_raise_gives_its_reason(yard: SmallYard) -> None:
    connector = yard.bay("A1", status="SuspendedEVSE")
    yard.plug_in(connector)
    Command.objects.create(
        station=connector.station,
        connector=connector,
        action="SetChargingProfile",
        payload={},
        natural_key="x",
        cause="plan",
        created_at=yard.now,
        held_because="Hall A is full",
    )
    assert only_tile(yard)["note"] == "Raise held: Hall A is full"


def test_a_vehicle_that_takes_nothing_although_it_may_is_noted(yard: SmallYard) -> None:
    connector = yard.bay("A1", status="SuspendedEV")
    session = yard.plug_in(connector)
    yard.on_plan(session)
    yard.plan(yard.run(), connector, session=session)
    assert only_tile(yard)["note"] == "Takes nothing although the plan offers power"


def test_a_fault_is_told_with_the_chargers_own_words(yard: SmallYard) -> None:
    yard.bay("A1", status="Faulted", error_code="GroundFailure", info="RCD tripped")
    tile = only_tile(yard)
    assert (tile["tone"], tile["note"]) == ("fault", "RCD tripped · GroundFailure")


def test_a_free_bay_names_its_next_booking(yard: SmallYard) -> None:
    connector = yard.bay("A1")
    make_reservation(connector=connector, starts_at=yard.now + timedelta(minutes=30))
    assert only_tile(yard)["note"].startswith("Booked ")


def test_bays_are_counted_as_people_count(yard: SmallYard) -> None:
    for bay in ("A10", "A2", "A1"):
        yard.bay(bay)
    assert [tile["bay"] for tile in picture_of(yard)["tiles"].values()] == ["A1", "A2", "A10"]


def test_the_site_adds_feeder_and_building(yard: SmallYard) -> None:
    yard.meter()
    yard.plug_in(yard.bay("A1", status="Charging", power_kw=7.5))
    picture = picture_of(yard)
    assert picture["kpi"]["power"] == "20.0"
    assert picture["nodes"]["hall-a"]["power"] == "7.5"


def test_the_lowest_limit_in_force_counts(yard: SmallYard) -> None:
    make_limit(yard.site, limit_kw=40, starts_at=yard.now, ends_at=yard.now + timedelta(hours=1))
    assert picture_of(yard)["kpi"]["limit"] == "40"


def test_a_site_above_its_limit_is_marked(yard: SmallYard) -> None:
    yard.plug_in(yard.bay("A1", status="Charging", power_kw=101.0))
    assert picture_of(yard)["nodes"]["grid"]["tone"] == "over"


def test_measured_minutes_are_means_summed_over_the_feeder(yard: SmallYard) -> None:
    minute = yard.now.replace(second=0) - timedelta(minutes=10)
    first, second = yard.bay("A1"), yard.bay("A2")
    yard.sample(first, minute + timedelta(seconds=5), 4.0)
    yard.sample(first, minute + timedelta(seconds=35), 6.0)
    yard.sample(second, minute + timedelta(seconds=10), 1.5)
    measured = picture_of(yard)["chart"]["measured"]["hall-a"]
    start = int(minute.timestamp())
    assert measured == {str(start): 6.5, str(start + 60): 6.5, str(start + 120): 6.5}


def test_a_departure_that_will_be_missed_tells_why_and_what_would_help(yard: SmallYard) -> None:
    connector = yard.bay("A1", status="Charging", power_kw=6.0)
    session = yard.plug_in(connector)
    yard.plan(
        yard.run(),
        connector,
        session=session,
        vehicle=session.vehicle,
        shortfall_kwh=3.2,
        shortfall_reason="time",
        remedy="The stay of 1 h is too short: leave 20 min later.",
        predicted_soc_percent=61.4,
    )
    picture = picture_of(yard)
    (row,) = picture["departures"].values()
    assert (row["short"], row["predicted"], row["tone"]) == ("3.2 kWh short", "61 %", "risk")
    assert row["why"] == "The stay of 1 h is too short: leave 20 min later."
    assert picture["kpi"]["risk"] == "1"


def test_a_booking_that_no_run_has_seen_is_listed_without_a_plan(yard: SmallYard) -> None:
    make_reservation(connector=yard.bay("A1"), starts_at=yard.now + timedelta(hours=1))
    (row,) = picture_of(yard)["departures"].values()
    assert (row["verdict"], row["need"]) == ("no plan yet", "20.0 kWh")


def test_the_heatmap_joins_equal_steps_and_keeps_their_reasons(yard: SmallYard) -> None:
    connector = yard.bay("A1")
    yard.plan(yard.run(), connector)
    (row,) = picture_of(yard)["heat"]["rows"].values()
    assert row["runs"] == [[4, 7.0, "deadline"], [4, 0.0, "full"]]


def test_steps_end_at_multiples_of_the_resolution(yard: SmallYard) -> None:
    quarter = yard.now.replace(minute=0, second=0)
    run = yard.run(horizon_start=quarter + timedelta(minutes=7))
    assert step_at(run, quarter + timedelta(minutes=14)) == 0
    assert step_at(run, quarter + timedelta(minutes=15)) == 1
    assert step_at(run, quarter + timedelta(minutes=6)) is None


def test_open_incidents_and_knocking_stations_are_listed(yard: SmallYard) -> None:
    make_incident(depot=yard.depot, severity="critical", subject="CP-A1")
    make_incident(depot=make_load_group().depot, subject="elsewhere")
    UnknownStation.objects.create(identity="CP-NEW", first_seen_at=yard.now, last_seen_at=yard.now)
    picture = picture_of(yard)
    assert [one["subject"] for one in picture["incidents"].values()] == ["CP-A1"]
    (unknown,) = picture["knocking"].values()
    assert unknown["identity"] == "CP-NEW"
    assert unknown["adopt"] == f"/admin/depot/station/add/?identity=CP-NEW&depot={yard.depot.pk}"
    assert picture["kpi"]["incidents_tone"] == "bad"


def test_queries_do_not_grow_with_the_yard(yard: SmallYard) -> None:
    def counted() -> int:
        with CaptureQueriesContext(connection) as queries:
            picture_of(yard)
        return len(queries)

    run = yard.run()
    bays = [yard.bay(f"A{number}", status="Charging", power_kw=1.0) for number in range(2)]
    yard.plan(run, bays[0], session=yard.plug_in(bays[0]))
    few = counted()
    for number in range(2, 12):
        bay = yard.bay(f"A{number}", status="Charging", power_kw=1.0)
        yard.plan(run, bay, session=yard.plug_in(bay, f"Van {number}"))
        make_reservation(connector=yard.bay(f"B{number}"), starts_at=yard.now + timedelta(hours=1))
    assert counted() == few
    assert few <= 22


def test_readers_of_one_second_share_a_picture(yard: SmallYard) -> None:
    first = shared_picture(yard.depot)
    make_session(connector=yard.bay("A1"))
    assert shared_picture(yard.depot) is first
