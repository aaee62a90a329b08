"""Replanning that changes nothing without a gain: vehicles keep what the plan in force promised them."""

from __future__ import annotations

import numpy as np

from scheduling.engine.arrays import FloatArray
from scheduling.engine.problem import Problem
from scheduling.engine.shape.board import Board, board_of, by_urgency, missing_by_class
from scheduling.engine.shape.runs import keep_whole_runs
from scheduling.engine.shape.service import adopt, cheapen, make_way, serve_in_order

_WORTH_A_CHANGE = 1e-3
"""Share of the money that a new plan must save before it replaces the promised one: the gap that plans with minimum
powers may have anyway. Each plan is measured against its own optimum, so the gap does not grow from plan to plan."""
_HARDLY_LESS_KWH = 0.01
_PARTNERS, _TRIES = 20, 200


def plan_in_force(problem: Problem) -> FloatArray:
    """What was promised, kW, (n_ev, steps); nan for a vehicle without a promise over this horizon."""
    wish = np.full(problem.shape, np.nan)
    for i, ev in enumerate(problem.evs):
        if ev.in_force is not None and ev.in_force.shape == (problem.horizon.steps,):
            wish[i] = ev.in_force
    return wish


def near_steps(problem: Problem) -> int:
    """How many steps begin within the next hour."""
    return int((problem.horizon.border_seconds[:-1] < 3600.0).sum())


def kept_promises(problem: Problem, plan: FloatArray, highest: FloatArray) -> FloatArray:
    """The plan in force, mended for what has changed, or `plan` if it serves more or costs noticeably less.

    Plans are in kW, (n_ev, steps); the site's load stays below `highest`. With sun or a battery behind the meter the
    worth of a promise cannot be told from the vehicles alone: then only exchanges bring the plan near to it.
    """
    wish = plan_in_force(problem)
    if np.isnan(wish[:, 0]).all() or problem.site.has_storage or (plan < 0).any():
        return plan
    mended = _mended(problem, wish, plan, highest)
    if _is_worse(problem, mended, plan):
        cheapen(mended, near_steps(problem))
    return plan if _is_worse(problem, mended, plan) else mended.power


def _is_worse(problem: Problem, mended: Board, plan: FloatArray) -> bool:
    """Whether the mended plan serves less in the strict order, or costs so much more that a new one pays."""
    less = missing_by_class(problem, mended.power) - missing_by_class(problem, plan)
    noticed = less[np.abs(less) > _HARDLY_LESS_KWH]
    if noticed.size and noticed[0] != 0:
        return bool(noticed[0] > 0)
    money = problem.money(plan).steering
    return problem.money(mended.power).steering - money > _WORTH_A_CHANGE * abs(money) + 1e-6


def _mended(problem: Problem, wish: FloatArray, plan: FloatArray, highest: FloatArray) -> Board:
    """What limits leave of the plan in force, and what that lacks beside `plan`."""
    board = board_of(problem, problem.zeros(), highest)
    order = by_urgency(problem)
    adopt(board, wish, order)
    serve_in_order(board, order)
    lost = problem.energy(plan) - problem.energy(board.power) > 1e-3
    if lost.any():
        make_way(board, order[lost[order]], _PARTNERS, _TRIES)
    keep_whole_runs(problem, board, order)
    return board
