"""Why a vehicle gets what it gets."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from scheduling.engine import EV, Horizon, Node, PowerTree, Problem
from scheduling.engine.linear import PulpLinearProgram
from scheduling.engine.reasons import explain

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)
HORIZON = Horizon(NOON, timedelta(hours=1), 4)


def ev(ev_id: int, need: float, leaves: int = 4, arrives: int = 0, **more: Any) -> EV:
    begin, end = NOON + timedelta(hours=arrives), NOON + timedelta(hours=leaves)
    return EV(ev_id, False, ev_id, 1, more.pop("min_power", 0.0), 10.0, begin, end, need, **more)


def reasons(evs: list[EV], tree: PowerTree, price: list[float] | None = None) -> list[list[str]]:
    run = PulpLinearProgram(evs, horizon=HORIZON, tree=tree, price_per_kwh=price)
    run.calculate()
    return [list(row) for row in explain(run.problem, run.result.power)]


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
    assert reasons([ev(1, 20)], event)[0][:3] == ["dr_event", "site_limit", "deadline"]


def test_a_closed_limit_keeps_everybody_waiting() -> None:
    assert reasons([ev(1, 10)], site([0.0, 0, 50, 50])) == [["site_limit", "site_limit", "deadline", "full"]]


def test_a_limit_below_the_minimum_power_is_told() -> None:
    assert reasons([ev(1, 10, min_power=6.0)], site([5.0, 5, 50, 50]))[0] == [
        "min_power",
        "min_power",
        "deadline",
        "full",
    ]


def test_who_is_served_after_others_waits_for_its_turn() -> None:
    codes = reasons([ev(1, 20, leaves=2), ev(2, 20)], site(10))
    assert codes[0][:2] == ["deadline", "deadline"]
    assert codes[1] == ["waiting_turn", "waiting_turn", "deadline", "deadline"]


def test_a_vehicle_outside_its_stay_is_not_plugged() -> None:
    assert reasons([ev(1, 5, arrives=1, leaves=3)], site(50))[0] == ["not_plugged", "deadline", "full", "not_plugged"]


def test_no_vehicles_need_no_reasons() -> None:
    assert explain(Problem.of([], HORIZON, site(10)), np.zeros((0, 4))) == []
