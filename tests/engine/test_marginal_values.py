"""What more room at a node is worth, judged by planning again with more room."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.engine import (
    EV,
    Battery,
    DemandCharge,
    Dispatch,
    Horizon,
    Node,
    PowerTree,
    Problem,
    Site,
)
from scheduling.engine.arrays import FloatArray
from scheduling.engine.marginal import marginal_values
from scheduling.engine.network import not_a_flow

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)
CLASS_WEIGHT = 1e3


def ev(ev_id: int, need: float, leaves: int = 4, most: float = 10.0, arrives: int = 0, **more: Any) -> EV:
    begin, end = NOON + timedelta(hours=arrives), NOON + timedelta(hours=leaves)
    return EV(ev_id, False, ev_id, 1, 0.0, most, begin, end, need, **more)


def tree(site: list[float], **feeders: list[float]) -> PowerTree:
    root = Node("site", None, np.array(site, dtype=float))
    return PowerTree((root, *(Node(name, "site", np.array(limit, dtype=float)) for name, limit in feeders.items())))


def hourly(evs: list[EV], limits: PowerTree, price: list[float], site: Site | None = None) -> Problem:
    return Problem.of(evs, Horizon(NOON, timedelta(hours=1), len(price)), limits, price, site)


def best(problem: Problem) -> tuple[FloatArray, float]:
    """Optimal plan and its objective with a price on missing energy, straight from HiGHS."""
    rows, hours, (n, steps) = problem.rows, problem.hours, problem.shape
    free = np.minimum(np.minimum(problem.free_power, problem.max_power)[:, None], problem.most_power)
    weight = CLASS_WEIGHT * 30.0 ** (problem.priority - 1)
    h: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    h.setOptionValue("output_flag", False)
    cost = problem.steering_price * hours
    for i in range(n):
        for top in (free[i], problem.most_power[i] - free[i]):
            for t in range(steps):
                h.addCol(float(cost[t]), 0.0, float(top[t]), 0, [], [])
    for i in range(n):
        h.addCol(float(weight[i]), 0.0, float(problem.need_kwh[i]), 0, [], [])
    for i in range(n):
        columns = [*range(2 * i * steps, 2 * (i + 1) * steps), 2 * n * steps + i]
        h.addRow(
            float(problem.need_kwh[i]),
            float(problem.need_kwh[i]),
            2 * steps + 1,
            columns,
            [*hours.tolist(), *hours.tolist(), 1.0],
        )
    for coefficients, limit in zip(rows.coefficients, rows.limits, strict=True):
        below = np.flatnonzero(coefficients)
        for t in range(steps):
            columns = [(2 * int(i) + 1) * steps + t for i in below]
            h.addRow(-np.inf, float(limit[t]), len(columns), columns, coefficients[below].tolist())
    h.run()
    assert h.getModelStatus() == highspy.HighsModelStatus.kOptimal
    x = np.array(h.getSolution().col_value)
    power: FloatArray = x[: 2 * n * steps].reshape(n, 2, steps).sum(axis=1)
    return power, float(h.getObjectiveValue())


def with_more_room(problem: Problem, name: str, step: int, kw: float) -> Problem:
    nodes = list(problem.tree.nodes)
    at = next(k for k, node in enumerate(nodes) if node.name == name)
    limit = nodes[at].limit_kw
    assert limit is not None
    nodes[at] = replace(nodes[at], limit_kw=limit + kw * (np.arange(len(limit)) == step))
    return Problem.of(problem.evs, problem.horizon, PowerTree(tuple(nodes)), problem.price_per_kwh, problem.site)


def coarse_depot(seed: int) -> Problem:
    """A random tree of three levels whose numbers are all multiples of a half, so that a quarter is a small change."""
    rng = np.random.default_rng(seed)
    steps, n = int(rng.integers(2, 7)), int(rng.integers(1, 8))
    boards, feeders = int(rng.integers(1, 3)), int(rng.integers(0, 4))

    def halves(low: float, high: float, size: int | None = None) -> Any:
        return np.round(rng.uniform(low, high, size) * 2) / 2

    evs = []
    for i in range(n):
        arrives = int(rng.integers(0, steps))
        place = f"feeder {rng.integers(feeders)}" if feeders and rng.random() < 0.7 else f"board {rng.integers(boards)}"
        fallback = float(rng.choice([0.0, 0.0, 1.5]))
        evs.append(
            ev(
                i,
                float(halves(0, 25)),
                int(rng.integers(arrives + 1, steps + 1)),
                float(rng.choice([4.0, 7.5, 11.0])),
                arrives,
                priority=int(rng.integers(1, 3)),
                free_power=fallback,
                nodes=(place if rng.random() < 0.9 else "site",),
            )
        )
    nodes = [Node("site", None, halves(0, 6 * n, steps))]
    nodes += [Node(f"board {k}", "site", halves(0, 4 * n, steps)) for k in range(boards)]
    nodes += [Node(f"feeder {k}", f"board {k % boards}", halves(0, 3 * n, steps)) for k in range(feeders)]
    price = rng.choice([0.05, 0.12, 0.2, 0.4, -0.03], steps).tolist()
    return hourly(evs, PowerTree(tuple(nodes)), price)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_value_is_what_planning_again_with_more_room_saves(seed: int) -> None:
    problem = coarse_depot(seed)
    if not_a_flow(problem):
        return
    power, objective = best(problem)
    values = marginal_values(problem, power)
    rng = np.random.default_rng(seed)
    cells = [(k, t) for k in range(len(values.nodes)) for t in range(problem.horizon.steps)]
    for k, t in [cells[c] for c in rng.permutation(len(cells))[:8]]:
        gained = (objective - best(with_more_room(problem, values.nodes[k], t, 0.25))[1]) / 0.25
        if values.serves_more[k, t]:
            assert gained > CLASS_WEIGHT / 2
            assert values.saved_per_kwh[k, t] == 0
        else:
            assert gained == pytest.approx(values.saved_per_kwh[k, t], abs=1e-6)


def test_room_in_the_cheap_hour_saves_the_price_of_the_dear_one() -> None:
    problem = hourly([ev(1, 15, nodes=("north",))], tree([50.0] * 4, north=[8.0] * 4), [0.4, 0.1, 0.3, 0.5])
    values = marginal_values(problem, np.array([[0.0, 8, 7, 0]]))
    assert values.nodes == ("site", "north")
    assert values.saved_per_kwh.round(9).tolist() == [[0, 0, 0, 0], [0, 0.2, 0, 0]]
    assert not values.serves_more.any()


def test_room_is_worth_something_at_the_node_that_is_full_and_not_at_the_one_above() -> None:
    evs = [ev(1, 15, nodes=("north",)), ev(2, 5, nodes=("south",))]
    problem = hourly(evs, tree([13.0, 50.0], north=[8.0, 20], south=[10.0, 10]), [0.1, 0.3])
    values = marginal_values(problem, np.array([[8.0, 7.0], [5.0, 0.0]]))
    # Both full: neither alone helps vehicle 1, and room at the site helps nobody, for vehicle 2 has all it needs.
    assert values.saved_per_kwh[:, 0].tolist() == [0.0, pytest.approx(0.0), 0.0]
    open_site = replace(problem, tree=tree([50.0, 50.0], north=[8.0, 20], south=[10.0, 10]))
    assert marginal_values(open_site, np.array([[8.0, 7.0], [5.0, 0.0]])).saved_per_kwh[1, 0] == pytest.approx(0.2)


def test_where_energy_is_missing_room_serves_and_saves_no_money() -> None:
    problem = hourly([ev(1, 30, leaves=2)], tree([12.0, 8.0, 50.0]), [0.4, 0.1, 0.1])
    wide = replace(problem, max_power=np.array([20.0]))
    values = marginal_values(wide, np.array([[12.0, 8.0, 0.0]]))
    assert values.serves_more.tolist() == [[True, True, False]]
    assert not values.saved_per_kwh.any()


def test_room_may_serve_the_more_important_at_the_cost_of_the_less_important() -> None:
    evs = [ev(1, 20, leaves=1, priority=2, nodes=("north",)), ev(2, 10, leaves=1, nodes=("south",))]
    problem = hourly(evs, tree([12.0], north=[6.0], south=[6.0]), [0.1])
    values = marginal_values(problem, np.array([[6.0], [6.0]]))
    assert values.serves_more[:, 0].tolist() == [False, True, False]


def test_the_peak_that_is_paid_for_is_held() -> None:
    paid = Site(demand_charges=(DemandCharge(5.0, 9.0),))
    problem = hourly([ev(1, 16, nodes=("north",))], tree([50.0] * 2, north=[8.0, 20.0]), [0.1, 0.3], paid)
    assert marginal_values(problem, np.array([[8.0, 8.0]])).saved_per_kwh[1, 0] == pytest.approx(0.2)
    lower = replace(problem, site=Site(demand_charges=(DemandCharge(5.0, 8.0),)))
    assert not marginal_values(lower, np.array([[8.0, 8.0]])).saved_per_kwh.any()


def test_where_the_sun_is_left_over_room_saves_the_whole_price_less_what_feeding_in_earns() -> None:
    sunny = Site(pv_kw=np.array([30.0, 0.0]), export_price_per_kwh=np.array([0.08, 0.08]))
    problem = hourly([ev(1, 12, nodes=("north",))], tree([50.0] * 2, north=[8.0, 20.0]), [0.3, 0.3], sunny)
    values = marginal_values(problem, np.array([[8.0, 4.0]]), Dispatch(np.zeros(2), np.array([30.0, 0.0])))
    assert values.saved_per_kwh[1].tolist() == [pytest.approx(0.22), 0.0]


def test_a_battery_that_charges_fills_the_grid_connection() -> None:
    store = Site(battery=Battery(40.0, 10.0, 10.0, 10.0))
    problem = hourly([ev(1, 12)], tree([12.0, 20.0]), [0.1, 0.3], store)
    busy = Dispatch(np.array([4.0, -2.0]), np.zeros(2))
    assert marginal_values(problem, np.array([[8.0, 4.0]]), busy).saved_per_kwh[0, 0] == pytest.approx(0.2)
    assert not marginal_values(problem, np.array([[8.0, 4.0]])).saved_per_kwh.any()


def test_a_soft_limit_is_worth_its_price() -> None:
    node = Node("site", None, np.full(2, 50.0), soft_limit_kw=np.full(2, 6.0), soft_price_per_kwh=0.1)
    feeder = Node("north", "site", np.array([5.0, 20.0]))
    problem = hourly([ev(1, 15, nodes=("north",))], PowerTree((node, feeder)), [0.3, 0.3])
    assert marginal_values(problem, np.array([[5.0, 10.0]])).saved_per_kwh[1].tolist() == [pytest.approx(0.1), 0.0]


def test_limits_per_phase_have_at_least_the_value_of_one_vehicle_moving() -> None:
    single = ev(1, 6.9, most=6.9, phases=1, phase_map="1")
    triple = ev(2, 11.0, most=11.0, arrives=1)
    site = Node("site", None, None, np.array([20.0, 60.0]))
    problem = hourly([single, triple], PowerTree((site,)), [0.1, 0.3])
    assert not_a_flow(problem)
    values = marginal_values(problem, np.array([[4.6, 2.3], [0.0, 11.0]]))
    assert values.saved_per_kwh[0].tolist() == [pytest.approx(0.2), 0.0]
    hungry = hourly([replace(single, energy=20.0), triple], PowerTree((site,)), [0.1, 0.3])
    assert marginal_values(hungry, np.array([[4.6, 6.9], [0.0, 11.0]])).serves_more.tolist() == [[True, False]]


def test_an_empty_depot_has_no_values() -> None:
    values = marginal_values(hourly([], tree([5.0] * 2), [0.1, 0.2]), np.zeros((0, 2)))
    assert not values.saved_per_kwh.any()
    assert values.saved_per_kwh.shape == (1, 2)
