"""Exchanges of whole blocks: several steps at one power change places with as many steps elsewhere.

What single steps cannot do, because the first of them would make things worse: join two runs, or take a run away.
Every step keeps its load, as with single steps.
"""

from __future__ import annotations

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.flow.compiled import compiled, inner
from scheduling.engine.shape.board import MOVABLE, Board
from scheduling.engine.shape.exchanges import EARLY_ENOUGH_H, busy_vehicles, off_wish, unrest_between
from scheduling.engine.shape.moves import EPS, SAME_KW, inlined, is_low, pair_fits, reach, settle, without_dust

_LONGEST = 16


@inlined
def _relief(power: FloatArray, wish: FloatArray, near: int, i: int, s: int, size: int, more: float) -> int:
    """How much less unrest vehicle i has with `more` power in each of `size` steps from s on."""
    relief, e = 0, s + size
    if s > 0:
        before = power[i, s - 1]
        relief += unrest_between(before, power[i, s]) - unrest_between(before, without_dust(power[i, s] + more))
    if e < power.shape[1]:
        after = power[i, e]
        relief += unrest_between(power[i, e - 1], after) - unrest_between(without_dust(power[i, e - 1] + more), after)
    for t in range(s, e):
        had = power[i, t]
        relief += off_wish(had, wish[i, t], t < near) - off_wish(without_dust(had + more), wish[i, t], t < near)
    return relief


@inner
def _stands(b: Board, i: int, s: int, size: int, more: float) -> bool:
    """Whether the vehicle's own limits allow `more` in each step of the block."""
    if s < b.first[i] or s + size > b.last[i]:
        return False
    for t in range(s, s + size):
        power = without_dust(b.power[i, t] + more)
        if power < 0.0 or power > b.most[i, t] + EPS or is_low(power, b.least[i]):
            return False
    return True


@inlined
def _last_as_long(hours: FloatArray, s: int, u: int, size: int) -> bool:
    for k in range(size):  # noqa: SIM110 - compiled code has no generators
        if abs(hours[s + k] - hours[u + k]) > EPS:
            return False
    return True


@inner
def _move(b: Board, i: int, s: int, u: int, size: int, more: float) -> None:
    """Take `more` from the block at s and put it onto the block at u."""
    for k in range(size):
        settle(b, i, s + k, without_dust(b.power[i, s + k] - more))
        settle(b, i, u + k, without_dust(b.power[i, u + k] + more))


@inner
def _moves_alone(b: Board, i: int, s: int, u: int, size: int, more: float) -> bool:
    """Whether the block may move without a partner: at the same prices, into room, and early enough."""
    if (u < s) != (more > 0.0) and b.hours[max(s, u) + size : b.last[i]].sum() < EARLY_ENOUGH_H:
        return False
    for k in range(size):
        if abs(b.price[s + k] - b.price[u + k]) > EPS:
            return False
        raised = u + k if more > 0.0 else s + k
        if b.power[i, raised] + abs(more) > reach(b, i, raised) + EPS:
            return False
    return True


@inner
def _pair_stands(b: Board, i: int, j: int, s: int, u: int, size: int, more: float) -> bool:
    for k in range(size):
        t, v = s + k, u + k
        if not pair_fits(b, i, b.power[i, t] - more, j, b.power[j, t] + more, t):
            return False
        if not pair_fits(b, i, b.power[i, v] + more, j, b.power[j, v] - more, v):
            return False
    return True


@inner
def _exchange(
    b: Board, busy: IntArray, wish: FloatArray, near: int, i: int, s: int, size: int, more: float, alone: bool
) -> bool:
    """Find another place for `more` (kW) of a block, and a vehicle to change places with if need be."""
    power = b.power
    if abs(more) <= SAME_KW or not _stands(b, i, s, size, -more):
        return False
    here = _relief(power, wish, near, i, s, size, -more)
    for u in range(b.first[i], b.last[i] - size + 1):
        if s - size <= u <= s + size or not _stands(b, i, u, size, more):
            continue
        gain = here + _relief(power, wish, near, i, u, size, more)
        if gain <= 0 or not _last_as_long(b.hours, s, u, size):
            continue
        if alone and _moves_alone(b, i, s, u, size, more):
            _move(b, i, s, u, size, more)
            return True
        takers = busy[u] if more > 0.0 else busy[s]
        for k in range(1, takers[0] + 1):
            j = takers[k]
            if j == i or b.mobility[j] != MOVABLE:
                continue
            if power[j, u] < more - EPS or power[j, s] < -more - EPS or not _stands(b, j, u, size, -more):
                continue
            its = _relief(power, wish, near, j, s, size, more) + _relief(power, wish, near, j, u, size, -more)
            if gain + its > 0 and _stands(b, j, s, size, more) and _pair_stands(b, i, j, s, u, size, more):
                _move(b, i, s, u, size, more)
                _move(b, j, u, s, size, more)
                return True
    return False


@compiled
def calm_blocks(b: Board, wish: FloatArray, near: int, begin: int, end: int, alone: bool) -> int:
    """Exchange blocks of the vehicles begin:end wherever that lowers unrest; how many exchanges were made.

    `wish` (n_ev, steps) is the plan in force, nan where there is none, `near` the steps of the next hour; `alone`:
    moves without a partner are allowed.
    """
    made, busy, power = 0, busy_vehicles(b), b.power
    for i in range(begin, end):
        s = b.first[i]
        while b.mobility[i] == MOVABLE and s < b.last[i]:
            had, e = power[i, s], s + 1
            while e < b.last[i] and abs(power[i, e] - had) <= SAME_KW:
                e += 1
            if had > 0.0 and e - s <= _LONGEST:
                left = power[i, s - 1] if s > 0 else 0.0
                right = power[i, e] if e < power.shape[1] else 0.0
                if _exchange(b, busy, wish, near, i, s, e - s, had - left, alone) or (
                    abs(left - right) > SAME_KW and _exchange(b, busy, wish, near, i, s, e - s, had - right, alone)
                ):
                    made += 1
            s = e
    return made
