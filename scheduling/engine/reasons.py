"""Why each vehicle gets what it gets in each step."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from scheduling.engine.arrays import ENERGY_TOLERANCE_KWH, POWER_TOLERANCE_KW, BoolArray, FloatArray, IntArray
from scheduling.engine.problem import Problem

Reason = Literal[
    "deadline",
    "cheap_price",
    "cheaper_later",
    "group_limit",
    "site_limit",
    "dr_event",
    "min_power",
    "waiting_turn",
    "full",
    "not_plugged",
]
REASONS: tuple[Reason, ...] = get_args(Reason)


def explain(problem: Problem, power: FloatArray) -> list[list[Reason]]:
    """Reason code per vehicle and step, n_ev lists of `steps` codes.

    A charging vehicle: below its maximum because a limit of the tree is full (site_limit, group_limit, dr_event), just
    at its minimum (min_power), in a step cheaper than others of its stay (cheap_price), or for its deadline.
    A waiting one: served already (full), a cheaper step follows (cheaper_later), the limit carries no vehicle at all
    (the limit's code, or min_power), or others are served first (waiting_turn).
    """
    if not problem.evs:
        return []
    on = power > POWER_TOLERANCE_KW
    load = problem.rows.coefficients @ problem.excess_power(power)
    limit_code, limit_binds = _limit_codes(problem, problem.rows.limits - load < POWER_TOLERANCE_KW)
    closed_code, closed = _limit_codes(problem, problem.rows.limits < POWER_TOLERANCE_KW)
    price = np.broadcast_to(problem.price_per_kwh, power.shape)
    present = problem.present
    dearest = np.where(present, price, -np.inf).max(axis=1, initial=-np.inf)[:, None]
    at_minimum = (problem.min_power[:, None] > 0) & (power <= problem.min_power[:, None] + POWER_TOLERANCE_KW)
    below_top = power < problem.max_power[:, None] - POWER_TOLERANCE_KW
    served = _served_before(problem, power)
    cheaper_later = _cheapest_used_later(price, on) < price - 1e-12
    too_little = problem.min_power[:, None] > _most_alone(problem) + POWER_TOLERANCE_KW
    codes = np.select(
        [
            ~present,
            on & below_top & limit_binds & ~at_minimum,
            on & at_minimum & below_top,
            on & (price < dearest - 1e-12),
            on,
            served,
            closed,
            too_little,
            cheaper_later,
        ],
        [
            _code("not_plugged"),
            limit_code,
            _code("min_power"),
            _code("cheap_price"),
            _code("deadline"),
            _code("full"),
            closed_code,
            _code("min_power"),
            _code("cheaper_later"),
        ],
        _code("waiting_turn"),
    )
    return [[REASONS[code] for code in row] for row in codes.tolist()]


def _code(reason: Reason) -> int:
    return REASONS.index(reason)


def _most_alone(problem: Problem) -> FloatArray:
    """Highest power each vehicle could have if all others were off, kW, (n_ev, steps)."""
    rows = problem.rows
    most = np.broadcast_to(problem.max_power[:, None], problem.shape).copy()
    for coefficients, limit in zip(rows.coefficients, rows.limits, strict=True):
        below = np.flatnonzero(coefficients)
        most[below] = np.minimum(most[below], problem.free_power[below, None] + limit / coefficients[below, None])
    return most


def _limit_codes(problem: Problem, flags: BoolArray) -> tuple[IntArray, BoolArray]:
    """Code of the innermost flagged row above each vehicle, and where there is one; both (n_ev, steps)."""
    rows = problem.rows
    code = np.full(problem.shape, -1)
    widest_first = np.argsort(-(rows.coefficients > 0).sum(axis=1), kind="stable")
    for row in widest_first:
        node = problem.tree.by_name[rows.names[row]]
        plain = _code("site_limit" if rows.is_root[row] else "group_limit")
        event = np.zeros(problem.horizon.steps, dtype=np.bool_) if node.dr_event is None else node.dr_event
        here = np.where(event, _code("dr_event"), plain)
        below = rows.coefficients[row] > 0
        code[below] = np.where(flags[row], here, code[below])
    return code, code >= 0


def _served_before(problem: Problem, power: FloatArray) -> BoolArray:
    """Where the whole need is delivered before the step begins."""
    energy = power * problem.hours
    before = np.cumsum(energy, axis=1) - energy
    result: BoolArray = before >= problem.need_kwh[:, None] - ENERGY_TOLERANCE_KWH
    return result


def _cheapest_used_later(price: FloatArray, on: BoolArray) -> FloatArray:
    """Lowest price of all later steps in which the vehicle charges, infinite if there is none."""
    used = np.where(on, price, np.inf)
    from_here = np.minimum.accumulate(used[:, ::-1], axis=1)[:, ::-1]
    return np.concatenate([from_here[:, 1:], np.full((len(on), 1), np.inf)], axis=1)
