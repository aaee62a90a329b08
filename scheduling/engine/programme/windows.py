"""Stays as a careful planner sees them: late arrivals, and ready some time before the departure."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scheduling.engine.arrays import ENERGY_TOLERANCE_KWH, FloatArray
from scheduling.engine.problem import Problem
from scheduling.engine.programme.taper import most_energy


def careful(problem: Problem) -> Problem:
    """Stays without the time before the latest arrival and the margin before the departure.

    As far as each vehicle's need fits into the rest at full power; what it takes more comes from the margin first, as
    the vehicle is there then for certain. Returns `problem` itself if no stay changes.
    """
    first, last = problem.first_step.copy(), problem.last_step.copy()
    horizon = problem.horizon
    for i, ev in enumerate(problem.evs):
        begin, end = int(first[i]), int(last[i])
        if ev.arrival_latest is not None and not ev.active:
            begin = min(max(horizon.first_step_at_or_after(ev.arrival_latest), begin), end)
        if ev.departure_margin:
            end = max(min(horizon.last_border_at_or_before(ev.departure_time - ev.departure_margin), end), begin)
        first[i], last[i] = _widened(problem, i, begin, end)
    if (first == problem.first_step).all() and (last == problem.last_step).all():
        return problem
    return replace(problem, first_step=first, last_step=last)


def released(problem: Problem, narrowed: Problem, unmet: FloatArray) -> Problem:
    """`narrowed` with the whole stay again for all who miss energy that it could give.

    `unmet` is in kWh at the meter, shape (n_ev,). If somebody misses energy in spite of a whole stay, the narrow ones
    stand in the way: then those that are there at the same time get theirs back too. Returns `narrowed` itself if
    nothing changes.
    """
    hopeless = np.maximum(problem.need_kwh - problem.deliverable_kwh, 0.0)
    missing = unmet > hopeless + ENERGY_TOLERANCE_KWH
    narrow = (narrowed.first_step != problem.first_step) | (narrowed.last_step != problem.last_step)
    crowded = problem.present[missing & ~narrow].any(axis=0)
    free = narrow & (missing | (problem.present & crowded).any(axis=1))
    if not free.any():
        return narrowed
    return replace(
        narrowed,
        first_step=np.where(free, problem.first_step, narrowed.first_step),
        last_step=np.where(free, problem.last_step, narrowed.last_step),
    )


def _widened(problem: Problem, i: int, begin: int, end: int) -> tuple[int, int]:
    """The least window around [begin, end) within the stay that holds the need at full power."""
    first, last = int(problem.first_step[i]), int(problem.last_step[i])
    while not _fits(problem, i, begin, end) and (begin, end) != (first, last):
        begin, end = (begin, end + 1) if end < last else (begin - 1, end)
    return begin, end


def _fits(problem: Problem, i: int, begin: int, end: int) -> bool:
    ev, hours = problem.evs[i], problem.hours[begin:end]
    stay = np.zeros(problem.horizon.steps, dtype=np.bool_)
    stay[begin:end] = True
    most = float(np.where(stay, problem.most_power[i], 0.0) @ problem.hours)
    if ev.taper:
        most = min(most, float(most_energy(ev, ev.soc or 0.0, float(hours.sum()))))
    return most >= float(problem.need_kwh[i]) - ENERGY_TOLERANCE_KWH
