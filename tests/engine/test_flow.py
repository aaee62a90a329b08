"""The flow plans the linear problem exactly: HiGHS, asked class by class, cannot do better."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.engine import Problem, check
from scheduling.engine.flow import FlowPlan, solve
from scheduling.engine.network import not_a_flow
from tests.engine.deep_depots import deep_depot
from tests.engine.flow_judge import FlowJudge, served_by_class

seeds = st.integers(0, 2**32 - 1)


def assert_allowed(problem: Problem, plan: FlowPlan) -> None:
    broken = [violation for violation in check(problem, plan.power) if violation.rule != "minimum"]
    assert not broken, broken
    assert plan.unmet_kwh == pytest.approx(problem.unmet(plan.power), abs=1e-6)


def assert_best(problem: Problem, plan: FlowPlan, tolerance: float = 1e-6) -> None:
    verdict = FlowJudge(problem).verdict()
    assert served_by_class(problem, plan.power) == pytest.approx(verdict.served_kwh, rel=1e-6, abs=2e-6)
    assert problem.money(plan.power).steering == pytest.approx(verdict.money, rel=tolerance, abs=tolerance)


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_energy_per_class_and_money_are_those_of_the_linear_programme(seed: int) -> None:
    problem = deep_depot(seed)
    assert not_a_flow(problem) == ""
    plan = solve(problem)
    assert plan.status == "optimal"
    assert plan.peak_kw is None
    assert_allowed(problem, plan)
    assert_best(problem, plan)


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_with_a_demand_charge_the_objective_is_that_of_the_linear_programme(seed: int) -> None:
    problem = deep_depot(seed, demand=True)
    assert not_a_flow(problem) == ""
    plan = solve(problem)
    assert plan.status == "optimal"
    assert_allowed(problem, plan)
    assert_best(problem, plan, 1e-5)
