"""How fast the linear programme is built and solved: PuLP with HiGHS and with CBC against HiGHS fed directly.

All methods plan the same depots in the same run; `python -m benchmarks.planning` prints the table.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from statistics import median
from time import perf_counter

import highspy
import numpy as np

from benchmarks.rows import Row
from scheduling.engine import EV, Horizon, Options, PowerTree, Problem
from scheduling.engine.arrays import FloatArray
from scheduling.engine.linear import PulpLinearProgram
from scheduling.engine.model import LinearModel, linear_model

NOON = datetime(2026, 1, 12, 12, tzinfo=UTC)
LEAST_FEASIBLE_KW = {40: 170.803, 200: 767.982, 1000: 3716.062}
_KINDS = ((11.0, 60.0, 4.14), (22.0, 75.0, 4.14), (50.0, 200.0, 10.0), (100.0, 350.0, 10.0))


def depot(n: int) -> Problem:
    """The reference depot of `n` vehicles on 96 quarter hours from noon, with minimum powers; n is 40, 200 or 1,000."""
    rng = np.random.default_rng(7 + n)
    hour = (12 + np.arange(96) // 4) % 24
    evening, night = (hour >= 16) & (hour < 21), (hour >= 21) | (hour < 6)
    limit = 1.10 * LEAST_FEASIBLE_KW[n] * np.where(evening, 0.75, np.where(night, 1.0, 0.85))
    price = np.where(evening, 0.40, np.where((hour >= 22) | (hour < 6), 0.12, 0.20))
    evs = [_vehicle(rng, i) for i in range(n)]
    return Problem.of(evs, Horizon(NOON, timedelta(minutes=15), 96), PowerTree.single(limit), price)


def _vehicle(rng: np.random.Generator, i: int) -> EV:
    most, capacity, least = _KINDS[rng.choice(4, p=[0.45, 0.30, 0.15, 0.10])]
    arrival, departure = int(rng.integers(12, 41)), int(rng.integers(66, 89))
    energy = round(min(capacity * rng.uniform(0.25, 0.85), 0.85 * most * (departure - arrival) / 4), 3)
    begin, end = (NOON + timedelta(minutes=15 * step) for step in (arrival, departure))
    return EV(i, False, i, 1, least, most, begin, end, energy)


def solve_directly(model: LinearModel) -> FloatArray:
    """Values of all columns from HiGHS, the matrix handed over in one piece."""
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.setOptionValue("output_flag", False)
    solver.setOptionValue("threads", 1)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(model.cost), len(model.right)
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = model.cost, np.zeros(len(model.cost)), model.upper
    equal = np.arange(len(model.right)) < model.equal_rows
    lp.row_lower_, lp.row_upper_ = np.where(equal, model.right, -highspy.kHighsInf), model.right
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = model.row_start, model.row_column, model.row_value
    solver.passModel(lp)
    solver.run()
    if solver.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise RuntimeError(f"HiGHS ended with {solver.getModelStatus()}.")
    return np.array(solver.getSolution().col_value)


def run(sizes: tuple[int, ...] = (40, 200, 1000), repeats: int = 5) -> list[Row]:
    """Median seconds of `repeats` interleaved runs per depot and method, and their ratios to the floor."""
    rows: list[Row] = []
    for n in sizes:
        rows += _rows_of(n, repeats)
    return rows


def _rows_of(n: int, repeats: int) -> list[Row]:
    problem = depot(n)
    through_pulp = {name: _planner(problem, Options(solver=name)) for name in ("HiGHS", "CBC")}
    model = linear_model(problem)
    floors: list[float] = []
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in through_pulp}
    values = np.zeros(0)
    for _ in range(repeats):
        begun = perf_counter()
        values = solve_directly(model)
        floors.append(perf_counter() - begun)
        for name, plan in through_pulp.items():
            runs[name].append(plan())
    floor = median(floors)
    title = f"{n} EVs x 96 steps"
    rows = [Row(f"{title}: matrix straight into HiGHS", floor, "s", f"floor; {len(values)} columns")]
    for name, measured in runs.items():
        stage = {key: median(one[key] for one in measured) for key in measured[0]}
        rows += [
            Row(f"{title}: PuLP + {name}, build", stage["build"], "s"),
            Row(f"{title}: PuLP + {name}, solve", stage["solve"], "s", "hand-over to the solver included"),
            Row(f"{title}: PuLP + {name}, repair and check", stage["repair"] + stage["check"], "s"),
            Row(f"{title}: PuLP + {name}, total", stage["total"], "s", "with minimum powers repaired and checked"),
            Row(f"{title}: PuLP + {name}, build and solve / floor", (stage["build"] + stage["solve"]) / floor, "x"),
            Row(
                f"{title}: PuLP + {name}, total / floor",
                stage["total"] / floor,
                "x",
                "bar: 3" if (n, name) == (1000, "HiGHS") else "",
            ),
        ]
        rows.append(Row(f"{title}: PuLP + {name}, unmet after repair", stage["unmet_kwh"], "kWh"))
        rows.append(Row(f"{title}: PuLP + {name}, cost after repair", stage["cost"], "EUR"))
    return rows


def _planner(problem: Problem, options: Options) -> Callable[[], dict[str, float]]:
    """A run of the algorithm as callers see it: seconds per stage, total, unmet energy and cost."""

    def plan() -> dict[str, float]:
        begun = perf_counter()
        algorithm = PulpLinearProgram(
            problem.evs,
            horizon=problem.horizon,
            tree=problem.tree,
            price_per_kwh=problem.price_per_kwh,
            options=options,
        )
        algorithm.calculate()
        total = perf_counter() - begun
        result = algorithm.result
        if result.status != "optimal" or not result.ok:
            raise RuntimeError(f"No optimal plan: {result.status}, {len(result.violations)} violations.")
        figures = {key: result.summary[key] for key in ("unmet_kwh", "cost")}
        return {**result.seconds, "total": total, **figures}

    return plan


def main() -> None:
    """Print the table in Markdown."""
    print("| what | value | unit | note |\n|---|---:|---|---|")
    for row in run():
        print(f"| {row.name} | {row.value:.4g} | {row.unit} | {row.note} |")


if __name__ == "__main__":
    main()
