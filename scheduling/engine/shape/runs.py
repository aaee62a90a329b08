"""Shortest times of charging and of pausing: where a vehicle charges at all, chosen as whole runs."""

from __future__ import annotations

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.flow.compiled import compiled, inner
from scheduling.engine.problem import Problem
from scheduling.engine.shape.board import MOVABLE, RUNS_KEPT, Board
from scheduling.engine.shape.moves import EPS, inlined, reach, settle

UNKNOWN, WAS_OFF, WAS_ON = -1, 0, 1
_HALVINGS = 40
_SLACK_H = 1e-6
_SHORT_KWH = 1e-6


def shortest_runs(problem: Problem) -> tuple[FloatArray, FloatArray, IntArray]:
    """Shortest time on and off per vehicle, h, and whether it charges at the horizon's start, each (n_ev,).

    That is what the plan in force says of the first step; without one it is unknown, and whatever the plan begins
    with may end at any time. Who is not there yet is off, and may start at once.
    """
    on = np.array([ev.min_on.total_seconds() / 3600.0 for ev in problem.evs])
    off = np.array([ev.min_off.total_seconds() / 3600.0 for ev in problem.evs])
    before = np.full(len(problem.evs), UNKNOWN, dtype=np.int64)
    for i, ev in enumerate(problem.evs):
        if ev.in_force is not None and ev.in_force.size:
            before[i] = WAS_ON if ev.in_force[0] > 0 else WAS_OFF
    return on, off, before


def keep_whole_runs(problem: Problem, board: Board, order: IntArray) -> None:
    """Plan vehicles that charge or pause too briefly anew, in this order; from then on nobody's runs change."""
    on, off, before = shortest_runs(problem)
    bound = ((on > 0) | (off > 0)) & (board.mobility == MOVABLE)
    if bound.any():
        plan_runs(board, order[bound[order]], on, off, before)
        board.mobility[bound] = RUNS_KEPT


@inlined
def _run_may(b: Board, i: int, s: int, e: int, hours: float, on: float, before: int) -> bool:
    """Whether a run over the steps s:e is long enough, or goes on from before the horizon or beyond it."""
    continues = s == 0 and before != WAS_OFF
    return hours >= on - _SLACK_H or continues or e == len(b.hours)


@inner
def keeps_runs(b: Board, i: int, on: float, off: float, before: int) -> bool:
    """Whether no run and no pause of the vehicle is too short."""
    t, last_end = b.first[i], -1
    while t < b.last[i]:
        if b.power[i, t] <= 0.0:
            t += 1
            continue
        pause = b.hours[max(last_end, 0) : t].sum()
        stopped_now = last_end < 0 and b.first[i] == 0 and before == WAS_ON and t > 0
        if (last_end >= 0 or stopped_now) and pause < off - _SLACK_H:
            return False
        start = t
        while t < b.last[i] and b.power[i, t] > 0.0:
            t += 1
        if not _run_may(b, i, start, t, b.hours[start:t].sum(), on, before):
            return False
        last_end = t
    return True


@inner
def _best_runs(
    b: Board, i: int, top: FloatArray, worth: FloatArray, on: float, off: float, before: int, charging: IntArray
) -> None:
    """Mark in `charging` the runs of greatest worth (money per step) that are long enough; dynamic programme."""
    first, last = b.first[i], b.last[i]
    start_value, start_from = np.full(last + 1, -1e300), np.full(last + 1, -1)
    end_value, end_from = np.full(last + 1, -1e300), np.full(last + 1, -1)
    charging[:] = 0
    for t in range(first, last + 1):
        hours, value = 0.0, 0.0
        for s in range(t - 1, first - 1, -1):
            if top[s] <= 0.0:
                break
            hours, value = hours + b.hours[s], value + worth[s]
            if start_value[s] + value > end_value[t] and _run_may(b, i, s, t, hours, on, before):
                end_value[t], end_from[t] = start_value[s] + value, s
        pause = 0.0
        for e in range(t, first - 1, -1):
            if pause >= off - _SLACK_H and end_value[e] > start_value[t]:
                start_value[t], start_from[t] = end_value[e], e
            if e > first:
                pause += b.hours[e - 1]
        must_wait = first == 0 and before == WAS_ON and t > 0 and b.hours[:t].sum() < off - _SLACK_H
        if not must_wait and start_value[t] < 0.0:
            start_value[t], start_from[t] = 0.0, -1
    best, e = 0.0, -1
    for t in range(first, last + 1):
        if end_value[t] > best + EPS:
            best, e = end_value[t], t
    while e >= 0:
        charging[end_from[e] : e] = 1
        e = start_from[end_from[e]]


@inner
def _priced_runs(
    b: Board, i: int, top: FloatArray, level: FloatArray, on: float, off: float, before: int, least: bool, out: IntArray
) -> None:
    """Runs for the need at the least price: the energy of a step counts with `level`, kW.

    With `least` the longest runs whose energy stays below the need, else the shortest ones that serve it, or all.
    """
    low, high = b.price.min() - 1.0, b.price.max() + 1e4
    trial = np.zeros(len(b.hours), np.int64)
    worth = np.zeros(len(b.hours))
    out[:] = 0
    for k in range(_HALVINGS):
        price = high if k == 0 and not least else 0.5 * (low + high)
        for t in range(b.first[i], b.last[i]):
            worth[t] = (price - b.price[t]) * level[t] * b.hours[t]
        _best_runs(b, i, top, worth, on, off, before, trial)
        energy = (level * b.hours * trial).sum()
        serves, fits = energy >= b.need[i] - _SHORT_KWH, energy <= b.need[i] + _SHORT_KWH
        if serves:
            high = price
        else:
            low = price
        if (least and fits) or (not least and (serves or k == 0)):
            out[:] = trial


@inner
def _fill_runs(b: Board, i: int, charging: IntArray) -> None:
    """The minimum in every step of the runs, then the rest of the need in the cheapest of them.

    Who has no minimum charges evenly instead: a step without power would end the run.
    """
    floor, hours = 1e300, (b.hours * charging).sum()
    for t in range(b.first[i], b.last[i]):
        if charging[t] == 1:
            floor = min(floor, reach(b, i, t))
    floor = b.least[i] if b.least[i] > 0.0 else min(floor, b.need[i] / max(hours, EPS))
    for t in range(b.first[i], b.last[i]):
        if charging[t] == 1:
            settle(b, i, t, floor)
    for t in b.cheapest:
        if charging[t] == 1 and b.left[i] > _SHORT_KWH:
            settle(b, i, t, min(reach(b, i, t), b.power[i, t] + b.left[i] / b.hours[t]))


@inner
def _one_short_run(b: Board, i: int, top: FloatArray, charging: IntArray) -> None:
    """Best effort for a need below that of one run at the minimum, or where a pause would last too long to be served:
    the cheapest place for one run; energy comes before times."""
    charging[:] = 0
    best, begin, stop = 1e300, -1, -1
    for s in range(b.first[i], b.last[i]):
        left, money = b.need[i], 0.0
        for t in range(s, b.last[i]):
            if top[t] <= 0.0 or left < b.least[i] * b.hours[t] - EPS:
                break
            left -= b.least[i] * b.hours[t]
            money += (b.price[t] - 1e4) * b.least[i] * b.hours[t]
            if money < best - EPS:
                best, begin, stop = money, s, t + 1
    if begin >= 0:
        charging[begin:stop] = 1


@compiled
def plan_runs(b: Board, order: IntArray, on: FloatArray, off: FloatArray, before: IntArray) -> None:
    """Plan each vehicle of `order` anew that charges or pauses too briefly, beside all others."""
    charging = np.zeros(len(b.hours), np.int64)
    top, level = np.zeros(len(b.hours)), np.zeros(len(b.hours))
    for i in order:
        if b.mobility[i] != MOVABLE or keeps_runs(b, i, on[i], off[i], before[i]):
            continue
        for t in range(b.first[i], b.last[i]):
            settle(b, i, t, 0.0)
        top[:] = 0.0
        level[:] = 0.0
        for t in range(b.first[i], b.last[i]):
            most = reach(b, i, t)
            if most > EPS and most >= b.least[i] - EPS:
                top[t], level[t] = most, b.least[i]
        _priced_runs(b, i, top, top, on[i], off[i], before[i], False, charging)
        if (level * b.hours * charging).sum() > b.need[i] + _SHORT_KWH:
            _priced_runs(b, i, top, level, on[i], off[i], before[i], True, charging)
            if charging.sum() == 0:
                _one_short_run(b, i, top, charging)
        _fill_runs(b, i, charging)
