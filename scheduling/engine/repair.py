"""From the linear optimum to a plan in which everybody charges with 0 or at least its minimum power."""

from __future__ import annotations

import numpy as np

from scheduling.engine.arrays import FloatArray
from scheduling.engine.first_come import ranked
from scheduling.engine.headroom import Headroom
from scheduling.engine.problem import Problem

_EPS = 1e-6
_UNMET_KWH = 0.005


def repair(problem: Problem, power: FloatArray) -> FloatArray:
    """A plan near `power` (kW, (n_ev, steps)) that keeps all limits and minimum powers and serves what they allow.

    Deterministic and independent of the order of the vehicles.
    """
    clean = np.clip(power, 0.0, problem.max_power[:, None])
    clean[(clean < problem.min_power[:, None] - _EPS) | (clean < _EPS)] = 0.0
    offending = ((power > _EPS) & (clean == 0.0)).any(axis=1)
    headroom = problem.headroom(clean)
    _lower_into_limits(problem, headroom)
    for _ in range(2):
        short = problem.unmet(headroom.power) > _UNMET_KWH
        for i in ranked(problem, problem.laxity_hours):
            if short[i]:
                _serve_again(problem, headroom, int(i))
        if not (problem.unmet(headroom.power) > _UNMET_KWH)[offending].any():
            break
    return headroom.power


def _lower_into_limits(problem: Problem, headroom: Headroom) -> None:
    """Take away what solver rounding left above a limit or a need."""
    over = problem.energy(headroom.power) - problem.need_kwh
    for i in np.flatnonzero(over > 1e-9):
        headroom.put(int(i), headroom.power[i] * (problem.need_kwh[i] / (problem.need_kwh[i] + over[i])))


def _serve_again(problem: Problem, headroom: Headroom, i: int) -> None:
    """Plan one vehicle anew if that serves more: cheapest steps first, those already on before others."""
    old = headroom.power[i].copy()
    steps = np.arange(problem.horizon.steps)
    order = np.lexsort((steps, old <= 0.0, problem.price_per_kwh))
    new = headroom.serve(i, order)
    if new @ problem.hours < old @ problem.hours - 1e-9:
        headroom.put(i, old)
