"""What a plan could not deliver, why, and what would help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from scheduling.engine.arrays import ENERGY_TOLERANCE_KWH, POWER_TOLERANCE_KW, BoolArray, FloatArray
from scheduling.engine.problem import Problem

ShortfallReason = Literal["power", "time", "limit", "charger"]
_LONG_STAY_H = 6.0


@dataclass(frozen=True)
class Shortfall:
    """Energy a vehicle will miss at its departure, kWh at the meter."""

    ev_id: int | str
    kwh: float
    reason: ShortfallReason
    remedy: str


def shortfalls_of(problem: Problem, power: FloatArray) -> tuple[Shortfall, ...]:
    """One entry per vehicle that misses more than 0.01 kWh, in their order; deferred ones are left out."""
    missing = problem.unmet(power) - _deliverable_after_the_horizon(problem)
    deferred = set(deferred_of(problem))
    rows = problem.rows
    full = rows.limits - rows.coefficients @ problem.excess_power(power) < POWER_TOLERANCE_KW
    return tuple(
        _explain(problem, full, int(i), float(missing[i]))
        for i in np.flatnonzero(missing > ENERGY_TOLERANCE_KWH)
        if problem.evs[i].ev_id not in deferred
    )


def deferred_of(problem: Problem) -> tuple[int | str, ...]:
    """Vehicles that arrive after the horizon: a later run plans them."""
    end = problem.horizon.end
    return tuple(ev.ev_id for ev in problem.evs if ev.arrival_time >= end and not ev.active)


def _deliverable_after_the_horizon(problem: Problem) -> FloatArray:
    end = problem.horizon.end
    hours = np.array([max((ev.departure_time - end).total_seconds() / 3600.0, 0.0) for ev in problem.evs])
    return hours * problem.max_power


def _explain(problem: Problem, full: BoolArray, i: int, kwh: float) -> Shortfall:
    ev, most = problem.evs[i], problem.max_power[i]
    if most <= 0:
        return Shortfall(ev.ev_id, kwh, "charger", "The connector gives no power: repair it or use another one.")
    stay = float(problem.hours[problem.present[i]].sum())
    extra_hours = kwh / most
    if problem.need_kwh[i] > problem.deliverable_kwh[i] + ENERGY_TOLERANCE_KWH:
        beyond = problem.need_kwh[i] - problem.deliverable_kwh[i]
        if stay >= _LONG_STAY_H:
            faster = problem.need_kwh[i] / stay
            return Shortfall(
                ev.ev_id,
                kwh,
                "power",
                f"At {most:.1f} kW a stay of {stay:.1f} h is too little: use a charger of {faster:.1f} kW, "
                f"or lower the target by {kwh:.1f} kWh.",
            )
        return Shortfall(
            ev.ev_id,
            kwh,
            "time",
            f"The stay of {stay:.1f} h is too short: leave {_duration(beyond / most)} later, "
            f"or lower the target by {kwh:.1f} kWh.",
        )
    least = problem.min_power[i]
    if kwh < least * float(problem.hours.max()):
        return Shortfall(
            ev.ev_id,
            kwh,
            "limit",
            f"The rest of {kwh:.2f} kWh is less than a step at the minimum of {least:.1f} kW leaves room for: "
            "a later run will serve it, or raise the limit.",
        )
    return Shortfall(
        ev.ev_id,
        kwh,
        "limit",
        f"{_tightest(problem, full, i)} is full during the stay: raise the vehicle's priority, "
        f"move it to another bay, or leave about {_duration(extra_hours)} later.",
    )


def _tightest(problem: Problem, full: BoolArray, i: int) -> str:
    """The node above the vehicle that is full in most steps of its stay."""
    rows = problem.rows
    counts = (full & problem.present[i] & (rows.coefficients[:, i] > 0)[:, None]).sum(axis=1)
    return f"The load group {rows.names[int(np.argmax(counts))]!r}" if counts.any() else "The power tree"


def _duration(hours: float) -> str:
    minutes = int(np.ceil(hours * 60.0))
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"
