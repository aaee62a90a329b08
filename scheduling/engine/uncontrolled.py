"""What happens without control."""

import numpy as np

from scheduling.engine.algorithm import Algorithm
from scheduling.engine.along_tapers import along_tapers
from scheduling.engine.arrays import FloatArray
from scheduling.engine.headroom import fill
from scheduling.engine.problem import Problem


class Uncontrolled(Algorithm):
    """Every vehicle at full power from its arrival until it is full: a yardstick, not a plan to send.

    It keeps no limit and says so: its status is "uncontrolled", and the solution carries every limit it breaks.
    """

    def allocate(self, problem: Problem) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps)."""
        self.status = "uncontrolled"
        return along_tapers(problem, as_fast_as_possible)


def as_fast_as_possible(problem: Problem) -> FloatArray:
    """Every vehicle as if it were alone, kW, shape (n_ev, steps)."""
    steps = np.arange(problem.horizon.steps)
    plans = [
        fill(most, problem.hours, float(need), float(least), steps)
        for most, need, least in zip(problem.most_power, problem.need_kwh, problem.min_power, strict=True)
    ]
    return np.array(plans).reshape(problem.shape)
