"""What a plan costs, by component; the one definition that planners, checker and reports share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scheduling.engine.arrays import FloatArray
from scheduling.engine.site import Dispatch

if TYPE_CHECKING:
    from scheduling.engine.problem import Problem


@dataclass(frozen=True)
class Money:
    """Money over the horizon, in the currency of the prices; what the building alone would cost is not in it."""

    energy: float
    """Vehicles, battery and sun at the energy price, feed-in taken off."""
    demand: float
    """Increments of all demand charges over the peaks already paid for, building included."""
    soft: float
    """Energy above soft limits."""
    wear: float
    """Cycling of the stationary battery and of vehicles that give."""
    co2_kg: float
    """Emissions of the energy; kg, not money."""
    co2: float
    """Their weight in money: steers the plan, is on no bill."""

    @property
    def bill(self) -> float:
        """What the supplier asks for."""
        return self.energy + self.demand

    @property
    def steering(self) -> float:
        """What planners minimise once needs are served."""
        return self.energy + self.demand + self.soft + self.wear + self.co2


def money_of(problem: Problem, power: FloatArray, dispatch: Dispatch | None = None) -> Money:
    """Cost of a plan, kW, shape (n_ev, steps), and of what battery and sun do meanwhile (default: nothing, all sun)."""
    site, hours, steps = problem.site, problem.hours, problem.horizon.steps
    done = dispatch or Dispatch.none(site, steps)
    building = np.zeros(steps) if site.building_kw is None else site.building_kw
    net = net_load(problem, power, done)
    bought, sold = np.maximum(net, 0.0), np.maximum(-net, 0.0)
    earned = np.zeros(steps) if site.export_price_per_kwh is None else site.export_price_per_kwh
    alone = np.maximum(building, 0.0)
    energy = float((bought - alone) @ (hours * problem.price_per_kwh) - sold @ (hours * earned))
    demand = sum(charge.price_per_kw * charge.increment_kw(net) for charge in site.demand_charges)
    kg = 0.0
    if site.co2_kg_per_kwh is not None:
        kg = float((bought - alone) @ (hours * site.co2_kg_per_kwh))
    wear = float(problem.cycle_cost_per_kwh @ (np.maximum(-power, 0.0) @ hours)) if len(power) else 0.0
    if site.battery is not None:
        wear += site.battery.cycle_cost_per_kwh * float(np.maximum(-done.battery_kw, 0.0) @ hours)
    return Money(
        energy=energy,
        demand=float(demand),
        soft=_soft_cost(problem, power, done),
        wear=wear,
        co2_kg=kg,
        co2=kg * site.co2_price_per_kg,
    )


def net_load(problem: Problem, power: FloatArray, dispatch: Dispatch | None = None) -> FloatArray:
    """What the site draws in all, building, battery and sun included, kW, shape (steps,); negative: it feeds in."""
    done = dispatch or Dispatch.none(problem.site, problem.horizon.steps)
    load: FloatArray = power.sum(axis=0) + done.battery_kw - done.pv_used_kw
    return load if problem.site.building_kw is None else load + problem.site.building_kw


def _soft_cost(problem: Problem, power: FloatArray, done: Dispatch) -> float:
    """Counted like the hard limit: vehicles beyond their fallbacks, all that is reserved, at the root the battery."""
    total = 0.0
    for node, members in problem.soft_nodes:
        assert node.soft_limit_kw is not None
        load = problem.excess_power(power[members], members).sum(axis=0) + node.reserved_kw
        if node.parent is None:
            load = load + np.maximum(done.battery_kw, 0.0)
        total += node.soft_price_per_kwh * float(np.maximum(load - node.soft_limit_kw, 0.0) @ problem.hours)
    return total
