"""Sharing one step between vehicles by weight, every limit of the tree kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.headroom import Headroom
from scheduling.engine.problem import Problem

Weights = Callable[[FloatArray], FloatArray]
"""From what each vehicle could still take (kW) to its weight, both above zero."""

_EPS = 1e-9
HARDLY_MISSING_KWH = 1e-6


def share_step(
    problem: Problem, headroom: Headroom, step: int, turns: IntArray, wanted: FloatArray, weights: Weights
) -> FloatArray:
    """Power of the vehicles `turns` in one step, kW, aligned with them: `wanted` or a share of what limits allow.

    Where the limits do not allow everybody's minimum, the first of `turns` get theirs; only who has it shares the rest.
    """
    headroom.raise_step(step, turns, np.minimum(problem.min_power[turns], wanted))
    has_minimum = headroom.power[turns, step] >= problem.min_power[turns] - _EPS
    on, goal = turns[has_minimum], wanted[has_minimum]
    free = np.minimum(problem.free_power[on], goal)
    headroom.put_step(step, on, np.maximum(headroom.power[on, step], free))
    _fill_up(problem, headroom, step, on, goal, weights)
    reached: FloatArray = headroom.power[turns, step]
    return reached


def able(problem: Problem, step: int, left: FloatArray) -> FloatArray:
    """Most that each vehicle may take in one step if it misses `left` kWh, kW, shape (n_ev,); 0 or >= minimum."""
    most: FloatArray = np.minimum(problem.most_power[:, step], left / problem.hours[step])
    return np.where((most > _EPS) & (most >= problem.min_power - _EPS), most, 0.0)


def missing_kwh(problem: Problem, power: FloatArray) -> FloatArray:
    """Need that stay and maximum would still allow each vehicle, kWh, shape (n_ev,); hardly anything counts as 0."""
    reachable = np.minimum(problem.need_kwh, problem.deliverable_kwh)
    missing: FloatArray = np.maximum(reachable - problem.energy(power), 0.0)
    return np.where(missing > HARDLY_MISSING_KWH, missing, 0.0)


def serve_the_rest(problem: Problem, headroom: Headroom, turns: IntArray, steps: IntArray) -> None:
    """Plan each vehicle of `turns` that misses energy anew beside all others, where that serves it more."""
    missing = missing_kwh(problem, headroom.power)
    for ev in turns[missing[turns] > 0].tolist():
        old = headroom.power[ev].copy()
        new = headroom.serve(ev, steps)
        if new @ problem.hours <= old @ problem.hours + _EPS:
            headroom.put(ev, old)


def _fill_up(problem: Problem, headroom: Headroom, step: int, on: IntArray, goal: FloatArray, weights: Weights) -> None:
    """Raise all together by their weights; whoever reaches its goal or a full node stops, the others go on."""
    coefficients = problem.rows.coefficients[:, on]
    member = coefficients > 0
    while on.size:
        left = goal - headroom.power[on, step]
        room = headroom.room(step)
        active = (left > _EPS) & ~member[room <= _EPS].any(axis=0)
        if not active.any():
            return
        weight = np.zeros(len(on))
        weight[active] = weights(left[active])
        drawn = coefficients @ weight
        level = np.divide(room, drawn, out=np.full(len(room), np.inf), where=drawn > 0)
        reach = np.where(member, level[:, None], np.inf).min(axis=0, initial=np.inf)
        step_up = np.where(active, np.minimum(left, np.where(active, weight, 1.0) * reach), 0.0)
        if step_up.max() <= _EPS:
            return
        headroom.put_step(step, on, headroom.power[on, step] + step_up)


def without_crumbs(
    problem: Problem, headroom: Headroom, step: int, evs: IntArray, left: FloatArray, after: int
) -> None:
    """Lower powers of one step that would leave less than the step `after` needs at minimum power.

    `left` is the energy that each of `evs` missed before this step, kWh.
    """
    hours, power = problem.hours[step], headroom.power[evs, step]
    least = problem.min_power[evs]
    rest = left - power * hours
    start = least * problem.hours[after]
    lowered = (left - start) / hours
    crumbs = (power > _EPS) & (rest > _EPS) & (rest < start - _EPS) & (lowered >= least - _EPS)
    headroom.put_step(step, evs, np.where(crumbs, np.maximum(lowered, least), power))
