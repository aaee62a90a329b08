"""Serving what is missing under minimum powers: into free room, and by planning anew who stands in the way."""

from __future__ import annotations

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.flow.compiled import compiled, inner
from scheduling.engine.shape.board import MOVABLE, Board
from scheduling.engine.shape.moves import EPS, inlined, is_low, reach, settle

_SHORT_KWH = 1e-6


@compiled
def settle_low_powers(b: Board) -> None:
    """Leave no power below the minimum: raised if its vehicle misses energy, moved where it costs least, or dropped."""
    for i in range(len(b.first)):
        if b.mobility[i] != MOVABLE:
            continue
        for t in range(b.first[i], b.last[i]):
            if not is_low(b.power[i, t], b.least[i]):
                continue
            more = b.least[i] - b.power[i, t]
            if more * b.hours[t] <= b.left[i] + EPS and b.least[i] <= reach(b, i, t) + EPS:
                settle(b, i, t, b.least[i])
            else:
                _move_or_drop(b, i, t)


@inner
def _move_or_drop(b: Board, i: int, t: int) -> None:
    """Put a low power onto another step, or take what it lacks from one, at least cost; else it is dropped."""
    had = b.power[i, t]
    up = b.least[i] <= reach(b, i, t) + EPS
    best, best_u, best_p = 1e300, -1, 0.0
    for u in range(b.first[i], b.last[i]):
        if u == t:
            continue
        top = reach(b, i, u)
        for p in (0.0, b.least[i]):
            energy = (had - p) * b.hours[t]
            q = b.power[i, u] + energy / b.hours[u]
            if abs(q) < EPS:
                q = 0.0
            if q < 0.0 or is_low(q, b.least[i]) or (p > had and not up) or (q > b.power[i, u] and q > top + EPS):
                continue
            cost = (b.price[u] - b.price[t]) * energy
            if cost < best - EPS:
                best, best_u, best_p = cost, u, p
    settle(b, i, t, best_p)
    if best_u >= 0:
        q = b.power[i, best_u] + (had - best_p) * b.hours[t] / b.hours[best_u]
        settle(b, i, best_u, 0.0 if abs(q) < EPS else q)


@inner
def serve(b: Board, i: int, since: int) -> None:
    """Give the vehicle what it misses in the cheapest steps from `since` on, each 0 or at least its minimum."""
    for t in b.cheapest:
        if b.left[i] <= _SHORT_KWH:
            return
        if t < max(b.first[i], since) or t >= b.last[i]:
            continue
        now, top = b.power[i, t], reach(b, i, t)
        power = min(top, now + b.left[i] / b.hours[t])
        if power <= now + EPS:
            continue
        if not is_low(power, b.least[i]):
            settle(b, i, t, power)
        elif now == 0.0 and top >= b.least[i] - EPS:
            _gather(b, i, t, top, since)


@inner
def _gather(b: Board, i: int, t: int, top: float, since: int) -> None:
    """Start to charge in a step for which too little need is left, with what other steps have above the minimum.

    If that is too little, with the whole energy of the smallest step that makes it enough: a first step of seconds
    would otherwise cost the vehicle the rest of its need.
    """
    lacking = b.least[i] * b.hours[t] - b.left[i]
    surplus, smallest, source = 0.0, 1e300, -1
    for u in range(max(b.first[i], since), b.last[i]):
        energy = b.power[i, u] * b.hours[u]
        surplus += max(energy - b.least[i] * b.hours[u], 0.0)
        if energy > 0.0 and energy < smallest and lacking <= energy + EPS and energy + b.left[i] <= top * b.hours[t]:
            smallest, source = energy, u
    if surplus >= lacking:
        for k in range(len(b.cheapest) - 1, -1, -1):
            u = b.cheapest[k]
            if u < max(b.first[i], since) or b.power[i, u] <= b.least[i]:
                continue
            given = min(lacking, (b.power[i, u] - b.least[i]) * b.hours[u])
            settle(b, i, u, b.power[i, u] - given / b.hours[u])
            lacking -= given
        settle(b, i, t, b.least[i])
    elif source >= 0:
        settle(b, i, source, 0.0)
        settle(b, i, t, max(b.left[i] / b.hours[t], b.least[i]))


@compiled
def serve_in_order(b: Board, order: IntArray) -> None:
    """`serve` for all vehicles that may move, in this order."""
    for i in order:
        if b.mobility[i] == MOVABLE:
            serve(b, i, 0)


@inlined
def _clear(b: Board, i: int, since: int) -> None:
    for t in range(max(b.first[i], since), b.last[i]):
        settle(b, i, t, 0.0)


@inlined
def _restore(b: Board, i: int, powers: FloatArray) -> None:
    for t in range(b.first[i], b.last[i]):
        settle(b, i, t, powers[t])


@inlined
def _add_missing(b: Board, i: int, sign: float, missing: FloatArray) -> None:
    """Add (or take) what the vehicle misses to the sums by class, battery kWh."""
    served = b.need[i] - b.left[i]
    missing[b.minimum_class[i]] += sign * max(b.minimum[i] - served, 0.0) * b.efficiency[i]
    missing[b.desired_class[i]] += sign * max(b.need[i] - max(served, b.minimum[i]), 0.0) * b.efficiency[i]


@inlined
def _cost(b: Board, i: int) -> float:
    money = 0.0
    for t in range(b.first[i], b.last[i]):
        money += b.power[i, t] * b.hours[t] * b.price[t]
    return money


@inlined
def _is_better(missing: FloatArray, dearer: float, sideways: bool) -> bool:
    """Whether a change (by class, less is better) is an improvement in the strict order, or none the worse."""
    for change in missing:
        if change < -_SHORT_KWH:
            return True
        if change > _SHORT_KWH:
            return False
    return sideways or dearer < -1e-9


@inner
def replan(b: Board, group: IntArray, missing: FloatArray, sideways: bool) -> bool:
    """Plan a few vehicles anew, one after the other, and keep that if it is better; `missing` is room for sums."""
    missing[:] = 0.0
    saved = np.empty((len(group), len(b.hours)))
    cost = 0.0
    for k in range(len(group)):
        saved[k] = b.power[group[k]]
        cost -= _cost(b, group[k])
        _add_missing(b, group[k], -1.0, missing)
    for i in group:
        _clear(b, i, 0)
    for i in group:
        serve(b, i, 0)
        cost += _cost(b, i)
        _add_missing(b, i, 1.0, missing)
    if _is_better(missing, cost, sideways):
        return True
    for i in group:
        _clear(b, i, 0)
    for k in range(len(group)):
        _restore(b, group[k], saved[k])
    return False


@inner
def _in_the_way(b: Board, i: int, partners: IntArray) -> int:
    """Fill `partners` with those that charge under a common row while i is there, the most energy first; how many."""
    energy = np.zeros(len(b.first))
    for j in range(len(b.first)):
        if j == i or b.mobility[j] != MOVABLE or not _meet(b, i, j):
            continue
        for t in range(max(b.first[i], b.first[j]), min(b.last[i], b.last[j])):
            energy[j] -= b.power[j, t] * b.hours[t]
    order = np.argsort(energy, kind="mergesort")
    count = 0
    for j in order:
        if count == len(partners) or energy[j] >= 0.0:
            break
        partners[count] = j
        count += 1
    return count


@inlined
def _meet(b: Board, i: int, j: int) -> bool:
    """Whether two vehicles load a common row."""
    k, m = b.row_start[i], b.row_start[j]
    while k < b.row_start[i + 1] and m < b.row_start[j + 1]:
        if b.row[k] == b.row[m]:
            return True
        if b.row[k] < b.row[m]:
            k += 1
        else:
            m += 1
    return False


@compiled
def make_way(b: Board, order: IntArray, most_partners: int, tries: int) -> None:
    """Plan pairs anew, those that miss energy in `order` with each that stands in the way, as long as that helps."""
    partners = np.empty(most_partners, np.int64)
    missing = np.zeros(max(b.minimum_class.max(), b.desired_class.max()) + 1)
    pair = np.empty(2, np.int64)
    gained = True
    while gained and tries > 0:
        gained = False
        for i in order:
            if b.left[i] <= _SHORT_KWH or b.mobility[i] != MOVABLE:
                continue
            for k in range(_in_the_way(b, i, partners)):
                tries -= 1
                for turn in range(2):
                    pair[turn], pair[1 - turn] = i, partners[k]
                    if replan(b, pair, missing, False):
                        gained = True
                        break
                if b.left[i] <= _SHORT_KWH or tries <= 0:
                    break


@compiled
def shuffle(b: Board, tries: int, seed: int) -> None:
    """Plan small random groups around vehicles that miss energy anew, in random order; keep what is none the worse.

    The same seed makes the same choices.
    """
    n = len(b.first)
    state = np.uint64(seed * 2 + 1)
    missing = np.zeros(max(b.minimum_class.max(), b.desired_class.max()) + 1)
    short = np.empty(n, np.int64)
    partners = np.empty(n, np.int64)
    for _ in range(tries):
        count = 0
        for i in range(n):
            if b.left[i] > _SHORT_KWH and b.mobility[i] == MOVABLE and b.most[i].max() > 0.0:
                short[count] = i
                count += 1
        if count == 0:
            return
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        i = short[np.int64(state >> np.uint64(33)) % count]
        found = _in_the_way(b, i, partners)
        size = min(found, 1 + np.int64(state >> np.uint64(50)) % 5)
        group = np.empty(size + 1, np.int64)
        for k in range(size):
            state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
            pick = k + np.int64(state >> np.uint64(33)) % (found - k)
            partners[k], partners[pick] = partners[pick], partners[k]
            group[k] = partners[k]
        at = np.int64(state >> np.uint64(40)) % (size + 1)
        for k in range(size, at, -1):
            group[k] = group[k - 1]
        group[at] = i
        replan(b, group, missing, True)


@compiled
def cheapen(b: Board, since: int) -> None:
    """Plan each vehicle anew from step `since` on where that serves as much for less money."""
    saved = np.empty(len(b.hours))
    for i in range(len(b.first)):
        if b.mobility[i] != MOVABLE or b.last[i] <= since:
            continue
        saved[:] = b.power[i]
        left, cost = b.left[i], _cost(b, i)
        _clear(b, i, since)
        serve(b, i, since)
        if b.left[i] > left + 1e-9 or _cost(b, i) > cost - 1e-7:
            _clear(b, i, 0)
            _restore(b, i, saved)


@compiled
def adopt(b: Board, wish: FloatArray, order: IntArray) -> None:
    """Give each vehicle, in this order, as much of the plan in force as limits, stay and need still allow."""
    for i in order:
        if b.mobility[i] != MOVABLE or np.isnan(wish[i, 0]):
            continue
        for t in range(b.first[i], b.last[i]):
            power = min(wish[i, t], reach(b, i, t), b.left[i] / b.hours[t])
            if power > EPS and not is_low(power, b.least[i]):
                settle(b, i, t, power)
