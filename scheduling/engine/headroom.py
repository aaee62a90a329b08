"""Book-keeping of what the limits still allow; every grant keeps all rows and the minimum power."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray

if TYPE_CHECKING:
    from scheduling.engine.problem import Problem

_EPS = 1e-9


class Headroom:
    """A growing plan, `power` (n_ev, steps) in kW, and the load of every row under it."""

    def __init__(self, problem: Problem, power: FloatArray) -> None:
        self._problem = problem
        self._rows = problem.rows
        self.power = power.copy()
        self.load = self._rows.coefficients @ problem.excess_power(self.power)
        self._rows_of = [np.flatnonzero(column) for column in self._rows.coefficients.T]
        self._shares = [
            list(zip(rows.tolist(), column[rows].tolist(), strict=True))
            for rows, column in zip(self._rows_of, self._rows.coefficients.T, strict=True)
        ]

    def room(self, step: int) -> FloatArray:
        """What every row still allows in one step, shape (n_rows,)."""
        return np.maximum(self._rows.limits[:, step] - self.load[:, step], 0.0)

    def ceiling(self, ev: int) -> FloatArray:
        """Most the vehicle may have in each step beside all others, kW, shape (steps,); 0 or >= its minimum."""
        problem, free = self._problem, self._problem.free_power[ev]
        counted = np.maximum(self.power[ev] - free, 0.0)
        top: FloatArray = np.minimum(problem.most_power[ev], free + counted + self.room_of(ev))
        top[top < problem.min_power[ev] - _EPS] = 0.0
        return top

    def room_of(self, ev: int) -> FloatArray:
        """What the nodes above a vehicle would let it draw more in each step, kW, shape (steps,)."""
        rows = self._rows_of[ev]
        weight = self._rows.coefficients[rows, ev][:, None]
        room: FloatArray = ((self._rows.limits[rows] - self.load[rows]) / weight).min(axis=0, initial=np.inf)
        return np.maximum(room, 0.0)

    def put(self, ev: int, power: FloatArray) -> None:
        """Replace the vehicle's plan, kW, shape (steps,); the caller stays below `ceiling`."""
        rows = self._rows_of[ev]
        free = self._problem.free_power[ev]
        change = np.maximum(power - free, 0.0) - np.maximum(self.power[ev] - free, 0.0)
        self.load[rows] += self._rows.coefficients[rows, ev][:, None] * change
        self.power[ev] = power

    def put_step(self, step: int, evs: IntArray, power: FloatArray) -> None:
        """Replace the power of the vehicles `evs` in one step, kW, aligned with `evs`; the caller keeps the limits."""
        free = self._problem.free_power[evs]
        change = np.maximum(power - free, 0.0) - np.maximum(self.power[evs, step] - free, 0.0)
        self.load[:, step] += self._rows.coefficients[:, evs] @ change
        self.power[evs, step] = power

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
        problem, room = self._problem, self.room(step).tolist()
        wishes = zip(
            order.tolist(),
            self.power[order, step].tolist(),
            wanted.tolist(),
            problem.min_power[order].tolist(),
            problem.free_power[order].tolist(),
            strict=True,
        )
        reached = np.array([self._raised(room, *wish) for wish in wishes], dtype=np.float64)
        self.put_step(step, order, reached)
        return reached

    def _raised(self, room: list[float], ev: int, before: float, wanted: float, minimum: float, free: float) -> float:
        """What one vehicle reaches, kW; what that costs the nodes, nothing up to its fallback, is taken off `room`."""
        if wanted <= before + _EPS:
            return before
        counted = max(before - free, 0.0)
        more = max(wanted - free, 0.0) - counted
        for row, weight in self._shares[ev]:
            if weight * more > room[row]:
                more = room[row] / weight
        reached = min(wanted, free + counted + more)
        if reached <= before + _EPS or reached < minimum - _EPS:
            return before
        for row, weight in self._shares[ev]:
            room[row] = max(room[row] - weight * more, 0.0)
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
