"""Replanning that changes nothing without a gain: vehicles keep what the plan in force promised them."""

from __future__ import annotations

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.first_come import ranked
from scheduling.engine.headroom import Headroom, fill
from scheduling.engine.model import SLACK_PRICE
from scheduling.engine.problem import Problem
from scheduling.engine.repair import exchange_rounds, short_vehicles, worth_of_unmet

WORTH_A_CHANGE = 5e-3  # share of the money that a new plan must save before it replaces the promised one
HARDLY_LESS_KWH = 0.05  # unmet energy that is no reason to change everybody's plan


def keep_promises(problem: Problem, best: FloatArray) -> FloatArray:
    """The plan in force, mended for what has changed, if it serves as much as `best` and hardly costs more.

    Else `best`. Both are in kW, shape (n_ev, steps), and keep all limits and minimum powers.
    """
    if all(ev.in_force is None for ev in problem.evs):
        return best
    mended = _mended(problem, worth_of_unmet(problem, best))
    serves_less = worth_of_unmet(problem, mended) - worth_of_unmet(problem, best) > SLACK_PRICE * HARDLY_LESS_KWH
    saves = problem.cost(mended) - problem.cost(best) > WORTH_A_CHANGE * abs(problem.cost(best)) + 1e-6
    return best if serves_less or saves else mended


def _mended(problem: Problem, enough: float) -> FloatArray:
    headroom = problem.headroom()
    for i in map(int, ranked(problem, problem.laxity_hours)):
        if (promised := problem.evs[i].in_force) is not None and promised.shape == (problem.horizon.steps,):
            _put_promise(problem, headroom, i, promised)
    for i in map(int, short_vehicles(problem, headroom)):
        kept = headroom.power[i].copy()
        served = headroom.serve(i, _promised_first(problem, kept))
        if served @ problem.hours < kept @ problem.hours - 1e-9:
            headroom.put(i, kept)
    exchange_rounds(problem, headroom, enough)
    return headroom.power


def _put_promise(problem: Problem, headroom: Headroom, i: int, promised: FloatArray) -> None:
    """As much of the promise as limits, stay and need still allow."""
    power = np.minimum(promised, headroom.ceiling(i))
    power[power < problem.min_power[i] - 1e-9] = 0.0
    order = _promised_first(problem, power)
    headroom.put(i, fill(power, problem.hours, float(problem.need_kwh[i]), float(problem.min_power[i]), order))


def _promised_first(problem: Problem, plan: FloatArray) -> IntArray:
    """Steps in which the vehicle charges already, then the cheapest, then early."""
    steps = np.arange(problem.horizon.steps)
    return np.lexsort((steps, problem.price_per_kwh, plan <= 0.0)).astype(np.int64)
