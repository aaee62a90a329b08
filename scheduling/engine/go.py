"""The heuristic that charges backward in time, in shares of what each vehicle still needs."""

from __future__ import annotations

import logging
import math
from typing import ClassVar

import numpy as np

from scheduling.engine.algorithm import Algorithm
from scheduling.engine.along_tapers import along_tapers
from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.ev_power import EVPower as _EVPower
from scheduling.engine.first_come import ranked
from scheduling.engine.headroom import Headroom, fill
from scheduling.engine.least_laxity import least_laxity_plan, plan_that_serves_all
from scheduling.engine.making_room import make_room
from scheduling.engine.problem import Problem
from scheduling.engine.sharing import able, missing_kwh, serve_the_rest, share_step, without_crumbs

FAIRNESS_FACTOR = 1.0
"""Exponent of the weight that a need has: 0 shares equally, above 1 the larger needs get more than their part."""
SHIFT_FRONT = True
"""Move what was planned as late as possible to the front; off: charge as late as possible."""
ALLOC_REMAINING_EXTRA = True
"""Give room that is left to vehicles that still miss energy; a vehicle never gets more than it needs."""
JUMP_FULL_STEPS = True
"""Moving to the front passes steps that are full; off: it ends at the first of them, as in the reference system."""
DEBUG = False
"""Log what every stage has served."""

log = logging.getLogger(__name__)

_EPS = 1e-9
_ROUNDS_FORWARD = 3
_WORTH_ANOTHER_RULE = 1e-3  # share of all needs


class GoAlgorithm(Algorithm):
    """Share each step by what vehicles still need, from the last step back to the first; then move all to the front.

    Names and meanings of the reference system's heuristic. Unlike there no limit is broken, nobody gets more than it
    needs, powers are 0 or at least the minimum (vehicles take turns), the order of the list is irrelevant, and a need
    that the shares left open takes the room that others can spare by charging at another time. Each option is read at
    `calculate`, from the class where it is set there, else from this module.
    """

    FAIRNESS_FACTOR: ClassVar[float | None] = None
    SHIFT_FRONT: ClassVar[bool | None] = None
    ALLOC_REMAINING_EXTRA: ClassVar[bool | None] = None
    JUMP_FULL_STEPS: ClassVar[bool | None] = None
    DEBUG: ClassVar[bool | None] = None

    EVPower = _EVPower

    def allocate(self, problem: Problem) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps). ValueError for an impossible fairness factor."""
        fairness = FAIRNESS_FACTOR if self.FAIRNESS_FACTOR is None else self.FAIRNESS_FACTOR
        if not (math.isfinite(fairness) and fairness >= 0):
            raise ValueError(f"FAIRNESS_FACTOR {fairness} must be a number of zero or more.")
        return along_tapers(problem, lambda capped: self._planned(capped, fairness))

    def _planned(self, problem: Problem, fairness: float) -> FloatArray:
        headroom = problem.headroom()
        share_backward(problem, headroom, fairness)
        self._tell("shared", problem, headroom)
        urgent_first = ranked(problem, problem.laxity_hours)
        if shifts := _chosen(self.SHIFT_FRONT, SHIFT_FRONT):
            if _chosen(self.JUMP_FULL_STEPS, JUMP_FULL_STEPS):
                move_forward(problem, headroom, urgent_first)
            else:
                walk_forward(problem, headroom)
            self._tell("moved to the front", problem, headroom)
        if _chosen(self.ALLOC_REMAINING_EXTRA, ALLOC_REMAINING_EXTRA):
            share_the_rest(problem, headroom)
            self._tell("shared what was left", problem, headroom)
        # With minimum powers the search for room is no longer exact; another rule may serve everybody.
        inexact = problem.min_power.any() and missing_kwh(problem, headroom.power).any()
        if inexact and (complete := plan_that_serves_all(problem)) is not None:
            return complete
        steps = np.arange(problem.horizon.steps)
        make_room(problem, headroom, urgent_first)
        serve_the_rest(problem, headroom, urgent_first, steps if shifts else steps[::-1])
        self._tell("made room", problem, headroom)
        return _unless_another_serves_more(problem, headroom.power)

    def _tell(self, stage: str, problem: Problem, headroom: Headroom) -> None:
        if _chosen(self.DEBUG, DEBUG):
            missing = float(missing_kwh(problem, headroom.power).sum())
            log.info("%s: %.3f kWh planned, %.3f kWh missing", stage, problem.energy(headroom.power).sum(), missing)


def _unless_another_serves_more(problem: Problem, power: FloatArray) -> FloatArray:
    """The plan, or that of least laxity where the search for room has ended too early to serve nearly as much."""
    if not missing_kwh(problem, power).any():
        return power
    urgent = least_laxity_plan(problem)
    more = float(problem.energy(urgent).sum() - problem.energy(power).sum())
    return urgent if more > _WORTH_ANOTHER_RULE * float(problem.need_kwh.sum()) else power


def _chosen(own: bool | None, default: bool) -> bool:
    return default if own is None else own


def share_backward(problem: Problem, headroom: Headroom, fairness: float) -> None:
    """As late as possible: each step is shared by weight (power that the need still asks for) ** fairness."""
    left = problem.need_kwh.copy()
    time_left = (problem.present * problem.hours).sum(axis=1)
    for step in range(problem.horizon.steps - 1, -1, -1):
        wanted = able(problem, step, left)
        turns = ranked(problem, time_left - left / np.maximum(problem.max_power, _EPS))
        turns = turns[wanted[turns] > 0]
        share_step(problem, headroom, step, turns, wanted[turns], lambda more: more**fairness)
        without_crumbs(problem, headroom, step, turns, left[turns], max(step - 1, 0))
        left[turns] -= headroom.power[turns, step] * problem.hours[step]
        time_left -= problem.present[:, step] * problem.hours[step]


def share_the_rest(problem: Problem, headroom: Headroom) -> None:
    """Room that is left, from the first step on, in shares of the power that vehicles with a need could still take."""
    for step, hours in enumerate(problem.hours):
        before = headroom.power[:, step]
        wanted = np.minimum(problem.most_power[:, step], before + missing_kwh(problem, headroom.power) / hours)
        turns = ranked(problem, problem.laxity_hours)
        turns = turns[(wanted > before + _EPS)[turns] & (wanted >= problem.min_power)[turns]]
        if turns.size:
            share_step(problem, headroom, step, turns, wanted[turns], lambda more: more)


def move_forward(problem: Problem, headroom: Headroom, turns: IntArray) -> None:
    """Move each vehicle's energy to the earliest steps that limits and the others allow, until nobody gains."""
    steps = np.arange(problem.horizon.steps)
    for _ in range(_ROUNDS_FORWARD):
        moved = False
        for ev in turns.tolist():
            old = headroom.power[ev].copy()
            energy = float(old @ problem.hours)
            new = fill(headroom.ceiling(ev), problem.hours, energy, float(problem.min_power[ev]), steps)
            if new @ problem.hours >= energy - _EPS and not np.allclose(new, old, rtol=0.0, atol=_EPS):
                headroom.put(ev, new)
                moved = True
        if not moved:
            return


def walk_forward(problem: Problem, headroom: Headroom) -> None:
    """Move energy step by step to the front, the latest first, until a step on the way has no room."""
    for begin in range(problem.horizon.steps - 1, 0, -1):
        for ev in np.flatnonzero(headroom.power[:, begin] > problem.min_power + _EPS).tolist():
            _walk(problem, headroom, ev, begin)


def _walk(problem: Problem, headroom: Headroom, ev: int, begin: int) -> None:
    power, hours = headroom.power[ev].copy(), problem.hours
    least, most, room = problem.min_power[ev], problem.most_power[ev], headroom.room_of(ev)
    step = begin - 1
    while step >= 0 and power[begin] > least + _EPS and problem.present[ev, step] and room[step] > _EPS:
        kwh = min((power[begin] - least) * hours[begin], min(room[step], most[step] - power[step]) * hours[step])
        if power[step] + kwh / hours[step] >= least - _EPS:
            power[begin] -= kwh / hours[begin]
            power[step] += kwh / hours[step]
        step -= 1
    headroom.put(ev, power)
