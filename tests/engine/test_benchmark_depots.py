"""The depots that planners are measured on, and the judge that stands beside them."""

import numpy as np
import pytest

from benchmarks.alone import Measured, judged, measure, periods_per_vehicle
from benchmarks.bars import of_the_linear_stage
from benchmarks.comparison import Found, tables
from benchmarks.instances import LEAST_FEASIBLE_KW, REQUESTED_KWH, Instance, tight_depot
from benchmarks.matrix import Matrix, solve_directly


@pytest.mark.parametrize("n", [40, 200, 1000, 5000])
def test_requests_and_limits_are_the_recorded_ones(n: int) -> None:
    problem = Instance(n).problem()
    assert problem.need_kwh.sum() == pytest.approx(REQUESTED_KWH[n], abs=5e-4)
    limit = problem.tree.by_name["site"].limit_kw
    assert limit is not None
    assert limit.max() == pytest.approx(1.10 * LEAST_FEASIBLE_KW[n])
    assert limit.min() == pytest.approx(0.75 * limit.max())


def test_finer_steps_are_the_same_day() -> None:
    quarters, minutes = Instance(40).problem(), Instance(40, 288).problem()
    assert minutes.horizon.end == quarters.horizon.end
    np.testing.assert_array_equal(minutes.first_step, 3 * quarters.first_step)
    np.testing.assert_array_equal(minutes.price_per_kwh[::3], quarters.price_per_kwh)


@pytest.mark.parametrize(("n", "feeders", "boards"), [(40, 2, 1), (200, 10, 1), (1000, 50, 5)])
def test_feeders_of_twenty_vehicles_stand_under_boards_under_the_site(n: int, feeders: int, boards: int) -> None:
    problem = Instance(n, tree=True).problem()
    names = [node.name for node in problem.tree.nodes]
    assert sum(name.startswith("feeder") for name in names) == feeders
    assert sum(name.startswith("board") for name in names) == boards
    assert all(len(problem.tree.above(ev)) == 3 for ev in problem.evs)


def test_the_floor_serves_everybody_at_the_recorded_cost() -> None:
    problem = Instance(40).problem()
    matrix = Matrix.of(problem)
    found = judged("floor", problem, matrix.power_of(solve_directly(matrix)))
    assert found.unmet_kwh == pytest.approx(0.0, abs=1e-6)
    assert found.money == pytest.approx(528.3, abs=0.06)


@pytest.mark.parametrize("n", [40, 200])
def test_under_the_tree_everybody_can_be_served_and_some_feeders_are_full(n: int) -> None:
    problem = Instance(n, tree=True).problem()
    matrix = Matrix.of(problem)
    power = matrix.power_of(solve_directly(matrix))
    assert problem.unmet(power).sum() == pytest.approx(0.0, abs=1e-6)
    full = problem.rows.coefficients @ power > problem.rows.limits - 1e-6
    assert full[1:].any()


def test_a_demand_charge_lowers_the_peak_and_is_in_the_floors_objective() -> None:
    problem = Instance(40, tree=True, demand=True).problem()
    matrix = Matrix.of(problem)
    values = solve_directly(matrix)
    power = matrix.power_of(values)
    assert problem.money(power).steering == pytest.approx(float(matrix.cost @ values), rel=1e-9)
    without = Matrix.of(Instance(40, tree=True).problem())
    assert power.sum(axis=0).max() < without.power_of(solve_directly(without)).sum(axis=0).max() - 1.0


def test_the_mixed_integer_programme_keeps_the_minimum_that_the_linear_one_breaks() -> None:
    problem = tight_depot(23)
    linear, whole = Matrix.of(problem), Matrix.of(problem).without_money().with_binaries()
    free = judged("linear", problem, linear.power_of(solve_directly(linear)))
    kept = judged("whole", problem, whole.power_of(solve_directly(whole, time_limit_s=20.0)))
    assert free.below_minimum > 0
    assert kept.below_minimum == 0
    assert kept.unmet_kwh >= free.unmet_kwh - 1e-3


def test_periods_are_runs_of_equal_power_between_arrival_and_departure() -> None:
    problem = Instance(40).problem()
    power = problem.zeros()
    assert periods_per_vehicle(problem, power) == 1.0
    middle = (problem.first_step + problem.last_step) // 2
    power[np.arange(40), middle] = 1.0
    assert periods_per_vehicle(problem, power) == 3.0


def test_a_method_is_measured_in_a_process_of_its_own() -> None:
    found = measure("HiGHS simplex", Instance(40), 1)
    assert found.problem == ""
    assert found.money == pytest.approx(528.3, abs=0.06)
    assert found.seconds > 0
    assert found.memory_mb > 10


def test_a_method_that_fails_is_a_line_of_the_table_that_says_why() -> None:
    absent = measure("nobody", Instance(40), 1)
    floor = Measured("HiGHS ipm", seconds=0.5, runs=3, memory_mb=48.2, served_kwh=100.0, money=20.0, periods=17.0)
    ours = Measured("flow", seconds=0.05, runs=3, memory_mb=60.0, served_kwh=99.0, money=20.2, periods=6.0)
    found = Found({Instance(40): {one.method: one for one in (absent, floor, ours)}})
    (table,) = tables(found)
    assert table.lines == (
        ("flow", "0.05", "0.1", "1", "1", "6.0", "60", "3", ""),
        ("HiGHS ipm", "0.5", "1", "0", "0", "17.0", "48", "3", ""),
        ("nobody", "", "", "", "", "", "", "", "KeyError: 'nobody'"),
    )


def test_what_was_not_measured_reaches_no_bar() -> None:
    bars = of_the_linear_stage(Found())
    assert not any(bar.reached for bar in bars)
    assert {bar.line[2].split(" (")[0] for bar in bars} == {"not measured"}
