"""Least laxity first."""

import numpy as np

from scheduling.engine.algorithm import Algorithm
from scheduling.engine.along_tapers import along_tapers
from scheduling.engine.arrays import FloatArray
from scheduling.engine.first_come import ranked
from scheduling.engine.problem import Problem
from scheduling.engine.sharing import able, missing_kwh, serve_the_rest, without_crumbs


class LeastLaxityFirst(Algorithm):
    """In every step serve the vehicles with the least time to spare, each as fast as the tree allows."""

    def allocate(self, problem: Problem) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps)."""
        return along_tapers(problem, least_laxity_plan)


def least_laxity_plan(problem: Problem) -> FloatArray:
    """Power per EV and step without regard to tapers, kW, shape (n_ev, steps)."""
    headroom, steps = problem.headroom(), np.arange(problem.horizon.steps)
    left = problem.need_kwh.copy()
    time_left = (problem.present * problem.hours).sum(axis=1)
    for step, hours in enumerate(problem.hours):
        wanted = able(problem, step, left)
        turns = ranked(problem, time_left - left / np.maximum(problem.max_power, 1e-9))
        turns = turns[wanted[turns] > 0]
        headroom.raise_step(step, turns, wanted[turns])
        without_crumbs(problem, headroom, step, turns, left[turns], min(step + 1, len(steps) - 1))
        left[turns] -= headroom.power[turns, step] * hours
        time_left -= problem.present[:, step] * hours
    serve_the_rest(problem, headroom, ranked(problem, problem.laxity_hours), steps)
    return headroom.power


def plan_that_serves_all(problem: Problem) -> FloatArray | None:
    """The plan of least laxity if it leaves nothing open that stays and maxima allow, else None."""
    power = least_laxity_plan(problem)
    return None if missing_kwh(problem, power).any() else power
