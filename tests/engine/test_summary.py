"""A run in figures and in sentences."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.engine import (
    EV,
    Battery,
    DemandCharge,
    Dispatch,
    Horizon,
    Node,
    PowerTree,
    Problem,
    Site,
    Solution,
    algorithm,
    check,
)
from scheduling.engine.shortfall import deferred_of, shortfalls_of
from tests.engine.depots import random_problem

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)
HORIZON = Horizon(NOON, timedelta(minutes=30), 6)
FIGURES = {
    *("vehicles", "deferred", "energy_kwh", "unmet_kwh", "unmet_minimum_kwh", "short_vehicles", "cost", "energy_cost"),
    *("demand_cost", "soft_cost", "wear_cost", "co2_kg", "peak_kw", "site_peak_kw", "peak_paid_kw", "new_peak_kw"),
    *("periods", "starts", "changed_share", "min_laxity_hours", "mean_laxity_hours"),
}


def ev(ev_id: int, need: float, leaves: float = 3, **more: Any) -> EV:
    begin = NOON + timedelta(hours=more.pop("arrives", 0))
    end = NOON + timedelta(hours=leaves)
    return EV(ev_id, False, ev_id, 1, 0.0, more.pop("most", 10.0), begin, end, need, **more)


def solved(
    evs: list[EV],
    power: list[list[float]],
    *,
    site: Site | None = None,
    dispatch: Dispatch | None = None,
    limit: float = 50.0,
    price: list[float] | None = None,
    **node: Any,
) -> Solution:
    nodes = Node("site", None, np.full(6, 50.0)), Node("north", "site", np.full(6, limit), **node)
    problem = Problem.of(evs, HORIZON, PowerTree(nodes), price or [0.2] * 6, site)
    plan = np.array(power).reshape(problem.shape)
    return Solution(
        problem,
        plan,
        "optimal",
        shortfalls=shortfalls_of(problem, plan),
        deferred=deferred_of(problem),
        violations=check(problem, plan, dispatch),
        dispatch=dispatch,
    )


def test_served_and_missing_energy_is_counted_with_the_part_below_the_minimum_need() -> None:
    evs = [ev(1, 30, minimum_energy=20.0), ev(2, 10), ev(3, 5, arrives=4, leaves=5)]
    figures = solved(evs, [[5.0] * 6, [10.0, 10, 0, 0, 0, 0], [0.0] * 6]).summary
    assert set(figures) == FIGURES
    assert (figures["vehicles"], figures["deferred"], figures["short_vehicles"]) == (3, 1, 1)
    assert (figures["energy_kwh"], figures["unmet_kwh"], figures["unmet_minimum_kwh"]) == (25, 15, 5)


def test_money_is_told_by_component() -> None:
    store = Battery(20.0, 10.0, 5.0, 5.0, efficiency=1.0, cycle_cost_per_kwh=0.02)
    site = Site(
        np.full(6, 4.0),
        battery=store,
        demand_charges=(DemandCharge(3.0, 10.0),),
        co2_kg_per_kwh=np.full(6, 0.5),
    )
    dispatch = Dispatch(np.array([2.0, -2.0, 0, 0, 0, 0]), np.zeros(6))
    soft: dict[str, Any] = {"soft_limit_kw": np.full(6, 8.0), "soft_price_per_kwh": 0.1}
    plan = [[10.0, 10.0, 0, 0, 0, 0]]
    figures = solved([ev(1, 10, nodes=("north",))], plan, site=site, dispatch=dispatch, **soft).summary
    assert figures["energy_cost"] == pytest.approx(0.2 * 10)
    assert figures["demand_cost"] == pytest.approx(3.0 * (16 - 10))
    assert figures["cost"] == pytest.approx(2 + 18)
    assert figures["soft_cost"] == pytest.approx(0.1 * 2)
    assert figures["wear_cost"] == pytest.approx(0.02)
    assert figures["co2_kg"] == pytest.approx(5)
    peaks = [figures[name] for name in ("peak_kw", "site_peak_kw", "peak_paid_kw", "new_peak_kw")]
    assert peaks == pytest.approx([10, 16, 10, 16])


def test_a_peak_below_what_is_paid_for_stays_what_is_paid_for() -> None:
    site = Site(demand_charges=(DemandCharge(3.0, 30.0),))
    solution = solved([ev(1, 10)], [[10.0, 10, 0, 0, 0, 0]], site=site)
    assert (solution.summary["new_peak_kw"], solution.summary["demand_cost"]) == (30, 0)
    assert any("the peak stays within the 30.0 kW already paid for" in told for told in solution.sentences())


def test_periods_starts_and_changes_describe_the_profiles() -> None:
    kept, changed = np.array([10.0, 10, 0, 0, 10, 0]), np.array([0.0, 10, 0, 0, 0, 0])
    evs = [ev(1, 15, in_force=kept), ev(2, 10, in_force=changed), ev(3, 5)]
    figures = solved(evs, [[10.0, 10, 0, 0, 10, 0], [10.0, 10, 0, 0, 0, 0], [0, 10.0, 0, 0, 0, 0]]).summary
    assert figures["periods"] == pytest.approx((4 + 2 + 3) / 3)
    assert figures["starts"] == 4
    assert figures["changed_share"] == 0.5
    later = np.array([10.0, 10, 5, 5, 0, 0])
    assert solved([ev(1, 10, in_force=later)], [[10.0, 10, 0, 0, 0, 0]]).summary["changed_share"] == 0


def test_laxity_is_that_of_vehicles_that_are_there_and_need_energy() -> None:
    figures = solved([ev(1, 10), ev(2, 20, leaves=2), ev(3, 0), ev(4, 5, hold="fault")], [[0.0] * 6] * 4).summary
    assert (figures["min_laxity_hours"], figures["mean_laxity_hours"]) == (0, 1)


def test_a_good_run_is_told_in_a_few_sentences() -> None:
    evs = [ev(1, 15, nodes=("north",)), ev(2, 5)]
    plan = [[8.0, 8, 8, 6, 0, 0], [10.0, 0, 0, 0, 0, 0]]
    told = solved(evs, plan, limit=8.0, price=[0.1, 0.1, 0.1, 0.3, 0.3, 0.3]).sentences()
    assert told == [
        "All 2 vehicles will be ready.",
        "The plan costs 2.60 for 20.0 kWh; energy costs 0.13 per kWh on average.",
        "The site draws 18.0 kW at most, at 12:00.",
        "The most valuable extra power is at load group 'north' from 12:00 to 13:30: 0.20 per kWh.",
    ]


def test_a_run_with_missing_energy_says_who_misses_most_and_what_would_help() -> None:
    evs = [ev(1, 25, nodes=("north",), name="Van 7"), ev(2, 5), ev(3, 5, arrives=4, leaves=5)]
    solution = solved(evs, [[8.0] * 6, [10.0, 0, 0, 0, 0, 0], [0.0] * 6], limit=8.0)
    first, second, *_, last = solution.sentences(lambda instant: f"{instant:%Hh%M}")
    assert (
        first
        == "1 of 2 vehicles will be ready; 1.0 kWh will be missing; 1 more will arrive after the end of this plan."
    )
    assert second.startswith("Vehicle Van 7 misses most, 1.0 kWh. The load group 'north' is full during the stay: give")
    assert last == "More power at load group 'north' from 12h00 to 15h00 would serve energy that is missing."


def test_a_higher_peak_and_a_broken_plan_are_told() -> None:
    site = Site(np.full(6, 4.0), demand_charges=(DemandCharge(3.0, 10.0),))
    told = solved([ev(1, 6, most=11.0)], [[12.0, 0, 0, 0, 0, 0]], site=site).sentences()
    assert told[0].startswith("The plan breaks 1 rule and must not be sent. Vehicle 1 draws 12.000 kW")
    assert "at most, at 12:00; the peak rises from 10.0 to 16.0 kW and costs 18.00 more." in told[3]
    assert solved([ev(1, 6)], [[0.0, 0, 0, 6, 0, 6]]).sentences()[-1] == "More power at any node would save nothing."


def test_an_empty_depot_has_figures_and_a_sentence() -> None:
    empty = solved([], [])
    assert empty.summary["vehicles"] == 0
    assert empty.sentences() == ["There is no vehicle to plan."]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), amps=st.booleans())
def test_every_run_has_finite_figures_and_three_to_six_sentences(seed: int, amps: bool) -> None:
    problem = random_problem(seed, amps=amps)
    run = algorithm("edf")(problem.evs, horizon=problem.horizon, tree=problem.tree, price_per_kwh=problem.price_per_kwh)
    run.calculate()
    assert json.loads(json.dumps(run.result.summary, allow_nan=False)) == run.result.summary
    told = run.result.sentences()
    assert 3 <= len(told) <= 6
    assert all(sentence.endswith(".") for sentence in told)
    assert [list(row) for row in run.result.why] == run.result.why.codes
