"""The planning problem written a second time, row by row into HiGHS, as judge of the engine's linear programme."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np

from scheduling.engine import Problem
from scheduling.engine.arrays import FloatArray


def least_objective(problem: Problem, slack_price: FloatArray) -> float:
    """Least sum of slack price x unmet kWh + money for energy, without minimum powers."""
    h: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    h.setOptionValue("output_flag", False)
    columns: dict[tuple[int, int], tuple[int, int]] = {}
    balances: list[list[tuple[int, float]]] = []
    for i, ev in enumerate(problem.evs):
        balances.append([(_column(h, slack_price[i], problem.need_kwh[i]), 1.0)])
        for t, hours in enumerate(problem.hours):
            begin, end = problem.horizon.borders[t], problem.horizon.borders[t + 1]
            there = (ev.active and t == 0) or begin >= ev.arrival_time
            if there and end <= ev.departure_time:
                free = min(ev.free_power, ev.max_power)
                price = problem.price_per_kwh[t] * hours
                pair = _column(h, price, free), _column(h, price, ev.max_power - free)
                columns[i, t] = pair
                balances[i] += [(column, hours) for column in pair]
    for need, terms in zip(problem.need_kwh, balances, strict=True):
        _row(h, need, need, terms)
    for t in range(problem.horizon.steps):
        for node in problem.tree.nodes:
            below = [(i, pair[1]) for (i, step), pair in columns.items() if step == t and _under(problem, i, node.name)]
            if node.limit_kw is not None:
                _row(h, -np.inf, max(node.limit_kw[t] - node.reserved_kw, 0), [(column, 1.0) for _, column in below])
            for phase in "123" if node.limit_a is not None else "":
                evs = [(problem.evs[i], column) for i, column in below]
                terms = [(c, 1000 / (ev.voltage * ev.phases)) for ev, c in evs if phase in ev.phase_map[: ev.phases]]
                assert node.limit_a is not None
                _row(h, -np.inf, max(node.limit_a[t], 0.0), terms)
    h.run()
    assert h.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return float(h.getObjectiveValue())


def _column(h: Any, cost: float, upper: float) -> int:
    h.addCol(float(cost), 0.0, float(upper), 0, [], [])
    return int(h.getNumCol()) - 1


def _row(h: Any, lower: float, upper: float, terms: list[tuple[int, float]]) -> None:
    h.addRow(float(lower), float(upper), len(terms), [c for c, _ in terms], [float(v) for _, v in terms])


def _under(problem: Problem, i: int, name: str) -> bool:
    at: str | None = problem.evs[i].nodes[0]
    while at is not None and at != name:
        at = problem.tree.by_name[at].parent
    return at == name
