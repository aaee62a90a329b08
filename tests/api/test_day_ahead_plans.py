from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import pytest
from django.utils import timezone
from kombu.exceptions import OperationalError

from depot.models import Depot, DepotRole
from scheduling.day_ahead import jobs
from scheduling.models import DayAheadPlan
from scheduling.tasks import forget_old_runs, plan_day_ahead
from tests.api.clients import browser_of, client_with, is_problem, names, pointers, post
from tests.factories import (
    make_connector,
    make_depot,
    make_limit,
    make_load_group,
    make_reservation,
    make_station,
    make_superuser,
    make_tariff,
    make_user,
    make_vehicle,
)

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/day-ahead-plans/"
DAY = "2026-11-21"


def a_depot(**fields: Any) -> Depot:
    """One grid connection of 30 kW, energy for 0.25, Berlin time."""
    depot = make_depot(tariff=make_tariff(), **fields)
    make_load_group(depot, slug="grid", limit_kw=30)
    return depot


def row(vehicle: str, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "powerNom": 11,
        "energyRequired": 20,
        "energyMax": 60,
        "arrivalTime": 8,
        "departureTime": 12,
        "arrivalSOE": 30,
    }
    return {"vehicle": vehicle} | fields | changes


def asked(depot: Depot, /, **body: Any) -> dict[str, Any]:
    response = post(client_with(), ADDRESS, {"depot": depot.slug, "date": DAY, **body})
    assert response.status_code == 201, response.content
    plan: dict[str, Any] = response.json()
    assert plan["status"] == "done", plan["message"]
    return plan


@pytest.mark.parametrize("name", ["day-ahead-lp", "day-ahead-milp", "edf"])
def test_rows_become_a_plan_with_series_kpis_and_costs(name: str) -> None:
    plan = asked(a_depot(), algorithm=name, demand=[row("a", efficiency=0.8), row("b", energyRequired=10)])
    result = plan["result"]
    assert (plan["algorithm"], plan["vehicles"], plan["steps"]) == (name, 2, 96)
    assert len(result["times"]) == 97
    assert result["times"][0] == "2026-11-20T23:00:00Z"
    first, second = result["vehicles"]
    assert first["vehicle"] == "a"
    assert len(first["power_kw"]) == 96
    assert sum(first["power_kw"]) / 4 == pytest.approx(25, abs=0.01)
    assert (first["grid_kwh"], first["battery_kwh"], first["unmet_kwh"]) == (25, 20, 0)
    assert (first["state_of_energy_kwh"][0], first["state_of_energy_kwh"][-1]) == (30, 50)
    assert first["soc_percent"][-1] == pytest.approx(83.3)
    assert first["workload_percent"] == second["workload_percent"] == 100
    assert result["totals"]["power_kw"] == pytest.approx(
        [a + b for a, b in zip(first["power_kw"], second["power_kw"], strict=True)], abs=0.002
    )
    assert result["totals"]["limit_kw"] == [30] * 96
    assert result["kpis"]["energy_grid_kwh"] == plan["energy_kwh"] == 35
    assert result["kpis"]["workload_battery_percent"] == 100
    assert Decimal(result["costs"]["bill"]) == Decimal(plan["cost"]) == Decimal("8.75")
    assert sum(Decimal(each["cost"]) for each in result["vehicles"]) == Decimal("8.75")
    assert result["costs"]["price_per_kwh"] == "0.2500"
    assert result["costs"]["saving"] == "0.0000"
    assert result["violations"] == []


def test_what_cannot_be_served_is_told_with_its_reason_and_a_remedy() -> None:
    plan = asked(a_depot(), limit_kw=4, demand=[row("a"), row("b", energyRequired=30, departureTime=9)])
    one, other = plan["result"]["vehicles"]
    assert plan["unmet_kwh"] == pytest.approx(one["unmet_kwh"] + other["unmet_kwh"], abs=0.01)
    assert plan["unmet_kwh"] == pytest.approx(50 - 16)
    assert other["unmet_reason"] in {"time", "power", "limit"}
    assert other["remedy"].endswith(".")
    assert plan["result"]["kpis"]["vehicles_short"] == 2


def test_prices_limits_and_a_demand_charge_may_be_given_as_numbers_or_series() -> None:
    dear_first = [0.4] * 40 + [0.1] * 56
    plan = asked(
        a_depot(),
        algorithm="day-ahead-lp",
        demand=[row("a", arrivalTime=8, departureTime=16)],
        prices_per_kwh=dear_first,
        limit_kw=[100.0] * 96,
        demand_charge={"price_per_kw": 1.0, "peak_so_far_kw": 3.0},
    )
    costs = plan["result"]["costs"]
    assert Decimal(costs["energy"]) == Decimal("2")
    assert Decimal(costs["demand"]) == pytest.approx(Decimal(20) / 6 - 3, abs=Decimal("0.0002"))
    assert Decimal(costs["saving"]) > 0
    assert plan["result"]["kpis"]["peak_reduction_kw"] == pytest.approx(11 - 20 / 6, abs=0.01)
    assert plan["result"]["totals"]["price_per_kwh"] == dear_first


def test_the_depots_own_tree_limits_and_building_count() -> None:
    depot = make_depot(tariff=make_tariff())
    root = make_load_group(depot, slug="grid", limit_kw=40, building_load_kw=[10.0] * 24)
    make_load_group(parent=root, slug="hall", limit_kw=20)
    noon = datetime(2026, 11, 21, 11, tzinfo=UTC)
    make_limit(root, limit_kw=15, starts_at=noon - timedelta(hours=4), ends_at=noon)
    rows = [row(name, powerNom=22, energyRequired=20) for name in "ab"]
    plan = asked(depot, algorithm="day-ahead-lp", demand=rows)
    totals = plan["result"]["totals"]
    assert totals["building_kw"] == [10] * 96
    assert totals["limit_kw"][31:33] == [30, 5]
    assert max(totals["power_kw"]) <= 5 + 1e-6
    assert plan["unmet_kwh"] == pytest.approx(20)


def test_bookings_are_planned_below_their_own_load_group() -> None:
    depot = make_depot(tariff=make_tariff())
    root = make_load_group(depot, slug="grid", limit_kw=40)
    hall = make_load_group(parent=root, slug="hall", limit_kw=5)
    morning = datetime(2026, 11, 21, 7, tzinfo=UTC)
    vehicle = make_vehicle(depot, name="Bus 7", soc_percent=20)
    for group, who in ((hall, vehicle), (root, make_vehicle(depot, soc_percent=20))):
        connector = make_connector(make_station(depot, load_group=group, connectors=0))
        make_reservation(
            connector=connector, vehicle=who, starts_at=morning, ends_at=morning + timedelta(hours=2), energy_kwh=20
        )
    plan = asked(depot)
    below, free = sorted(plan["result"]["vehicles"], key=lambda each: each["grid_kwh"])
    assert below["name"] == "Bus 7"
    assert below["vehicle"].startswith("reservation:")
    assert below["grid_kwh"] == pytest.approx(10, abs=0.01)
    assert free["grid_kwh"] == pytest.approx(20, abs=0.01)


def test_a_synthetic_day_is_the_same_for_the_same_seed() -> None:
    depot = a_depot()
    plans = [asked(depot, demand="synthetic", vehicles=6, seed=seed)["result"]["vehicles"] for seed in (5, 5, 6)]
    assert plans[0] == plans[1] != plans[2]
    assert len(plans[0]) == 6


def test_a_day_lasts_from_midnight_to_midnight_also_when_the_clocks_change() -> None:
    depot = a_depot()
    assert asked(depot, date="2026-03-29", demand=[])["steps"] == 92
    assert asked(depot, date="2026-10-25", demand=[])["steps"] == 100
    shorter = asked(depot, demand=[], horizon_hours=6, resolution_minutes=10)
    assert (shorter["steps"], shorter["resolution_minutes"]) == (36, 10)


def test_a_start_may_be_given_instead_of_a_day() -> None:
    response = post(
        client_with(), ADDRESS, {"depot": a_depot().slug, "start": "2026-11-21T09:30:00+01:00", "demand": []}
    )
    assert response.json()["horizon_start"] == "2026-11-21T08:30:00Z"
    assert response.json()["result"]["vehicles"] == []


def test_the_first_preferred_algorithm_is_the_default() -> None:
    assert asked(a_depot(), demand=[row("a")])["algorithm"] == jobs.default_algorithm()
    with patch("scheduling.day_ahead.jobs.algorithm_names", return_value=["edf", "day-ahead-lp"]):
        assert jobs.default_algorithm() == "day-ahead-lp"


def test_uncontrolled_charging_tells_the_limits_it_breaks() -> None:
    plan = asked(a_depot(), algorithm="uncontrolled", limit_kw=5, demand=[row("a")])
    assert plan["result"]["violations"]


def test_a_long_plan_is_a_job_that_a_worker_makes(django_capture_on_commit_callbacks: Any) -> None:
    depot, client = a_depot(), client_with()
    body = {"depot": depot.slug, "date": DAY, "algorithm": "day-ahead-lp", "demand": [row("a")]}
    with patch("scheduling.tasks.plan_day_ahead.apply_async") as queued:
        with django_capture_on_commit_callbacks(execute=True):
            response = post(client, ADDRESS, body, Prefer="respond-async")
        ((arguments,), _) = queued.call_args
    assert response.status_code == 202
    assert (response.json()["status"], response.json()["result"]) == ("queued", None)
    address = response["Location"]
    assert client.get(address).json()["status"] == "queued"
    plan_day_ahead(*arguments)
    done = client.get(address).json()
    assert done["status"] == "done"
    assert done["result"]["vehicles"][0]["battery_kwh"] == 20
    made = DayAheadPlan.objects.get(pk=done["id"])
    plan_day_ahead(*arguments)  # a task that is delivered twice
    assert DayAheadPlan.objects.get(pk=done["id"]).finished_at == made.finished_at


def test_the_size_and_the_algorithm_decide_what_is_long(django_capture_on_commit_callbacks: Any) -> None:
    depot = a_depot()
    rows = [row(f"van-{k}") for k in range(12)]
    with (
        patch("scheduling.tasks.plan_day_ahead.apply_async") as queued,
        django_capture_on_commit_callbacks(execute=True),
    ):
        body = {"depot": depot.slug, "date": DAY, "demand": rows}
        assert post(client_with(), ADDRESS, {**body, "algorithm": "day-ahead-lp"}).status_code == 201
        assert post(client_with(), ADDRESS, {**body, "algorithm": "day-ahead-milp"}).status_code == 202
    assert queued.call_count == 1


def test_one_long_plan_is_made_at_a_time() -> None:
    depot, now = a_depot(), timezone.now()
    common: dict[str, Any] = {"depot": depot, "algorithm": "edf", "horizon_start": now, "created_at": now}
    common |= {"resolution_minutes": 15, "steps": 96, "question": {}}
    DayAheadPlan.objects.create(status="running", started_at=now, **common)
    waiting = DayAheadPlan.objects.create(**common)
    with patch("scheduling.tasks.plan_day_ahead.apply_async") as queued:
        plan_day_ahead(str(waiting.pk))
    assert queued.call_args.kwargs["countdown"] > 0
    waiting.refresh_from_db()
    assert waiting.status == "queued"


def test_without_a_broker_the_job_fails_with_a_sentence(django_capture_on_commit_callbacks: Any) -> None:
    body = {"depot": a_depot().slug, "demand": []}
    with (
        patch("scheduling.tasks.plan_day_ahead.apply_async", side_effect=OperationalError("away")),
        django_capture_on_commit_callbacks(execute=True),
    ):
        response = post(client_with(), ADDRESS, body, Prefer="respond-async")
    plan = client_with().get(response["Location"]).json()
    assert plan["status"] == "failed"
    assert plan["message"].startswith("The queue of the planner cannot be reached")


def test_an_algorithm_that_fails_leaves_a_failed_plan_and_not_an_error() -> None:
    with patch("scheduling.engine.day_ahead.DayAheadLP.allocate", side_effect=RuntimeError("solver gone")):
        response = post(
            client_with(), ADDRESS, {"depot": a_depot().slug, "algorithm": "day-ahead-lp", "demand": [row("a")]}
        )
    assert response.status_code == 201
    assert (response.json()["status"], response.json()["message"]) == ("failed", "RuntimeError: solver gone")


def test_a_plan_that_breaks_a_rule_is_never_done() -> None:
    with patch("scheduling.engine.day_ahead.DayAheadLP.allocate", lambda self, problem: problem.zeros() + 99.0):
        response = post(
            client_with(), ADDRESS, {"depot": a_depot().slug, "algorithm": "day-ahead-lp", "demand": [row("a")]}
        )
    assert response.json()["status"] == "failed"
    assert response.json()["message"].startswith("The plan breaks a rule: ")


def test_wb08_bad_rows_are_refused_with_row_and_column() -> None:
    rows = [row("a"), row("b", powerNom="fast"), row("c", departureTime=7), row("a")]
    problem = is_problem(post(client_with(), ADDRESS, {"depot": a_depot().slug, "demand": rows}), 422, "validation")
    assert pointers(problem) == {"/demand/1/powerNom", "/demand/2/departureTime", "/demand/3/vehicle"}
    assert problem["errors"][0]["detail"].startswith("Row 2, powerNom: 'fast' is not a number")
    assert DayAheadPlan.objects.count() == 0


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"algorithm": "simplex"}, "/algorithm"),
        ({"demand": "everything"}, "/demand"),
        ({"demand": [3]}, "/demand/0"),
        ({"demand": 3}, "/demand"),
        ({"prices_per_kwh": [0.1, 0.2]}, "/prices_per_kwh"),
        ({"limit_kw": [1.0] * 95}, "/limit_kw"),
        ({"limit_kw": -1}, "/limit_kw"),
        ({"limit_kw": []}, "/limit_kw"),
        ({"limit_kw": [True]}, "/limit_kw"),
        ({"horizon_hours": 0}, "/horizon_hours"),
        ({"horizon_hours": 73}, "/horizon_hours"),
        ({"resolution_minutes": 0}, "/resolution_minutes"),
        ({"start": "2026-11-21T00:00:00Z"}, "/start"),
        ({"date": "0001-01-01"}, "/date"),
        ({"demand_charge": {"price_per_kw": -1}}, "/demand_charge/price_per_kw"),
        ({"what_if": 1}, "/what_if"),
    ],
)
def test_what_makes_no_sense_is_refused(body: dict[str, Any], pointer: str) -> None:
    response = post(client_with(), ADDRESS, {"depot": a_depot().slug, "date": DAY, **body})
    assert pointer in pointers(is_problem(response, 422, "validation"))


def test_a_naive_start_is_refused() -> None:
    response = post(client_with(), ADDRESS, {"depot": a_depot().slug, "start": "2026-11-21T00:00:00"})
    is_problem(response, 422, "naive-timestamp")


def test_a_repeated_request_with_one_key_makes_one_plan() -> None:
    depot, client = a_depot(), client_with()
    answers = [
        post(client, ADDRESS, {"depot": depot.slug, "demand": []}, **{"Idempotency-Key": "once"}) for _ in range(2)
    ]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert DayAheadPlan.objects.count() == 1


def test_plans_are_listed_newest_first_without_their_results() -> None:
    depot = a_depot()
    plans = [asked(depot, demand=[])["id"] for _ in range(2)]
    client = client_with()
    listed = client.get(ADDRESS, {"depot": depot.slug, "status": "done"})
    assert names(listed, "id") == plans[::-1]
    assert "result" not in listed.json()["results"][0]
    is_problem(client_with(depots=[make_depot()]).get(f"{ADDRESS}{plans[0]}/"), 404, "not-found")


def test_asking_needs_the_scope_and_the_depot() -> None:
    depot = a_depot()
    is_problem(post(client_with("read"), ADDRESS, {"depot": depot.slug}), 403, "scope-missing")
    is_problem(post(client_with(depots=[make_depot()]), ADDRESS, {"depot": depot.slug}), 422, "validation")
    dispatcher = make_user(role=DepotRole.Role.DISPATCHER, depot=make_depot())
    assert browser_of(dispatcher).get(ADDRESS).json()["results"] == []


def test_old_plans_are_forgotten_and_lost_ones_fail(settings: Any) -> None:
    settings.PLAN_RETENTION_DAYS = 30
    depot, now = a_depot(), timezone.now()
    fields: dict[str, Any] = {"depot": depot, "algorithm": "edf", "horizon_start": now, "resolution_minutes": 15}
    common: dict[str, Any] = fields | {"steps": 96, "question": {}}
    old = DayAheadPlan.objects.create(created_at=now - timedelta(days=31), status="done", **common)
    lost = DayAheadPlan.objects.create(created_at=now - timedelta(hours=2), status="running", **common)
    young = DayAheadPlan.objects.create(created_at=now, status="queued", **common)
    forget_old_runs()
    assert not DayAheadPlan.objects.filter(pk=old.pk).exists()
    assert DayAheadPlan.objects.get(pk=lost.pk).message == "No worker finished it; ask again."
    assert DayAheadPlan.objects.get(pk=young.pk).status == "queued"


def test_plans_are_shown_in_the_admin_and_not_changed_there(client: Any) -> None:
    plan = asked(a_depot(), demand=[row("a")])
    client.force_login(make_superuser())
    page = client.get("/admin/scheduling/dayaheadplan/")
    assert plan["algorithm"] in page.content.decode()
    assert client.get("/admin/scheduling/dayaheadplan/add/").status_code == 403
    assert client.get(f"/admin/scheduling/dayaheadplan/{plan['id']}/change/").status_code == 200


def test_tomorrow_is_planned_unless_a_day_is_given() -> None:
    depot = a_depot()
    response = post(client_with(), ADDRESS, {"depot": depot.slug, "demand": []})
    start = datetime.fromisoformat(response.json()["horizon_start"])
    assert depot.local(start).date() == depot.local(timezone.now()).date() + timedelta(days=1)
    assert depot.local(start).hour == 0


def test_the_tariffs_demand_charge_counts_building_and_what_is_paid_for() -> None:
    elements = [
        {"type": "energy_flat", "price_per_kwh": 0.2},
        {"type": "demand", "price_per_kw": 5, "window_minutes": 15},
    ]
    depot = make_depot(tariff=make_tariff(elements=elements))
    make_load_group(depot, limit_kw=100, building_load_kw=[3.0] * 24)
    nobody_has_paid = {"date": f"{timezone.now() + timedelta(days=400):%Y-%m-%d}", "algorithm": "day-ahead-lp"}
    body = nobody_has_paid | {"demand": [row("a", energyRequired=20, arrivalTime=8, departureTime=12)]}
    plan = asked(depot, **body)
    assert Decimal(plan["result"]["costs"]["demand"]) == Decimal(5) * 8
    assert plan["result"]["kpis"]["site_peak_kw"] == 8
    without = asked(depot, **body, demand_charge={"price_per_kw": 0})
    assert Decimal(without["result"]["costs"]["demand"]) == 0
    paid = asked(depot, **body, demand_charge={"price_per_kw": 5, "peak_so_far_kw": 7.5})
    assert Decimal(paid["result"]["costs"]["demand"]) == Decimal("2.5")
    asked_limit = asked(depot, **body, limit_kw=9)
    assert asked_limit["result"]["totals"]["limit_kw"] == [9] * 96
    assert asked_limit["result"]["kpis"]["site_peak_kw"] == 8
