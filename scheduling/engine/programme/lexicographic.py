"""Needs by class, then money, then earliness."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import Literal

import numpy as np

from scheduling.engine.arrays import FloatArray
from scheduling.engine.problem import Problem
from scheduling.engine.programme.directions import Directions
from scheduling.engine.programme.highs import Infeasible, Programme, SolverFailed, TimeUp
from scheduling.engine.programme.model import Model
from scheduling.engine.programme.needs import least_missing
from scheduling.engine.site import Dispatch

_SAME_MONEY = 1e-6


@dataclass(frozen=True, eq=False)
class ProgrammePlan:
    """An optimum of the linear programme: minimum powers are not in it.

    `power` is net: negative while a vehicle gives back. A battery that holds e kWh holds after a step of h hours
    e + h x (efficiency x max(p, 0) - max(-p, 0) / efficiency), between the least state of charge (once it gives) and
    its capacity. A vehicle that may give back ends its stay with what it had at the start and what it was served:
    its unmet energy is need_kwh - (end - start) / efficiency, at the meter, as of all others.
    """

    power: FloatArray
    """kW, shape (n_ev, steps)."""
    dispatch: Dispatch | None
    """What battery and sun do; None at a site without."""
    status: Literal["optimal", "feasible"]
    """feasible: only the objectives up to an earlier one are proven, mostly because the time was up."""
    unmet_kwh: FloatArray
    """Missing energy at the meter, shape (n_ev,)."""
    objectives: dict[str, float]
    """Value of each objective that was decided, in strict order."""


def solve(problem: Problem, *, time_limit_s: float) -> ProgrammePlan:
    """The best plan in strict order; SolverFailed if not even what has to be missing is proven in time."""
    model = Model.of(problem)
    if not len(model.money):
        return ProgrammePlan(problem.zeros(), None, "optimal", problem.need_kwh.copy(), {})
    return _Search(model, perf_counter() + time_limit_s).run()


@dataclass(eq=False)
class _Search:
    model: Model
    until: float
    """When the time is up, by the clock of `perf_counter`."""
    objectives: dict[str, float] = field(default_factory=dict)
    best: tuple[FloatArray, Dispatch | None] | None = None
    """Power and dispatch of the last objective that was decided."""

    def __post_init__(self) -> None:
        self.programme = Programme(self.model.matrix, self.until)
        self.directions = Directions(self.model)

    def run(self) -> ProgrammePlan:
        status: Literal["optimal", "feasible"] = "optimal"
        try:
            self._decide_needs_and_money()
            self._decide_goodness()
        except SolverFailed:
            if self.best is None:
                raise
            status = "feasible"
        assert self.best is not None
        power, dispatch = self.best
        objectives = {**self.objectives, "money": self._money(self.best)}
        return ProgrammePlan(power, dispatch, status, self.model.problem.unmet(power), objectives)

    def _decide_needs_and_money(self) -> None:
        missing = self.model.missing
        try:
            self._allow(missing.least_minimum, missing.least_rest, battery_kwh=0.0)
            self._decide_money()
        except Infeasible:
            needs = least_missing(self.model.problem, self.until)
            self.objectives |= needs.objectives
            self.best = needs.power, self._resting()
            self._allow(needs.minimum[missing.ev], needs.rest[missing.ev], battery_kwh=np.inf)
            self._decide_battery_target()
            self._decide_money()

    def _allow(self, minimum: FloatArray, rest: FloatArray, *, battery_kwh: float) -> None:
        """Let no more be missing than this, kWh at the meter, nor at the end in the site's battery."""
        model, lower, upper = self.model, self.model.matrix.lower, self.model.matrix.upper
        for columns, most in ((model.missing.minimum, minimum), (model.missing.rest, rest)):
            self.programme.bound(columns, lower[columns], np.maximum(most, lower[columns]))
        if model.battery is not None:
            short = model.battery.short
            self.programme.bound(short, lower[short], np.minimum(upper[short], battery_kwh))

    def _resting(self) -> Dispatch | None:
        """What battery and sun do if nobody decides on them."""
        site = self.model.problem.site
        return Dispatch.none(site, self.model.problem.horizon.steps) if site.has_storage else None

    def _decide_battery_target(self) -> None:
        battery = self.model.battery
        if battery is not None and self.model.matrix.upper[battery.short] > 0:
            cost = np.zeros(len(self.model.money))
            cost[battery.short] = 1.0
            self._keep(self.programme.minimise(cost))
            self.programme.hold()

    def _decide_money(self) -> None:
        programme, money = self.programme, self.model.money
        x = programme.minimise(money)
        try:
            while self.directions.demand(programme, x):
                x = programme.minimise_whole(money, self.directions.binaries)
        except TimeUp:
            self.directions.rest(programme)
            self._keep(programme.minimise(money))
            raise
        programme.hold()
        self.directions.settle(programme, x)
        self._keep(x)

    def _decide_goodness(self) -> None:
        """Early and stable; should it cost anything after all, the plan of least money stays."""
        before = self.best
        self._keep(self.programme.minimise(self.model.goodness()))
        if before is not None and self._money(self.best) > self._money(before) + _SAME_MONEY:
            self.best = before

    def _money(self, plan: tuple[FloatArray, Dispatch | None] | None) -> float:
        return np.inf if plan is None else self.model.problem.money(*plan).steering

    def _keep(self, x: FloatArray) -> None:
        """Remember a point that is a plan: one where no store charges and gives at once."""
        if not any(store.dishonest(x).any() for store in self.model.stores):
            self.best = self.model.power_of(x), self.model.dispatch_of(x)
