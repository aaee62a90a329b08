"""A plan in a handful of figures and sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scheduling.engine.arrays import POWER_TOLERANCE_KW, BoolArray, FloatArray
from scheduling.engine.money import net_load
from scheduling.engine.wording import Clock, count_in_words, place_in_words, price_in_words

if TYPE_CHECKING:
    from scheduling.engine.problem import Problem
    from scheduling.engine.solution import Solution

_SAME_KW = 0.01
"""Powers that differ by less are one profile period."""


def figures_of(solution: Solution) -> dict[str, float]:
    """Key figures by name: kWh at the meter, kW, hours, money in the currency of the prices; all finite."""
    problem, power, money = solution.problem, solution.power, solution.money
    short = solution.shortfalls
    changes, on = np.abs(np.diff(power, axis=1)) > _SAME_KW, power > POWER_TOLERANCE_KW
    starts = on[:, :1].sum() + (on[:, 1:] & ~on[:, :-1]).sum()
    load = net_load(problem, power, solution.dispatch)
    charges = problem.site.demand_charges
    laxity = problem.laxity_hours[(problem.need_kwh > 0) & problem.present.any(axis=1)]
    laxity = laxity[np.isfinite(laxity)]
    return {
        "vehicles": float(len(problem.evs)),
        "deferred": float(len(solution.deferred)),
        "energy_kwh": float(problem.energy(power).sum()),
        "unmet_kwh": float(sum(shortfall.kwh for shortfall in short)),
        "unmet_minimum_kwh": sum(_missing_minimum(problem, shortfall.row, shortfall.kwh) for shortfall in short),
        "short_vehicles": float(len(short)),
        "cost": money.bill,
        "energy_cost": money.energy,
        "demand_cost": money.demand,
        "soft_cost": money.soft,
        "wear_cost": money.wear,
        "co2_kg": money.co2_kg,
        "peak_kw": float(power.sum(axis=0).max(initial=0.0)),
        "site_peak_kw": float(load.max(initial=0.0)),
        "peak_paid_kw": max((charge.peak_so_far_kw for charge in charges), default=0.0),
        "new_peak_kw": max(
            (charge.peak_so_far_kw + charge.increment_kw(load) for charge in charges), default=float(load.max())
        ),
        "periods": 1.0 + float(changes.sum(axis=1).mean()) if len(power) else 0.0,
        "starts": float(starts),
        "changed_share": _changed_share(problem, power),
        "min_laxity_hours": float(laxity.min()) if laxity.size else 0.0,
        "mean_laxity_hours": float(laxity.mean()) if laxity.size else 0.0,
    }


def sentences_of(solution: Solution, clock: Clock) -> list[str]:
    """What a dispatcher should know of a run, three to six sentences."""
    if not solution.problem.evs:
        return ["There is no vehicle to plan."]
    told = [_broken(solution), _ready(solution), _worst(solution, clock), _cost(solution), _peak(solution, clock)]
    return [sentence for sentence in (*told, _most_valuable(solution, clock)) if sentence]


def _missing_minimum(problem: Problem, row: int, kwh: float) -> float:
    """The part of a shortfall that is below the minimum need."""
    return max(kwh - float(problem.need_kwh[row] - problem.minimum_kwh[row]), 0.0)


def _changed_share(problem: Problem, power: FloatArray) -> float:
    """Share of the vehicles with a plan in force whose next hour is another now."""
    near = problem.horizon.border_seconds[:-1] < 3600.0
    rows = [i for i, ev in enumerate(problem.evs) if ev.in_force is not None]
    if not rows:
        return 0.0
    before = np.array([problem.evs[i].in_force for i in rows])
    changed = (np.abs(power[rows] - before)[:, near] > _SAME_KW).any(axis=1)
    return float(changed.mean())


def _broken(solution: Solution) -> str:
    if solution.ok:
        return ""
    first = solution.violations[0].message
    return f"The plan breaks {count_in_words(len(solution.violations), 'rule')} and must not be sent. {first}"


def _ready(solution: Solution) -> str:
    planned, short = len(solution.problem.evs) - len(solution.deferred), solution.shortfalls
    if short:
        missing = sum(shortfall.kwh for shortfall in short)
        ready = f"{planned - len(short)} of {count_in_words(planned, 'vehicle')} will be ready"
        told = f"{ready}; {missing:.1f} kWh will be missing"
    elif planned == 1:
        told = "The one vehicle will be ready"
    else:
        told = f"All {planned} vehicles will be ready" if planned else "No vehicle is there in the time of this plan"
    if solution.deferred:
        told += f"; {len(solution.deferred)} more will arrive after the end of this plan"
    return f"{told}."


def _worst(solution: Solution, clock: Clock) -> str:
    if not solution.shortfalls:
        return ""
    worst = max(solution.shortfalls, key=lambda shortfall: shortfall.kwh)
    name = solution.problem.evs[worst.row].name or worst.ev_id
    return f"Vehicle {name} misses most, {worst.kwh:.1f} kWh. {worst.sentence(clock)}"


def _cost(solution: Solution) -> str:
    kwh, bill = solution.summary["energy_kwh"], solution.money.bill
    each = f"; energy costs {price_in_words(solution.money.energy / kwh)} per kWh on average" if kwh > 1.0 else ""
    return f"The plan costs {bill:.2f} for {kwh:.1f} kWh{each}."


def _peak(solution: Solution, clock: Clock) -> str:
    load = net_load(solution.problem, solution.power, solution.dispatch)
    step = int(np.argmax(load))
    most = f"The site draws {load[step]:.1f} kW at most, at {clock(solution.problem.horizon.borders[step])}"
    if not solution.problem.site.demand_charges:
        return f"{most}."
    figures = solution.summary
    paid, new = figures["peak_paid_kw"], figures["new_peak_kw"]
    if solution.money.demand <= 0:
        return f"{most}; the peak stays within the {paid:.1f} kW already paid for."
    return f"{most}; the peak rises from {paid:.1f} to {new:.1f} kW and costs {solution.money.demand:.2f} more."


def _most_valuable(solution: Solution, clock: Clock) -> str:
    """Where more power would help most, and when."""
    values = solution.marginal_values
    if values.serves_more.any():
        node = int(np.argmax(values.serves_more @ solution.problem.hours))
        begin, end = _longest_run(values.serves_more[node])
        return f"More power at {_place(solution, node, begin, end, clock)} would serve energy that is missing."
    top = float(values.saved_per_kwh.max(initial=0.0))
    if top < 5e-5:
        return "More power at any node would save nothing."
    node = int(np.argmax(values.saved_per_kwh.max(axis=1)))
    begin, end = _longest_run(values.saved_per_kwh[node] > 0.99 * top)
    place = _place(solution, node, begin, end, clock)
    return f"The most valuable extra power is at {place}: {price_in_words(top)} per kWh."


def _place(solution: Solution, node: int, begin: int, end: int, clock: Clock) -> str:
    borders, at = solution.problem.horizon.borders, solution.problem.tree.nodes[node]
    return f"{place_in_words(at.name, at.parent is None)} from {clock(borders[begin])} to {clock(borders[end])}"


def _longest_run(flags: BoolArray) -> tuple[int, int]:
    """First step of the longest run of true values, and the first after it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    lengths = edges[1::2] - edges[::2]
    longest = int(np.argmax(lengths))
    return int(edges[2 * longest]), int(edges[2 * longest + 1])
