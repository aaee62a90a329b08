"""The interface of all planning algorithms."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any, Literal

import numpy as np

from scheduling.engine.arrays import FloatArray
from scheduling.engine.checker import check
from scheduling.engine.ev import EV, ChargingRateUnit
from scheduling.engine.horizon import DEFAULT_RESOLUTION, Horizon
from scheduling.engine.problem import Problem
from scheduling.engine.shortfall import deferred_of, shortfalls_of
from scheduling.engine.site import Dispatch, Site
from scheduling.engine.solution import Solution
from scheduling.engine.tree import PowerTree


@dataclass(frozen=True)
class Options:
    """Settings of a run; algorithms read what concerns them."""

    resolution: timedelta = DEFAULT_RESOLUTION
    """Step length where only a list of limits is given."""
    solver: Literal["HiGHS", "CBC"] = "HiGHS"
    time_limit_s: float = 20.0
    """Time budget of a run: what is not proven by then is replaced by the best plan at hand."""
    stable: bool = True
    """Keep what the plan in force promised where that costs next to nothing."""


class Algorithm(ABC):  # noqa: B024 - one of two methods is enough, __init__ sees to it
    """Plans the power of vehicles under limits: a subclass implements `allocate`, or `calculate` as a whole.

    `peak_power_demand` is the limit of the site per step in kW, or in A per phase if all vehicles are in A; with a
    `tree` it is not needed. Time comes in as `now` or `horizon`; a repeated `calculate` gives the same result.
    """

    def __init__(
        self,
        evs: Sequence[EV],
        peak_power_demand: Sequence[float] | FloatArray | None = None,
        now: datetime | None = None,
        *,
        horizon: Horizon | None = None,
        tree: PowerTree | None = None,
        price_per_kwh: Sequence[float] | FloatArray | None = None,
        site: Site | None = None,
        options: Options | None = None,
    ) -> None:
        cls = type(self)
        if cls.allocate is Algorithm.allocate and cls.calculate is Algorithm.calculate:
            raise TypeError(f"{cls.__name__} implements neither allocate nor calculate.")
        self.options = options or Options()
        self.evs = list(evs)
        self.horizon = horizon or self._horizon_of(peak_power_demand, now)
        self.now = now or self.horizon.start
        self.tree = tree or self._tree_of(peak_power_demand)
        self.peak_power_demand = [] if peak_power_demand is None else [float(limit) for limit in peak_power_demand]
        self.problem = Problem.of(self.evs, self.horizon, self.tree, price_per_kwh, site)
        # Algorithms see the vehicles in the order of their ids, so the order of the input changes nothing.
        self._by_id = np.array(sorted(range(len(self.evs)), key=self._id_of), dtype=np.int64)
        self.status = "heuristic"
        self.seconds: dict[str, float] = {}
        self.dispatch: Dispatch | None = None  # what the plan does with battery and sun, if `allocate` decides that
        self._result: Solution | None = None
        for ev in self.evs:
            ev.horizon, ev.power = self.horizon, np.zeros(self.horizon.steps)

    def allocate(self, problem: Problem) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps)."""
        raise NotImplementedError(f"{type(self).__name__} fills the vehicles in calculate and has no allocate.")

    def calculate(self) -> None:
        """Fill `ev.power` of every vehicle and `result`; an impossible need becomes a shortfall, never an exception."""
        self.status, self.seconds, self.dispatch = "heuristic", {}, None
        with self.stage("total"):
            power = self.problem.zeros()
            if self.evs:
                power[self._by_id] = self.allocate(self.problem.rearranged(self._by_id))
        self._result = self._judged(power)
        for ev, row in zip(self.evs, power, strict=True):
            ev.power = row / ev.kw_per_unit

    @property
    def result(self) -> Solution:
        """The solution of the last `calculate`."""
        if self._result is None and type(self).calculate is not Algorithm.calculate:
            return self._judged(np.array([ev.power_kw for ev in self.evs]).reshape(self.problem.shape))
        if self._result is None:
            raise RuntimeError("Call calculate() before reading the result.")
        return self._result

    def get_charging_profiles(self, unit: ChargingRateUnit | None = None) -> dict[EV, dict[str, Any]]:
        """Whole profile of every active vehicle, in `unit` or its own; a future one has no transaction to send to."""
        return self._profiles(lambda ev: ev.charging_profile(self.horizon.start, unit))

    def get_current_power(self, unit: ChargingRateUnit | None = None) -> dict[EV, dict[str, Any]]:
        """Profile of the present step of every active vehicle."""
        return self._profiles(lambda ev: ev.current_charging_profile(self.horizon.start, unit))

    def get_total_energy_charged(self) -> dict[EV, float]:
        """Energy of the plan per vehicle, kWh or Ah."""
        return {ev: ev.energy_charged() for ev in self.evs}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside to `seconds[name]`."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + perf_counter() - begun

    def _judged(self, power: FloatArray) -> Solution:
        with self.stage("check"):
            violations = check(self.problem, power, self.dispatch)
        return Solution(
            problem=self.problem,
            power=power,
            status=self.status if self.evs else "empty",
            shortfalls=shortfalls_of(self.problem, power),
            deferred=deferred_of(self.problem),
            violations=violations,
            seconds=dict(self.seconds),
            dispatch=self.dispatch,
        )

    def _id_of(self, row: int) -> tuple[bool, int | str]:
        ev_id = self.evs[row].ev_id
        return isinstance(ev_id, str), ev_id

    def _profiles(self, profile: Callable[[EV], dict[str, Any]]) -> dict[EV, dict[str, Any]]:
        return {ev: profile(ev) for ev in self.evs if ev.active}

    def _horizon_of(self, limits: Sequence[float] | FloatArray | None, now: datetime | None) -> Horizon:
        if limits is None or now is None:
            raise ValueError("Give a horizon, or the limits per step together with now.")
        return Horizon(now, self.options.resolution, len(limits))

    def _tree_of(self, limits: Sequence[float] | FloatArray | None) -> PowerTree:
        if limits is None:
            raise ValueError("Give a power tree, or the site's limit per step.")
        if len(limits) != self.horizon.steps:
            raise ValueError(f"{len(limits)} limits do not fit a horizon of {self.horizon.steps} steps.")
        if self.evs and all(ev.unit is ChargingRateUnit.A for ev in self.evs):
            return PowerTree.single_amps(limits)
        return PowerTree.single(limits)
