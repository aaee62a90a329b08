"""The linear programme through PuLP, then the repair for minimum power."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from scheduling.engine import programme, shape
from scheduling.engine.algorithm import Algorithm
from scheduling.engine.arrays import POWER_TOLERANCE_KW, FloatArray
from scheduling.engine.first_come import serve_one_by_one
from scheduling.engine.model import linear_model
from scheduling.engine.problem import Problem
from scheduling.engine.pulp_highs import SolverFailed, pulp_problem, solve

_LEAST_SECONDS = 0.05


class PulpLinearProgram(Algorithm):
    """Most urgent energy first, then least money, then early: optimal without minimum powers, repaired for them.

    `options.solver` chooses HiGHS (in memory) or CBC (a child process). Without an optimum in time the plan is the
    greedy one of the repair alone, and `status` says so.
    """

    _relaxed: FloatArray | None = None

    @property
    def relaxed(self) -> FloatArray | None:
        """The optimum before the repair, kW, shape (n_ev, steps); None if the solver failed."""
        return None if self._relaxed is None else self._relaxed[np.argsort(self._by_id)]

    def allocate(self, problem: Problem) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps)."""
        self._until = perf_counter() + self.options.time_limit_s
        if not any(ev.taper for ev in problem.evs):
            return self._plan(problem)
        power = programme.tapered(problem, self._plan)
        power[(power > 0) & (power < problem.min_power[:, None] - POWER_TOLERANCE_KW)] = 0.0
        return power

    def _plan(self, problem: Problem) -> FloatArray:
        """The best plan under the maxima of each step."""
        self._relaxed = None
        try:
            with self.stage("build"):
                model = linear_model(problem)
                lp, columns = pulp_problem(model)
            with self.stage("solve"):
                values = solve(lp, columns, self.options.solver, max(self._until - perf_counter(), 0.0))
            self._relaxed = model.power_of(values)
            self.status = "optimal"
        except SolverFailed as error:
            self.status = f"fallback: {error}"
        start = serve_one_by_one(problem, problem.laxity_hours) if self._relaxed is None else self._relaxed
        with self.stage("repair"):
            return shape.shaped(problem, start, deadline_s=max(self._until - perf_counter(), _LEAST_SECONDS))
