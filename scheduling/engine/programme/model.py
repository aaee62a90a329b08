"""The depot problem in full as one linear programme."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.problem import Problem
from scheduling.engine.programme.connection import (
    BatteryColumns,
    Grid,
    add_battery,
    add_grid,
    add_limits,
    add_peaks,
    add_soft_limits,
    add_sun,
)
from scheduling.engine.programme.matrix import Draft, Matrix
from scheduling.engine.programme.storage import Store
from scheduling.engine.programme.vehicles import Missing, Powers, add_needs, add_powers, vehicle_stores
from scheduling.engine.site import Dispatch

_CHANGE = 1.0
"""Weight of charging where the plan in force does not, in horizons of delay."""
_IDLE = 0.1
"""Weight of giving back for nothing."""


@dataclass(frozen=True, eq=False)
class Model:
    """The matrix, where everything stands in it, and its objectives as costs per column."""

    problem: Problem
    matrix: Matrix
    powers: Powers
    missing: Missing
    stores: list[Store]
    """The vehicles that may give back, then the site's battery."""
    battery: BatteryColumns | None
    sun: IntArray
    grid: Grid
    money: FloatArray  # (n_columns,)

    @staticmethod
    def of(problem: Problem) -> Model:
        """Columns, rows and costs of the problem; a point of it may charge and give at once (see `Store`)."""
        draft = Draft()
        powers = add_powers(draft, problem)
        stores = vehicle_stores(draft, problem, powers)
        missing = add_needs(draft, problem, powers, stores)
        battery = add_battery(draft, problem)
        stationary = None if battery is None else battery.store
        stores += [] if stationary is None else [stationary]
        add_limits(draft, problem, powers, stationary)
        sun = add_sun(draft, problem)
        grid = add_grid(draft, problem, powers, sun, stationary, stores)
        soft, soft_cost = add_soft_limits(draft, problem, powers, stationary)
        peaks, peak_cost = add_peaks(draft, problem, grid)
        money = np.zeros(draft.n_columns)
        money[soft], money[peaks] = soft_cost, peak_cost
        _price_energy(money, problem, powers, sun, grid, stores)
        return Model(problem, draft.matrix(), powers, missing, stores, battery, sun, grid, money)

    def power_of(self, x: FloatArray) -> FloatArray:
        """Net power per EV and step, kW, shape (n_ev, steps)."""
        power = self.problem.zeros()
        np.add.at(power, (self.powers.ev, self.powers.step), x[self.powers.column])
        for store in self.stores:
            if store.row >= 0:
                power[store.row, store.steps] = store.net_kw(x)
        return power

    def dispatch_of(self, x: FloatArray) -> Dispatch | None:
        """What battery and sun do, None without any; sun that would be exported for nothing is curtailed instead."""
        site, steps = self.problem.site, self.problem.horizon.steps
        if not site.has_storage:
            return None
        battery = np.zeros(steps) if self.battery is None else self.battery.store.net_kw(x)
        used = np.zeros(steps)
        if len(self.sun):
            used = x[self.sun]
            sold = np.zeros(steps)
            sold[self.grid.steps] = np.maximum(x[self.grid.sold] - x[self.grid.bought], 0.0)
            worthless = True if site.export_price_per_kwh is None else site.export_price_per_kwh <= 0
            used = np.where(worthless, np.maximum(used - sold, 0.0), used)
        return Dispatch(battery, used)

    def goodness(self) -> FloatArray:
        """Cost per column of energy that comes late, where the plan in force has none, or goes to and fro."""
        problem, powers = self.problem, self.powers
        borders = problem.horizon.border_seconds
        middle = 0.5 * (borders[1:] + borders[:-1]) / borders[-1]
        late = np.broadcast_to(middle, problem.shape).copy()
        for i, ev in enumerate(problem.evs):
            if ev.in_force is not None and len(ev.in_force) == problem.horizon.steps:
                late[i] += _CHANGE * (ev.in_force <= 0.0)
        cost = np.zeros(len(self.matrix.lower))
        cost[powers.column] = problem.hours[powers.step] * late[powers.ev, powers.step]
        for store in self.stores:
            cost[store.discharge] = _IDLE * store.hours
        return cost


def _price_energy(
    money: FloatArray, problem: Problem, powers: Powers, sun: IntArray, grid: Grid, stores: list[Store]
) -> None:
    """Energy costs at the meter where that has columns, else at every load and source; giving wears batteries."""
    site, hours = problem.site, problem.hours
    money[grid.bought] = (hours * problem.steering_price)[grid.steps]
    if site.export_price_per_kwh is not None:
        money[grid.sold] = -(hours * site.export_price_per_kwh)[grid.steps]
    direct = hours * problem.steering_price
    direct[grid.steps] = 0.0
    money[powers.column] = direct[powers.step]
    if len(sun):
        money[sun] = -direct
    for store in stores:
        wear = problem.cycle_cost_per_kwh[store.row] if store.row >= 0 else site.battery.cycle_cost_per_kwh  # type: ignore[union-attr]
        money[store.discharge] = wear * store.hours - direct[store.steps]
        if store.row < 0:
            money[store.charge] = direct[store.steps]
