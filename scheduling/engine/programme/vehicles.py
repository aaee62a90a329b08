"""Columns and rows of the vehicles: power, missing energy, and the state of energy of those that may give back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.problem import Problem
from scheduling.engine.programme.matrix import Draft
from scheduling.engine.programme.storage import Store

_EPS = 1e-9


@dataclass(frozen=True, eq=False)
class Powers:
    """Columns of charging power, kW; a vehicle has two in a step if a part of its power by-passes the nodes."""

    ev: IntArray
    step: IntArray
    column: IntArray
    share: FloatArray
    """Part of the power that the nodes count."""
    most: FloatArray

    def counted(self, problem: Problem) -> FloatArray:
        """Most power that the nodes can ever count, kW, shape (n_ev, steps)."""
        counted = problem.zeros()
        np.add.at(counted, (self.ev, self.step), self.share * self.most)
        return counted


@dataclass(frozen=True, eq=False)
class Missing:
    """Columns of missing energy, kWh at the meter: of the minimum need and of the desired rest, pair by pair."""

    ev: IntArray
    minimum: IntArray  # columns
    rest: IntArray  # columns
    least_minimum: FloatArray
    """What is missing even at full power all the time."""
    least_rest: FloatArray


def add_powers(draft: Draft, problem: Problem) -> Powers:
    """Power where a vehicle is there and wants it or may give it back.

    Nodes count what exceeds the fallback. A fallback below the minimum power is never used alone: up to the minimum the
    power counts by the share it has there, which is the least line above off, minimum and maximum.
    """
    wanted = (problem.need_kwh > 0) | (problem.discharge_power > 0)
    ev, step = np.nonzero((problem.most_power > 0) & wanted[:, None])
    most, free = problem.most_power[ev, step], problem.free_power[ev]
    knee = np.minimum(np.where(free > 0, np.maximum(free, problem.min_power[ev]), 0.0), most)
    share = 1.0 - np.divide(np.minimum(free, knee), knee, out=np.zeros_like(knee), where=knee > 0)
    low, high = knee > 0, most > knee + _EPS
    parts = (
        np.concatenate([ev[low], ev[high]]),
        np.concatenate([step[low], step[high]]),
        np.concatenate([share[low], np.ones(int(high.sum()))]),
        np.concatenate([knee[low], (most - knee)[high]]),
    )
    order = np.lexsort((parts[2], parts[1], parts[0]))
    ev, step, share, most = (part[order] for part in parts)
    return Powers(ev, step, draft.columns(0.0, most), share, most)


def vehicle_stores(draft: Draft, problem: Problem, powers: Powers) -> list[Store]:
    """A store for every vehicle that may give back while it is there."""
    begins = np.searchsorted(powers.ev, np.arange(len(problem.evs) + 1))
    stores = []
    for i in np.flatnonzero((problem.discharge_power > 0) & problem.present.any(axis=1)):
        ev, steps = problem.evs[i], np.flatnonzero(problem.present[i])
        assert ev.soc is not None
        assert ev.battery_kwh is not None
        start = ev.battery_kwh * ev.soc / 100.0
        mine = slice(begins[i], begins[i + 1])
        stores.append(
            Store.added(
                draft,
                problem.hours,
                steps=steps,
                charge=powers.column[mine],
                charge_step=powers.step[mine],
                charge_kw=problem.most_power[i, steps],
                discharge_kw=float(problem.discharge_power[i]),
                efficiency=ev.efficiency,
                start_kwh=start,
                least_kwh=ev.battery_kwh * ev.least_soc / 100.0,
                most_kwh=ev.battery_kwh,
                row=int(i),
            )
        )
    return stores


def add_needs(draft: Draft, problem: Problem, powers: Powers, stores: list[Store]) -> Missing:
    """One row per vehicle: what it gets and what it misses make its need, kWh at the meter.

    Of a vehicle that may give back, what it gets is the rise of its state of energy: it ends its stay with what it had
    and what it was served, whatever it gave in between.
    """
    store_of = {store.row: store for store in stores}
    wanted = np.unique(np.concatenate([powers.ev, np.array(sorted(store_of), dtype=np.int64)]))
    giving = np.isin(wanted, list(store_of))
    reachable = np.minimum(problem.deliverable_kwh, _battery_room_kwh(problem))[wanted]
    offset = np.zeros(len(wanted))
    last = np.zeros(len(wanted), dtype=np.int64)
    for k in np.flatnonzero(giving):
        store = store_of[int(wanted[k])]
        offset[k], last[k] = store.start_kwh / store.efficiency, store.soe[-1]
    need, minimum = problem.need_kwh[wanted], problem.minimum_kwh[wanted]
    minimum = np.minimum(minimum, need)
    hopeless = np.maximum(need - reachable, 0.0)
    least_minimum = np.maximum(minimum - reachable, 0.0)
    missing = Missing(
        ev=wanted,
        minimum=draft.columns(least_minimum, minimum),
        rest=draft.columns(hopeless - least_minimum, need - minimum),
        least_minimum=least_minimum,
        least_rest=hopeless - least_minimum,
    )
    row = draft.rows(need + offset, need + offset)
    draft.enter(row, missing.minimum, 1.0)
    draft.enter(row, missing.rest, 1.0)
    plain = np.isin(powers.ev, wanted[~giving])
    draft.enter(row[np.searchsorted(wanted, powers.ev[plain])], powers.column[plain], problem.hours[powers.step[plain]])
    draft.enter(row[giving], last[giving], 1.0 / problem.efficiency[wanted[giving]])
    return missing


def _battery_room_kwh(problem: Problem) -> FloatArray:
    """What fits into the battery, kWh at the meter, shape (n_ev,), of those whose state is planned; else infinite."""
    room = np.full(len(problem.evs), np.inf)
    for i, ev in enumerate(problem.evs):
        if ev.discharge_power > 0 and ev.battery_kwh is not None and ev.soc is not None:
            room[i] = ev.battery_kwh * (1.0 - ev.soc / 100.0) / ev.efficiency
    return room
