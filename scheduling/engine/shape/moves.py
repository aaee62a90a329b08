"""What one vehicle or a pair may do in a step: the rules of the board, compiled."""

from __future__ import annotations

from numba import njit

from scheduling.engine.flow.compiled import inner
from scheduling.engine.shape.board import FROZEN, MOVABLE, Board

inlined = njit(forceinline=True)
"""For the small rules below: a call would cost more than the rule."""

EPS = 1e-9
SAME_KW = 2e-7
"""Powers that differ by less are one profile period."""


@inlined
def counted(power: float, free: float) -> float:
    """The part of a power that rows count, kW."""
    return max(power - free, 0.0)


@inlined
def is_low(power: float, least: float) -> bool:
    """Whether a power is neither zero nor as much as the vehicle needs to charge at all."""
    return 0.0 < power < least - EPS


@inlined
def is_thinkable(power: float, now: float, most: float, mobility: int) -> bool:
    """Whether the vehicle's own limits allow a power instead of the one it has now, be it low; kept runs stay."""
    if power < 0.0 or power > most + EPS:
        return False
    return mobility == MOVABLE or (mobility != FROZEN and (power > 0.0) == (now > 0.0))


@inner
def reach(b: Board, i: int, t: int) -> float:
    """Most that the vehicle may have in the step beside all others, kW; never less than it has."""
    now = b.power[i, t]
    more = 1e300
    for k in range(b.row_start[i], b.row_start[i + 1]):
        more = min(more, b.room[b.row[k], t] / b.weight[k])
    top = max(now, b.free[i]) + max(more, 0.0)
    return float(max(now, min(top, b.most[i, t], now + max(b.lift[t], 0.0))))


@inner
def settle(b: Board, i: int, t: int, power: float) -> None:
    """Give the vehicle this power in the step, whatever it had."""
    before = b.power[i, t]
    if power == before:
        return
    change = counted(power, b.free[i]) - counted(before, b.free[i])
    for k in range(b.row_start[i], b.row_start[i + 1]):
        b.room[b.row[k], t] -= b.weight[k] * change
    b.lift[t] -= power - before
    b.left[i] -= (power - before) * b.hours[t]
    b.power[i, t] = power


@inner
def pair_fits(b: Board, i: int, power_i: float, j: int, power_j: float, t: int) -> bool:
    """Whether all rows stand the step when two vehicles have these powers; their sum is what it was."""
    more_i = counted(power_i, b.free[i]) - counted(b.power[i, t], b.free[i])
    more_j = counted(power_j, b.free[j]) - counted(b.power[j, t], b.free[j])
    if b.kin[i] == b.kin[j] and more_i + more_j <= EPS:
        return True
    k, end_k, m, end_m = b.row_start[i], b.row_start[i + 1], b.row_start[j], b.row_start[j + 1]
    while k < end_k or m < end_m:
        row_i = b.row[k] if k < end_k else 1 << 60
        row_j = b.row[m] if m < end_m else 1 << 60
        row, load = min(row_i, row_j), 0.0
        if row_i == row:
            load += b.weight[k] * more_i
            k += 1
        if row_j == row:
            load += b.weight[m] * more_j
            m += 1
        if load > EPS and load > b.room[row, t] + EPS:
            return False
    return True


@inlined
def without_dust(power: float) -> float:
    """A power without what rounding left of nothing, kW."""
    return 0.0 if abs(power) < 1e-8 else power
