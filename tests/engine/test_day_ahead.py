"""Day-ahead planning: one weighted programme, linear or with a real minimum power."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.engine import (
    EV,
    Algorithm,
    DemandCharge,
    Horizon,
    Node,
    Options,
    PowerTree,
    Problem,
    Site,
    algorithm,
    check,
)
from scheduling.engine.day_ahead import DayAheadLP, DayAheadMILP
from scheduling.engine.model import linear_model, unmet_prices, worth_of
from scheduling.engine.pulp_highs import pulp_problem, search
from tests.engine.depots import NOON, random_problem, reference_problem

HOURLY = Horizon(NOON, timedelta(hours=1), 6)
both = pytest.mark.parametrize("kind", [DayAheadLP, DayAheadMILP])


def ev(number: int = 1, *, need: float = 20.0, leaves: float = 6, arrives: float = 0, **fields: Any) -> EV:
    """A vehicle of 10 kW from noon for six hours."""
    most = fields.pop("max_power", 10.0)
    least = fields.pop("min_power", 0.0)
    begin, end = NOON + timedelta(hours=arrives), NOON + timedelta(hours=leaves)
    return EV(number, False, number, 1, least, most, begin, end, need, **fields)


def plan(
    kind: type[Algorithm],
    evs: list[EV],
    limit: float | list[float],
    *,
    price: Any = None,
    horizon: Horizon = HOURLY,
    site: Site | None = None,
    tree: PowerTree | None = None,
    **options: Any,
) -> Algorithm:
    limits = np.broadcast_to(np.asarray(limit, dtype=np.float64), (horizon.steps,))
    run = kind(
        evs,
        horizon=horizon,
        tree=tree or PowerTree.single(limits),
        price_per_kwh=price,
        site=site,
        options=Options(**options),
    )
    run.calculate()
    assert run.result.ok
    return run


@both
def test_energy_is_bought_where_it_is_cheap(kind: type[Algorithm]) -> None:
    run = plan(kind, [ev()], 50.0, price=[0.4, 0.1, 0.4, 0.1, 0.4, 0.4])
    assert run.result.power[0].tolist() == pytest.approx([0, 10, 0, 10, 0, 0])
    assert run.result.status == "optimal"


@both
def test_wb02_the_size_of_the_battery_does_not_decide_who_is_served(kind: type[Algorithm]) -> None:
    small, large = ev(1, need=10, battery_kwh=20.0, soc=10), ev(2, need=10, battery_kwh=900.0, soc=10, priority=2)
    run = plan(kind, [small, large], 10.0, horizon=Horizon(NOON, timedelta(hours=1), 1))
    assert run.result.problem.unmet(run.result.power).tolist() == pytest.approx([10, 0])


@both
def test_wb02_a_battery_of_any_size_is_charged_however_dear_energy_is(kind: type[Algorithm]) -> None:
    run = plan(kind, [ev(battery_kwh=900.0, soc=10)], 50.0, price=[5000.0] * 6)
    assert run.result.shortfalls == ()


@both
def test_wb06_the_limit_is_hard(kind: type[Algorithm]) -> None:
    run = plan(kind, [ev(k, need=60) for k in range(4)], [12.0, 0.0, 3.0, 7.5, 12.0, 12.0])
    assert (run.result.power.sum(axis=0) <= np.array([12.0, 0.0, 3.0, 7.5, 12.0, 12.0]) + 1e-6).all()
    assert run.result.power.sum() == pytest.approx(46.5)


@both
def test_losses_count_on_the_way_into_the_battery(kind: type[Algorithm]) -> None:
    run = plan(kind, [ev(need=18, efficiency=0.9)], 50.0)
    assert run.result.problem.energy(run.result.power)[0] == pytest.approx(20)


@both
def test_of_two_equal_vehicles_the_more_efficient_one_gets_the_scarce_energy(kind: type[Algorithm]) -> None:
    lossy, good = ev(1, need=8, efficiency=0.8), ev(2, need=10, efficiency=1.0)
    run = plan(kind, [lossy, good], 10.0, horizon=Horizon(NOON, timedelta(hours=1), 1))
    assert run.result.power[:, 0].tolist() == pytest.approx([0, 10])


@both
def test_everybodys_minimum_need_comes_before_anybodys_desired_rest(kind: type[Algorithm]) -> None:
    important = ev(1, need=10, minimum_energy=2.0, priority=5)
    normal = ev(2, need=10, minimum_energy=6.0)
    run = plan(kind, [important, normal], 10.0, horizon=Horizon(NOON, timedelta(hours=1), 1))
    assert run.result.power[:, 0].tolist() == pytest.approx([4, 6])


@both
def test_a_demand_charge_flattens_the_load_down_to_the_peak_that_is_paid_for(kind: type[Algorithm]) -> None:
    building = np.array([5.0, 0, 0, 0, 0, 0])
    site = Site(building_kw=building, demand_charges=(DemandCharge(8.0, 4.0),))
    run = plan(kind, [ev(need=24), ev(2, need=6)], 50.0, price=[0.1, 0.3, 0.3, 0.3, 0.3, 0.3], site=site)
    load = run.result.power.sum(axis=0) + building
    assert load == pytest.approx(np.full(6, 35 / 6))
    assert run.result.money.demand == pytest.approx(8 * (35 / 6 - 4))


@both
def test_a_peak_outside_the_hours_of_its_charge_costs_nothing(kind: type[Algorithm]) -> None:
    evening = np.array([False, False, False, True, True, True])
    site = Site(demand_charges=(DemandCharge(8.0, 0.0, evening),))
    run = plan(kind, [ev(need=30, max_power=20.0)], 50.0, site=site)
    assert run.result.money.demand == pytest.approx(0)
    assert run.result.shortfalls == ()


@both
def test_a_soft_limit_is_exceeded_only_where_that_is_worth_its_price(kind: type[Algorithm]) -> None:
    soft = np.full(6, 4.0)
    tree = PowerTree((Node("site", None, np.full(6, 50.0), soft_limit_kw=soft, soft_price_per_kwh=0.2),))
    kept = plan(kind, [ev(need=24)], 0.0, tree=tree, price=[0.1, 0.1, 0.25, 0.25, 0.25, 0.25])
    assert kept.result.power[0] == pytest.approx(np.full(6, 4.0))
    left = plan(kind, [ev(need=24)], 0.0, tree=tree, price=[0.1, 0.1, 0.5, 0.5, 0.5, 0.5])
    assert left.result.power[0] == pytest.approx([10, 10, 4, 0, 0, 0])
    assert left.result.money.soft == pytest.approx(0.2 * 12)


@both
def test_steps_of_unequal_length_carry_energy_by_their_length(kind: type[Algorithm]) -> None:
    borders = [NOON + timedelta(minutes=m) for m in (0, 5, 20, 80, 200)]
    run = plan(kind, [ev(need=25, leaves=200 / 60)], 50.0, horizon=Horizon.between(borders), price=[0.1, 0.1, 0.4, 0.2])
    assert run.result.power[0] == pytest.approx([10, 10, 25 - 20 - 10 / 3, 10])


@both
def test_nested_limits_hold(kind: type[Algorithm]) -> None:
    tree = PowerTree((Node("site", None, np.full(6, 15.0)), Node("feeder", "site", np.full(6, 6.0))))
    run = plan(kind, [ev(1, need=60, nodes=("feeder",)), ev(2, need=60)], 0.0, tree=tree)
    assert run.result.power.tolist() == [pytest.approx([5] * 6), pytest.approx([10] * 6)] or (
        run.result.power.sum() == pytest.approx(90) and run.result.power[0].max() <= 6 + 1e-6
    )


def test_the_milp_finds_the_least_cost_that_a_real_minimum_power_allows() -> None:
    run = plan(DayAheadMILP, [ev(need=12, min_power=4.0)], 50.0, price=[0.1, 0.2, 0.3, 1, 1, 1])
    assert run.result.status == "optimal"
    assert run.result.power[0] == pytest.approx([8, 4, 0, 0, 0, 0])
    apart = plan(DayAheadMILP, [ev(1, need=9, min_power=6), ev(2, need=9, min_power=6)], 9.0, price=[0.1] * 6)
    assert apart.result.shortfalls == ()
    assert ((apart.result.power > 0).sum(axis=0) <= 1).all()


@pytest.mark.parametrize("solver", ["HiGHS", "CBC"])
def test_a_proven_milp_is_never_beaten_by_the_restored_linear_plan(solver: str) -> None:
    for seed in range(6):
        problem = random_problem(seed)
        lp, milp = (
            kind(problem.evs, horizon=problem.horizon, tree=problem.tree, price_per_kwh=problem.price_per_kwh)
            for kind in (DayAheadLP, DayAheadMILP)
        )
        milp.options = replace(milp.options, solver=solver)  # type: ignore[arg-type]
        lp.calculate()
        milp.calculate()
        assert milp.result.status == "optimal"
        least, other = worth_of(problem, milp.result.power), worth_of(problem, lp.result.power)
        assert least <= other + 1e-4 * abs(other) + 1e-6


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_milp_is_the_optimum_of_its_own_formulation(seed: int) -> None:
    problem = random_problem(seed)
    run = DayAheadMILP(problem.evs, horizon=problem.horizon, tree=problem.tree, price_per_kwh=problem.price_per_kwh)
    run.calculate()
    model = linear_model(problem, minimum_power=True)
    lp, columns = pulp_problem(model)
    answer = search(lp, columns, "HiGHS", 20.0)
    assert answer.proven
    best = worth_of(problem, model.power_of(answer.values))
    assert worth_of(problem, run.result.power) == pytest.approx(best, rel=3e-4, abs=0.05)


@both
def test_wb07_out_of_time_means_a_valid_plan_that_says_so(kind: type[Algorithm]) -> None:
    run = plan(kind, [ev(k, need=12, min_power=3.0) for k in range(30)], 80.0, time_limit_s=0.0)
    assert run.result.status.startswith("fallback: ")
    assert check(run.problem, run.result.power) == ()
    assert run.result.power.sum() > 0


def test_wb07_solving_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    for solver in ("HiGHS", "CBC"):
        plan(DayAheadMILP, [ev(k, need=11, min_power=3.0) for k in range(4)], 17.0, solver=solver)
    assert capfd.readouterr() == ("", "")


def test_wb09_a_switched_off_vehicle_has_no_power_at_all() -> None:
    for seed in range(8):
        problem = random_problem(seed)
        run = DayAheadMILP(problem.evs, horizon=problem.horizon, tree=problem.tree, price_per_kwh=problem.price_per_kwh)
        run.calculate()
        assert ((run.result.power == 0) | (run.result.power > 1e-3)).all()


@pytest.mark.parametrize("index", range(1, 7))
def test_wb04_every_departure_up_to_the_horizons_end_is_valid(index: int) -> None:
    for name in ("day-ahead-lp", "day-ahead-milp"):
        run = plan(algorithm(name), [ev(need=10 * index, leaves=index)], 50.0)
        assert run.result.power[0].tolist() == pytest.approx([10] * index + [0] * (6 - index))


@both
def test_on_the_measured_depot_both_serve_everybody_at_the_least_cost(kind: type[Algorithm]) -> None:
    problem = reference_problem(40, with_minimum=True)
    options = Options(time_limit_s=3.0)
    run = kind(
        problem.evs, horizon=problem.horizon, tree=problem.tree, price_per_kwh=problem.price_per_kwh, options=options
    )
    run.calculate()
    assert run.result.ok
    assert problem.unmet(run.result.power).sum() <= 1e-3 * problem.need_kwh.sum()
    assert run.result.money.energy == pytest.approx(528.3, rel=1e-3)


def test_unmet_prices_rise_by_part_then_by_priority_and_stand_above_every_other_cost() -> None:
    evs = [ev(1, priority=1, minimum_energy=5.0), ev(2, priority=3, minimum_energy=5.0)]
    site = Site(demand_charges=(DemandCharge(400.0),))
    tree = PowerTree.single(np.full(6, 10.0))
    price = unmet_prices(Problem.of(evs, HOURLY, tree, np.full(6, 30.0), site))
    assert price[1, 0] < price[1, 1] < price[0, 0] < price[0, 1]
    assert price.min() >= 10 * 430


@both
def test_a_battery_that_takes_less_when_full_is_planned_along_its_curve(kind: type[Algorithm]) -> None:
    curve = ((70.0, 10.0), (100.0, 1.0))
    evs = [ev(k, need=25, soc=50.0, battery_kwh=60.0, taper=curve, min_power=2.0) for k in range(2)]
    run = plan(kind, evs, 12.0, price=[0.3, 0.1, 0.2, 0.1, 0.4, 0.2])
    assert run.result.problem.energy(run.result.power) == pytest.approx([25, 25], abs=1.0)
    as_if_level = plan(kind, [ev(k, need=25, min_power=2.0) for k in range(2)], 12.0, price=run.problem.price_per_kwh)
    assert run.result.money.energy > as_if_level.result.money.energy
