"""Power that falls with the state of charge: what a battery takes, and plans that keep to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.ev import EV
from scheduling.engine.problem import Problem

_LEAST_KW = 1e-9
_CHANGE_KW = 1e-6
_LOST_KWH = 1e-4
_SWEEPS = 20


@dataclass(frozen=True, eq=False)
class TaperCurves:
    """Most power over state of charge of several vehicles, linear between points, and the time to charge along it.

    Inside a segment dsoc/dt is linear in soc, so times are logarithms and states exponentials: nothing is discretised.
    """

    soc: FloatArray  # (n, n_points) %, rising from 0 to 100
    kw: FloatArray  # (n, n_points) at the meter, under the vehicle's maximum
    reached: FloatArray  # (n, n_points) hours from empty
    kwh_per_percent: FloatArray  # (n,) at the meter

    @staticmethod
    def of(evs: Sequence[EV]) -> TaperCurves:
        """The curves of vehicles that have one; the first value holds before its point, the last one up to full."""
        corners = [_corners(ev) for ev in evs]
        most = max(len(curve) for curve in corners)
        # A shorter curve repeats its last point: a segment of no length takes no time.
        padded = np.array([curve + [curve[-1]] * (most - len(curve)) for curve in corners])
        soc, kw = padded[:, :, 0], np.maximum(padded[:, :, 1], _LEAST_KW)
        per_percent = np.array([(ev.battery_kwh or 0.0) / (100.0 * ev.efficiency) for ev in evs])
        spans = per_percent[:, None] * np.diff(soc) / _log_mean(kw[:, :-1], kw[:, 1:])
        reached = np.concatenate([np.zeros((len(evs), 1)), np.cumsum(spans, axis=1)], axis=1)
        return TaperCurves(soc, kw, reached, per_percent)

    def most_energy(self, row: IntArray, soc: FloatArray, hours: FloatArray | float) -> FloatArray:
        """kWh at the meter that vehicle `row` takes at most in `hours` from `soc` %; arrays of one shape."""
        per_percent, last = self.kwh_per_percent[row], self.soc.shape[1] - 2
        k = np.minimum((self.soc[row] <= soc[:, None]).sum(axis=1) - 1, last)
        power = self.kw[row, k] + self._slope(row, k) * (soc - self.soc[row, k])
        begin = self.reached[row, k] + per_percent * (soc - self.soc[row, k]) / _log_mean(self.kw[row, k], power)
        end = begin + hours
        k = np.minimum((self.reached[row] <= end[:, None]).sum(axis=1) - 1, last)
        effort = (end - self.reached[row, k]) / per_percent
        growth = self._slope(row, k) * effort
        near = np.abs(growth) < 1e-12
        stretch = np.where(near, 1.0, np.expm1(growth) / np.where(near, 1.0, growth))
        there = np.minimum(self.soc[row, k] + self.kw[row, k] * effort * stretch, 100.0)
        energy: FloatArray = np.maximum(per_percent * (there - soc), 0.0)
        return energy

    def _slope(self, row: IntArray, k: IntArray) -> FloatArray:
        """kW per % in segment k."""
        rise, run = self.kw[row, k + 1] - self.kw[row, k], self.soc[row, k + 1] - self.soc[row, k]
        return np.divide(rise, run, out=np.zeros(rise.shape), where=run > 0)


def most_energy(ev: EV, soc: FloatArray | float, hours: FloatArray | float) -> FloatArray:
    """Energy at the meter, kWh, that the vehicle takes at most in `hours` from `soc` %, of the shape of both.

    The exact integral along its taper, capped by its maximum power and by a full battery.
    """
    soc, hours = np.broadcast_arrays(np.asarray(soc, dtype=np.float64), np.asarray(hours, dtype=np.float64))
    rows = np.zeros(soc.size, dtype=np.int64)
    return TaperCurves.of([ev]).most_energy(rows, soc.ravel(), hours.ravel()).reshape(soc.shape)


def follow(problem: Problem, power: FloatArray) -> FloatArray:
    """What the batteries make of a plan: kW, shape (n_ev, steps), nowhere more than they take at their state then."""
    clipped, _ = _simulate(problem, power)
    return clipped


def tapered(problem: Problem, plan_once: Callable[[Problem], FloatArray], rounds: int = 6) -> FloatArray:
    """A plan within all tapers, kW, shape (n_ev, steps), from a planner that knows maxima per step only.

    Each round plans with the maxima along the states of the plan before. What the last plan still has too much is
    clipped, and the energy lost by it put into later steps as far as there is room.
    """
    bent = _bent(problem)
    if not bent.size:
        return plan_once(problem)
    top = problem.most_power.copy()
    for _ in range(rounds):
        planned = plan_once(replace(problem, top_power=top))
        power, caps = _simulate(problem, planned)
        changed = np.minimum(problem.most_power[bent], caps) - top[bent]
        top[bent] += changed
        if (np.abs(changed) < _CHANGE_KW).all():
            break
    return _refilled(problem, power, bent[problem.unmet(power)[bent] > _LOST_KWH])


def _bent(problem: Problem) -> IntArray:
    """Rows of the vehicles with a taper."""
    return np.array([i for i, ev in enumerate(problem.evs) if ev.taper], dtype=np.int64)


def _simulate(problem: Problem, power: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The plan as batteries follow it, and the most each tapered vehicle could take in each step, (n_bent, steps)."""
    bent = _bent(problem)
    followed, caps = power.copy(), np.zeros((len(bent), problem.horizon.steps))
    if not bent.size:
        return followed, caps
    curves, rows = TaperCurves.of([problem.evs[i] for i in bent]), np.arange(len(bent))
    soc = np.array([problem.evs[i].soc or 0.0 for i in bent])
    lowest = np.minimum(soc, [problem.evs[i].least_soc for i in bent])
    for t, hours in enumerate(problem.hours.tolist()):
        caps[:, t] = curves.most_energy(rows, soc, hours) / hours
        most_given = (soc - lowest) * curves.kwh_per_percent * problem.efficiency[bent] ** 2 / hours
        kw = np.clip(power[bent, t], -most_given, caps[:, t])
        followed[bent, t] = kw
        soc = _state_after(problem, bent, soc, kw, hours, curves)
    return followed, caps


def _state_after(
    problem: Problem, rows: IntArray, soc: FloatArray, kw: FloatArray, hours: float, curves: TaperCurves
) -> FloatArray:
    """State of charge, %, after `hours` at `kw`: losses count both ways."""
    at_meter = hours * (np.maximum(kw, 0.0) - np.maximum(-kw, 0.0) / problem.efficiency[rows] ** 2)
    after: FloatArray = soc + at_meter / curves.kwh_per_percent
    return np.clip(after, 0.0, 100.0)


def _refilled(problem: Problem, power: FloatArray, rows: IntArray) -> FloatArray:
    """The plan with what `rows` miss put where tree and tapers have room, in order of time.

    A site's battery may need the room at the grid connection, so beside one the plan stays as it is.
    """
    if problem.site.battery is not None:
        return power
    rows = rows[problem.discharge_power[rows] <= 0]
    headroom = problem.headroom(power)
    for i in rows[np.argsort(-problem.priority[rows], kind="stable")]:
        headroom.put(int(i), _refilled_row(problem, headroom.power[i], headroom.ceiling(int(i)), int(i)))
    return headroom.power


def _refilled_row(problem: Problem, power: FloatArray, ceiling: FloatArray, i: int) -> FloatArray:
    """What is missing as early as there is room; what that displaces later is missing in the next sweep."""
    for _ in range(_SWEEPS):
        before = power
        power = _swept(problem, before, ceiling, i)
        if (power - before) @ problem.hours < _LOST_KWH:
            break
    return power


def _swept(problem: Problem, power: FloatArray, ceiling: FloatArray, i: int) -> FloatArray:
    ev, row = problem.evs[i], np.array([i])
    curves, first = TaperCurves.of([ev]), np.zeros(1, dtype=np.int64)
    soc, filled = np.array([ev.soc or 0.0]), power.copy()
    missing = float(problem.need_kwh[i] - power @ problem.hours)
    for t, hours in enumerate(problem.hours.tolist()):
        most = min(float(ceiling[t]), float(curves.most_energy(first, soc, hours)[0]) / hours)
        if most >= problem.min_power[i]:
            filled[t] = min(power[t] + max(missing, 0.0) / hours, most)
        else:
            filled[t] = min(power[t], most)
        missing -= (filled[t] - power[t]) * hours
        soc = _state_after(problem, row, soc, filled[t : t + 1], hours, curves)
    return filled


def _corners(ev: EV) -> list[tuple[float, float]]:
    """Points of the curve from 0 to 100 % under the vehicle's maximum, with a point where it crosses that."""
    top = ev.max_power * ev.kw_per_unit
    socs, powers = (np.array(side) for side in zip(*ev.taper, strict=True))
    crossing = [
        soc + (top - low) / (high - low) * (after - soc)
        for (soc, low), (after, high) in zip(ev.taper, ev.taper[1:], strict=False)
        if (low - top) * (high - top) < 0
    ]
    inside = [soc for soc in (*socs.tolist(), *crossing) if 0.0 < soc < 100.0]
    at = np.unique([0.0, *inside, 100.0])
    kw = np.minimum(np.interp(at, socs, powers), top)
    return list(zip(at.tolist(), kw.tolist(), strict=True))


def _log_mean(a: FloatArray, b: FloatArray) -> FloatArray:
    """(b - a) / ln(b / a): the power at which a segment from a to b kW takes as long as it does."""
    ratio = np.log(b / a)
    near = np.abs(ratio) < 1e-9
    mean: FloatArray = np.where(near, 0.5 * (a + b), (b - a) / np.where(near, 1.0, ratio))
    return mean
