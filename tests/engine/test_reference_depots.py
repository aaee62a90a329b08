"""The measured depots: unmet energy, money and size of the plans against the recorded yardstick."""

import numpy as np
import pytest

from scheduling.engine import ChargingRateUnit, Horizon, PowerTree, Problem
from scheduling.engine.algorithm import Options
from scheduling.engine.linear import PulpLinearProgram
from scheduling.engine.profile import charging_schedule
from tests.engine.depots import (
    LEAST_FEASIBLE_KW,
    NOON,
    REQUESTED_KWH,
    reference_evs,
    reference_limit,
    reference_price,
    reference_problem,
)


def planned(problem: Problem, **options: str) -> PulpLinearProgram:
    run = PulpLinearProgram(
        problem.evs,
        horizon=problem.horizon,
        tree=problem.tree,
        price_per_kwh=problem.price_per_kwh,
        options=Options(**options),  # type: ignore[arg-type]
    )
    run.calculate()
    assert run.result.ok
    assert run.result.status == "optimal"
    return run


@pytest.mark.parametrize("n", [40, 200, 1000])
def test_the_generator_makes_the_recorded_depots(n: int) -> None:
    assert sum(ev.energy for ev in reference_evs(n)) == pytest.approx(REQUESTED_KWH[n], abs=5e-4)
    assert reference_limit(n).max() == pytest.approx(1.10 * LEAST_FEASIBLE_KW[n])


@pytest.mark.parametrize(("n", "cost"), [(40, 528.3), (200, 2410.6)])
@pytest.mark.parametrize("solver", ["HiGHS", "CBC"])
def test_without_minimum_powers_everybody_is_served_at_the_least_cost(n: int, cost: float, solver: str) -> None:
    result = planned(reference_problem(n), solver=solver).result
    assert result.shortfalls == ()
    assert result.summary["cost"] == pytest.approx(cost, abs=0.06)
    assert result.summary["peak_kw"] == pytest.approx(reference_limit(n).max())


@pytest.mark.parametrize(("n", "cost"), [(40, 528.3), (200, 2410.6)])
def test_with_minimum_powers_everybody_is_served_within_a_hundredth_of_the_least_cost(n: int, cost: float) -> None:
    result = planned(reference_problem(n, with_minimum=True)).result
    assert result.shortfalls == ()
    assert result.summary["cost"] == pytest.approx(cost, rel=0.01)


@pytest.mark.parametrize(("n", "unmet"), [(40, 2772.0), (200, 1435.5)])
def test_one_hopeless_vehicle_leaves_the_least_possible_unmet(n: int, unmet: float) -> None:
    problem = reference_problem(n)
    hopeless = problem.evs[0]
    hopeless.energy = 10 * float(problem.deliverable_kwh[0])
    again = Problem.of(problem.evs, problem.horizon, problem.tree, problem.price_per_kwh)
    result = planned(again).result
    assert result.summary["unmet_kwh"] == pytest.approx(unmet, rel=0.001)
    assert [shortfall.ev_id for shortfall in result.shortfalls] == [0]


def test_a_reservation_after_the_horizon_changes_nothing_for_the_others() -> None:
    plain = planned(reference_problem(40)).result
    evs = reference_evs(41)
    gone = evs[40]
    gone.arrival_time, gone.departure_time = NOON.replace(day=14), NOON.replace(day=15)
    problem = Problem.of(
        [*reference_evs(40), gone], Horizon(NOON), PowerTree.single(reference_limit(40)), reference_price()
    )
    result = planned(problem).result
    assert result.deferred == (40,)
    np.testing.assert_allclose(result.power[:40], plain.power, atol=1e-9)


def test_profiles_of_the_repaired_plan_have_at_most_twelve_periods_and_no_power_below_the_minimum() -> None:
    run = planned(reference_problem(40, with_minimum=True))
    for ev, power in zip(run.evs, run.result.power, strict=True):
        periods = charging_schedule(
            power,
            run.horizon,
            unit=ChargingRateUnit.A,
            voltage=230,
            phases=3,
            max_periods=12,
            fallback_kw=0.0,
            skew_s=60,
        )
        assert len(periods) <= 12
        least = ev.min_power * 1000 / 690
        assert all(period.limit == 0 or period.limit >= least - 0.1 for period in periods)
