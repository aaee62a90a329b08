"""Replanning changes nothing without a gain."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from scheduling.engine import EV, Horizon, Node, PowerTree, check
from scheduling.engine.arrays import FloatArray
from scheduling.engine.linear import PulpLinearProgram

NOW = datetime(2026, 3, 2, 18, 7, tzinfo=UTC)
HORIZON = Horizon(NOW, timedelta(minutes=15), 48)
TREE = PowerTree((Node("site", None, np.full(48, 40.0)),))


def fleet(count: int = 12, *, hours: float = 6.0) -> list[EV]:
    return [EV(n, True, n, 1, 4.14, 11.0, NOW, NOW + timedelta(hours=hours + n / 4), 8.0 + n % 5) for n in range(count)]


def planned(evs: list[EV], *, tree: PowerTree = TREE, price: FloatArray | None = None) -> PulpLinearProgram:
    algorithm = PulpLinearProgram(evs, horizon=HORIZON, tree=tree, price_per_kwh=price)
    algorithm.calculate()
    assert check(algorithm.problem, algorithm.result.power) == ()
    return algorithm


def with_promises(evs: list[EV], before: PulpLinearProgram) -> list[EV]:
    promised = dict(zip(before.evs, before.result.power, strict=True))
    return [replace(ev, in_force=promised[ev].copy() if ev in promised else None) for ev in evs]


def test_the_same_situation_gives_the_same_plan() -> None:
    first = planned(fleet())
    again = planned(with_promises(fleet(), first))
    np.testing.assert_allclose(again.result.power, first.result.power, atol=1e-6)


def test_a_new_vehicle_leaves_the_others_their_plan() -> None:
    first = planned(fleet(12))
    second = planned(with_promises(fleet(13), first))
    unchanged = np.abs(second.result.power[:12] - first.result.power).max(axis=1) < 1e-6
    assert unchanged.sum() >= 11
    assert second.result.shortfalls == ()


def test_a_cheaper_plan_is_worth_a_change() -> None:
    first = planned(fleet())
    price = np.where(np.arange(48) < 8, 0.5, 0.1)
    second = planned(with_promises(fleet(hours=10), first), price=price)
    assert second.result.summary["cost"] == pytest.approx(
        planned(fleet(hours=10), price=price).result.summary["cost"], rel=6e-3
    )


def test_a_lower_limit_breaks_a_promise_rather_than_the_limit() -> None:
    first = planned(fleet())
    lower = PowerTree((Node("site", None, np.full(48, 15.0)),))
    second = planned(with_promises(fleet(), first), tree=lower)
    assert second.result.power.sum(axis=0).max() <= 15.0 + 1e-6
    fresh = planned(fleet(), tree=lower)
    assert second.result.summary["unmet_kwh"] <= fresh.result.summary["unmet_kwh"] + 0.01


def test_a_promise_never_delivers_more_than_the_need() -> None:
    first = planned(fleet())
    less = [replace(ev, energy=2.0) for ev in fleet()]
    second = planned(with_promises(less, first))
    assert (second.result.power @ HORIZON.hours <= 2.01).all()


def test_a_first_step_of_seconds_costs_nobody_the_rest_of_its_need() -> None:
    horizon = Horizon(datetime(2026, 3, 2, 18, 14, 50, tzinfo=UTC), timedelta(minutes=15), 48)
    ev = EV(1, True, 1, 1, 4.14, 22.0, horizon.start, horizon.start + timedelta(hours=6), 4.14 / 4)
    tree = PowerTree((Node("site", None, np.full(48, 30.0)),))
    algorithm = PulpLinearProgram([ev], horizon=horizon, tree=tree)
    algorithm.calculate()
    assert algorithm.result.shortfalls == ()
