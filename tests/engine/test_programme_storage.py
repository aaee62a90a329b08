"""Giving back, a stationary battery and the sun: small cases whose answers are known."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from scheduling.engine import EV, Horizon, Node, PowerTree, Problem, programme
from scheduling.engine.arrays import FloatArray
from scheduling.engine.checker import check
from scheduling.engine.site import Battery, DemandCharge, Dispatch, Site
from tests.engine.depots import NOON

HOUR = timedelta(hours=1)


def giving(energy: float = 0.0, **more: object) -> EV:
    """60 kWh half full, 10 kW both ways, lossless, at home all the time."""
    fields: dict[str, object] = {
        "max_power": 10.0,
        "arrival_time": NOON,
        "departure_time": NOON + 24 * HOUR,
        "soc": 50.0,
        "battery_kwh": 60.0,
        "discharge_power": 10.0,
    } | more
    return EV("v2g", True, 0, 1, 0.0, energy=energy, **fields)  # type: ignore[arg-type]


def site(evs: list[EV], price: list[float], limit: float | list[float] = 100.0, **parts: object) -> Problem:
    steps = len(price)
    tree = PowerTree.single(np.broadcast_to(np.array(limit, dtype=np.float64), (steps,)))
    return Problem.of(evs, Horizon(NOON, HOUR, steps), tree, price, Site(**parts))  # type: ignore[arg-type]


def plan_of(problem: Problem) -> tuple[FloatArray, Dispatch]:
    """Power and dispatch of the optimum, which the checker has passed."""
    plan = programme.solve(problem, time_limit_s=30.0)
    assert plan.status == "optimal"
    assert check(problem, plan.power, plan.dispatch) == ()
    return plan.power, plan.dispatch or Dispatch.none(problem.site, problem.horizon.steps)


def building(*kw: float) -> FloatArray:
    return np.array(kw)


def test_a_vehicle_buys_cheap_and_saves_dear_energy_of_the_building() -> None:
    power, _ = plan_of(site([giving()], [0.1, 0.4], building_kw=building(20, 20)))
    assert power == pytest.approx(np.array([[10.0, -10.0]]))


def test_losses_both_ways_are_bought_back() -> None:
    """5 kWh given cost 5 / 0.9 inside, which 5 / 0.81 at the meter put there."""
    problem = site([giving(efficiency=0.9)], [0.1, 0.4], building_kw=building(20, 5))
    power, _ = plan_of(problem)
    assert power == pytest.approx(np.array([[5.0 / 0.81, -5.0]]))
    assert problem.unmet(power) == pytest.approx([0.0])


def test_giving_that_earns_less_than_losses_and_wear_does_not_happen() -> None:
    for worn, gives in ((0.1, True), (0.3, False)):
        ev = giving(efficiency=0.9, cycle_cost_per_kwh=worn)
        power, _ = plan_of(site([ev], [0.1, 0.4], building_kw=building(20, 20)))
        assert bool(power[0, 1] < -1.0) == gives


def test_the_vehicle_leaves_with_what_it_needs_whatever_it_gave() -> None:
    problem = site([giving(energy=12.0, efficiency=0.9)], [0.4, 0.1, 0.1, 0.1, 0.1], building_kw=np.full(5, 30.0))
    power, _ = plan_of(problem)
    stored = 0.9 * np.maximum(power, 0).sum() - np.maximum(-power, 0).sum() / 0.9
    assert power[0, 0] == pytest.approx(-10.0)
    assert stored == pytest.approx(12.0)
    assert problem.unmet(power) == pytest.approx([0.0], abs=1e-6)


def test_giving_stops_at_the_least_state_of_charge() -> None:
    power, _ = plan_of(site([giving(least_soc=40.0)], [0.4, 0.1, 0.1], building_kw=np.full(3, 30.0)))
    assert power[0, 0] == pytest.approx(-6.0)


def test_a_vehicle_below_its_least_state_charges_up_to_it_before_it_gives() -> None:
    """From 5 kWh to 10: cheap charging to 15 first, then 5 given; the dear first step finds nothing to give."""
    ev = giving(soc=10.0, least_soc=20.0, battery_kwh=50.0, energy=5.0)
    power, _ = plan_of(site([ev], [0.5, 0.1, 0.4], building_kw=np.full(3, 30.0)))
    assert power == pytest.approx(np.array([[0.0, 10.0, -5.0]]))


def test_what_is_given_back_makes_no_room_for_others() -> None:
    evs = [giving(), EV(1, True, 1, 1, 0.0, 10.0, NOON, NOON + 2 * HOUR, 20.0)]
    problem = site(evs, [0.4, 0.1], 5.0, building_kw=building(30, 30))
    power, _ = plan_of(problem)
    assert power[1] == pytest.approx([5.0, 5.0])


def test_with_a_negative_price_nobody_charges_and_gives_at_once() -> None:
    """A full lossy battery could burn 1.9 kW by doing both, as the linear relaxation would."""
    ev = giving(soc=100.0, efficiency=0.9)
    power, _ = plan_of(site([ev], [-0.5], building_kw=building(30)))
    assert power == pytest.approx(np.zeros((1, 1)), abs=1e-6)
    battery = Battery(20.0, 20.0, 10.0, 10.0, efficiency=0.9)
    _, dispatch = plan_of(site([], [-0.5], battery=battery, building_kw=building(30)))
    assert dispatch.battery_kw == pytest.approx([0.0], abs=1e-6)


def test_with_negative_prices_in_turn_a_full_vehicle_makes_room_where_that_costs_least() -> None:
    ev = giving(soc=100.0, efficiency=0.9)
    problem = site([ev], [-0.1, -0.5], building_kw=building(30, 30))
    power, _ = plan_of(problem)
    assert power == pytest.approx(np.array([[-8.1, 10.0]]))


def test_a_battery_moves_energy_between_prices_and_ends_as_it_began() -> None:
    battery = Battery(20.0, 10.0, 10.0, 10.0, efficiency=0.9)
    problem = site([], [0.1, 0.4], battery=battery, building_kw=building(20, 20))
    _, dispatch = plan_of(problem)
    assert dispatch.battery_kw == pytest.approx([10.0, -8.1])
    assert problem.money(problem.zeros(), dispatch).steering == pytest.approx(1.0 - 0.4 * 8.1)


def test_a_battery_that_wears_more_than_it_saves_rests() -> None:
    battery = Battery(20.0, 10.0, 10.0, 10.0, cycle_cost_per_kwh=0.5)
    _, dispatch = plan_of(site([], [0.1, 0.4], battery=battery, building_kw=building(20, 20)))
    assert dispatch.battery_kw == pytest.approx([0.0, 0.0], abs=1e-6)


def test_a_charging_battery_counts_at_the_grid_connection_and_vehicles_come_first() -> None:
    battery = Battery(20.0, 0.0, 10.0, 10.0, efficiency=1.0, end_soe_kwh=20.0)
    vehicle = EV(0, True, 0, 1, 0.0, 10.0, NOON, NOON + 2 * HOUR, 15.0)
    problem = site([vehicle], [0.1, 0.4], 10.0, battery=battery)
    power, dispatch = plan_of(problem)
    assert problem.unmet(power) == pytest.approx([0.0])
    assert power[0] + dispatch.battery_kw == pytest.approx([10.0, 10.0])
    assert dispatch.battery_kw.sum() == pytest.approx(5.0)


def test_a_battery_counts_on_every_phase_of_a_connection() -> None:
    battery = Battery(50.0, 0.0, 50.0, 0.0, efficiency=1.0, end_soe_kwh=50.0)
    one_phase = EV(0, True, 0, 1, 0.0, 3.68, NOON, NOON + HOUR, 3.68, phases=1, phase_map="2")
    problem = Problem.of(
        [one_phase], Horizon(NOON, HOUR, 1), PowerTree.single_amps([20.0]), [0.1], Site(battery=battery)
    )
    power, dispatch = plan_of(problem)
    assert power[0] == pytest.approx([3.68])
    assert dispatch.battery_kw == pytest.approx([0.69 * 4.0])


def test_a_discharging_battery_makes_no_room() -> None:
    battery = Battery(50.0, 50.0, 0.0, 50.0, end_soe_kwh=0.0)
    vehicle = EV(0, True, 0, 1, 0.0, 10.0, NOON, NOON + HOUR, 10.0)
    problem = site([vehicle], [0.4], 6.0, battery=battery)
    power, dispatch = plan_of(problem)
    assert power[0] == pytest.approx([6.0])
    assert dispatch.battery_kw == pytest.approx([-6.0])


def test_the_sun_saves_money_and_makes_no_room() -> None:
    vehicle = EV(0, True, 0, 1, 0.0, 10.0, NOON, NOON + 3 * HOUR, 12.0)
    power, dispatch = plan_of(site([vehicle], [0.2, 0.2, 0.1], 6.0, pv_kw=building(0, 8, 0)))
    assert power[0] == pytest.approx([0.0, 6.0, 6.0])
    assert dispatch.pv_used_kw == pytest.approx([0.0, 6.0, 0.0])


def test_sun_is_sold_where_that_earns_and_curtailed_where_it_costs_or_earns_nothing() -> None:
    price = [0.2, 0.2, 0.2]
    _, dispatch = plan_of(
        site(
            [], price, pv_kw=np.full(3, 9.0), building_kw=np.full(3, 4.0), export_price_per_kwh=building(0.1, 0.0, -0.1)
        )
    )
    assert dispatch.pv_used_kw == pytest.approx([9.0, 4.0, 4.0])


def test_a_vehicle_charges_from_the_sun_only_if_feeding_in_earns_less() -> None:
    for earned, expected in ((0.05, [8.0, 0.0]), (0.15, [0.0, 8.0])):
        vehicle = EV(0, True, 0, 1, 0.0, 10.0, NOON, NOON + 2 * HOUR, 8.0)
        problem = site([vehicle], [0.3, 0.1], pv_kw=building(8, 0), export_price_per_kwh=np.full(2, earned))
        power, _ = plan_of(problem)
        assert power[0] == pytest.approx(expected)


def test_where_selling_earns_more_than_buying_costs_nothing_is_bought_to_be_sold() -> None:
    """The meter nets: with 4 kW of building and 9 kW of sun only 5 kW are sold, at any price."""
    problem = site([], [0.1], pv_kw=building(9), building_kw=building(4), export_price_per_kwh=building(0.3))
    power, dispatch = plan_of(problem)
    assert dispatch.pv_used_kw == pytest.approx([9.0])
    assert problem.money(power, dispatch).steering == pytest.approx(-5 * 0.3 - 4 * 0.1)


def test_at_a_negative_price_sun_is_curtailed_and_the_grid_taken() -> None:
    vehicle = EV(0, True, 0, 1, 0.0, 10.0, NOON, NOON + HOUR, 5.0)
    problem = site([vehicle], [-0.1], pv_kw=building(9), building_kw=building(4))
    power, dispatch = plan_of(problem)
    assert dispatch.pv_used_kw == pytest.approx([0.0], abs=1e-6)
    assert problem.money(power, dispatch).steering == pytest.approx(-0.5)


def test_a_battery_shaves_the_peak_of_the_building() -> None:
    """2.5 kWh taken in the first hour and the 5 kWh held lower the second one to 12.5 kW, the others' new height."""
    battery = Battery(10.0, 5.0, 10.0, 10.0, efficiency=1.0)
    charge = DemandCharge(1.0, 0.0)
    problem = site([], [0.1] * 4, battery=battery, building_kw=building(10, 20, 10, 10), demand_charges=(charge,))
    _, dispatch = plan_of(problem)
    assert dispatch.battery_kw[1] == pytest.approx(-7.5)
    assert problem.money(problem.zeros(), dispatch).demand == pytest.approx(12.5)


def test_a_charging_battery_counts_at_a_soft_limit_of_the_grid_connection() -> None:
    tree = PowerTree((Node("site", soft_limit_kw=np.full(2, 4.0), soft_price_per_kwh=0.2),))
    battery = Battery(20.0, 0.0, 10.0, 10.0, efficiency=1.0, end_soe_kwh=10.0)
    problem = Problem.of([], Horizon(NOON, HOUR, 2), tree, [0.1, 0.2], Site(battery=battery))
    plan = programme.solve(problem, time_limit_s=30.0)
    assert plan.dispatch is not None
    assert plan.dispatch.battery_kw == pytest.approx([6.0, 4.0])
    assert problem.money(plan.power, plan.dispatch).soft == pytest.approx(0.4)
