"""What happens without control."""

import numpy as np

from scheduling.engine.algorithm import Algorithm
from scheduling.engine.arrays import FloatArray
from scheduling.engine.headroom import fill
from scheduling.engine.problem import Problem


class Uncontrolled(Algorithm):
    """Every vehicle at full power from its arrival until it is full; keeps no limit and is only a yardstick."""

    def allocate(self, problem: Problem) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps)."""
        top = problem.present * problem.max_power[:, None]
        steps = np.arange(problem.horizon.steps)
        plans = [
            fill(top[i], problem.hours, problem.need_kwh[i], problem.min_power[i], steps)
            for i in range(len(problem.evs))
        ]
        return np.array(plans).reshape(problem.shape)
