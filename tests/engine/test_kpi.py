"""Key figures of a plan: state of energy, energy on both sides of the charger, and money."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.engine import EV, DemandCharge, Horizon, PowerTree, Problem, Site
from scheduling.engine.kpi import energy_kpis, financial_kpis, site_peak_kw, state_of_energy
from tests.engine.depots import NOON, random_problem

HOURLY = Horizon(NOON, timedelta(hours=1), 3)


def ev(number: int, need: float, **fields: Any) -> EV:
    return EV(number, False, number, 1, 0.0, 10.0, NOON, NOON + timedelta(hours=3), need, **fields)


def problem_of(*evs: EV, price: list[float] | None = None, site: Site | None = None) -> Problem:
    return Problem.of(evs, HOURLY, PowerTree.single([20.0] * 3), price, site)


def test_batteries_fill_border_by_border_less_the_losses() -> None:
    problem = problem_of(ev(1, 18, efficiency=0.9, soc=25, battery_kwh=40))
    state = state_of_energy(problem, np.array([[10.0, 0.0, 5.0]]))
    assert state.kwh[0] == pytest.approx([10, 19, 19, 23.5])
    assert state.percent[0] == pytest.approx([25, 47.5, 47.5, 58.75])


def test_of_an_unknown_battery_only_the_gain_is_told() -> None:
    state = state_of_energy(problem_of(ev(1, 10)), np.array([[4.0, 0.0, 6.0]]))
    assert state.kwh[0] == pytest.approx([0, 4, 4, 10])
    assert np.isnan(state.percent).all()


def test_what_a_vehicle_gives_back_leaves_its_battery_with_its_losses() -> None:
    problem = problem_of(ev(1, 5, efficiency=0.8, soc=50, battery_kwh=40, discharge_power=10.0))
    state = state_of_energy(problem, np.array([[-4.0, 10.0, 0.0]]))
    assert state.kwh[0] == pytest.approx([20, 15, 23, 23])


def test_each_side_of_the_charger_has_its_own_workload() -> None:
    problem = problem_of(ev(1, 18, efficiency=0.9), ev(2, 10), ev(3, 0))
    kpis = energy_kpis(problem, np.array([[10.0, 0, 0], [5.0, 5, 0], [0, 0, 0]]))
    assert kpis.grid_kwh == pytest.approx([10, 10, 0])
    assert kpis.battery_kwh == pytest.approx([9, 10, 0])
    assert kpis.planned_grid_kwh == pytest.approx([20, 10, 0])
    assert kpis.workload_percent == pytest.approx([50, 100, 100])
    assert kpis.station_workload_grid_percent == pytest.approx(100 * 20 / 30)
    assert kpis.station_workload_battery_percent == pytest.approx(100 * 19 / 28)
    assert kpis.peak_kw.tolist() == [10, 5, 0]
    assert (kpis.station_peak_kw, kpis.vehicles) == (15, 2)


def test_money_is_told_by_component_beside_charging_without_control() -> None:
    site = Site(building_kw=np.array([2.0, 2.0, 2.0]), demand_charges=(DemandCharge(3.0, 6.0),))
    problem = problem_of(ev(1, 10), ev(2, 5), price=[0.4, 0.1, 0.2], site=site)
    planned, uncontrolled = np.array([[0.0, 6, 4], [0, 2, 3]]), np.array([[10.0, 0, 0], [5, 0, 0]])
    money = financial_kpis(problem, planned, uncontrolled)
    assert money.energy == pytest.approx(0.8 + 1.4)
    assert money.demand == pytest.approx(3 * (10 - 6))
    assert money.bill == pytest.approx(14.2)
    assert money.price_per_kwh == pytest.approx(14.2 / 15)
    assert money.uncontrolled_bill == pytest.approx(6 + 3 * (17 - 6))
    assert money.saving == pytest.approx(39 - 14.2)
    assert money.peak_reduction_kw == pytest.approx(17 - 10)
    assert site_peak_kw(problem, planned) == 10
    assert money.vehicle_cost == pytest.approx([1.4 + 12 * 10 / 15, 0.8 + 12 * 5 / 15])


def test_nothing_charged_has_no_price_and_an_empty_depot_has_figures() -> None:
    problem = problem_of(ev(1, 0))
    assert financial_kpis(problem, problem.zeros(), problem.zeros()).price_per_kwh is None
    empty = problem_of()
    assert energy_kpis(empty, empty.zeros()).station_workload_grid_percent == 100
    assert financial_kpis(empty, empty.zeros(), empty.zeros()).bill == 0
    assert state_of_energy(empty, empty.zeros()).kwh.shape == (0, 4)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), fill=st.floats(0, 1))
def test_the_vehicles_shares_add_up_to_the_bill(seed: int, fill: float) -> None:
    problem = random_problem(seed)
    power = problem.most_power * fill
    money = financial_kpis(problem, power, problem.most_power)
    assert money.vehicle_cost.sum() == pytest.approx(money.bill, abs=1e-9)
    assert money.saving == pytest.approx(money.uncontrolled_bill - money.bill)
