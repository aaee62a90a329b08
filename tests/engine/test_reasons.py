"""Why a vehicle gets what it gets."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.engine import EV, Battery, DemandCharge, Dispatch, Horizon, Node, PowerTree, Problem, Site
from scheduling.engine.earliest_deadline import EarliestDeadlineFirst
from scheduling.engine.linear import PulpLinearProgram
from scheduling.engine.reasons import Why, explain
from tests.engine.depots import random_problem

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)
HORIZON = Horizon(NOON, timedelta(hours=1), 4)


def ev(ev_id: int, need: float, leaves: int = 4, arrives: int = 0, **more: Any) -> EV:
    begin, end = NOON + timedelta(hours=arrives), NOON + timedelta(hours=leaves)
    return EV(ev_id, False, ev_id, 1, more.pop("min_power", 0.0), 10.0, begin, end, need, **more)


def reasons(evs: list[EV], tree: PowerTree, price: list[float] | None = None) -> list[list[str]]:
    run = PulpLinearProgram(evs, horizon=HORIZON, tree=tree, price_per_kwh=price)
    run.calculate()
    return [list(row) for row in explain(run.problem, run.result.power)]


def why(
    evs: list[EV],
    tree: PowerTree,
    power: list[list[float]],
    price: list[float] | None = None,
    beside: Site | None = None,
    dispatch: Dispatch | None = None,
) -> Why:
    return explain(Problem.of(evs, HORIZON, tree, price, beside), np.array(power), dispatch)


def site(limit: float | list[float], **more: Any) -> PowerTree:
    return PowerTree((Node("site", None, np.broadcast_to(np.array(limit, dtype=float), 4).copy(), **more),))


def test_prices_explain_waiting_and_charging() -> None:
    assert reasons([ev(1, 15)], site(50), [0.4, 0.1, 0.2, 0.3]) == [
        ["cheaper_later", "cheap_price", "cheap_price", "full"]
    ]


def test_the_dearest_hour_is_used_for_the_deadline_only() -> None:
    assert reasons([ev(1, 20, leaves=2)], site(50), [0.4, 0.1, 0.1, 0.1])[0] == [
        "deadline",
        "cheap_price",
        "not_plugged",
        "not_plugged",
    ]


def test_a_limit_that_binds_is_named_by_its_level() -> None:
    assert reasons([ev(1, 20)], site(5))[0] == ["site_limit"] * 4
    feeder = PowerTree((*site(50).nodes, Node("feeder", "site", np.full(4, 5.0))))
    assert reasons([ev(1, 20, nodes=("feeder",))], feeder)[0] == ["group_limit"] * 4
    event = site([5.0, 5, 50, 50], dr_event=np.array([True, False, False, False]))
    assert why([ev(1, 20)], event, [[5.0, 5, 10, 0]]).codes[0] == ["dr_event", "site_limit", "deadline", "full"]


def test_a_closed_limit_keeps_everybody_waiting() -> None:
    told = why([ev(1, 10)], site([0.0, 0, 50, 50]), [[0.0, 0, 10, 0]])
    assert told.codes == [["site_limit", "site_limit", "deadline", "full"]]


def test_a_limit_below_the_minimum_power_is_told() -> None:
    told = why([ev(1, 10, min_power=6.0)], site([5.0, 5, 50, 50]), [[0.0, 0, 10, 0]])
    assert told.codes == [["min_power", "min_power", "deadline", "full"]]
    assert told.node == [["site", "site", "", ""]]
    assert told.sentence(0, 1) == ("Waits: grid connection 'site' leaves less than its minimum of 6.0 kW until 14:00.")


def test_who_is_served_after_others_waits_for_its_turn() -> None:
    told = why([ev(1, 20, leaves=2), ev(2, 20)], site(10), [[10.0, 10, 0, 0], [0.0, 0, 10, 10]])
    codes = told.codes
    assert told.sentence(1, 0).startswith("Waits for its turn: grid connection 'site' is full until 16:00, most of it")
    assert codes[0][:2] == ["deadline", "deadline"]
    assert codes[1] == ["waiting_turn", "waiting_turn", "deadline", "deadline"]


def test_a_vehicle_outside_its_stay_is_not_plugged() -> None:
    told = why([ev(1, 5, arrives=1, leaves=3)], site(50), [[0.0, 5, 0, 0]])
    assert told.codes[0] == ["not_plugged", "deadline", "full", "not_plugged"]


def test_no_vehicles_need_no_reasons() -> None:
    assert list(explain(Problem.of([], HORIZON, site(10)), np.zeros((0, 4)))) == []


def test_a_held_vehicle_says_who_holds_it_during_its_stay() -> None:
    told = why([ev(1, 5, leaves=3, hold="fault"), ev(2, 5, hold="override")], site(50), [[0.0] * 4] * 2)
    assert told.codes[0] == ["fault", "fault", "fault", "not_plugged"]
    assert told.codes[1] == ["override"] * 4
    assert told.sentence(0, 1) == "Not planned: its charger has a fault."
    assert told.sentence(1, 1) == "Not planned: an operator has taken it over."


def test_the_node_of_a_limit_is_told_and_no_other() -> None:
    feeder = PowerTree((*site(50).nodes, Node("north", "site", np.array([5.0, 5, 50, 50]))))
    told = why([ev(1, 20, nodes=("north",)), ev(2, 5)], feeder, [[5.0, 5, 10, 0], [5.0, 0, 0, 0]])
    assert told.node == [["north", "north", "", ""], ["", "", "", ""]]


def test_waiting_for_a_better_price_is_told_with_both_prices() -> None:
    told = why([ev(1, 15)], site(50), [[0.0, 10, 5, 0]], [0.31, 0.12, 0.2, 0.3])
    assert told.sentence(0, 0) == "Waits: from 13:00 power costs 0.12 instead of 0.31 per kWh."
    assert told.sentence(0, 1) == "Charges at 10.0 kW: power costs 0.12 instead of up to 0.31 per kWh."
    assert told.sentence(0, 3) == "Ready: it has the 15.0 kWh it needs."


def test_emissions_count_in_the_price_that_is_waited_for() -> None:
    weight = Site(co2_kg_per_kwh=np.array([0.5, 0.1, 0.1, 0.1]), co2_price_per_kg=1.0)
    told = why([ev(1, 10)], site(50), [[0.0, 10, 0, 0]], [0.2] * 4, weight)
    assert told.codes[0][:2] == ["cheaper_later", "cheap_price"]
    assert told.sentence(0, 0) == "Waits: from 13:00 power costs 0.30 instead of 0.70 per kWh."


def test_a_full_limit_is_told_with_its_end_and_those_who_have_it() -> None:
    feeder = PowerTree((*site(50).nodes, Node("north", "site", np.array([12.0, 12, 50, 50]))))
    evs = [ev(1, 30, nodes=("north",)), ev(2, 15, leaves=2, nodes=("north",))]
    told = why(evs, feeder, [[4.0, 5, 10, 10], [8.0, 7, 0, 0]])
    held = "load group 'north' is full until 14:00"
    assert told.sentence(0, 0) == f"Held to 4.0 kW: {held}, most of it for 1 vehicle that leaves earlier."
    assert told.sentence(1, 1) == f"Held to 7.0 kW: {held}, shared with 1 other vehicle."
    waiting = why(evs, feeder, [[0.0, 0, 10, 10], [10.0, 5, 0, 0]])
    assert waiting.codes[0][0] == "waiting_turn"
    closed = why([ev(1, 10)], site([0.0, 0, 50, 50]), [[0.0, 0, 10, 0]])
    assert closed.sentence(0, 0) == "Waits: grid connection 'site' carries no vehicle until 14:00."


def test_times_are_worded_by_the_clock_that_is_given() -> None:
    told = why([ev(1, 10, leaves=2)], site(50), [[10.0, 0, 0, 0]])
    assert told.sentence(0, 0) == "Charges at 10.0 kW: it leaves at 14:00, and waiting would not be cheaper."
    assert "leaves at 3 pm," in told.sentence(0, 0, lambda instant: f"{instant.hour - 11} pm")


def test_staying_below_the_peak_that_is_paid_for_is_a_limit_of_the_site() -> None:
    paid = Site(np.full(4, 85.0), demand_charges=(DemandCharge(5.0, 92.0),))
    told = why([ev(1, 28)], site(50), [[7.0, 7, 7, 7]], beside=paid)
    assert (told.codes[0], told.node[0]) == (["site_limit"] * 4, ["site"] * 4)
    assert told.sentence(0, 2) == "Held to 7.0 kW to stay below the 92.0 kW already paid for."
    higher = why([ev(1, 32)], site(50), [[8.0, 8, 8, 8]], beside=paid)
    assert higher.sentence(0, 2) == "Held to 8.0 kW to keep the peak at 93.0 kW: every kW more costs 5.00."
    assert why([ev(1, 20)], site(50), [[5.0, 5, 5, 5]], beside=paid).codes[0] == ["deadline"] * 4


def test_a_soft_limit_is_told_with_what_exceeding_it_costs() -> None:
    soft = site(50, soft_limit_kw=np.full(4, 6.0), soft_price_per_kwh=0.1)
    told = why([ev(1, 22)], soft, [[6.0, 6, 6, 4]])
    assert told.codes[0] == ["site_limit"] * 3 + ["deadline"]
    assert told.sentence(0, 0) == "Held to 6.0 kW: above 6.0 kW at grid connection 'site' every kWh costs 0.10 more."


def test_a_charging_battery_fills_the_grid_connection_too() -> None:
    battery = Site(battery=Battery(50.0, 10.0, 10.0, 10.0))
    dispatch = Dispatch(np.array([4.0, 0, -4, 0]), np.zeros(4))
    told = why([ev(1, 30)], site(10), [[6.0, 10, 10, 4]], beside=battery, dispatch=dispatch)
    assert told.codes[0][:2] == ["site_limit", "deadline"]


def test_giving_back_is_told_with_the_price_of_getting_it_again() -> None:
    giving = ev(1, 5, soc=50.0, battery_kwh=40.0, discharge_power=5.0)
    told = why([giving], site(50), [[-5.0, 0, 10, 0]], [0.4, 0.2, 0.1, 0.2])
    assert told.codes[0][0] == "cheap_price"
    assert told.sentence(0, 0) == "Gives back 5.0 kW: power costs 0.40 per kWh now and 0.10 when it charges."


def test_before_and_after_its_stay_a_vehicle_is_said_to_be_away() -> None:
    short = EV(1, False, 1, 1, 0.0, 10.0, NOON + timedelta(hours=1), NOON + timedelta(minutes=150), 5.0)
    told = why([short], site(50), [[0.0, 5, 0, 0]])
    assert told.sentence(0, 0) == "Not there yet: it is expected at 13:00."
    assert told.sentence(0, 2) == "Not there for the whole step: it leaves at 14:30."
    assert told.sentence(0, 3) == "Gone: it leaves at 14:30."


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), amps=st.booleans())
def test_every_step_has_a_sentence_and_every_limit_a_node(seed: int, amps: bool) -> None:
    problem = random_problem(seed, amps=amps)
    run = EarliestDeadlineFirst(
        problem.evs, horizon=problem.horizon, tree=problem.tree, price_per_kwh=problem.price_per_kwh
    )
    run.calculate()
    told = explain(problem, run.result.power)
    for i in range(len(problem.evs)):
        for step, code in enumerate(told[i]):
            assert told.sentence(i, step).endswith(".")
            if code in ("site_limit", "group_limit", "dr_event"):
                assert told.node[i][step] in problem.tree.above(problem.evs[i])
            elif code not in ("min_power", "waiting_turn"):
                assert told.node[i][step] == ""
