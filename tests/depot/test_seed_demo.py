"""The demo: a living yard around now, again and again."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from charging.models import Session
from charging.simulator.config import Scenario, load_scenario
from depot.api_keys import find_api_key
from depot.credentials import station_key_matches
from depot.fallbacks import check_fallbacks, tree_of
from depot.models import Connector, Depot, Reservation, Station, User, Vehicle, VehicleState
from scheduling.demo.garage import plan_visits as plan_garage
from scheduling.demo.night import fleet, visits_around
from scheduling.demo.visits import unmet_kwh
from tests.factories import make_session

FEEDERS = [(f"FD-{number:02d}", "a" if number <= 20 else "b") for number in range(1, 41)]


@pytest.fixture
def var(tmp_path: Path, settings: Any) -> Path:
    settings.VAR = tmp_path
    return tmp_path


def seed(var: Path, **options: Any) -> Scenario:
    call_command("seed_demo", **options)
    return load_scenario(var / "demo.json")


@pytest.mark.django_db
def test_the_yard_has_what_the_reference_case_has(var: Path) -> None:
    scenario = seed(var)
    north = Depot.objects.get(slug="north")
    assert Vehicle.objects.filter(depot=north).count() == 40
    assert {vehicle.max_ac_kw for vehicle in north.vehicles.all()} <= {6, 7, 11, 22}
    assert {vehicle.battery_kwh for vehicle in north.vehicles.all()} <= {30, 52, 88, 100}
    assert dict(north.load_groups.values_list("slug", "limit_kw")) == {"grid": 100, "feeder-a": 60, "feeder-b": 60}
    assert Station.objects.filter(depot=north, kind="charger").count() == 40
    assert len(scenario.stations) == 41
    root = north.load_groups.get(slug="grid")
    assert root.building_meter is not None
    assert root.building_meter.identity == "FD-OFFICE"


@pytest.mark.django_db
def test_fallbacks_take_at_most_a_third_of_every_node(var: Path) -> None:
    seed(var)
    north = Depot.objects.get(slug="north")
    assert check_fallbacks(north) == []
    for node in tree_of(north):
        assert 0 < sum(load.fallback_kw for load in node.loads) <= node.group.limit_kw / 3
    assert sorted(set(Connector.objects.values_list("fallback_a", flat=True))) == [0, 6]


@pytest.mark.django_db
def test_most_are_plugged_in_some_come_and_some_leave_while_one_watches(var: Path) -> None:
    scenario = seed(var)
    now = timezone.now()
    plugged = [visit for visit in scenario.visits if visit.plug_in_at <= now < visit.plug_out_at]
    soon = now + timedelta(minutes=16)
    assert 23 <= len(plugged) <= 27
    assert sum(now < visit.plug_in_at <= soon for visit in scenario.visits) >= 4
    assert sum(now < visit.plug_out_at <= soon for visit in scenario.visits) >= 2
    assert {visit.vehicle.id_tag for visit in scenario.visits} == {f"VEH{number:02d}" for number in range(1, 41)}


@pytest.mark.django_db
def test_bookings_and_batteries_match_the_scenario(var: Path) -> None:
    scenario = seed(var)
    booked = Reservation.objects.filter(state="RESERVED")
    assert booked.count() == len(scenario.visits)
    assert booked.filter(required_soc_percent__isnull=False).count() > 5
    assert booked.filter(energy_kwh__isnull=False).count() > 5
    for visit in scenario.visits:
        reservation = booked.get(
            vehicle__identities__value=visit.vehicle.id_tag,
            connector__station__identity=visit.station,
            starts_at=visit.plug_in_at,
        )
        assert reservation.ends_at == visit.plug_out_at
    first = min(scenario.visits, key=lambda visit: visit.plug_in_at)
    state = VehicleState.objects.get(vehicle__identities__value=first.vehicle.id_tag)
    assert state.soc_percent == pytest.approx(first.vehicle.soc * 100)


@pytest.mark.django_db
def test_stations_know_the_keys_of_the_scenario(var: Path) -> None:
    scenario = seed(var)
    for station in scenario.stations:
        assert station_key_matches(station.password, Station.objects.get(identity=station.identity).key_hash)
        assert all(connector.preloaded_fallback for connector in station.connectors)


@pytest.mark.django_db
def test_files_with_secrets_are_private(var: Path) -> None:
    seed(var)
    for name in ("demo.json", "demo-credentials.json"):
        assert stat.S_IMODE((var / name).stat().st_mode) == 0o600


@pytest.mark.django_db
def test_login_and_key_stay_the_same_after_a_restart(var: Path) -> None:
    seed(var)
    first = json.loads((var / "demo-credentials.json").read_text())
    seed(var)
    assert json.loads((var / "demo-credentials.json").read_text()) == first
    operator = User.objects.get(username="operator")
    assert operator.check_password(first["password"])
    assert operator.is_superuser
    assert find_api_key(first["api_key"], timezone.now()) is not None


@pytest.mark.django_db
def test_a_given_key_and_password_win(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_DEPOT_DEMO_PASSWORD", "swordfish in the pond")
    seed(var, api_key="chosen-key-of-mine")
    assert find_api_key("chosen-key-of-mine", timezone.now()) is not None
    assert User.objects.get(username="operator").check_password("swordfish in the pond")
    seed(var, api_key="another-key")
    assert find_api_key("chosen-key-of-mine", timezone.now()) is None


@pytest.mark.django_db
def test_seeding_again_makes_a_new_day_and_ends_the_old_one(var: Path) -> None:
    seed(var)
    connector = Connector.objects.get(station__identity="FD-01")
    session = make_session(connector=connector)
    live = set(Reservation.objects.filter(state="RESERVED").values_list("pk", flat=True))
    scenario = seed(var)
    session.refresh_from_db()
    assert session.state == Session.State.ENDED_WITHOUT_STOP
    now_live = set(Reservation.objects.filter(state="RESERVED").values_list("pk", flat=True))
    assert not live & now_live
    assert len(now_live) == len(scenario.visits)
    assert Vehicle.objects.filter(depot__slug="north").count() == 40


@pytest.mark.django_db
def test_fresh_builds_the_yard_anew(var: Path) -> None:
    seed(var)
    make_session(connector=Connector.objects.get(station__identity="FD-01"))
    Depot.objects.filter(slug="north").update(name="Changed")
    seed(var, fresh=True)
    assert Depot.objects.get(slug="north").name == "North Yard"
    assert not Session.objects.exists()


@pytest.mark.django_db
def test_what_somebody_changed_survives_a_restart(var: Path) -> None:
    seed(var)
    Depot.objects.get(slug="north").load_groups.filter(slug="grid").update(limit_kw=90)
    seed(var)
    assert Depot.objects.get(slug="north").load_groups.get(slug="grid").limit_kw == 90


@pytest.mark.django_db
def test_seeding_prints_nothing(var: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed(var)
    assert capsys.readouterr().out == ""


@pytest.mark.django_db
def test_the_garage_replays_a_measured_day(var: Path) -> None:
    seed(var)
    scenario = seed(var, scenario="garage")
    garage = Depot.objects.get(slug="garage")
    outlets = Connector.objects.filter(station__depot=garage)
    assert outlets.count() == 54
    assert set(outlets.values_list("phases", "max_current_a", "voltage_v")) == {(1, 32, 208)}
    assert sorted(set(outlets.values_list("phase_rotation", flat=True))) == ["123", "231", "312"]
    assert check_fallbacks(garage) == []
    now = timezone.now()
    assert any(visit.plug_in_at <= now < visit.plug_out_at for visit in scenario.visits)
    assert not Depot.objects.get(slug="north").planning_enabled
    assert Reservation.objects.filter(state="RESERVED").exclude(depot=garage).count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_the_garage_is_busy_whenever_one_looks_and_its_limit_binds(var: Path, hour: int) -> None:
    seed(var, scenario="garage")
    now = datetime(2026, 11, 20, hour, 7, tzinfo=UTC)
    visits = plan_garage(Depot.objects.get(slug="garage"), now)
    plugged = [visit for visit in visits if visit.plug_in_at <= now]
    assert len(plugged) >= 10
    assert sum(visit.guest.max_power_kw for visit in plugged) > 40


@pytest.mark.parametrize("hour", range(24))
def test_the_yards_day_is_feasible_but_for_the_tight_ones(hour: int) -> None:
    now = datetime(2026, 11, 20, hour, 23, tzinfo=UTC)
    visits = visits_around(now, fleet(FEEDERS), site_kw=lambda _: 77.0, feeder_kw=60.0)
    tight = [visit for visit in visits if visit.tight]
    assert len(tight) == 2
    missing = sum(max(0.0, visit.need_kwh - visit.most_kwh(now)) for visit in tight)
    assert missing > 0.5
    assert unmet_kwh(visits, now, site_kw=lambda _: 77.0, feeder_kw=60.0) <= missing + 3.0
    assert all(visit.target_soc_percent <= 100 for visit in visits)
