"""What a run leaves for people: sentences, costs, limiting load groups, remedies, worth of more power."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.utils import timezone

from depot.models import Depot, LoadGroup
from scheduling.live.plan_pages import run_context, stretches_told
from scheduling.models import Plan, PlanRun
from scheduling.planner import plan
from scheduling.worth import most_helpful, stretches_of
from tests.api.clients import client_with
from tests.factories import make_depot, make_load_group, make_superuser, make_tariff
from tests.scheduling.yard import stay

pytestmark = pytest.mark.django_db


@pytest.fixture
def depot() -> Depot:
    return make_depot(tariff=make_tariff(), time_zone="Asia/Kolkata")


@pytest.fixture
def tight(depot: Depot) -> LoadGroup:
    """A hall of 12 kW behind a grid connection of 100 kW."""
    grid = make_load_group(depot, limit_kw=100, slug="grid", name="Grid connection")
    return make_load_group(depot, parent=grid, limit_kw=12, slug="hall", name="Hall A")


def crowded(hall: LoadGroup) -> PlanRun:
    """Two vehicles of which the hall can serve one."""
    for _ in range(2):
        stay(hall, now=timezone.now(), hours=3, energy_kwh=30, soc=10)
    run = plan(hall.depot_id, "test")
    assert run is not None
    assert run.status == "published"
    return PlanRun.objects.get(pk=run.pk)


def test_a_limited_step_names_its_load_group_and_says_it_in_a_sentence(tight: LoadGroup) -> None:
    run = crowded(tight)
    rows = list(run.plans.all())
    limited = [(row, step) for row in rows for step, node in enumerate(row.limit_nodes) if node]
    assert limited
    assert {row.limit_nodes[step] for row, step in limited} == {"hall"}
    row, step = limited[0]
    assert "'hall'" in row.sentences[step]
    assert len(row.sentences) == len(row.power_kw)
    assert all(row.sentences)


def test_sentences_are_stored_once_for_a_stretch(tight: LoadGroup) -> None:
    for row in crowded(tight).plans.all():
        changes = [step for step, _ in row.why]
        assert changes == sorted(set(changes))
        assert changes[0] == 0
        assert len(changes) < len(row.power_kw) / 3


def test_sentences_tell_local_time(depot: Depot, tight: LoadGroup) -> None:
    run = crowded(tight)
    minutes = {f"{depot.local(border):%H:%M}" for border in run.horizon.borders}
    told = " ".join(sentence for row in run.plans.all() for _, sentence in row.why if "until" in sentence)
    assert any(minute in told for minute in minutes)


def test_a_shortfall_says_what_would_remove_it_as_a_sentence_and_as_data(tight: LoadGroup) -> None:
    short = crowded(tight).plans.filter(shortfall_kwh__gt=1).first()
    assert short is not None
    assert short.remedy.endswith(".")
    kinds = {remedy["kind"]: remedy for remedy in short.remedies}
    assert "lower_target" in kinds
    power = kinds["more_power"]
    assert power["node"] == "hall"
    assert power["begin"].endswith("Z")
    assert power["kw"] > 0


def test_a_run_has_its_money_by_component(tight: LoadGroup) -> None:
    run = crowded(tight)
    assert run.summary["energy_cost"] == pytest.approx(float(run.cost or 0), abs=1e-3)
    assert run.summary["demand_cost"] == run.summary["soft_cost"] == 0


def test_more_power_at_the_full_hall_would_serve_more(tight: LoadGroup) -> None:
    run = crowded(tight)
    helpful = [stretch for stretch in stretches_of(run) if stretch.serves_more]
    assert {stretch.node for stretch in helpful} == {"hall"}
    assert most_helpful(run, 1)[0].serves_more


def stretched(values: dict[str, Any]) -> PlanRun:
    start = timezone.now().replace(microsecond=0)
    return PlanRun(horizon_start=start, resolution_s=900, steps=4, borders=[0, 60, 960, 4560, 8160], marginal=values)


def test_equal_steps_in_a_row_are_one_stretch_and_the_most_valuable_comes_first() -> None:
    run = stretched(
        {
            "grid": {"saved_per_kwh": [0.1, 0.1, 0.0, 0.3], "serves_more": []},
            "hall": {"saved_per_kwh": [0.0, 0.0, 0.0, 0.0], "serves_more": [1, 2]},
        }
    )
    at = [run.horizon_start + timedelta(seconds=second) for second in run.borders]
    found = [(each.node, each.starts_at, each.ends_at, each.serves_more) for each in most_helpful(run, 9)]
    assert found == [("hall", at[1], at[3], True), ("grid", at[3], at[4], False), ("grid", at[0], at[2], False)]
    assert most_helpful(run, 1)[0].node == "hall"


def test_the_api_gives_summary_sentences_and_marginal_values(tight: LoadGroup) -> None:
    run = crowded(tight)
    answer = client_with().get(f"/api/v1/plan-runs/{run.pk}/").json()
    assert answer["summary"]["energy_kwh"] == pytest.approx(run.energy_kwh, abs=0.1)
    assert answer["sentences"] == run.sentences
    stretch = next(each for each in answer["marginal_values"] if each["serves_more"])
    assert stretch["load_group"] == "hall"
    assert datetime.fromisoformat(stretch["start"]) < datetime.fromisoformat(stretch["end"])
    assert "site" in answer
    listed = client_with().get("/api/v1/plan-runs/").json()["results"][0]
    assert "marginal_values" not in listed


def test_the_intervals_of_a_plan_carry_node_and_sentence(depot: Depot, tight: LoadGroup) -> None:
    crowded(tight)
    plans = client_with().get("/api/v1/plans/current/", {"depot": depot.slug}).json()
    intervals = [interval for each in plans for interval in each["intervals"]]
    limited = [interval for interval in intervals if interval["load_group"] == "hall"]
    assert limited
    assert all(interval["why"] for interval in intervals)
    assert all(a["end"] == b["start"] for each in plans for a, b in pairwise(each["intervals"]))
    assert any(remedy["kind"] == "more_power" for each in plans for remedy in each["remedies"])


def test_the_page_of_a_run_says_it_all(tight: LoadGroup, client: Any) -> None:
    run = crowded(tight)
    run.sentences = ["One vehicle will miss energy."]
    run.save()
    client.force_login(make_superuser())
    page = client.get(f"/depots/{tight.depot.slug}/plans/{run.pk}/")
    assert page.status_code == 200
    text = page.content.decode()
    assert "One vehicle will miss energy." in text
    assert "Where more power would help" in text
    assert "serves what is missing" in text
    assert "feeder is full (Hall A)" in text
    short = run.plans.order_by("-shortfall_kwh")[0]
    assert short.remedy.split("'")[0] in text


def test_an_older_plan_without_sentences_is_told_by_its_reasons(tight: LoadGroup) -> None:
    row = crowded(tight).plans.all()[0]
    Plan.objects.filter(pk=row.pk).update(why=[], limit_nodes=[])
    told = stretches_told(Plan.objects.get(pk=row.pk))
    assert told
    assert all(each.sentence.endswith(".") for each in told)


def test_a_failed_run_has_a_page_too(depot: Depot, tight: LoadGroup) -> None:
    Depot.objects.update(algorithm="magic")
    run = plan(depot.pk, "test")
    assert run is not None
    context = run_context(run)
    assert (context["plans"], context["helpful"], context["costs"], context["steps"]) == ([], [], [], "–")
