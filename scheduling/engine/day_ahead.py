"""Day-ahead planning through PuLP: one weighted programme, linear or with a real minimum power.

What is unmet costs more per kWh than any energy, peak or soft limit, by part of the need and priority alone; limits
are hard in both. Exact lexicographic order, sun, battery and giving back are the matter of `optimal`.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np

from scheduling.engine.arrays import POWER_TOLERANCE_KW, FloatArray
from scheduling.engine.linear import PulpLinearProgram
from scheduling.engine.model import linear_model, low_fallbacks, worth_of
from scheduling.engine.problem import Problem
from scheduling.engine.pulp_highs import GAP, Answer, SolverFailed, pulp_problem, search


class DayAheadLP(PulpLinearProgram):
    """The linear programme; minimum powers are restored afterwards."""


class DayAheadMILP(PulpLinearProgram):
    """The same with power of zero or at least the minimum, by branch and bound within the time limit.

    It starts from the linear plan with minimum powers restored. If that is within the gap of the linear bound, it is
    proven already; if time runs out, the better of it and the best point found is the plan, and `status` says so.
    """

    def _plan(self, problem: Problem) -> FloatArray:
        """The best plan under the maxima of each step."""
        start = super()._plan(problem)
        if self.status == "optimal" and self._proven(problem, start):
            return start
        try:
            power, proven = self._searched(problem, start, self._until - perf_counter())
        except SolverFailed as error:
            self.status = f"fallback: {error}"
            return start
        self.status = "optimal" if proven else f"fallback: {self.options.solver} ran out of time"
        return power if proven or worth_of(problem, power) < worth_of(problem, start) else start

    def _proven(self, problem: Problem, plan: FloatArray) -> bool:
        bound = self._relaxed
        assert bound is not None
        if not (problem.min_power > 0).any():
            return True
        if low_fallbacks(problem).any():
            return False  # the linear programme is too careful with these to be a bound
        least = worth_of(problem, bound)
        return worth_of(problem, plan) <= least + GAP * abs(least)

    def _searched(self, problem: Problem, start: FloatArray, seconds: float) -> tuple[FloatArray, bool]:
        if seconds <= 0:
            raise SolverFailed(f"no time is left for {self.options.solver}")
        with self.stage("build"):
            model = linear_model(problem, minimum_power=True)
            lp, columns = pulp_problem(model, model.switched_on(start))
        with self.stage("solve"):
            answer: Answer = search(lp, columns, self.options.solver, seconds)
        return _without_dust(problem, model.power_of(answer.values)), answer.proven


def _without_dust(problem: Problem, power: FloatArray) -> FloatArray:
    """The plan without the solver's rounding: nothing below a watt, nothing just under a minimum or over a maximum."""
    charging = power > POWER_TOLERANCE_KW
    lifted = np.clip(power, problem.min_power[:, None], problem.most_power)
    result: FloatArray = np.where(charging, lifted, 0.0)
    return result
