"""The shape of a plan without compiled code, for the first minutes of a machine: minimum powers and nothing else."""

from __future__ import annotations

from scheduling.engine.arrays import FloatArray
from scheduling.engine.problem import Problem
from scheduling.engine.shape.board import by_urgency

_EPS = 1e-9
_SHORT_KWH = 1e-3


def plainly_shaped(problem: Problem, power: FloatArray) -> FloatArray:
    """`power` (kW, (n_ev, steps)) without powers below the minimum; what that takes is served where there is room."""
    low = (power > 0) & (power < problem.min_power[:, None] - _EPS)
    headroom = problem.headroom(power * ~low)
    missing = problem.energy(power) - problem.energy(headroom.power)
    for i in map(int, by_urgency(problem)):
        if missing[i] <= _SHORT_KWH:
            continue
        before = headroom.power[i].copy()
        cheapest = problem.steering_price.argsort(kind="stable")
        if headroom.serve(i, cheapest) @ problem.hours < before @ problem.hours:
            headroom.put(i, before)
    return headroom.power
