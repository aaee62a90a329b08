"""Independent judge of a plan: reads vehicles and nodes itself and shares no code with the planners."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from scheduling.engine.arrays import ENERGY_TOLERANCE_KWH, POWER_TOLERANCE_KW, FloatArray
from scheduling.engine.problem import Problem
from scheduling.engine.tree import Node

Rule = Literal["shape", "not_a_number", "negative", "maximum", "minimum", "window", "limit_kw", "limit_a", "energy"]


@dataclass(frozen=True)
class Violation:
    """A broken rule: `subject` is a vehicle id or a node's name, `value` and `bound` are in the rule's unit."""

    rule: Rule
    subject: int | str
    step: int | None
    value: float
    bound: float
    message: str


def check(problem: Problem, power: FloatArray) -> tuple[Violation, ...]:
    """Every rule that the plan (kW, shape (n_ev, steps)) breaks; one entry per rule and subject, the worst step."""
    if power.shape != problem.shape:
        message = f"The plan has shape {power.shape}, the problem {problem.shape}."
        return (Violation("shape", "plan", None, float(power.size), float(np.prod(problem.shape)), message),)
    if power.size == 0:
        return ()
    if not np.isfinite(power).all():
        return tuple(_not_finite(problem, power))
    return (*_vehicle_rules(problem, power), *_energy_rule(problem, power), *_node_rules(problem, power))


def _not_finite(problem: Problem, power: FloatArray) -> Iterator[Violation]:
    for i in np.flatnonzero(~np.isfinite(power).all(axis=1)):
        step = int(np.argmax(~np.isfinite(power[i])))
        ev_id = problem.evs[i].ev_id
        yield Violation(
            "not_a_number", ev_id, step, float("nan"), 0.0, f"Vehicle {ev_id} has no finite power in step {step}."
        )


def _vehicle_rules(problem: Problem, power: FloatArray) -> Iterator[Violation]:
    tolerance = POWER_TOLERANCE_KW
    for i, ev in enumerate(problem.evs):
        unit, row = ev.kw_per_unit, power[i]
        low, high = ev.min_power * unit, ev.max_power * unit
        borders = problem.horizon.borders
        plugged = ev.active and ev.arrival_time < borders[0] + problem.horizon.resolution
        begin = np.array([plugged or b >= ev.arrival_time for b in borders[:-1]])
        inside = begin & np.array([b <= ev.departure_time for b in borders[1:]])
        yield from _worst("negative", ev.ev_id, -row, np.full(len(row), 1e-6), "a negative power of")
        yield from _worst("maximum", ev.ev_id, row, np.full(len(row), high + tolerance), "above its maximum:")
        outside = np.where(inside, 0.0, row)
        yield from _worst("window", ev.ev_id, outside, np.full(len(row), tolerance), "power while it is not there:")
        too_low = np.where((row > tolerance) & (row < low - tolerance), low - row, 0.0)
        yield from _worst("minimum", ev.ev_id, too_low, np.full(len(row), tolerance), "below its minimum by")


def _energy_rule(problem: Problem, power: FloatArray) -> Iterator[Violation]:
    borders = problem.horizon.borders
    hours = [(b - a).total_seconds() / 3600.0 for a, b in pairwise(borders)]
    delivered = (power * hours).sum(axis=1)
    for ev, kwh in zip(problem.evs, delivered, strict=True):
        most = ev.energy * ev.kw_per_unit / ev.efficiency + ENERGY_TOLERANCE_KWH
        if kwh > most:
            message = f"Vehicle {ev.ev_id} would get {kwh:.3f} kWh, {kwh - most:.3f} more than it needs."
            yield Violation("energy", ev.ev_id, None, float(kwh), most, message)


def _node_rules(problem: Problem, power: FloatArray) -> Iterator[Violation]:
    counted = np.array([np.maximum(row - ev.free_power, 0.0) for ev, row in zip(problem.evs, power, strict=True)])
    parent = {node.name: node.parent for node in problem.tree.nodes}
    roots = [name for name, above in parent.items() if above is None]
    for node in problem.tree.nodes:
        below = [i for i, ev in enumerate(problem.evs) if _is_above(node.name, ev.nodes or roots, parent)]
        if not below:
            continue
        if node.limit_kw is not None:
            room = np.maximum(node.limit_kw - node.reserved_kw, 0.0) + POWER_TOLERANCE_KW
            yield from _worst("limit_kw", node.name, counted[below].sum(axis=0), room, "over its kW limit:")
        if node.limit_a is not None:
            yield from _phase_rules(problem, node, node.limit_a, below, counted)


def _phase_rules(
    problem: Problem, node: Node, limit_a: FloatArray, below: list[int], counted: FloatArray
) -> Iterator[Violation]:
    for phase in range(3):
        amps = np.zeros(problem.horizon.steps)
        for i in below:
            ev = problem.evs[i]
            if str(phase + 1) in ev.phase_map[: ev.phases]:
                amps += counted[i] * 1000.0 / (ev.voltage * ev.phases)
        room = np.maximum(limit_a - node.reserved_a[phase], 0.0) + 5e-3
        yield from _worst("limit_a", node.name, amps, room, f"over its limit on L{phase + 1}:")


def _is_above(name: str, start: tuple[str, ...] | list[str], parent: dict[str, str | None]) -> bool:
    for leaf in start:
        at: str | None = leaf
        while at is not None:
            if at == name:
                return True
            at = parent[at]
    return False


def _worst(rule: Rule, subject: int | str, value: FloatArray, bound: FloatArray, what: str) -> Iterator[Violation]:
    over = value - bound
    over[np.isnan(over)] = np.inf
    step = int(np.argmax(over))
    if over[step] > 0:
        number, most = float(value[step]), float(bound[step])
        yield Violation(
            rule,
            subject,
            step,
            number,
            most,
            f"{subject}: {what} {number:.3f} where {most:.3f} is allowed, step {step}.",
        )
