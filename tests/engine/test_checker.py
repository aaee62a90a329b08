"""The checker finds every kind of broken plan."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from scheduling.engine import EV, Horizon, Node, PowerTree, Problem, check
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
