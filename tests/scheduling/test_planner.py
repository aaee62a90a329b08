"""One optimisation from the database to published plans and queued profiles."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from charging.commands import Answer, claim_commands, record_answers
from charging.desired import reconcile_station
from charging.models import Command, InstalledProfile, StationLink
from depot.models import Connector, Depot, Incident, LoadGroup, Reservation
from scheduling import planner, triggers
from scheduling.engine import algorithm
from scheduling.models import Plan, PlanningState, PlanRun
from tests.factories import (
    make_depot,
    make_limit,
    make_link,
    make_load_group,
    make_reservation,
    make_session,
    make_station,
    make_tariff,
    make_vehicle,
)

pytestmark = pytest.mark.django_db
OWNER = "web-1"
DEFAULT = algorithm(Depot().algorithm)


@pytest.fixture
def depot() -> Depot:
    return make_depot(tariff=make_tariff())


@pytest.fixture
def site(depot: Depot) -> LoadGroup:
    return make_load_group(depot, limit_kw=30, slug="grid")


def charger(site: LoadGroup, *, fallback_a: float = 0, **fields: Any) -> Connector:
    station = make_station(load_group=site, connector_fields={"fallback_a": fallback_a}, **fields)
    make_link(station, owner=OWNER, clock_skew_s=0, connected_at=timezone.now() - timedelta(hours=1))
    reconcile_station(station.pk, "connect")
    while claimed := claim_commands(OWNER, timezone.now()):
        record_answers(Answer(c.id, timezone.now(), {"status": "Accepted"}) for c in claimed)
    return station.connectors.get()


def plugged(site: LoadGroup, *, kwh: float = 20, hours: float = 6, soc: float = 20, **fields: Any) -> Connector:
    """A connector with a vehicle of 22 kW that charges now under a reservation."""
    connector = charger(site, fallback_a=fields.pop("fallback_a", 0))
    vehicle = make_vehicle(site.depot, max_ac_kw=22, battery_kwh=100, soc_percent=soc)
    ends_at = timezone.now() + timedelta(hours=hours)
    reservation = make_reservation(
        connector=connector,
        vehicle=vehicle,
        energy_kwh=kwh,
        ends_at=ends_at,
        starts_at=timezone.now() - timedelta(hours=1),
        **fields,
    )
    make_session(connector=connector, vehicle=vehicle, reservation=reservation)
    return connector


def run(depot: Depot, trigger: str = "test") -> PlanRun:
    found = planner.plan(depot.pk, trigger)
    assert found is not None
    return found


def in_service(depot: Depot) -> Depot:
    """A depot that was planned an hour ago: its chargers have had the time to connect."""
    run(depot)
    PlanRun.objects.filter(depot=depot).update(started_at=timezone.now() - timedelta(hours=1))
    return depot


def plan_of(found: PlanRun, connector: Connector) -> Plan:
    return found.plans.get(connector=connector)


def test_a_plan_serves_sessions_and_coming_reservations_within_the_limit(depot: Depot, site: LoadGroup) -> None:
    now_here, coming = plugged(site, kwh=40), charger(site)
    starts_at = timezone.now() + timedelta(hours=1)
    make_reservation(
        connector=coming,
        vehicle=make_vehicle(depot, max_ac_kw=22, battery_kwh=100, soc_percent=10),
        energy_kwh=30,
        starts_at=starts_at,
    )
    found = run(depot)
    assert found.status == "published"
    assert plan_of(found, now_here).energy_kwh == pytest.approx(40, abs=0.02)
    assert plan_of(found, coming).energy_kwh == pytest.approx(30, abs=0.02)
    grid = found.site["nodes"]["grid"]
    assert max(np.subtract(grid["planned_kw"], grid["limit_kw"])) <= 1e-3
    assert len(found.site["borders"]) == found.steps + 1
    assert {len(row.reasons) for row in found.plans.all()} == {found.steps}


def test_a_plan_becomes_a_durable_command_only_for_a_running_transaction(depot: Depot, site: LoadGroup) -> None:
    connector = plugged(site)
    make_reservation(connector=charger(site), starts_at=timezone.now() + timedelta(hours=1))
    run(depot)
    command = Command.objects.get(action="SetChargingProfile", natural_key__startswith="plan")
    assert command.connector == connector
    profile = command.payload["csChargingProfiles"]
    assert profile["chargingProfilePurpose"] == "TxProfile"
    assert profile["transactionId"] == connector.sessions.get().transaction_id
    periods = profile["chargingSchedule"]["chargingSchedulePeriod"]
    assert periods[0]["startPeriod"] == 0
    assert all(isinstance(p["startPeriod"], int) and round(p["limit"], 1) == p["limit"] for p in periods)
    assert len(periods) <= connector.station.max_schedule_periods


def test_p68_the_last_period_of_a_plan_is_the_fallback(depot: Depot, site: LoadGroup) -> None:
    connector = plugged(site, fallback_a=6)
    run(depot)
    profile = InstalledProfile.objects.get(slot="tx")
    assert profile.periods[-1][1] == 6.0
    assert profile.ends_at is not None
    start = (profile.ends_at - profile.starts_at).total_seconds()
    assert profile.periods[-1][0] == pytest.approx(start, abs=1)
    assert connector.fallback_a == 6


def test_the_same_plan_is_not_sent_twice(depot: Depot, site: LoadGroup) -> None:
    plugged(site, kwh=60, hours=3.2)
    run(depot)
    first = Command.objects.filter(natural_key__startswith="plan").count()
    run(depot)
    assert Command.objects.filter(natural_key__startswith="plan").count() == first == 1


def test_an_impossible_need_costs_only_itself_and_is_announced(depot: Depot, site: LoadGroup) -> None:
    hopeless, modest = plugged(site, kwh=90, hours=1.1, soc=5), plugged(site, kwh=10)
    found = run(in_service(depot))
    short = plan_of(found, hopeless)
    assert short.shortfall_kwh > 50
    assert short.shortfall_reason == "time"
    assert short.remedy
    assert plan_of(found, modest).shortfall_kwh == 0
    incident = Incident.objects.get(type="vehicle.late_charging")
    assert short.vehicle is not None
    assert short.vehicle.name in incident.message
    Reservation.objects.filter(connector=hopeless).update(energy_kwh=5)
    run(depot)
    incident.refresh_from_db()
    assert incident.closed_at is not None


def test_no_alarm_while_chargers_return_and_are_not_yet_verified(depot: Depot, site: LoadGroup) -> None:
    plugged(site, kwh=90, hours=1.1, soc=5)
    StationLink.objects.update(connected_at=timezone.now() - timedelta(seconds=2))
    assert run(in_service(depot)).shortfall_kwh > 50
    assert not Incident.objects.filter(type="vehicle.late_charging").exists()


def test_fallbacks_of_all_connectors_are_reserved(depot: Depot, site: LoadGroup) -> None:
    for _ in range(3):
        charger(site, fallback_a=6)
    found = run(depot) if plugged(site, kwh=80, hours=24) else None
    assert found is not None
    free = 30 - 3 * 6 * 0.69
    assert max(found.site["nodes"]["grid"]["planned_kw"]) <= free + 1e-3


def test_a_charger_that_is_not_verified_takes_its_maximum_from_the_others(depot: Depot, site: LoadGroup) -> None:
    connector = plugged(site, kwh=40)
    make_link(make_station(load_group=site), owner=OWNER)
    found = run(depot)
    assert max(plan_of(found, connector).power_kw) <= 30 - 22.08 + 1e-3


def test_a_session_at_an_offline_charger_is_counted_and_not_planned(depot: Depot, site: LoadGroup) -> None:
    connector = plugged(site)
    connector.station.link.online = False
    connector.station.link.save()
    found = run(depot)
    assert found.vehicles == 0
    assert not Command.objects.filter(natural_key__startswith="plan").exists()


def test_limits_and_building_load_lower_what_is_planned(depot: Depot, site: LoadGroup) -> None:
    site.building_load_kw, site.building_reserve_kw = [4.0] * 24, 1.0
    site.save()
    plugged(site, kwh=60, hours=10)
    start = timezone.now() + timedelta(minutes=40)
    make_limit(site, limit_kw=12, starts_at=start, ends_at=start + timedelta(hours=1))
    found = run(depot)
    grid = found.site["nodes"]["grid"]
    assert min(grid["limit_kw"]) == pytest.approx(12)
    assert max(np.array(grid["planned_kw"]) + 5.0 - np.array(grid["limit_kw"])) <= 1e-3


def test_a_one_phase_vehicle_at_a_three_phase_outlet_is_counted_on_all_phases(depot: Depot, site: LoadGroup) -> None:
    connector = charger(site)
    vehicle = make_vehicle(depot, max_ac_kw=7.36, phases=1, battery_kwh=60, soc_percent=10)
    reservation = make_reservation(connector=connector, vehicle=vehicle, energy_kwh=10)
    make_session(connector=connector, vehicle=vehicle, reservation=reservation)
    row = plan_of(run(depot), connector)
    assert row.energy_kwh == pytest.approx(10, abs=0.02)
    assert max(row.power_kw) <= 7.36 + 1e-6
    profile = InstalledProfile.objects.get(slot="tx")
    assert max(limit for _, limit in profile.periods) <= 32.0


def test_s14_a_plan_that_the_checker_refuses_is_not_published(depot: Depot, site: LoadGroup) -> None:
    plugged(site)
    first = run(depot)
    commands = Command.objects.count()
    with patch.object(DEFAULT, "allocate", lambda self, problem: np.full(problem.shape, 50.0)):
        refused = run(depot)
    assert refused.status == "refused"
    assert Command.objects.count() == commands
    assert PlanRun.objects.filter(status="published").latest("started_at") == first
    assert Incident.objects.filter(type="plan.failed", closed_at=None).exists()
    run(depot)
    assert not Incident.objects.filter(type="plan.failed", closed_at=None).exists()


def test_s14_a_solver_that_raises_keeps_the_last_plan(depot: Depot, site: LoadGroup) -> None:
    plugged(site)
    with patch.object(DEFAULT, "allocate", side_effect=RuntimeError("solver gone")):
        failed = run(depot)
    assert failed.status == "failed"
    assert "solver gone" in failed.message


def test_s20_an_overtaken_planner_writes_nothing(depot: Depot, site: LoadGroup) -> None:
    plugged(site)
    original = DEFAULT.allocate

    def overtaken(self: Any, problem: Any) -> Any:
        planner.begin(depot)
        return original(self, problem)

    with patch.object(DEFAULT, "allocate", overtaken):
        assert planner.plan(depot.pk, "test") is None
    assert not PlanRun.objects.exists()
    assert not Command.objects.filter(natural_key__startswith="plan").exists()


def test_a_depot_without_tariff_or_vehicles_gets_an_empty_plan() -> None:
    bare = make_depot()
    make_load_group(bare)
    found = run(bare)
    assert found.status == "published"
    assert found.vehicles == 0


def test_an_unknown_algorithm_is_a_failed_run_that_names_the_choices(depot: Depot, site: LoadGroup) -> None:
    Depot.objects.update(algorithm="magic")
    assert "pulp-lp" in run(depot).message


def test_a_burst_of_events_queues_one_run(depot: Depot, django_capture_on_commit_callbacks: Any) -> None:
    with (
        patch("scheduling.tasks.plan_depot.apply_async") as queued,
        django_capture_on_commit_callbacks(execute=True),
    ):
        for _ in range(200):
            triggers.request_plan(depot.pk, "booking")
    assert queued.call_count == 1
    state = PlanningState.objects.get(depot=depot)
    assert state.requests == 200
    planner.begin(depot)
    state.refresh_from_db()
    assert state.served_requests == 200


def test_an_event_during_a_run_queues_exactly_one_more(depot: Depot, django_capture_on_commit_callbacks: Any) -> None:
    with (
        patch("scheduling.tasks.plan_depot.apply_async") as queued,
        django_capture_on_commit_callbacks(execute=True),
    ):
        triggers.request_plan(depot.pk, "booking")
        planner.begin(depot)
        for _ in range(100):
            triggers.request_plan(depot.pk, "plug-in")
    assert queued.call_count == 2
    assert 0 < triggers.wait_before_run(depot.pk, timezone.now()) <= 1


def test_a_request_lost_with_the_broker_is_served_by_the_timer(
    depot: Depot, django_capture_on_commit_callbacks: Any
) -> None:
    planner.begin(depot)
    with (
        patch("scheduling.tasks.plan_depot.apply_async", side_effect=OSError("broker away")),
        django_capture_on_commit_callbacks(execute=True),
    ):
        triggers.request_plan(depot.pk, "booking")
    assert triggers.request_due_plans(timezone.now()) == [depot.pk]


def test_the_timer_asks_only_when_the_interval_has_passed(depot: Depot) -> None:
    planner.begin(depot)
    now = timezone.now()
    assert triggers.request_due_plans(now + timedelta(seconds=30)) == []
    assert triggers.request_due_plans(now + timedelta(seconds=61)) == [depot.pk]


def test_a_rest_below_one_step_at_minimum_power_is_still_served(depot: Depot, site: LoadGroup) -> None:
    connector = plugged(site, kwh=0.3)
    row = plan_of(run(depot), connector)
    assert row.shortfall_kwh == 0
    assert row.energy_kwh >= 0.3
    assert all(power == 0 or power >= 6 * 0.69 - 1e-6 for power in row.power_kw)


def test_one_senseless_vehicle_never_spoils_the_plan_of_the_others(depot: Depot, site: LoadGroup) -> None:
    odd, fine = plugged(site), plugged(site)
    Connector.objects.filter(pk=odd.pk).update(phase_rotation="")
    found = run(depot)
    assert [row.connector for row in found.plans.all()] == [fine]
    incident = Incident.objects.get(type="plan.input")
    assert "phase map" in incident.message
    Connector.objects.filter(pk=odd.pk).update(phase_rotation="123")
    assert run(depot).vehicles == 2
    incident.refresh_from_db()
    assert incident.closed_at is not None


def test_a_depot_names_an_algorithm_that_exists(depot: Depot) -> None:
    depot.algorithm = "magic"
    with pytest.raises(ValidationError, match=r"There is no algorithm 'magic'; choose one of .*edf"):
        depot.full_clean()


def test_steps_limited_by_a_demand_response_event_say_so(depot: Depot, site: LoadGroup) -> None:
    connector = plugged(site, kwh=90, hours=20, soc=5)
    start = timezone.now() + timedelta(minutes=50)
    make_limit(site, limit_kw=8, kind="demand_response", starts_at=start, ends_at=start + timedelta(hours=1))
    assert "dr_event" in plan_of(run(depot), connector).reasons


def test_old_runs_are_forgotten_but_never_the_plan_in_force(depot: Depot, site: LoadGroup) -> None:
    plugged(site)
    old, newest = run(depot), run(depot)
    PlanRun.objects.update(started_at=timezone.now() - timedelta(days=31))
    PlanRun.objects.filter(pk=newest.pk).update(started_at=timezone.now() - timedelta(days=30, hours=1))
    assert planner.forget_old_runs(timezone.now()) == 1
    assert not PlanRun.objects.filter(pk=old.pk).exists()
    assert newest.plans.count() == 1
