"""Key figures of a plan: state of energy, energy on both sides of the charger, and money."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduling.engine.arrays import POWER_TOLERANCE_KW, FloatArray
from scheduling.engine.problem import Problem
from scheduling.engine.site import Dispatch


@dataclass(frozen=True, eq=False)
class StateOfEnergy:
    """What the batteries hold at every border of the horizon, shape (n_ev, steps + 1)."""

    kwh: FloatArray
    """From what is known at the start; where nothing is known, what was gained since."""
    percent: FloatArray
    """Of the battery; NaN where its size or its state is unknown."""


@dataclass(frozen=True, eq=False)
class EnergyKpis:
    """Energies in kWh, shape (n_ev,); the grid side is the meter, the battery side has the losses taken off."""

    grid_kwh: FloatArray
    battery_kwh: FloatArray
    planned_grid_kwh: FloatArray
    planned_battery_kwh: FloatArray
    """What the vehicles ask for."""
    peak_kw: FloatArray
    station_peak_kw: float
    vehicles: int

    @property
    def workload_percent(self) -> FloatArray:
        """Delivered share of what each vehicle asks for, measured on one side; 100 where it asks for nothing."""
        return np.array([share(*pair) for pair in zip(self.grid_kwh, self.planned_grid_kwh, strict=True)])

    @property
    def station_workload_grid_percent(self) -> float:
        """Delivered share of all energy at the meter."""
        return share(self.grid_kwh.sum(), self.planned_grid_kwh.sum())

    @property
    def station_workload_battery_percent(self) -> float:
        """Delivered share of all energy in the batteries."""
        return share(self.battery_kwh.sum(), self.planned_battery_kwh.sum())


@dataclass(frozen=True, eq=False)
class FinancialKpis:
    """Money of a plan beside that of charging without control; `vehicle_cost` adds up to the bill."""

    energy: float
    demand: float
    soft: float
    wear: float
    co2: float
    co2_kg: float
    bill: float
    price_per_kwh: float | None
    """The bill per kWh at the meter; None if nothing is charged."""
    vehicle_cost: FloatArray  # (n_ev,)
    uncontrolled_bill: float
    uncontrolled_kwh: float
    saving: float
    """How much less the plan costs than `uncontrolled`, which may deliver another amount of energy."""
    peak_reduction_kw: float
    """How much lower the highest load of the site is, building included."""


def state_of_energy(problem: Problem, power: FloatArray) -> StateOfEnergy:
    """Batteries along a plan, kW, shape (n_ev, steps); what is given back leaves the battery with its losses."""
    efficiency = problem.efficiency[:, None]
    flow = np.where(power > 0, power * efficiency, power / efficiency) * problem.hours
    gained = np.concatenate([np.zeros((len(power), 1)), np.cumsum(flow, axis=1)], axis=1)
    capacity = np.array([np.nan if ev.battery_kwh is None else ev.battery_kwh for ev in problem.evs])
    soc = np.array([np.nan if ev.soc is None else ev.soc for ev in problem.evs])
    held = capacity * soc / 100.0
    percent = (held[:, None] + gained) / capacity[:, None] * 100.0
    return StateOfEnergy(np.nan_to_num(held)[:, None] + gained, percent)


def energy_kpis(problem: Problem, power: FloatArray) -> EnergyKpis:
    """Energies and peaks of a plan, kW, shape (n_ev, steps)."""
    grid = problem.energy(power)
    return EnergyKpis(
        grid_kwh=grid,
        battery_kwh=grid * problem.efficiency,
        planned_grid_kwh=problem.need_kwh,
        planned_battery_kwh=problem.need_kwh * problem.efficiency,
        peak_kw=power.max(axis=1, initial=0.0),
        station_peak_kw=float(power.sum(axis=0).max(initial=0.0)),
        vehicles=int((power.max(axis=1, initial=0.0) > POWER_TOLERANCE_KW).sum()),
    )


def financial_kpis(
    problem: Problem, power: FloatArray, uncontrolled: FloatArray, dispatch: Dispatch | None = None
) -> FinancialKpis:
    """Money of a plan and of the same vehicles `uncontrolled`, both kW, shape (n_ev, steps), by one definition."""
    money, other = problem.money(power, dispatch), problem.money(uncontrolled)
    energy = float(problem.energy(power).sum())
    return FinancialKpis(
        energy=money.energy,
        demand=money.demand,
        soft=money.soft,
        wear=money.wear,
        co2=money.co2,
        co2_kg=money.co2_kg,
        bill=money.bill,
        price_per_kwh=money.bill / energy if energy > 0 else None,
        vehicle_cost=_shared_bill(problem, power, money.bill),
        uncontrolled_bill=other.bill,
        uncontrolled_kwh=float(problem.energy(uncontrolled).sum()),
        saving=other.bill - money.bill,
        peak_reduction_kw=site_peak_kw(problem, uncontrolled) - site_peak_kw(problem, power, dispatch),
    )


def site_peak_kw(problem: Problem, power: FloatArray, dispatch: Dispatch | None = None) -> float:
    """Highest load at the grid connection, building, sun and battery included, kW."""
    site = problem.site
    done = dispatch or Dispatch.none(site, problem.horizon.steps)
    load = power.sum(axis=0) + done.battery_kw - done.pv_used_kw
    if site.building_kw is not None:
        load = load + site.building_kw
    return float(load.max(initial=0.0))


def share(part: float, whole: float) -> float:
    """`part` of `whole`, %; 100 of nothing."""
    return float(100.0 * part / whole) if whole > 0 else 100.0


def _shared_bill(problem: Problem, power: FloatArray, bill: float) -> FloatArray:
    """Everybody pays its energy at its hours' prices; peaks and what sun and battery save are shared by energy."""
    own: FloatArray = power @ (problem.hours * problem.price_per_kwh)
    energy = problem.energy(power)
    total = float(energy.sum())
    if total <= 0:
        return own
    result: FloatArray = own + (bill - float(own.sum())) * energy / total
    return result
