"""Needs by class, then money, then earliness: one warm solve each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from scheduling.engine.arrays import FloatArray
from scheduling.engine.problem import Problem
from scheduling.engine.programme.directions import Directions
from scheduling.engine.programme.highs import Infeasible, Programme, SolverFailed, TimeUp
from scheduling.engine.programme.model import Model, NeedClass
from scheduling.engine.site import Dispatch

_SERVED_KWH = 1e-7
_MOST_RATIO = 30.0
_WIDEST_RANGE = 1e4


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
    """The best plan in strict order; SolverFailed if not even one objective is decided in time."""
    model = Model.of(problem)
    if not len(model.money):
        return ProgrammePlan(problem.zeros(), None, "optimal", problem.need_kwh.copy(), {})
    return _Search(model, Programme(model.matrix, time_limit_s)).run()


@dataclass(eq=False)
class _Search:
    model: Model
    programme: Programme
    x: FloatArray | None = None
    """The best point so far that is a plan."""
    objectives: dict[str, float] = field(default_factory=dict)
    _last: FloatArray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        self.directions = Directions(self.model)

    def run(self) -> ProgrammePlan:
        status: Literal["optimal", "feasible"] = "optimal"
        try:
            self._decide_needs_and_money()
            self._decide_goodness()
        except SolverFailed:
            if self.x is None:
                raise
            status = "feasible"
        assert self.x is not None
        return self._plan(self.x, status)

    def _decide_needs_and_money(self) -> None:
        self._require_all()
        try:
            self._decide_money()
        except Infeasible:
            self._require_all(release=True)
            classes = list(self.model.need_classes())
            # Weights that are a good guess make the strict objectives that follow a matter of a few iterations.
            self._last = self.programme.minimise(_weighted(self.model, classes))
            for need in classes:
                self._decide_class(need)
            self._decide_battery_target()
            self._decide_money()

    def _require_all(self, *, release: bool = False) -> None:
        """Whatever full power can serve is served, and the battery's target met; or that is taken back."""
        model = self.model
        for columns in (model.missing.minimum, model.missing.rest, *([model.battery.short] if model.battery else ())):
            lower, upper = model.matrix.lower[columns], model.matrix.upper[columns]
            self.programme.bound(columns, lower, upper if release else lower)

    def _decide_class(self, need: NeedClass) -> None:
        """Least sum of missing battery energy of a class; among equals the less lax miss less."""
        programme, x = self.programme, self._last
        if (x[need.columns] > need.least + _SERVED_KWH).any():
            programme.minimise(need.cost)
            programme.hold()
            x = programme.minimise(need.cost_of_ties)
            programme.hold()
        else:
            programme.bound(need.columns, need.least, need.least)
        self._last = x
        self._keep(x)
        self.objectives[need.name] = float(need.cost @ x)

    def _decide_battery_target(self) -> None:
        battery = self.model.battery
        if battery is not None and self.model.matrix.upper[battery.short] > 0:
            cost = np.zeros(len(self.model.money))
            cost[battery.short] = 1.0
            self._last = self.programme.minimise(cost)
            self.programme.hold()
            self._keep(self._last)

    def _decide_money(self) -> None:
        programme, money = self.programme, self.model.money
        x = programme.minimise(money)
        try:
            while self.directions.demand(programme, x):
                x = programme.minimise_whole(money, self.directions.binaries)
        except TimeUp:
            self.directions.rest(programme)
            self.x = programme.minimise(money)
            raise
        programme.hold()
        self._last = self.x = x

    def _decide_goodness(self) -> None:
        self._last = self.programme.minimise(self.model.goodness())
        self._keep(self._last)

    def _keep(self, x: FloatArray) -> None:
        """Remember a point that is a plan: one where no store charges and gives at once."""
        if not any(store.dishonest(x).any() for store in self.model.stores):
            self.x = x

    def _plan(self, x: FloatArray, status: Literal["optimal", "feasible"]) -> ProgrammePlan:
        problem = self.model.problem
        power, dispatch = self.model.power_of(x), self.model.dispatch_of(x)
        money = problem.money(power, dispatch).steering
        return ProgrammePlan(power, dispatch, status, problem.unmet(power), {**self.objectives, "money": money})


def _weighted(model: Model, classes: list[NeedClass]) -> FloatArray:
    """All classes in one objective, the more important ones weighing more, as far as numbers stay sound."""
    ratio = min(_MOST_RATIO, _WIDEST_RANGE ** (1.0 / max(len(classes) - 1, 1)))
    cost = np.zeros(len(model.money))
    for level, need in enumerate(reversed(classes)):
        cost += ratio**level * need.cost_of_ties
    return cost
