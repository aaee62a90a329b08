"""What takes more than one plan: small tight depots beside the MILP, replanning after an event, a first plan."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace
from datetime import timedelta
from statistics import median
from time import perf_counter

import numpy as np

from benchmarks.alone import PROJECT
from benchmarks.instances import Instance, tight_depot
from benchmarks.matrix import UNMET_PRICE, Matrix, solve_directly
from benchmarks.peers import ours
from scheduling.engine import EV, Horizon, Node, PowerTree, Problem
from scheduling.engine.arrays import FloatArray

TIGHT_DEPOTS = 24
_MILP_LIMIT_S = 10.0
_NOW, _LATER = 44, timedelta(minutes=5)  # 23:00, in the cheap hours; the event comes five minutes after
_SAME_KWH = 0.01
_NEXT_HOUR = 5  # steps that begin within it: ten minutes, then quarter hours
_FIRST_PLAN = """
from benchmarks.instances import Instance
from benchmarks.peers import ours
ours("optimal", Instance(40, tree=True, minimum=True).problem())()
"""


@dataclass(frozen=True)
class Tight:
    """Shares of the energy that the MILP serves and the planner does not, over `depots` small depots."""

    depots: int
    mean_gap: float
    worst_gap: float
    slowest_s: float
    slowest_milp_s: float


def tight_depots(depots: int = TIGHT_DEPOTS) -> Tight:
    """Plan small tight depots with minimum power, and each as a mixed-integer programme too."""
    ours("optimal", tight_depot(0))()
    gaps, seconds, milp_seconds = [], [], []
    for seed in range(depots):
        problem = tight_depot(seed)
        begun = perf_counter()
        power = ours("optimal", problem)()
        planned = perf_counter()
        matrix = Matrix.of(problem).without_money().with_binaries()
        near = 1e-4 * float(problem.need_kwh.sum()) * UNMET_PRICE
        best = matrix.power_of(solve_directly(matrix, time_limit_s=_MILP_LIMIT_S, gap=near))
        seconds.append(planned - begun)
        milp_seconds.append(perf_counter() - planned)
        served, most = (float((problem.need_kwh - problem.unmet(plan)).sum()) for plan in (power, best))
        gaps.append((most - served) / most)
    return Tight(depots, float(np.mean(gaps)), max(gaps), max(seconds), max(milp_seconds))


@dataclass(frozen=True)
class Stability:
    """Shares of the other vehicles' powers of the next hour that an event leaves as they were."""

    events: int
    kept: float
    least_kept: float
    money_above: float
    """Most money above the linear optimum of what is left to plan, as a share; where as much energy is served."""


def stability(instance: Instance | None = None, events: int = 12) -> Stability:
    """At 23:05, five minutes into a plan: one leaves early, one more arrives or one asks for more; plan again."""
    chosen = instance or Instance(200, tree=True, minimum=True)
    before = _at_eleven(chosen)
    in_force = ours("optimal", before)()
    kept, above = [], [0.0]
    for event in range(events):
        after, others = _after_event(before, in_force, event)
        plan = ours("optimal", after)()
        matrix = Matrix.of(after)
        least = matrix.power_of(solve_directly(matrix))
        if after.unmet(plan).sum() < after.unmet(least).sum() + _SAME_KWH:
            best = after.money(least).steering
            above.append((after.money(plan).steering - best) / best)
        rows = [k for k, ev in enumerate(after.evs) if ev.ev_id in others]
        old = np.array([ev.in_force for ev in (after.evs[k] for k in rows)])[:, :_NEXT_HOUR]
        there = after.present[rows, :_NEXT_HOUR]
        kept.append(float((np.abs(plan[rows, :_NEXT_HOUR] - old) < 1e-3)[there].mean()))
    return Stability(events, float(np.mean(kept)), min(kept), max(above))


def _at_eleven(instance: Instance) -> Problem:
    """The rest of the day at 23:00, with what a plan made at noon leaves open."""
    whole = instance.problem()
    power = ours("optimal", whole)()
    left = np.maximum(whole.need_kwh - power[:, :_NOW] @ whole.hours[:_NOW], 0.0)
    evs = [
        replace(ev, active=True, energy=round(float(kwh), 6), in_force=None)
        for ev, kwh in zip(whole.evs, left, strict=True)
    ]
    return _rest_of(whole, evs, _NOW, timedelta(0))


def _after_event(before: Problem, in_force: FloatArray, event: int) -> tuple[Problem, set[int | str]]:
    """The problem five minutes later, after one of three kinds of event, and the ids of those it does not concern."""
    gone_kwh = in_force[:, 0] * (_LATER / timedelta(hours=1))
    evs = [
        replace(ev, energy=max(ev.energy - float(kwh), 0.0), in_force=plan)
        for ev, kwh, plan in zip(before.evs, gone_kwh, in_force, strict=True)
    ]
    busy = [k for k in range(len(evs)) if in_force[k].any()]
    k = busy[(7 * event) % len(busy)]
    others = {ev.ev_id for ev in evs} - {evs[k].ev_id}
    if event % 3 == 0:
        del evs[k]
    elif event % 3 == 1:
        evs.append(replace(evs[k], ev_id="new", energy=15.0, in_force=None))
        others = {ev.ev_id for ev in evs} - {"new"}
    else:
        evs[k] = replace(evs[k], energy=evs[k].energy + 5.0)
    return _rest_of(before, evs, 0, _LATER), others


def _rest_of(problem: Problem, evs: list[EV], first: int, later: timedelta) -> Problem:
    """The problem from step `first` on for other vehicles, begun `later` within that step."""
    start = problem.horizon.borders[first] + later
    horizon = Horizon(start, problem.horizon.resolution, problem.horizon.steps - first)
    nodes = [
        Node(node.name, node.parent, None if node.limit_kw is None else node.limit_kw[first:])
        for node in problem.tree.nodes
    ]
    return Problem.of(evs, horizon, PowerTree(tuple(nodes)), problem.price_per_kwh[first:])


def cold_start_s(runs: int = 3) -> float:
    """Median seconds from the start of a process to its first plan of 40 vehicles, compiled code from the disk."""
    seconds = []
    for _ in range(runs):
        begun = perf_counter()
        subprocess.run([sys.executable, "-c", _FIRST_PLAN], check=True, capture_output=True, cwd=PROJECT)
        seconds.append(perf_counter() - begun)
    return median(seconds)
