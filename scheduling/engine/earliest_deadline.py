"""Earliest deadline first."""

from scheduling.engine.algorithm import Algorithm
from scheduling.engine.along_tapers import along_tapers
from scheduling.engine.arrays import FloatArray
from scheduling.engine.first_come import serve_one_by_one
from scheduling.engine.problem import Problem


class EarliestDeadlineFirst(Algorithm):
    """Serve vehicles in order of departure, each as fast as the tree allows. Baseline of ACN-Sim (Lee et al. 2019)."""

    def allocate(self, problem: Problem) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps)."""
        return along_tapers(problem, lambda capped: serve_one_by_one(capped, capped.departure_step))
