"""From a linear optimum to a plan that chargers can follow."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.problem import Problem
from scheduling.engine.shape.blocks import calm_blocks
from scheduling.engine.shape.board import Board, board_of, by_urgency, missing_by_class
from scheduling.engine.shape.exchanges import LOW_ONLY, calm
from scheduling.engine.shape.milp import SemiContinuous
from scheduling.engine.shape.moves import SAME_KW
from scheduling.engine.shape.plain import plainly_shaped
from scheduling.engine.shape.promises import kept_promises, near_steps, plan_in_force
from scheduling.engine.shape.readiness import ready
from scheduling.engine.shape.runs import keep_whole_runs
from scheduling.engine.shape.service import cheapen, make_way, serve_in_order, settle_low_powers, shuffle

_ENOUGH = 2e-4  # share of the served energy that may be missing beside the linear optimum: a fifth of the promised gap
_ALL_BUT = 1e-6  # the same share for a mixed-integer programme, which mostly reaches all of it
_DEAR = 5e-4  # share of the money above the linear optimum: half of the promised gap
_SMALL = 30
"""Vehicles up to which the whole depot is one mixed-integer programme of about a second."""
_MILP_SECONDS = 1.2
_ROUNDS_AGAINST_LOW = 3
_SMOOTHING_PASSES = 8
_CHUNK = 500
_MANY_ORDERS = 100
_PARTNERS, _TRIES, _SHUFFLES = 40, 1000, 400
_HIGHER = tuple(1.0 + 0.01 * 2**k for k in range(16))
"""Shares of the peak up to which the site may grow, one after the other, where energy does not fit below it."""


def shaped(problem: Problem, power: FloatArray, *, deadline_s: float | None = None) -> FloatArray:
    """The plan near the linear optimum `power` (kW, (n_ev, steps)) that chargers can follow, same shape.

    Every power is 0 or at least the minimum, runs and pauses last their shortest times, no limit is exceeded, nobody
    gets more than the need; few starts and periods, and the plan in force wherever it is as good. The load of every
    step is kept where possible; money grows only by what minimum powers make unavoidable, and the site's peak only if
    the energy of the optimum cannot be served below it. Vehicles that give back keep their powers. A need too small
    for the shortest run is served by a run as long as the need. Deterministic, unless `deadline_s` (from now) ends the
    search early; the plan is valid then as well. Until the room's code is compiled (`ready`), nothing is smoothed.
    """
    if not power.size:
        return power.copy()
    until = perf_counter() + (np.inf if deadline_s is None else deadline_s)
    linear = _within_limits(problem, power)
    if not ready():
        return _finished(problem, linear, plainly_shaped(problem, linear), until)
    plan = _usable(problem, linear, until)
    highest = _highest_load(problem, np.maximum(linear, plan))
    del linear  # large depots are planned in little memory
    return _calmed(problem, kept_promises(problem, plan, highest), until)


def periods(power: FloatArray) -> IntArray:
    """Periods of each vehicle's charging profile in a plan (n_ev, steps), from its first power on, shape (n_ev,)."""
    idle_first = np.concatenate([np.zeros((len(power), 1)), power], axis=1)
    changes: IntArray = (np.abs(np.diff(idle_first, axis=1)) > SAME_KW).sum(axis=1)
    return changes


def _within_limits(problem: Problem, power: FloatArray) -> FloatArray:
    """The plan without what solver tolerances left above maxima, needs and limits."""
    taking = np.asarray(~(power < 0).any(axis=1))
    plan = np.where(taking[:, None], np.clip(power, 0.0, problem.most_power), power)
    plan[np.abs(plan) < SAME_KW] = 0.0
    energy = problem.energy(plan)
    over = taking & (energy > problem.need_kwh + 1e-9)
    plan[over] *= (problem.need_kwh[over] / energy[over])[:, None]
    rows = problem.rows
    load = rows.coefficients @ problem.excess_power(plan)
    for row, step in np.argwhere(load > rows.limits + 1e-6):
        members = rows.coefficients[row] > 0
        excess = np.maximum(plan[:, step] - problem.free_power, 0.0)
        share = rows.limits[row, step] / float(rows.coefficients[row] @ excess)
        plan[members, step] -= (excess * max(1.0 - share, 0.0))[members]
    return power if (plan == power).all() else plan


def _highest_load(problem: Problem, plan: FloatArray) -> FloatArray:
    """How high the vehicles' load may be in each step without a new peak that costs, kW, shape (steps,).

    With sun or a battery the peak is not the vehicles' own: then no step may grow.
    """
    load, site = plan.sum(axis=0), problem.site
    highest = np.full(len(load), np.inf)
    building = np.zeros(len(load)) if site.building_kw is None else site.building_kw
    for charge in site.demand_charges:
        counts = np.ones(len(load), dtype=np.bool_) if charge.steps is None else charge.steps
        peak = max(float((load + building)[counts].max(initial=0.0)), charge.peak_so_far_kw)
        top = load if site.has_storage else peak - building
        highest[counts] = np.minimum(highest, top)[counts]
    never_lower: FloatArray = np.maximum(highest, load)
    return never_lower


def _usable(problem: Problem, linear: FloatArray, until: float) -> FloatArray:
    """The linear plan with minimum powers and shortest runs, serving what they allow."""
    highest = _highest_load(problem, linear)
    board = board_of(problem, linear, highest)
    if (board.least > 0).any():
        _exchange_low_powers(problem, board)
    _serve_missing(problem, board, linear, until)
    if _is_dear(problem, linear, board.power):
        cheapen(board, 0)
    plan = _finished(problem, linear, board.power, until)
    for factor in _HIGHER:
        if not np.isfinite(highest).any() or not _is_short(problem, linear, plan) or perf_counter() > until:
            break
        board = board_of(problem, plan, highest * factor)
        _serve_missing(problem, board, linear, until)
        plan = board.power
    return plan


def _finished(problem: Problem, linear: FloatArray, plan: FloatArray, until: float) -> FloatArray:
    """The plan of a small depot made as good as the mixed-integer programme can in its time, where it falls behind."""
    if len(problem.evs) > _SMALL or not (_is_short(problem, linear, plan) or _is_dear(problem, linear, plan)):
        return plan
    highest = _highest_load(problem, linear)
    plan = _by_milp(problem, linear, plan, highest, min(_MILP_SECONDS, until - perf_counter()))
    if np.isfinite(highest).any() and _is_short(problem, linear, plan):
        anywhere = np.full(problem.horizon.steps, np.inf)
        plan = _by_milp(problem, linear, plan, anywhere, min(_MILP_SECONDS, until - perf_counter()))
    return plan


def _exchange_low_powers(problem: Problem, board: Board) -> None:
    restless, nothing = np.ones(len(problem.evs)), np.full(problem.shape, np.nan)
    for _ in range(_ROUNDS_AGAINST_LOW):
        if not calm(board, nothing, 0, 0, len(restless), restless, not problem.site.has_storage, LOW_ONLY):
            break
    settle_low_powers(board)


def _serve_missing(problem: Problem, board: Board, linear: FloatArray, until: float) -> None:
    """Serve those who miss more than in the linear plan: into free room, then by planning others anew."""
    order = by_urgency(problem)
    serve_in_order(board, order)
    lost = problem.energy(linear) - problem.energy(board.power) > 1e-3
    if lost.any() and perf_counter() < until:
        make_way(board, order[lost[order]], _PARTNERS, _TRIES)
        if _is_short(problem, linear, board.power) and len(order) <= 2 * _SMALL:
            shuffle(board, _SHUFFLES, len(order))
    keep_whole_runs(problem, board, order)


def _is_short(problem: Problem, linear: FloatArray, plan: FloatArray) -> bool:
    """Whether the plan serves noticeably less than the linear optimum in the strict order."""
    served = float(problem.energy(linear) @ problem.efficiency)
    more = missing_by_class(problem, plan) - missing_by_class(problem, linear)
    noticed = more[np.abs(more) > _ENOUGH * served + 1e-6]
    return bool(noticed.size) and bool(noticed[0] > 0)


def _is_dear(problem: Problem, linear: FloatArray, plan: FloatArray) -> bool:
    """Whether the plan costs noticeably more than the linear optimum; with sun or a battery that cannot be told."""
    if problem.site.has_storage:
        return False
    least = problem.money(linear).steering
    return problem.money(plan).steering - least > _DEAR * abs(least) + 1e-6


def _by_milp(problem: Problem, linear: FloatArray, plan: FloatArray, highest: FloatArray, seconds: float) -> FloatArray:
    """The best plan that the mixed-integer programme finds in the time; the linear optimum says when it is enough."""
    taking = np.flatnonzero(problem.discharge_power <= 0)
    programme = SemiContinuous(problem, plan, taking, highest, gap=_ENOUGH)
    enough = programme.served_in(linear) - _ALL_BUT * float(problem.energy(linear) @ problem.efficiency)
    return programme.best(enough, seconds)[0]


def _calmed(problem: Problem, plan: FloatArray, until: float) -> FloatArray:
    """The plan with fewer starts and periods and nearer to the plan in force, at the same load in every step.

    Where exchanges end depends on their order, so a small depot without promises tries several and takes the calmest.
    """
    promised = not np.isnan(plan_in_force(problem)).all()
    if len(plan) > _MANY_ORDERS or promised:
        return _calmed_in_order(problem, plan, until, blocks_first=True)
    best, fewest = plan.copy(), np.inf
    for order in _orders(problem, plan):
        turned = problem.rearranged(order)
        for blocks_first in (True, False):
            calmed = _calmed_in_order(turned, plan[order], until, blocks_first=blocks_first)
            if (count := _changes_while_there(turned, calmed)) < fewest:
                best[order], fewest = calmed, count
    return best


def _changes_while_there(problem: Problem, plan: FloatArray) -> int:
    """How often powers change between arrivals and departures: what chargers have to be told."""
    changes = np.abs(np.diff(plan, axis=1)) > SAME_KW
    return int((changes & problem.present[:, 1:] & problem.present[:, :-1]).sum())


def _orders(problem: Problem, plan: FloatArray) -> tuple[IntArray, ...]:
    """Several orders of the vehicles that have power: as they are, and by the time they can spare."""
    as_they_are = np.flatnonzero(plan.any(axis=1))
    by_laxity = as_they_are[np.argsort(problem.laxity_hours[as_they_are], kind="stable")]
    return as_they_are, as_they_are[::-1], by_laxity, by_laxity[::-1]


def _calmed_in_order(problem: Problem, plan: FloatArray, until: float, *, blocks_first: bool) -> FloatArray:
    board = board_of(problem, plan, _highest_load(problem, plan))
    keep_whole_runs(problem, board, by_urgency(problem))
    wish, near, alone = plan_in_force(problem), near_steps(problem), not problem.site.has_storage
    n, restless = len(plan), np.ones(len(plan))
    for _ in range(_SMOOTHING_PASSES):
        made = 0
        for begin in range(0, n, _CHUNK):
            if perf_counter() > until:
                break
            end = min(begin + _CHUNK, n)
            if blocks_first:
                made += calm_blocks(board, wish, near, begin, end, alone)
            made += calm(board, wish, near, begin, end, restless, alone, 1)
            if not blocks_first:
                made += calm_blocks(board, wish, near, begin, end, alone)
        if made <= (n // 3 if n > _CHUNK else 0):
            break
    return _without_ripple(board.power)


def _without_ripple(plan: FloatArray) -> FloatArray:
    """The plan with powers that count as the same made the same, so that they are one period on the wire."""
    for step in range(1, plan.shape[1]):
        same = np.abs(plan[:, step] - plan[:, step - 1]) <= SAME_KW
        same &= (plan[:, step] > 0) & (plan[:, step - 1] > 0)
        plan[same, step] = plan[same, step - 1]
    return plan
