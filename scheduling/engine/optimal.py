"""The default planner: the exact linear optimum, then minimum powers, few periods and stability at next to no cost."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import numpy as np

from scheduling.engine import flow, programme, shape
from scheduling.engine.algorithm import Algorithm
from scheduling.engine.arrays import ENERGY_TOLERANCE_KWH, POWER_TOLERANCE_KW, FloatArray
from scheduling.engine.least_laxity import LeastLaxityFirst
from scheduling.engine.network import not_a_flow
from scheduling.engine.problem import Problem
from scheduling.engine.site import Dispatch
from scheduling.engine.tree import THREE_PHASE_KV, PowerTree

_LEAST_SECONDS = 0.05
_ROUNDS_WITHOUT_CRUMBS = 6
_SAME_PRICE = 1e-9


class OptimalPlanner(Algorithm):
    """Unmet energy by class, then money, then a good plan, in strict order.

    The linear problem is solved as a flow where it is one, else as a linear programme; both are exact. What a linear
    problem cannot say (power of zero or at least the minimum, times on and off, few periods, the plan in force) is
    restored afterwards. `status` is optimal if the linear stage is proven; without it a greedy plan is shaped instead
    and `status` says why.
    """

    _bound: FloatArray | None = None

    @property
    def bound(self) -> FloatArray | None:
        """The linear optimum that no plan can beat, kW, shape (n_ev, steps); None if it was not proven."""
        return None if self._bound is None else self._bound[np.argsort(self._by_id)]

    def allocate(self, problem: Problem) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps)."""
        self._until = perf_counter() + self.options.time_limit_s
        if not (flow.ready() and shape.ready()):
            flow.warm_in_background()
        narrowed = programme.careful(problem)
        power = self._along_tapers(narrowed)
        if narrowed is problem:
            return power
        # Who misses energy although others keep margins gets the margin back.
        wider = programme.released(problem, narrowed, problem.unmet(power))
        return power if wider is narrowed else self._along_tapers(wider)

    def _along_tapers(self, problem: Problem) -> FloatArray:
        if not any(ev.taper for ev in problem.evs):
            return self._plan(problem)
        power = programme.tapered(problem, self._plan)
        crumbs = (power > 0) & (power < problem.min_power[:, None] - POWER_TOLERANCE_KW)
        power[crumbs] = 0.0
        return power

    def _plan(self, problem: Problem) -> FloatArray:
        """The best linear plan, then its shape."""
        linear = self._linear(problem)
        if (problem.discharge_power > 0).any():
            linear = self._without_crumbs(problem, linear)
        self._bound = linear if self.status == "optimal" else None
        early = _earliest(problem)
        if early is not None and not _is_worse(problem, early, linear):
            return shape.kept_promises(problem, early, np.full(problem.horizon.steps, np.inf))
        with self.stage("shape"):
            beside = _beside_battery(problem, self.dispatch)
            plan = shape.shaped(beside, linear, deadline_s=self._seconds_left())
        return plan if early is None or _is_worse(problem, early, plan) else early

    def _linear(self, problem: Problem) -> FloatArray:
        if flow.ready() and not not_a_flow(problem):
            with self.stage("flow"):
                plan = flow.solve(problem, deadline_s=self._seconds_left())
            self.status = plan.status
            return plan.power
        with self.stage("programme"):
            try:
                solved = programme.solve(problem, time_limit_s=self._seconds_left())
            except programme.SolverFailed as error:
                self.status = f"fallback: {error}"
                return _greedy(problem)
        self.status, self.dispatch = solved.status, solved.dispatch
        return solved.power

    def _without_crumbs(self, problem: Problem, linear: FloatArray) -> FloatArray:
        """Plan again without the steps in which a vehicle that may give back would charge below its minimum."""
        top, power = problem.most_power.copy(), linear
        for _ in range(_ROUNDS_WITHOUT_CRUMBS):
            crumbs = (problem.discharge_power > 0)[:, None] & (power > POWER_TOLERANCE_KW)
            crumbs &= power < problem.min_power[:, None] - POWER_TOLERANCE_KW
            if not crumbs.any():
                break
            top[crumbs] = 0.0
            power = self._linear(replace(problem, top_power=top))
        return power.copy()

    def _seconds_left(self) -> float:
        return max(self._until - perf_counter(), _LEAST_SECONDS)


def _earliest(problem: Problem) -> FloatArray | None:
    """The greedy plan where all times cost the same, None elsewhere.

    Among plans that serve as much for the same money it leaves most room for vehicles that nobody knows of yet: it
    charges as early as possible, and first those with the least time to spare.
    """
    site, price = problem.site, problem.steering_price[problem.present.any(axis=0)]
    patient = any(ev.min_on or ev.min_off for ev in problem.evs)
    if patient or site.has_storage or site.demand_charges or problem.soft_nodes or (problem.discharge_power > 0).any():
        return None
    return _greedy(problem) if (np.abs(np.diff(price)) <= _SAME_PRICE).all() else None


def _is_worse(problem: Problem, plan: FloatArray, other: FloatArray) -> bool:
    """Whether a plan serves less than another one in the strict order; their money is the same."""
    more = shape.missing_by_class(problem, plan) - shape.missing_by_class(problem, other)
    noticed = more[np.abs(more) > ENERGY_TOLERANCE_KWH]
    return bool(noticed.size) and bool(noticed[0] > 0)


def _greedy(problem: Problem) -> FloatArray:
    """A plan without a solver, kW, shape (n_ev, steps)."""
    greedy = LeastLaxityFirst(problem.evs, horizon=problem.horizon, tree=problem.tree, site=problem.site)
    return greedy.allocate(problem)


def _beside_battery(problem: Problem, dispatch: Dispatch | None) -> Problem:
    """The problem with the room that a charging battery leaves at the grid connections, in A as on each phase."""
    if dispatch is None or not (dispatch.battery_kw > 0).any():
        return problem
    taken = np.maximum(dispatch.battery_kw, 0.0)
    nodes = [
        node
        if node.parent is not None
        else replace(
            node,
            limit_kw=None if node.limit_kw is None else node.limit_kw - taken,
            limit_a=None if node.limit_a is None else node.limit_a - taken / THREE_PHASE_KV,
        )
        for node in problem.tree.nodes
    ]
    return replace(problem, tree=PowerTree(tuple(nodes)))
