"""Round robin: everybody the same, turn by turn."""

from __future__ import annotations

import numpy as np

from scheduling.engine.algorithm import Algorithm
from scheduling.engine.along_tapers import along_tapers
from scheduling.engine.arrays import FloatArray
from scheduling.engine.first_come import ranked
from scheduling.engine.problem import Problem
from scheduling.engine.sharing import able, serve_the_rest, share_step, without_crumbs


class RoundRobin(Algorithm):
    """In every step the vehicles share the room equally, above their minimum powers; deadlines play no part.

    Where the minimum powers do not fit together, those charge that had the least of their time so far, so that all take
    turns.
    """

    def allocate(self, problem: Problem) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps)."""
        return along_tapers(problem, self._step_by_step)

    def _step_by_step(self, problem: Problem) -> FloatArray:
        headroom = problem.headroom()
        left, charged_hours = problem.need_kwh.copy(), np.zeros(len(problem.evs))
        for step, hours in enumerate(problem.hours):
            wanted = able(problem, step, left)
            turns = ranked(problem, charged_hours)
            turns = turns[wanted[turns] > 0]
            share_step(problem, headroom, step, turns, wanted[turns], np.ones_like)
            without_crumbs(problem, headroom, step, turns, left[turns], min(step + 1, problem.horizon.steps - 1))
            granted = headroom.power[turns, step]
            left[turns] -= granted * hours
            charged_hours[turns] += hours * (granted > 0)
        serve_the_rest(problem, headroom, ranked(problem, charged_hours), np.arange(problem.horizon.steps))
        return headroom.power
