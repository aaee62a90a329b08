"""The linear depot problem written a second time, row by row into HiGHS, in the strict order of objectives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from scheduling.engine import Node, Problem
from scheduling.engine.arrays import FloatArray

NeedClass = tuple[int, int, float]
"""(0 for the minimum or 1 for the desired part, -priority, -efficiency): the smaller comes first."""
_SLACK = 1e-8


@dataclass(frozen=True)
class Verdict:
    """What the best plan achieves."""

    served_kwh: dict[NeedClass, float]
    money: float


class FlowJudge:
    """One programme; what each question has found is fixed before the next one is asked."""

    def __init__(self, problem: Problem) -> None:
        import highspy

        self.problem = problem
        self._optimal = highspy.HighsModelStatus.kOptimal
        self._h: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        self._h.setOptionValue("output_flag", False)
        self._counted: dict[tuple[int, int], int] = {}
        self._past: dict[tuple[int, int], int] = {}
        self._parts: dict[NeedClass, list[int]] = {}
        self._cost: dict[int, float] = {}
        for row in range(len(problem.evs)):
            self._vehicle(row)
        for node in problem.tree.nodes:
            self._node(node)
        self._peak()

    def verdict(self) -> Verdict:
        """The most served energy class by class, then the least money."""
        served = {}
        for need_class in sorted(self._parts):
            columns = self._parts[need_class]
            best = -self._least(dict.fromkeys(columns, -1.0))
            self._row(best - _SLACK, np.inf, [(column, 1.0) for column in columns])
            served[need_class] = best
        return Verdict(served, self._least(self._cost))

    def _vehicle(self, row: int) -> None:
        problem, ev = self.problem, self.problem.evs[row]
        horizon, hours = problem.horizon, problem.hours
        parts = [self._column(amount) for amount in _parts_of(problem, row)]
        for part, column in enumerate(parts):
            self._parts.setdefault((part, -ev.priority, -ev.efficiency), []).append(column)
        terms = [(column, -1.0) for column in parts]
        for t in range(horizon.steps if not ev.hold else 0):
            there = (ev.active and t == 0) or horizon.borders[t] >= ev.arrival_time
            if there and horizon.borders[t + 1] <= ev.departure_time:
                past = min(ev.free_power, ev.max_power)
                self._past[row, t] = self._column(past)
                self._counted[row, t] = self._column(ev.max_power - past)
                for column in (self._past[row, t], self._counted[row, t]):
                    terms.append((column, hours[t]))
                    self._cost[column] = problem.steering_price[t] * hours[t]
        self._row(0.0, 0.0, terms)

    def _node(self, node: Node) -> None:
        problem = self.problem
        below = [row for row in range(len(problem.evs)) if self._stands_under(row, node.name)]
        for t in range(problem.horizon.steps):
            terms = [(self._counted[row, t], 1.0) for row in below if (row, t) in self._counted]
            if node.limit_kw is not None:
                self._row(-np.inf, max(node.limit_kw[t] - node.reserved_kw, 0.0), terms)
            if node.soft_limit_kw is not None:
                excess = self._column(np.inf)
                self._cost[excess] = node.soft_price_per_kwh * problem.hours[t]
                self._row(-np.inf, node.soft_limit_kw[t] - node.reserved_kw, [*terms, (excess, -1.0)])

    def _peak(self) -> None:
        problem, steps = self.problem, self.problem.horizon.steps
        building = np.zeros(steps) if problem.site.building_kw is None else problem.site.building_kw
        for charge in problem.site.demand_charges:
            increment = self._column(np.inf)
            self._cost[increment] = charge.price_per_kw
            for t in range(steps):
                if charge.steps is None or charge.steps[t]:
                    drawn = [columns[key] for columns in (self._counted, self._past) for key in columns if key[1] == t]
                    terms = [(column, 1.0) for column in drawn]
                    self._row(-np.inf, charge.peak_so_far_kw - building[t], [*terms, (increment, -1.0)])

    def _stands_under(self, row: int, name: str) -> bool:
        nodes = self.problem.tree.by_name
        at: str | None = self.problem.evs[row].nodes[0]
        while at is not None and at != name:
            at = nodes[at].parent
        return at == name

    def _column(self, upper: float) -> int:
        self._h.addCol(0.0, 0.0, float(upper), 0, [], [])
        return int(self._h.getNumCol()) - 1

    def _row(self, lower: float, upper: float, terms: list[tuple[int, float]]) -> None:
        self._h.addRow(float(lower), float(upper), len(terms), [c for c, _ in terms], [float(v) for _, v in terms])

    def _least(self, cost: dict[int, float]) -> float:
        for column in range(int(self._h.getNumCol())):
            self._h.changeColCost(column, float(cost.get(column, 0.0)))
        self._h.run()
        assert self._h.getModelStatus() == self._optimal
        return float(self._h.getInfo().objective_function_value)


def served_by_class(problem: Problem, power: FloatArray) -> dict[NeedClass, float]:
    """Energy at the meter that a plan (kW, shape (n_ev, steps)) serves of each class."""
    served: dict[NeedClass, float] = {}
    for row, kwh in enumerate(problem.energy(power)):
        ev, (least, _) = problem.evs[row], _parts_of(problem, row)
        for part, amount in enumerate((min(kwh, least), max(kwh - least, 0.0))):
            key = (part, -ev.priority, -ev.efficiency)
            served[key] = served.get(key, 0.0) + amount
    return served


def _parts_of(problem: Problem, row: int) -> tuple[float, float]:
    """Minimum and desired need at the meter, kWh."""
    ev = problem.evs[row]
    minimum = ev.energy if ev.minimum_energy is None else ev.minimum_energy
    return minimum / ev.efficiency, (ev.energy - minimum) / ev.efficiency
