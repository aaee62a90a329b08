"""Least laxity first."""

import numpy as np

from scheduling.engine.algorithm import Algorithm
from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.first_come import ranked
from scheduling.engine.problem import Problem


class LeastLaxityFirst(Algorithm):
    """In every step serve the vehicles with the least time to spare, each as fast as the tree allows."""

    def allocate(self, problem: Problem) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps)."""
        headroom = problem.headroom()
        left = problem.need_kwh.copy()
        time_left = (problem.present * problem.hours).sum(axis=1)
        for step, hours in enumerate(problem.hours):
            here = problem.present[:, step]
            laxity = time_left - left / np.maximum(problem.max_power, 1e-9)
            order = ranked(problem, laxity)
            order = order[here[order] & (left[order] > 1e-9)]
            granted = headroom.raise_step(step, order, _wanted(problem, order, left[order], step))
            left[order] -= granted * hours
            time_left -= here * hours
        return headroom.power


def _wanted(problem: Problem, order: IntArray, left: FloatArray, step: int) -> FloatArray:
    """As fast as possible, but never so that less than a step at minimum power would be left over, kW."""
    hours = problem.hours[step]
    most, least = problem.max_power[order], problem.min_power[order]
    wanted = np.minimum(most, left / hours)
    rest = left - wanted * hours
    last = least * problem.hours[-1]
    leaves_crumbs = (rest > 1e-9) & (rest < last)
    wanted = np.where(leaves_crumbs, np.maximum((left - last) / hours, least), wanted)
    return np.where(wanted < least - 1e-9, 0.0, np.minimum(wanted, most))
