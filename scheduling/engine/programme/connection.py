"""Columns and rows of the site: limits of the tree, the battery, the sun, peaks and soft limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from scheduling.engine.arrays import BoolArray, FloatArray, IntArray
from scheduling.engine.ev import EV
from scheduling.engine.problem import Problem
from scheduling.engine.programme.matrix import Draft
from scheduling.engine.programme.storage import Store
from scheduling.engine.programme.vehicles import Powers
from scheduling.engine.site import Battery
from scheduling.engine.tree import Rows

_EPS = 1e-9


@dataclass(frozen=True, eq=False)
class BatteryColumns:
    """The site's battery: its store, and how much of its end target stays open, kWh (None: it holds that already)."""

    store: Store
    short: IntArray


@dataclass(frozen=True, eq=False)
class Grid:
    """Energy over the meter in the steps where its direction or its peak matters."""

    steps: IntArray
    bought: IntArray  # column per step of `steps`, kW
    sold: IntArray  # column per step of `steps`, kW
    most_bought: FloatArray
    most_sold: FloatArray


def add_battery(draft: Draft, problem: Problem) -> BatteryColumns | None:
    """The site's battery; a target above what it holds is met as far as limits leave room."""
    battery = problem.site.battery
    if battery is None:
        return None
    steps = np.arange(problem.horizon.steps)
    store = Store.added(
        draft,
        problem.hours,
        steps=steps,
        charge=draft.columns(0.0, np.full(len(steps), battery.charge_kw)),
        charge_step=steps,
        charge_kw=np.full(len(steps), battery.charge_kw),
        discharge_kw=battery.discharge_kw,
        efficiency=battery.efficiency,
        start_kwh=battery.soe_kwh,
        least_kwh=battery.least_soe_kwh,
        most_kwh=battery.capacity_kwh,
    )
    target = battery.soe_kwh if battery.end_soe_kwh is None else battery.end_soe_kwh
    short = draft.columns(0.0, np.array([max(target - battery.soe_kwh, 0.0)]))
    end = draft.rows(target, np.array([np.inf]))
    draft.enter(end, store.soe[-1:], 1.0)
    draft.enter(end, short, 1.0)
    return BatteryColumns(store, short)


def add_limits(draft: Draft, problem: Problem, powers: Powers, battery: Store | None) -> None:
    """Every limit of the tree that can be reached at all."""
    rows = _rows_with_battery(problem, problem.site.battery)
    n_ev = len(problem.evs)
    most = rows.coefficients[:, :n_ev] @ powers.counted(problem)
    if battery is not None:
        most = most + rows.coefficients[:, n_ev:] * battery.charge_kw
    can_bind = most > rows.limits + _EPS
    number = np.full(can_bind.shape, -1, dtype=np.int64)
    number[can_bind] = draft.rows(-np.inf, rows.limits[can_bind])
    for r in np.flatnonzero(can_bind.any(axis=1)):
        _enter_counted(draft, powers, rows.coefficients[r, :n_ev], number[r])
        if battery is not None and rows.coefficients[r, n_ev] > 0:
            at = number[r, battery.steps] >= 0
            draft.enter(number[r, battery.steps[at]], battery.charge[at], float(rows.coefficients[r, n_ev]))


def _enter_counted(draft: Draft, powers: Powers, weight: FloatArray, number: IntArray) -> None:
    """Put what nodes count of every power, times the vehicle's weight, into the row of its step (-1: none)."""
    mine = np.flatnonzero((weight[powers.ev] > 0) & (powers.share > 0) & (number[powers.step] >= 0))
    draft.enter(number[powers.step[mine]], powers.column[mine], weight[powers.ev[mine]] * powers.share[mine])


def _rows_with_battery(problem: Problem, battery: Battery | None) -> Rows:
    """The tree's rows; with a battery they have one more column for it, a three-phase load at every grid connection."""
    if battery is None:
        return problem.rows
    kw = battery.charge_kw
    start, end = problem.horizon.start, problem.horizon.end
    as_load = EV("battery of the site", True, "", 1, 0.0, kw, start, end, 0.0)
    return problem.tree.rows(replace(problem, evs=(*problem.evs, as_load)))


def add_soft_limits(
    draft: Draft, problem: Problem, powers: Powers, battery: Store | None
) -> tuple[IntArray, FloatArray]:
    """Columns of the power above soft limits, and the money that each costs per kW."""
    columns, costs = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    counted = powers.counted(problem)
    for node, members in problem.soft_nodes:
        assert node.soft_limit_kw is not None
        with_battery = battery is not None and node.parent is None
        room = node.soft_limit_kw - node.reserved_kw
        most = counted[members].sum(axis=0)
        if battery is not None and with_battery:
            most = most + battery.charge_kw
        steps = np.flatnonzero(most > room + _EPS)
        above = draft.columns(0.0, np.maximum(most - room, 0.0)[steps])
        number = np.full(problem.horizon.steps, -1, dtype=np.int64)
        number[steps] = draft.rows(-np.inf, room[steps])
        draft.enter(number[steps], above, -1.0)
        weight = np.zeros(len(problem.evs))
        weight[members] = 1.0
        _enter_counted(draft, powers, weight, number)
        if battery is not None and with_battery:
            draft.enter(number[steps], battery.charge[steps], 1.0)
        columns.append(above)
        costs.append(node.soft_price_per_kwh * problem.hours[steps])
    return np.concatenate(columns), np.concatenate(costs)


def add_sun(draft: Draft, problem: Problem) -> IntArray:
    """Column of the used sun per step, kW; empty without sun."""
    pv = problem.site.pv_kw
    return draft.columns(0.0, np.zeros(0) if pv is None else np.maximum(pv, 0.0))


def add_grid(
    draft: Draft, problem: Problem, powers: Powers, sun: IntArray, battery: Store | None, stores: list[Store]
) -> Grid:
    """Bought and sold power in every step that may export or raise a peak."""
    site, steps = problem.site, problem.horizon.steps
    building = _building(problem)
    most = building + np.bincount(powers.step, weights=powers.most, minlength=steps)
    least = building.copy()
    if site.pv_kw is not None:
        least -= np.maximum(site.pv_kw, 0.0)
    for store in stores:
        least[store.steps] -= store.discharge_kw
    if battery is not None:
        most += battery.charge_kw
    matters = least < 0
    for charge in site.demand_charges:
        matters |= _counts(problem, charge.steps) & (charge.price_per_kw > 0) & (most > charge.peak_so_far_kw)
    here = np.flatnonzero(matters)
    most_bought, most_sold = np.maximum(most, 0.0)[here], np.maximum(-least, 0.0)[here]
    grid = Grid(here, draft.columns(0.0, most_bought), draft.columns(0.0, most_sold), most_bought, most_sold)
    number = np.full(steps, -1, dtype=np.int64)
    number[here] = draft.rows(-building[here], -building[here])
    draft.enter(number[here], grid.bought, -1.0)
    draft.enter(number[here], grid.sold, 1.0)
    mine = number[powers.step] >= 0
    draft.enter(number[powers.step[mine]], powers.column[mine], 1.0)
    if len(sun):
        draft.enter(number[here], sun[here], -1.0)
    for store in stores:
        at = number[store.steps] >= 0
        draft.enter(number[store.steps[at]], store.discharge[at], -1.0)
    if battery is not None:
        draft.enter(number[here], battery.charge[here], 1.0)
    return grid


def add_peaks(draft: Draft, problem: Problem, grid: Grid) -> tuple[IntArray, FloatArray]:
    """Column of the increment of every demand charge, kW, and its price."""
    charges = [charge for charge in problem.site.demand_charges if charge.price_per_kw > 0]
    columns = draft.columns(0.0, np.full(len(charges), np.inf))
    for charge, column in zip(charges, columns, strict=True):
        at = np.flatnonzero(_counts(problem, charge.steps)[grid.steps] & (grid.most_bought > charge.peak_so_far_kw))
        row = draft.rows(-np.inf, np.full(len(at), charge.peak_so_far_kw))
        draft.enter(row, grid.bought[at], 1.0)
        draft.enter(row, grid.sold[at], -1.0)
        draft.enter(row, np.full(len(at), column), -1.0)
    return columns, np.array([charge.price_per_kw for charge in charges])


def _counts(problem: Problem, steps: BoolArray | None) -> BoolArray:
    return np.ones(problem.horizon.steps, dtype=np.bool_) if steps is None else steps


def _building(problem: Problem) -> FloatArray:
    building = problem.site.building_kw
    return np.zeros(problem.horizon.steps) if building is None else building.astype(np.float64)
