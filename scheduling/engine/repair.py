"""From the linear optimum to a plan in which everybody charges with 0 or at least its minimum power."""

from __future__ import annotations

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.first_come import ranked
from scheduling.engine.headroom import Headroom
from scheduling.engine.model import SLACK_PRICE, slack_prices
from scheduling.engine.problem import Problem

_EPS = 1e-6
_SHORT_KWH = 0.005
_ROUNDS = 3
_PARTNERS = 40
_EXCHANGES = 600
_WORTH_CHEAPENING = 5e-4


def repair(problem: Problem, power: FloatArray, *, least_worth: float = 0.0) -> FloatArray:
    """A plan near `power` (kW, (n_ev, steps)) that keeps all limits and minimum powers and serves what they allow.

    Powers below the minimum are dropped; who misses energy then is planned anew beside the others, and if that is not
    enough, together with one vehicle that stands in its way. Stops when what is missing is worth `least_worth` or less.
    """
    clean = np.clip(power, 0.0, problem.max_power[:, None])
    clean[(clean < problem.min_power[:, None] - _EPS) | (clean < _EPS)] = 0.0
    headroom = problem.headroom(_within_needs(problem, clean))
    for i in short_vehicles(problem, headroom):
        serve_again(problem, headroom, int(i))
    exchange_rounds(problem, headroom, least_worth)
    if problem.cost(headroom.power) > problem.cost(power) + _WORTH_CHEAPENING * abs(problem.cost(power)):
        _cheapen(problem, headroom)
    return headroom.power


def serve_again(problem: Problem, headroom: Headroom, i: int) -> bool:
    """Plan one vehicle anew beside the others, if that serves more."""
    old = headroom.power[i].copy()
    new = headroom.serve(i, _preferred_steps(problem, old))
    if new @ problem.hours > old @ problem.hours + 1e-9:
        return True
    headroom.put(i, old)
    return False


def _cheapen(problem: Problem, headroom: Headroom) -> None:
    """Plan every vehicle anew once where that serves as much for less money."""
    money = problem.hours * problem.price_per_kwh
    for i in map(int, ranked(problem, problem.laxity_hours)):
        old = headroom.power[i].copy()
        new = headroom.serve(i, _preferred_steps(problem, old))
        if (new - old) @ problem.hours < -1e-9 or (new - old) @ money > -1e-6:
            headroom.put(i, old)


def worth_of_unmet(problem: Problem, power: FloatArray) -> float:
    """What the missing energy counts in money by priority and urgency."""
    return float(slack_prices(problem) @ problem.unmet(power))


def exchange_rounds(problem: Problem, headroom: Headroom, least_worth: float) -> None:
    """Plan pairs anew until nothing better is possible, nothing helps, or the number of tries is used up."""
    tries = _EXCHANGES
    for _ in range(_ROUNDS):
        if worth_of_unmet(problem, headroom.power) <= least_worth + SLACK_PRICE * _SHORT_KWH:
            break
        gained = False
        for i in short_vehicles(problem, headroom):
            partners = _in_the_way(problem, headroom, int(i))[: min(tries, _PARTNERS)]
            tries -= len(partners)
            gained |= _best_exchange(problem, headroom, int(i), partners)
        if not gained or tries <= 0:
            break


def _best_exchange(problem: Problem, headroom: Headroom, i: int, partners: IntArray) -> bool:
    """Plan `i` anew without one of `partners`, then that partner beside it: the pair that is worth most, if any is."""
    worth, money = slack_prices(problem), problem.hours * problem.price_per_kwh
    old_i = headroom.power[i].copy()
    best_gain, best = worth[i] * 1e-6, None
    for j in map(int, partners):
        old_j = headroom.power[j].copy()
        headroom.put(j, np.zeros_like(old_j))
        new_i = headroom.serve(i, _preferred_steps(problem, old_i))
        new_j = headroom.serve(j, _preferred_steps(problem, old_j))
        more_i, more_j = new_i - old_i, new_j - old_j
        gain = worth[i] * (more_i @ problem.hours) + worth[j] * (more_j @ problem.hours) - (more_i + more_j) @ money
        if gain > best_gain:
            best_gain, best = gain, (j, new_i.copy(), new_j.copy())
        headroom.put(j, np.zeros_like(old_j))
        headroom.put(i, old_i)
        headroom.put(j, old_j)
    if best is None:
        return False
    j, new_i, new_j = best
    headroom.put(j, np.zeros_like(new_j))
    headroom.put(i, new_i)
    headroom.put(j, new_j)
    return True


def _within_needs(problem: Problem, power: FloatArray) -> FloatArray:
    """`power` without what solver rounding left above a need; who would fall below its minimum loses the step."""
    energy = problem.energy(power)
    factor = np.where(energy > problem.need_kwh, problem.need_kwh / np.maximum(energy, _EPS), 1.0)
    lowered: FloatArray = power * factor[:, None]
    lowered[lowered < problem.min_power[:, None] * (1 - 1e-9)] = 0.0
    return lowered


def short_vehicles(problem: Problem, headroom: Headroom) -> IntArray:
    """Vehicles that miss energy: the more important first, then the less time they can spare."""
    order = ranked(problem, problem.laxity_hours)
    order = order[np.argsort(-problem.priority[order], kind="stable")]
    missing: IntArray = order[_helpable(problem, headroom.power)[order] > _SHORT_KWH]
    return missing


def _helpable(problem: Problem, power: FloatArray) -> FloatArray:
    """Missing energy that its stay and maximum would allow each vehicle, kWh, (n_ev,)."""
    return np.minimum(problem.need_kwh, problem.deliverable_kwh) - problem.energy(power)


def _in_the_way(problem: Problem, headroom: Headroom, i: int) -> IntArray:
    """Others under a common limit that charge while `i` could, the most energy first."""
    common = (problem.rows.coefficients[problem.rows.coefficients[:, i] > 0] > 0).any(axis=0)
    energy = headroom.power @ (problem.hours * problem.present[i])
    energy[~common] = 0.0
    energy[i] = 0.0
    order = ranked(problem, -energy)[:_PARTNERS]
    found: IntArray = order[energy[order] > 0.0]
    return found


def _preferred_steps(problem: Problem, plan: FloatArray) -> IntArray:
    """Cheapest first, then those in which the vehicle charges already, then early."""
    steps = np.arange(problem.horizon.steps)
    return np.lexsort((steps, plan <= 0.0, problem.price_per_kwh)).astype(np.int64)
