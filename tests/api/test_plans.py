from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from scheduling.models import Plan, PlanningState, PlanRun
from tests.api.clients import client_with, is_problem, names, post
from tests.factories import make_connector, make_depot, make_station, make_vehicle

pytestmark = pytest.mark.django_db


def planned(depot: Any, *, epoch: int = 1, status: str = "published", minutes_ago: int = 1) -> PlanRun:
    """A run of two quarter hours with one vehicle in it."""
    start = timezone.now() - timedelta(minutes=minutes_ago)
    run = PlanRun.objects.create(
        depot=depot,
        epoch=epoch,
        trigger="booking",
        algorithm="pulp-lp",
        status=status,
        started_at=start,
        finished_at=start,
        horizon_start=start.replace(minute=0, second=0, microsecond=0),
        resolution_s=900,
        steps=2,
        timings_s={"solve": 0.01},
        site={"nodes": {}, "borders": [], "price_per_kwh": []},
    )
    Plan.objects.create(
        run=run,
        connector=make_connector(make_station(depot, connectors=0)),
        vehicle=make_vehicle(depot, external_id=f"bus-{epoch}"),
        arrival_at=run.horizon_start,
        departure_at=run.horizon_start + timedelta(hours=8),
        power_kw=[11.0, 0.0],
        reasons=["cheap_price", "full"],
        need_kwh=2.75,
        energy_kwh=2.75,
        predicted_soc_percent=86,
    )
    return run


def test_the_plan_in_force_is_that_of_the_newest_published_run() -> None:
    depot = make_depot()
    planned(depot, epoch=1, minutes_ago=10)
    run = planned(depot, epoch=2, minutes_ago=5)
    planned(depot, epoch=3, minutes_ago=1, status="refused")
    (plan,) = client_with().get("/api/v1/plans/current", {"depot": depot.slug}).json()
    assert plan["run"] == str(run.pk)
    assert plan["vehicle_external_id"] == "bus-2"
    assert plan["predicted_soc_percent"] == 86
    assert plan["shortfall_kwh"] == 0
    assert [(step["power_kw"], step["reason"]) for step in plan["intervals"]] == [(11.0, "cheap_price"), (0.0, "full")]
    assert plan["intervals"][0]["start"] == run.horizon_start.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_depot_without_a_plan_has_an_empty_one_and_no_depot_is_an_error() -> None:
    client, depot = client_with(), make_depot()
    assert client.get(f"/api/v1/plans/current/?depot={depot.slug}").json() == []
    is_problem(client.get("/api/v1/plans/current"), 400, "invalid-parameter")
    is_problem(client.get("/api/v1/plans/current?depot=nowhere"), 404, "not-found")
    is_problem(client_with(depots=[make_depot()]).get("/api/v1/plans/current", {"depot": depot.slug}), 404, "not-found")


def test_runs_and_their_plans_are_listed() -> None:
    depot = make_depot()
    run = planned(depot)
    client = client_with()
    assert names(client.get("/api/v1/plan-runs/", {"depot": depot.slug, "status": "published"}), "id") == [str(run.pk)]
    assert client.get(f"/api/v1/plan-runs/{run.pk}").json()["site"] == run.site
    assert len(client.get("/api/v1/plans/", {"run": str(run.pk)}).json()["results"]) == 1


def test_asking_for_a_plan_is_202_and_the_address_lists_the_runs_begun_since() -> None:
    depot = make_depot()
    planned(depot)
    client = client_with("plans:write", "read")
    response = post(client, "/api/v1/plan-runs/", {"depot": depot.slug})
    assert response.status_code == 202
    assert PlanningState.objects.get(depot=depot).requests == 1
    assert client.get(response["Location"]).json()["results"] == []
    newer = planned(depot, epoch=2, minutes_ago=0)
    newer.started_at = newer.started_at.replace(microsecond=0)  # as the planner stores it
    newer.save()
    assert names(client.get(response["Location"]), "id") == [str(newer.pk)]


@pytest.mark.parametrize("scope", ["plans:write", "reservations:write", "limits:write"])
def test_who_may_change_what_a_plan_rests_on_may_ask_for_one(scope: str) -> None:
    assert post(client_with(scope), "/api/v1/plan-runs/", {"depot": make_depot().slug}).status_code == 202


def test_asking_for_a_plan_needs_its_scope_and_the_depot() -> None:
    depot = make_depot()
    is_problem(post(client_with("read"), "/api/v1/plan-runs/", {"depot": depot.slug}), 403, "scope-missing")
    foreign = client_with(depots=[make_depot()])
    is_problem(post(foreign, "/api/v1/plan-runs/", {"depot": depot.slug}), 422, "validation")
    is_problem(post(client_with(), "/api/v1/plan-runs/", {"depot": depot.slug, "what_if": {}}), 422, "validation")
