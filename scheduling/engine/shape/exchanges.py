"""Exchanges between two vehicles that keep the load of every step, and with it the money and the peak.

Vehicle i gives power in one step to j and takes as much energy back in another; where two steps cost the same and
there is room, it moves alone. An exchange is made if it lowers the unrest of the two: powers below the minimum weigh
most, then what differs from the plan in force within the next hour, then changes of power and starts, then what
differs later. For fewer changes nothing moves alone to a later step within the last hour of a stay.
"""

from __future__ import annotations

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.flow.compiled import compiled, inner
from scheduling.engine.shape.board import FROZEN, Board
from scheduling.engine.shape.moves import (
    EPS,
    SAME_KW,
    inlined,
    is_low,
    is_thinkable,
    pair_fits,
    reach,
    settle,
    without_dust,
)

_LOW, _NEAR, _CHANGE, _START, _FAR = 1000, 40, 4, 2, 3
EARLY_ENOUGH_H = 1.0
LOW_ONLY = _LOW // 2
"""Least gain that only an exchange against a power below the minimum has."""


@inlined
def unrest_between(before: float, after: float) -> int:
    """Unrest between two neighbouring powers."""
    if abs(after - before) <= SAME_KW:
        return 0
    return _CHANGE + _START if before == 0.0 else _CHANGE


@inlined
def off_wish(p: float, wish: float, soon: bool) -> int:
    """Unrest of a power that is not what the plan in force says; nan: there is none."""
    if abs(p - wish) > SAME_KW:
        return _NEAR if soon else _FAR
    return 0


@inlined
def _relief(power: FloatArray, wish: FloatArray, near: int, i: int, t: int, p: float) -> int:
    """How much less unrest vehicle i has with power p in step t; at the horizon's ends nothing changes."""
    had = power[i, t]
    relief = off_wish(had, wish[i, t], t < near) - off_wish(p, wish[i, t], t < near)
    if t > 0:
        relief += unrest_between(power[i, t - 1], had) - unrest_between(power[i, t - 1], p)
    if t + 1 < power.shape[1]:
        relief += unrest_between(had, power[i, t + 1]) - unrest_between(p, power[i, t + 1])
    return relief


@inlined
def _joint(power: FloatArray, i: int, t: int, p: float, u: int, q: float) -> int:
    """What the reliefs of two steps count wrongly when the steps are neighbours: the border between them."""
    if abs(t - u) != 1:
        return 0
    if t > u:
        t, p, u, q = u, q, t, p
    before, after = power[i, t], power[i, u]
    counted = 2 * unrest_between(before, after) - unrest_between(p, after) - unrest_between(before, q)
    return unrest_between(before, after) - unrest_between(p, q) - counted


@inner
def _partner(
    b: Board, busy: IntArray, wish: FloatArray, near: int, i: int, t: int, p: float, u: int, q: float, least: int
) -> int:
    """A vehicle that takes over what i leaves in the steps t and u so that both together gain enough; -1 if none."""
    power, most, smallest, mobility, first, last = b.power, b.most, b.least, b.mobility, b.first, b.last
    give = power[i, t] - p
    back = q - power[i, u]
    highest = (_NEAR if near > 0 else 0) + 2 * _CHANGE + _START + _FAR
    early, late = min(t, u), max(t, u)
    takers = busy[u] if give > 0.0 else busy[t]  # the partner has power in the step in which i takes
    at = i + 37 * t + 11 * u
    for k in range(takers[0]):
        j = takers[1 + (at + k) % takers[0]]
        now_t, now_u = power[j, t], power[j, u]
        has_t, has_u = without_dust(now_t + give), without_dust(now_u - back)
        if has_t < 0.0 or has_u < 0.0 or j == i or first[j] > early or last[j] <= late:
            continue
        if is_low(has_t, smallest[j]) or is_low(has_u, smallest[j]):
            continue
        gain = _relief(power, wish, near, j, t, has_t)
        if gain + highest < least:
            continue
        gain += _relief(power, wish, near, j, u, has_u) + _joint(power, j, t, has_t, u, has_u)
        if gain < least or not is_thinkable(has_t, now_t, most[j, t], mobility[j]):
            continue
        if not is_thinkable(has_u, now_u, most[j, u], mobility[j]):
            continue
        if pair_fits(b, i, p, j, has_t, t) and pair_fits(b, i, q, j, has_u, u):
            return int(j)
    return -1


@inner
def _calm_step(
    b: Board, busy: IntArray, wish: FloatArray, near: int, i: int, t: int, p: float, alone: bool, least: int
) -> int:
    """Give the vehicle power p in step t and find another step and, if need be, another vehicle for the difference.

    Returns that vehicle, or i itself if none was needed, or -1 if nothing was done.
    """
    power, most, hours, price = b.power, b.most, b.hours, b.price
    had, smallest = power[i, t], b.least[i]
    energy = (had - p) * hours[t]
    here = _relief(power, wish, near, i, t, p) + (_LOW if is_low(had, smallest) else 0)
    for u in range(b.first[i], b.last[i]):
        now = power[i, u]
        q = without_dust(now + energy / hours[u])
        if u == t or not is_thinkable(q, now, most[i, u], b.mobility[i]):
            continue
        gain = here + _relief(power, wish, near, i, u, q) + _joint(power, i, t, p, u, q)
        gain += (_LOW if is_low(now, smallest) else 0) - (_LOW if is_low(q, smallest) else 0)
        if gain < least:
            continue
        raised, lowered, top = (u, t, q) if q > now else (t, u, p)
        worth_a_delay = raised < lowered or here >= _NEAR or b.hours[raised + 1 : b.last[i]].sum() >= EARLY_ENOUGH_H
        if alone and worth_a_delay and abs(price[t] - price[u]) <= EPS and top <= reach(b, i, raised) + EPS:
            settle(b, i, t, p)
            settle(b, i, u, q)
            return i
        j = _partner(b, busy, wish, near, i, t, p, u, q, least - gain)
        if j >= 0:
            settle(b, i, t, p)
            settle(b, i, u, q)
            settle(b, j, t, without_dust(power[j, t] + had - p))
            settle(b, j, u, without_dust(power[j, u] - (q - now)))
            return int(j)
    return -1


@inner
def busy_vehicles(b: Board) -> IntArray:
    """How many and which vehicles charge in each step now, (steps, n_ev + 1)."""
    busy = np.zeros((len(b.hours), len(b.first) + 1), np.int64)
    for i in range(len(b.first)):
        for t in range(b.first[i], b.last[i]):
            if b.power[i, t] > 0.0:
                busy[t, 0] += 1
                busy[t, busy[t, 0]] = i
    return busy


@compiled
def calm(
    b: Board, wish: FloatArray, near: int, begin: int, end: int, restless: FloatArray, alone: bool, least: int
) -> int:
    """Exchange for the vehicles begin:end wherever that gains at least `least`; how many exchanges were made.

    `wish` (n_ev, steps) is the plan in force, nan where there is none, `near` the steps of the next hour. `restless`
    (n_ev,) is 1 for vehicles worth a look, and is kept up to date. `alone`: moves without a partner are allowed.
    """
    made, busy = 0, busy_vehicles(b)
    targets = np.empty(3)
    for i in range(begin, end):
        if restless[i] == 0.0 or b.mobility[i] == FROZEN:
            continue
        restless[i] = 0.0
        for t in range(b.first[i], b.last[i]):
            had = b.power[i, t]
            left = b.power[i, t - 1] if t > 0 else had
            right = b.power[i, t + 1] if t + 1 < len(b.hours) else had
            low = is_low(had, b.least[i])
            if least >= LOW_ONLY and not low:
                continue
            unwished = t < near and abs(had - wish[i, t]) > SAME_KW
            if not low and not unwished and (abs(had - left) <= SAME_KW or abs(had - right) <= SAME_KW):
                continue
            targets[0], targets[1] = (0.0, b.least[i]) if low else (left, right)
            targets[2] = wish[i, t] if unwished else had
            for k in range(3):
                p = targets[k]
                if (
                    abs(p - had) <= SAME_KW
                    or is_low(p, b.least[i])
                    or not is_thinkable(p, had, b.most[i, t], b.mobility[i])
                ):
                    continue
                j = _calm_step(b, busy, wish, near, i, t, p, alone, least)
                if j >= 0:
                    made += 1
                    restless[i] = restless[j] = 1.0
                    break
    return made
