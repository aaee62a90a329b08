"""First come, first served."""

import numpy as np

from scheduling.engine.algorithm import Algorithm
from scheduling.engine.along_tapers import along_tapers
from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.problem import Problem


class FirstComeFirstServed(Algorithm):
    """Serve vehicles in order of arrival, each as fast as the tree allows."""

    def allocate(self, problem: Problem) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps)."""
        arrivals = np.array([ev.arrival_time.timestamp() for ev in problem.evs])
        return along_tapers(problem, lambda capped: serve_one_by_one(capped, arrivals))


def serve_one_by_one(problem: Problem, key: FloatArray | IntArray) -> FloatArray:
    """Vehicles in rising order of `key` (n_ev,), ties by priority, then by row; each takes the earliest steps left."""
    headroom, steps = problem.headroom(), np.arange(problem.horizon.steps)
    for i in ranked(problem, key):
        headroom.serve(int(i), steps)
    return headroom.power


def ranked(problem: Problem, key: FloatArray | IntArray) -> IntArray:
    """Vehicle indices in rising order of `key`, ties by priority, then by row."""
    return np.lexsort((-problem.priority, key)).astype(np.int64)
