"""The checker finds every kind of broken plan."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.engine import EV, Battery, Dispatch, Horizon, Node, PowerTree, Problem, Site, check
from scheduling.engine.arrays import FloatArray

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)


def depot() -> Problem:
    horizon = Horizon(NOON, timedelta(hours=1), 4)
    evs = [
        EV(
            k,
            False,
            k,
            1,
            4.0,
            11.0,
            NOON,
            NOON + timedelta(hours=3),
            30.0,
            nodes=("feeder",),
            phases=1 if k == 2 else 3,
            phase_map="2" if k == 2 else "123",
            free_power=2.0 if k == 1 else 0.0,
        )
        for k in (1, 2)
    ]
    site = Node("site", None, np.full(4, 20.0), reserved_kw=2.0)
    feeder = Node("feeder", "site", np.full(4, 17.0), np.full(4, 40.0), reserved_kw=2.0, reserved_a=(2.9, 2.9, 2.9))
    return Problem.of(evs, horizon, PowerTree((site, feeder)))


GOOD = [[10.0, 10, 0, 0], [4, 0, 4, 0]]


def test_a_good_plan_passes() -> None:
    assert check(depot(), np.array(GOOD)) == ()
    assert check(depot(), depot().zeros()) == ()


@pytest.mark.parametrize(
    ("ev", "step", "kw", "rule", "subject"),
    [
        (0, 1, float("nan"), "not_a_number", 1),
        (0, 1, float("inf"), "not_a_number", 1),
        (0, 1, -0.5, "negative", 1),
        (0, 1, 11.1, "maximum", 1),
        (0, 2, 3.9, "minimum", 1),
        (0, 3, 5.0, "window", 1),
        (1, 2, 11.0, "limit_a", "feeder"),
        (0, 2, 11.0, "energy", 1),
    ],
)
def test_each_broken_rule_is_named(ev: int, step: int, kw: float, rule: str, subject: object) -> None:
    power = np.array(GOOD)
    power[ev, step] = kw
    found = check(depot(), power)
    assert (rule, subject) in [(violation.rule, violation.subject) for violation in found]
    assert all(violation.message.endswith(".") for violation in found)


def test_every_ancestor_limit_is_checked_net_of_what_is_reserved() -> None:
    problem = depot()
    power: FloatArray = np.array([[11.0, 0, 0, 0], [6.5, 0, 0, 0]])
    assert [v.subject for v in check(problem, power) if v.rule == "limit_kw"] == ["feeder"]  # 9 + 6.5 > 15
    wide = PowerTree((problem.tree.by_name["site"], Node("feeder", "site", np.full(4, 99.0))))
    assert check(Problem.of(problem.evs, problem.horizon, wide), power) == ()
    power[1, 0] = 9.5
    assert [v.subject for v in check(Problem.of(problem.evs, problem.horizon, wide), power)] == ["site"]


def test_tolerances_are_a_watt_and_ten_watt_hours() -> None:
    power = np.array(GOOD)
    power[0, 0] = 11.0009
    power[0, 2] = 9.009
    assert check(depot(), power) == ()
    power[0, 2] = 9.02
    assert [violation.rule for violation in check(depot(), power)] == ["energy"]


def test_a_plan_of_another_shape_is_refused() -> None:
    (violation,) = check(depot(), np.zeros((2, 5)))
    assert violation.rule == "shape"


def one(power: list[float], *, site: Site | None = None, limit: float = 50.0, **more: Any) -> list[str]:
    """Rules that a plan for one vehicle of 10 kW breaks in hours from noon, in which it stays until 4 pm."""
    horizon = Horizon(NOON, timedelta(hours=1), len(power))
    vehicle = EV(1, False, 1, 1, 0.0, 10.0, NOON, NOON + timedelta(hours=4), more.pop("energy", 20.0), **more)
    problem = Problem.of([vehicle], horizon, PowerTree.single([limit] * len(power)), site=site)
    return [violation.rule for violation in check(problem, np.array([power]))]


def giving(power: list[float], **more: Any) -> list[str]:
    return one(power, **{"discharge_power": 5.0, "soc": 50.0, "battery_kwh": 40.0, "least_soc": 25.0, **more})


def test_a_vehicle_may_give_back_what_it_can_give_while_it_is_there() -> None:
    assert giving([-5.0, 10, 10, 5]) == []
    assert giving([-5.2, 10, 10, 5]) == ["negative"]
    assert giving([10.0, 10, 0, 0, -5]) == ["window"]
    assert one([-5.0, 10, 10, 5]) == ["negative"]


def test_giving_back_stops_at_the_least_charge_and_charging_at_the_size_of_the_battery() -> None:
    assert giving([-5.0, -5, 10, 10]) == []
    assert giving([-5.0, -5, -0.1, 10]) == ["state_of_energy"]
    assert giving([10.0, 10, 1, -5]) == ["state_of_energy"]
    assert giving([0.0, 0, 0, 4], soc=10.0) == []  # below its least charge at the start: it may stay there
    assert giving([-0.1, 0, 0, 4], soc=10.0) == ["state_of_energy"]


def test_what_a_battery_loses_on_the_way_in_and_out_counts() -> None:
    assert giving([-4.0, -4, 0, 0], efficiency=0.8) == []  # 2 x 4 / 0.8 kWh leave 10 of the 20 it holds
    assert giving([-5.0, -4, 0, 0], efficiency=0.8) == ["state_of_energy"]
    assert giving([10.0, 10, 10, -5], efficiency=0.8, battery_kwh=80.0) == []  # 24 in, 6.25 out: fewer than 20
    assert giving([10.0, 10, 10, -2], efficiency=0.8, battery_kwh=80.0) == ["energy"]


def test_what_one_gives_makes_no_room_for_another() -> None:
    horizon = Horizon(NOON, timedelta(hours=1), 1)
    state: dict[str, Any] = {"soc": 50.0, "battery_kwh": 40.0}
    evs = [
        EV(k, False, k, 1, 0.0, 10.0, NOON, horizon.end, 10.0, discharge_power=give, **state)
        for k, give in ((1, 5.0), (2, 0.0))
    ]
    problem = Problem.of(evs, horizon, PowerTree.single([8.0]))
    assert check(problem, np.array([[-5.0], [8.0]])) == ()
    assert [v.rule for v in check(problem, np.array([[-5.0], [9.0]]))] == ["limit_kw"]


@pytest.mark.parametrize("why", ["fault", "override"])
def test_a_held_vehicle_gets_nothing(why: str) -> None:
    assert one([0.0] * 4, hold=why) == []
    assert one([0.0, 1, 0, 0], hold=why) == ["hold"]


def falling(power: list[float], **more: Any) -> list[str]:
    curve = {"taper": ((0.0, 10.0), (80.0, 10.0), (100.0, 0.0)), "soc": 70.0, "battery_kwh": 50.0, "energy": 15.0}
    return one(power, **{**curve, **more})


def test_a_step_takes_no_more_than_the_curve_allows_from_its_start() -> None:
    # 10 kW up to 80 % take half an hour; then power falls with what is missing: 10 (1 - exp(-0.5)) kWh in the rest.
    most = 5.0 + 10.0 * (1.0 - np.exp(-0.5))
    assert falling([most, 0, 0, 0]) == []
    assert falling([most + 0.03, 0, 0, 0]) == ["taper"]
    assert falling([5.0, 10 * (1 - np.exp(-1.0)), 0, 0]) == []
    assert falling([5.0, 6.4, 0, 0]) == ["taper"]


def test_a_charger_below_the_curve_delays_the_fall() -> None:
    assert falling([9.3, 0, 0, 0], taper=((0.0, 40.0), (80.0, 40.0), (100.0, 0.0))) == []
    assert falling([9.3, 0, 0, 0]) == ["taper"]


@settings(max_examples=60, deadline=None)
@given(
    kw=st.lists(st.floats(0, 60), min_size=2, max_size=5),
    soc=st.floats(0, 99),
    efficiency=st.floats(0.7, 1.0),
    share=st.floats(0.1, 1.0),
)
def test_the_curve_is_followed_as_a_fine_simulation_follows_it(
    kw: list[float], soc: float, efficiency: float, share: float
) -> None:
    socs = np.linspace(0, 100, len(kw))
    step = timedelta(hours=share)
    curve = tuple(zip(socs.tolist(), kw, strict=True))
    vehicle = EV(
        1, False, 1, 1, 0.0, 22.0, NOON, NOON + step, 300.0,
        taper=curve, soc=soc, battery_kwh=40.0, efficiency=efficiency,
    )  # fmt: skip
    problem = Problem.of(
        [vehicle], Horizon(NOON + timedelta(0), step, 1, (NOON, NOON + step)), PowerTree.single([99.0])
    )
    at, taken = soc, 0.0
    for _ in range(4000):
        now = min(22.0, float(np.interp(at, socs, kw))) * share / 4000
        at, taken = at + 100 * efficiency * now / 40.0, taken + now
    assert check(problem, np.array([[taken * 0.999 / share]])) == ()
    if taken < 21.0 * share:
        assert [v.rule for v in check(problem, np.array([[(taken * 1.004 + 0.03) / share]]))] == ["taper"]


STORE = Battery(capacity_kwh=20.0, soe_kwh=10.0, charge_kw=8.0, discharge_kw=6.0, efficiency=0.8, least_soe_kwh=4.0)


def beside(battery: list[float], sun: list[float] | None = None, *, car: float = 0.0, **more: Any) -> list[str]:
    """Rules broken by what battery and sun do beside a vehicle that draws `car`, at a connection of 15 kW and 25 A."""
    problem = depot()
    store = replace(STORE, **more.pop("store", {}))
    site = Site(battery=store, pv_kw=np.array([0.0, 5, 5, 0]), **more)
    limits = Node("site", None, np.full(4, 15.0), np.full(4, 25.0)), Node("feeder", "site", np.full(4, 11.0))
    problem = Problem.of(problem.evs, problem.horizon, PowerTree(limits), site=site)
    power = problem.zeros()
    power[0, 0] = car
    plan = Dispatch(np.array(battery), np.array([0.0, 5, 5, 0] if sun is None else sun))
    return [violation.rule for violation in check(problem, power, plan)]


def test_a_battery_keeps_its_powers_and_energies() -> None:
    assert beside([5.0, -3, 0, 0.0]) == []
    assert beside([8.1, -4, 0, 0]) == ["battery_power"]
    assert beside([8.0, -6.1, 0, 4]) == ["battery_power"]
    assert beside([8.0, 5, 0, 0]) == ["battery_energy"]  # 6.4 + 4 kWh more than 10 of 20
    assert beside([-5.0, 0, 6, 6]) == ["battery_energy"]  # 6.25 kWh of the 6 above its least
    assert beside([-3.0, 0, 0, 0]) == ["battery_energy"]  # must hold at the end what it held at the start
    assert beside([-3.0, 0, 0, 0], store={"end_soe_kwh": 6.0}) == []
    assert beside([0.0, 0, 0, 0], store={"end_soe_kwh": 18.0}) == []  # a higher target is a goal


def test_a_charging_battery_counts_at_the_grid_connection_and_a_giving_one_makes_no_room() -> None:
    assert beside([6.0, 0, 0, 0], car=11.0) == []  # 2 kW of the vehicle are its fallback
    assert beside([7.0, 0, 0, 0], car=11.0) == ["limit_kw"]
    assert beside([6.0, -3, 0, 0], car=11.0, store={"end_soe_kwh": 4.0}) == []
    crowded = beside([-3.0, 6, 0, 0], car=14.0)
    assert crowded == ["maximum", "limit_kw"]


def test_no_more_sun_is_used_than_shines() -> None:
    assert beside([0.0] * 4, [0.0, 5, 4, 0]) == []
    assert beside([0.0] * 4, [0.0, 5.1, 4, 0]) == ["sun"]
    assert beside([0.0] * 4, [0.0, -0.1, 4, 0]) == ["sun"]


def test_a_dispatch_that_cannot_be_read_is_refused() -> None:
    problem = depot()
    (short,) = check(problem, problem.zeros(), Dispatch(np.zeros(3), np.zeros(4)))
    assert (short.rule, short.subject) == ("shape", "battery")
    (unknown,) = check(problem, problem.zeros(), Dispatch(np.zeros(4), np.full(4, np.nan)))
    assert (unknown.rule, unknown.subject) == ("not_a_number", "sun")


def test_a_message_names_vehicle_step_value_and_bound() -> None:
    power = np.array(GOOD)
    power[0, 1] = 11.1
    (first, *_) = check(depot(), power)
    assert first.message == "Vehicle 1 draws 11.100 kW where 11.001 are allowed, step 1."
    assert (first.step, first.value, first.bound) == (1, 11.1, 11.001)
