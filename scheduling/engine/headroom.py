"""Book-keeping of what the limits still allow; every grant keeps all rows and the minimum power."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scheduling.engine.arrays import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from scheduling.engine.problem import Problem

_EPS = 1e-9
_PASSES = 6


class Headroom:
    """A growing plan, `power` (n_ev, steps) in kW, and the load of every row under it."""

    def __init__(self, problem: Problem, power: FloatArray) -> None:
        self._problem = problem
        self._rows = problem.rows
        self.power = power.copy()
        self.load = self._rows.coefficients @ problem.excess_power(self.power)
        self._narrow_first = np.argsort((self._rows.coefficients > 0).sum(axis=1), kind="stable")
        self._rows_of = [np.flatnonzero(column) for column in self._rows.coefficients.T]

    def ceiling(self, ev: int) -> FloatArray:
        """Most the vehicle may have in each step beside all others, kW, shape (steps,); 0 or >= its minimum."""
        problem, rows = self._problem, self._rows_of[ev]
        free = problem.free_power[ev]
        top = np.full(problem.horizon.steps, problem.max_power[ev])
        if rows.size:
            weight = self._rows.coefficients[rows, ev][:, None]
            room = (self._rows.limits[rows] - self.load[rows]) / weight
            counted = np.maximum(self.power[ev] - free, 0.0)
            np.minimum(top, free + counted + np.maximum(room.min(axis=0), 0.0), out=top)
        top[(top < problem.min_power[ev] - _EPS) | ~problem.present[ev]] = 0.0
        return top

    def put(self, ev: int, power: FloatArray) -> None:
        """Replace the vehicle's plan, kW, shape (steps,); the caller stays below `ceiling`."""
        rows = self._rows_of[ev]
        free = self._problem.free_power[ev]
        change = np.maximum(power - free, 0.0) - np.maximum(self.power[ev] - free, 0.0)
        self.load[rows] += self._rows.coefficients[rows, ev][:, None] * change
        self.power[ev] = power

    def serve(self, ev: int, order: IntArray) -> FloatArray:
        """Plan one vehicle anew beside all others: its need in the steps of `order`, first ones first."""
        problem = self._problem
        plan = fill(self.ceiling(ev), problem.hours, problem.need_kwh[ev], problem.min_power[ev], order)
        self.put(ev, plan)
        return plan

    def raise_step(self, step: int, order: IntArray, wanted: FloatArray) -> FloatArray:
        """Raise the vehicles in `order` towards `wanted` (kW, aligned with order) in one step; kW granted in total now.

        Who would end between 0 and the minimum gets nothing more, and the room goes to the next.
        """
        problem = self._problem
        before = self.power[order, step]
        least = problem.min_power[order]
        alive = wanted > before + _EPS
        reached: FloatArray = before
        starved = np.zeros(len(order), dtype=np.bool_)
        for _ in range(_PASSES):
            reached = np.where(alive, self._clip(step, order, before, wanted, alive), before)
            starved = (reached > before + _EPS) & (reached < least - _EPS)
            if not starved.any():
                break
            alive = alive & ~starved
        reached = np.where(starved, before, reached)
        self._set(step, order, reached)
        return reached

    def _set(self, step: int, order: IntArray, power: FloatArray) -> None:
        free = self._problem.free_power[order]
        change = np.maximum(power - free, 0.0) - np.maximum(self.power[order, step] - free, 0.0)
        self.load[:, step] += self._rows.coefficients[:, order] @ change
        self.power[order, step] = power

    def _clip(self, step: int, order: IntArray, before: FloatArray, wanted: FloatArray, alive: BoolArray) -> FloatArray:
        """What each would reach if served in order; up to its fallback a rise costs the nodes nothing."""
        free = self._problem.free_power[order]
        counted = np.maximum(before - free, 0.0)
        more = np.where(alive, np.maximum(wanted - free, 0.0) - counted, 0.0)
        for row in self._narrow_first:
            weight = self._rows.coefficients[row, order]
            asked = weight * more
            room = max(float(self._rows.limits[row, step] - self.load[row, step]), 0.0)
            allowed = np.clip(room - (np.cumsum(asked) - asked), 0.0, asked)
            more = np.where(weight > 0, allowed / np.where(weight > 0, weight, 1.0), more)
        reached: FloatArray = np.minimum(wanted, free + counted + more)
        return reached


def fill(ceiling: FloatArray, hours: FloatArray, need: float, minimum: float, order: IntArray) -> FloatArray:
    """Power per step, kW: `need` kWh under `ceiling` (each 0 or >= minimum), in the steps of `order`, first ones first.

    Where the last step would end below the minimum, the steps before it give what it lacks.
    """
    power = np.zeros_like(ceiling)
    usable = order[ceiling[order] > _EPS]
    energy = ceiling[usable] * hours[usable]
    total = np.cumsum(energy)
    whole = int(np.searchsorted(total, need + _EPS, side="right"))
    power[usable[:whole]] = ceiling[usable[:whole]]
    left = need - (float(total[whole - 1]) if whole else 0.0)
    if whole == len(usable) or left <= _EPS:
        return power
    last = int(usable[whole])
    power[last] = left / hours[last]
    lacking = (minimum - power[last]) * hours[last]
    if lacking <= 0:
        return power
    donors = usable[:whole][::-1]
    surplus = np.maximum(power[donors] - minimum, 0.0) * hours[donors]
    if surplus.sum() < lacking - _EPS:
        _take_a_whole_step(power, donors, last, left, ceiling, hours, minimum)
        return power
    given = np.clip(lacking - (np.cumsum(surplus) - surplus), 0.0, surplus)
    power[donors] -= given / hours[donors]
    power[last] = minimum
    return power


def _take_a_whole_step(
    power: FloatArray, donors: IntArray, last: int, left: float, ceiling: FloatArray, hours: FloatArray, minimum: float
) -> None:
    """Lift step `last` to a usable power with the energy of one whole other step, the smallest that does; else drop it.

    A first step of seconds would otherwise cost the vehicle the rest of its need.
    """
    for donor in donors[np.argsort(power[donors] * hours[donors], kind="stable")]:
        moved = (left + power[donor] * hours[donor]) / hours[last]
        if minimum - _EPS <= moved <= ceiling[last] + _EPS:
            power[donor] = 0.0
            power[last] = min(max(moved, minimum), ceiling[last])
            return
    power[last] = 0.0
