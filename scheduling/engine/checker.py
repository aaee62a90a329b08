"""Independent judge of a plan: reads vehicles and nodes itself and shares no code with the planners."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from scheduling.engine.arrays import ENERGY_TOLERANCE_KWH, POWER_TOLERANCE_KW, BoolArray, FloatArray, IntArray
from scheduling.engine.problem import Problem
from scheduling.engine.site import Dispatch
from scheduling.engine.tree import Node

Rule = Literal[
    "shape",
    "not_a_number",
    "negative",
    "maximum",
    "minimum",
    "window",
    "hold",
    "limit_kw",
    "limit_a",
    "energy",
    "state_of_energy",
    "taper",
    "battery_power",
    "battery_energy",
    "sun",
]

_NOTHING_KW = 1e-6
_CURRENT_TOLERANCE_A = 5e-3
_TAPER_TOLERANCE = 1e-3  # of the energy of a step, beside the tolerance for energy
_BATTERY_A_PER_KW = 1000.0 / (3 * 230.0)
_ROWS_AT_A_TIME = 1024


@dataclass(frozen=True)
class Violation:
    """A broken rule: `subject` is a vehicle id or a node's name, `value` and `bound` are in the rule's unit."""

    rule: Rule
    subject: int | str
    step: int | None
    value: float
    bound: float
    message: str


def check(problem: Problem, power: FloatArray, dispatch: Dispatch | None = None) -> tuple[Violation, ...]:
    """Every rule that the plan (kW, shape (n_ev, steps)) breaks; one entry per rule and subject, the worst step.

    With `dispatch` battery and sun are judged as well, and what the battery charges counts at the grid connections.
    Shortest times on and off are goals and no rules.
    """
    if power.shape != problem.shape:
        message = f"The plan has shape {power.shape}, the problem {problem.shape}."
        return (Violation("shape", "plan", None, float(power.size), float(np.prod(problem.shape)), message),)
    if dispatch is not None and (unusable := tuple(_unusable_dispatch(problem, dispatch))):
        return unusable
    if not np.isfinite(power).all():
        return tuple(_not_finite(problem, power))
    hours = np.array([(b - a).total_seconds() / 3600.0 for a, b in pairwise(problem.horizon.borders)])
    found = [] if power.size == 0 else [*_vehicle_rules(problem, power), *_energy_rules(problem, power, hours)]
    return (*found, *_node_rules(problem, power, dispatch), *_site_rules(problem, dispatch, hours))


def _unusable_dispatch(problem: Problem, dispatch: Dispatch) -> Iterator[Violation]:
    steps = problem.horizon.steps
    for name, series in (("battery", dispatch.battery_kw), ("sun", dispatch.pv_used_kw)):
        if series.shape != (steps,):
            message = f"The plan of the {name} has {series.size} values, the horizon {steps} steps."
            yield Violation("shape", name, None, float(series.size), float(steps), message)
        elif not np.isfinite(series).all():
            step = int(np.argmax(~np.isfinite(series)))
            message = f"The plan of the {name} has no finite power in step {step}."
            yield Violation("not_a_number", name, step, float("nan"), 0.0, message)


def _not_finite(problem: Problem, power: FloatArray) -> Iterator[Violation]:
    for i in np.flatnonzero(~np.isfinite(power).all(axis=1)):
        step = int(np.argmax(~np.isfinite(power[i])))
        ev_id = problem.evs[i].ev_id
        yield Violation(
            "not_a_number", ev_id, step, float("nan"), 0.0, f"Vehicle {ev_id} has no finite power in step {step}."
        )


def _vehicle_rules(problem: Problem, power: FloatArray) -> Iterator[Violation]:
    """Bounds on the power of every vehicle in every step."""
    facts = [
        (ev.kw_per_unit * ev.min_power, ev.kw_per_unit * ev.max_power, ev.discharge_power, bool(ev.hold))
        for ev in problem.evs
    ]
    low, high, giving, held = np.array(facts, dtype=np.float64).T[:, :, None]
    first, last = _stays(problem)
    step = np.arange(problem.horizon.steps)
    names = [f"Vehicle {ev.ev_id}" for ev in problem.evs]
    ids = [ev.ev_id for ev in problem.evs]
    lowest = np.where(giving > 0, giving + POWER_TOLERANCE_KW, _NOTHING_KW)
    for begin in range(0, len(power), _ROWS_AT_A_TIME):
        part = slice(begin, begin + _ROWS_AT_A_TIME)
        kw, whose = power[part], (ids[part], names[part])
        top, bottom = high[part] + POWER_TOLERANCE_KW, low[part] - POWER_TOLERANCE_KW
        away = np.where((step >= first[part]) & (step < last[part]), 0.0, np.abs(kw))
        lacking = np.where((kw > POWER_TOLERANCE_KW) & (kw < bottom), low[part] - kw, 0.0)
        yield from _worst("negative", *whose, -kw, lowest[part], "gives back")
        yield from _worst("maximum", *whose, kw, top, "draws")
        yield from _worst("window", *whose, away, POWER_TOLERANCE_KW, "moves, while it is not there,")
        yield from _worst("minimum", *whose, lacking, POWER_TOLERANCE_KW, "is below its minimum by")
        if held[part].any():
            moved = np.where(held[part] > 0, np.abs(kw), 0.0)
            yield from _worst("hold", *whose, moved, POWER_TOLERANCE_KW, "is held for a fault or an operator and moves")


def _stays(problem: Problem) -> tuple[IntArray, IntArray]:
    """First usable step and first step after the usable ones, both (n_ev, 1): only whole steps of a stay count."""
    borders = np.array([border.timestamp() for border in problem.horizon.borders])
    arrival = np.array([ev.arrival_time.timestamp() for ev in problem.evs])
    departure = np.array([ev.departure_time.timestamp() for ev in problem.evs])
    active = np.array([ev.active for ev in problem.evs])
    plugged = active & (arrival < borders[0] + problem.horizon.resolution.total_seconds())
    first = np.where(plugged, 0, np.searchsorted(borders[:-1], arrival, side="left"))
    last = np.searchsorted(borders[1:], departure, side="right")
    return first[:, None], last[:, None]


def _energy_rules(problem: Problem, power: FloatArray, hours: FloatArray) -> Iterator[Violation]:
    """Nobody gets more than the need; batteries that give or taper stay within what they can hold and take."""
    delivered = power @ hours
    unit = np.array([ev.kw_per_unit for ev in problem.evs])
    efficiency = np.array([ev.efficiency for ev in problem.evs])
    need = unit * np.array([ev.energy for ev in problem.evs]) / efficiency
    giving = np.array([ev.discharge_power > 0 for ev in problem.evs])
    rows = np.flatnonzero(giving)
    if rows.size:
        stored = _stored(problem, rows, power, hours)
        delivered[rows] = stored.sum(axis=1) / efficiency[rows]
        yield from _state_rule(problem, rows, stored)
    for i in np.flatnonzero(delivered > need + ENERGY_TOLERANCE_KWH).tolist():
        ev, kwh, most = problem.evs[i], float(delivered[i]), float(need[i] + ENERGY_TOLERANCE_KWH)
        message = f"Vehicle {ev.ev_id} would get {kwh:.3f} kWh, {kwh - most:.3f} more than it needs."
        yield Violation("energy", ev.ev_id, None, kwh, most, message)
    tapered: dict[tuple[tuple[tuple[float, float], ...], float], list[int]] = {}
    for i, ev in enumerate(problem.evs):
        if ev.taper:
            tapered.setdefault((ev.taper, ev.max_power * ev.kw_per_unit), []).append(i)
    for (curve, top), members in tapered.items():
        yield from _taper_rule(problem, curve, top, np.array(members), power, hours)


def _stored(problem: Problem, rows: IntArray, power: FloatArray, hours: FloatArray) -> FloatArray:
    """Energy that enters each battery per step, kWh, shape (n_rows, steps)."""
    efficiency = np.array([problem.evs[i].efficiency for i in rows])[:, None]
    kw = power[rows]
    result: FloatArray = hours * np.where(kw > 0, kw * efficiency, kw / efficiency)
    return result


def _held_at_start(problem: Problem, rows: IntArray) -> tuple[FloatArray, FloatArray]:
    """Energy in each battery at the start and its size, kWh, both (n_rows, 1)."""
    pairs = [(problem.evs[i].soc or 0.0, problem.evs[i].battery_kwh or 0.0) for i in rows]
    soc, battery = np.array(pairs, dtype=np.float64).T[:, :, None]
    return soc / 100.0 * battery, battery


def _state_rule(problem: Problem, rows: IntArray, stored: FloatArray) -> Iterator[Violation]:
    start, battery = _held_at_start(problem, rows)
    least = np.minimum(np.array([[problem.evs[i].least_soc] for i in rows]) / 100.0 * battery, start)
    held = start + np.cumsum(stored, axis=1)
    ids = [problem.evs[i].ev_id for i in rows]
    names = [f"Vehicle {ev_id}" for ev_id in ids]
    slack = ENERGY_TOLERANCE_KWH
    yield from _worst("state_of_energy", ids, names, held, np.maximum(battery, start) + slack, "holds", "kWh")
    yield from _worst("state_of_energy", ids, names, least - held, slack, "is below its least charge by", "kWh")


def _taper_rule(
    problem: Problem,
    curve: tuple[tuple[float, float], ...],
    top: float,
    rows: IntArray,
    power: FloatArray,
    hours: FloatArray,
) -> Iterator[Violation]:
    """No step takes more than a charge along the curve would from the state at its start."""
    start, battery = _held_at_start(problem, rows)
    stored = _stored(problem, rows, power, hours)
    soc = 100.0 * (start + np.cumsum(stored, axis=1) - stored) / battery
    efficiency = np.array([problem.evs[i].efficiency for i in rows])[:, None]
    per_kwh = 100.0 * efficiency / battery
    reached = _reached(_capped(curve, top), soc, per_kwh * hours)
    allowed = (reached - soc) / per_kwh * (1.0 + _TAPER_TOLERANCE) + ENERGY_TOLERANCE_KWH
    ids = [problem.evs[i].ev_id for i in rows]
    names = [f"Vehicle {ev_id}" for ev_id in ids]
    yield from _worst("taper", ids, names, power[rows] * hours, allowed, "takes, at its state of charge,", "kWh")


def _capped(curve: tuple[tuple[float, float], ...], top: float) -> list[tuple[float, float]]:
    """The curve under a charger of `top` kW, with a corner where it leaves that; level beyond its ends."""
    points = [(min(curve[0][0], 0.0) - 1.0, curve[0][1]), *curve, (max(curve[-1][0], 100.0) + 1e3, curve[-1][1])]
    capped = [(points[0][0], min(points[0][1], top))]
    for (a, low), (b, high) in pairwise(points):
        if (low - top) * (high - top) < 0:
            capped.append((a + (b - a) * (top - low) / (high - low), top))
        capped.append((b, min(high, top)))
    return capped


def _reached(points: list[tuple[float, float]], soc: FloatArray, effort: FloatArray) -> FloatArray:
    """State of charge, %, after following d soc = power(soc) d effort; inside a segment power is linear in soc."""
    at, left = soc.copy(), np.broadcast_to(effort, soc.shape).copy()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for (a, low), (b, high) in pairwise(points):
            inside = (at < b) & (left > 0)
            slope = (high - low) / (b - a)
            now = low + slope * (np.maximum(at, a) - a)
            if slope == 0.0:
                needed, then = (b - at) / now, at + now * left
            else:
                needed, then = np.log(high / now) / slope, at + now * np.expm1(slope * left) / slope
            through = inside & (now > 0) & (needed <= left)
            stays = inside & ~through
            left = np.where(through, left - needed, np.where(stays, 0.0, left))
            at = np.where(through, b, np.where(stays & (now > 0), then, at))
    return at


def _node_rules(problem: Problem, power: FloatArray, dispatch: Dispatch | None) -> Iterator[Violation]:
    """Every limit of the tree; what vehicles or battery give makes no room."""
    load, carries = _loads(problem, power)
    if dispatch is not None:
        charging = np.maximum(dispatch.battery_kw, 0.0)
        for k, node in enumerate(problem.tree.nodes):
            if node.parent is None and charging.any():
                load[k, 0] += charging
                load[k, 1:] += charging * _BATTERY_A_PER_KW
                carries[k] = True
    for k, node in enumerate(problem.tree.nodes):
        if carries[k]:
            yield from _limit_rules(node, load[k])


def _limit_rules(node: Node, load: FloatArray) -> Iterator[Violation]:
    whose = ([node.name], [f"Load group {node.name!r}"])
    if node.limit_kw is not None:
        room = np.maximum(node.limit_kw - node.reserved_kw, 0.0) + POWER_TOLERANCE_KW
        yield from _worst("limit_kw", *whose, load[None, 0], room, "carries")
    if node.limit_a is not None:
        for phase in range(3):
            room = np.maximum(node.limit_a - node.reserved_a[phase], 0.0) + _CURRENT_TOLERANCE_A
            yield from _worst("limit_a", *whose, load[None, 1 + phase], room, f"carries on L{phase + 1}", "A")


def _loads(problem: Problem, power: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Load that counts at every node, kW and A on L1, L2, L3, shape (n_nodes, 4, steps); whether vehicles are below."""
    nodes = problem.tree.nodes
    parent = {node.name: node.parent for node in nodes}
    row = {node.name: k for k, node in enumerate(nodes)}
    roots = tuple(name for name, above in parent.items() if above is None)
    members: dict[tuple[str, ...], list[int]] = {}
    for i, ev in enumerate(problem.evs):
        members.setdefault(ev.nodes or roots, []).append(i)
    load = np.zeros((len(nodes), 4, problem.horizon.steps))
    carries = np.zeros(len(nodes), dtype=np.bool_)
    free = np.array([[ev.free_power] for ev in problem.evs])
    weight = np.array([_weights(ev.voltage, ev.phases, ev.phase_map) for ev in problem.evs]).reshape(-1, 4)
    for start, rows in members.items():
        here = weight[rows].T @ np.maximum(power[rows] - free[rows], 0.0)
        for name in _ancestors(start, parent):
            load[row[name]] += here
            carries[row[name]] = True
    return load, carries


def _weights(voltage: float, phases: int, phase_map: str) -> tuple[float, float, float, float]:
    """kW, and A on each phase of the site, per kW of a vehicle."""
    amps, wired = 1000.0 / (voltage * phases), phase_map[:phases]
    return 1.0, amps * ("1" in wired), amps * ("2" in wired), amps * ("3" in wired)


def _ancestors(start: tuple[str, ...], parent: dict[str, str | None]) -> set[str]:
    found: set[str] = set()
    for leaf in start:
        at: str | None = leaf
        while at is not None and at not in found:
            found.add(at)
            at = parent[at]
    return found


def _site_rules(problem: Problem, dispatch: Dispatch | None, hours: FloatArray) -> Iterator[Violation]:
    """Battery and sun within their bounds; a plan without a dispatch leaves the battery alone."""
    if dispatch is None:
        return
    site, steps = problem.site, problem.horizon.steps
    sun = np.zeros(steps) if site.pv_kw is None else np.maximum(site.pv_kw, 0.0)
    used, kw = dispatch.pv_used_kw[None], dispatch.battery_kw
    yield from _worst("sun", ["sun"], ["The sun"], used, sun + POWER_TOLERANCE_KW, "is used for")
    yield from _worst("sun", ["sun"], ["The sun"], -used, POWER_TOLERANCE_KW, "is used for minus")
    whose = (["battery"], ["The battery"])
    battery = site.battery
    most, least = (0.0, 0.0) if battery is None else (battery.charge_kw, battery.discharge_kw)
    yield from _worst("battery_power", *whose, kw[None], most + POWER_TOLERANCE_KW, "charges with")
    yield from _worst("battery_power", *whose, -kw[None], least + POWER_TOLERANCE_KW, "gives")
    if battery is None:
        return
    stored = hours * np.where(kw > 0, kw * battery.efficiency, kw / battery.efficiency)
    held = battery.soe_kwh + np.cumsum(stored)[None]
    lowest = np.full(steps, battery.least_soe_kwh)
    # A target above what it holds is a goal: vehicles come before it, and it may be out of reach.
    lowest[-1] = battery.soe_kwh if battery.end_soe_kwh is None else min(battery.end_soe_kwh, battery.soe_kwh)
    lowest[-1] = max(lowest[-1], battery.least_soe_kwh)
    slack = ENERGY_TOLERANCE_KWH
    yield from _worst("battery_energy", *whose, held, battery.capacity_kwh + slack, "holds", "kWh")
    yield from _worst("battery_energy", *whose, lowest - held, slack, "is below what it must hold by", "kWh")


def _worst(
    rule: Rule,
    ids: list[int | str] | list[str],
    names: list[str],
    value: FloatArray,
    bound: FloatArray | float,
    does: str,
    unit: str = "kW",
) -> Iterator[Violation]:
    """The worst step of every row of `value` (n, steps) that is above its bound."""
    above = value > bound
    if not above.any():
        return
    bounds = np.broadcast_to(bound, value.shape)
    for i in np.flatnonzero(above.any(axis=1)):
        step = int(np.argmax(value[i] - bounds[i]))
        number, most = float(value[i, step]), float(bounds[i, step])
        message = f"{names[i]} {does} {number:.3f} {unit} where {most:.3f} are allowed, step {step}."
        yield Violation(rule, ids[i], step, number, most, message)
