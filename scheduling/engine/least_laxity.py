"""Least laxity first."""

import numpy as np

from scheduling.engine.algorithm import Algorithm
from scheduling.engine.arrays import FloatArray
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
            wanted = np.minimum(problem.max_power[order], left[order] / hours)
            granted = headroom.raise_step(step, order, np.where(wanted < problem.min_power[order], 0.0, wanted))
            left[order] -= granted * hours
            time_left -= here * hours
        return headroom.power
