"""The plan on a board of plain arrays that compiled code can move pieces on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.problem import Problem

MOVABLE, RUNS_KEPT, FROZEN = 0, 1, 2


class Board(NamedTuple):
    """A plan, what it leaves free, and what its vehicles may do; kW, kWh, h. Moves write to the last four arrays.

    Vehicle i loads the rows `row[row_start[i]:row_start[i + 1]]` with `weight` per kW above its `free` power.
    """

    hours: FloatArray  # (steps,)
    price: FloatArray  # (steps,) money per kWh
    cheapest: IntArray  # (steps,) steps by price, then early
    first: IntArray  # (n_ev,)
    last: IntArray  # (n_ev,)
    least: FloatArray  # (n_ev,) smallest power that is not zero
    most: FloatArray  # (n_ev, steps)
    need: FloatArray  # (n_ev,) as far as stay and maximum allow it
    minimum: FloatArray  # (n_ev,) the part of the need that comes first
    efficiency: FloatArray  # (n_ev,)
    minimum_class: IntArray  # (n_ev,) class of the minimum need, 0 is served first
    desired_class: IntArray  # (n_ev,) class of the rest
    free: FloatArray  # (n_ev,)
    row_start: IntArray  # (n_ev + 1,)
    row: IntArray
    weight: FloatArray
    kin: IntArray  # (n_ev,) vehicles of one number load the same rows alike
    mobility: IntArray  # (n_ev,) MOVABLE, RUNS_KEPT (only while it charges anyway) or FROZEN
    power: FloatArray  # (n_ev, steps)
    left: FloatArray  # (n_ev,) need that the plan leaves
    room: FloatArray  # (n_rows, steps) what the rows still take
    lift: FloatArray  # (steps,) kW that the site's load may still grow

    @property
    def classes(self) -> int:
        """How many classes of need there are."""
        return int(max(self.minimum_class.max(initial=0), self.desired_class.max(initial=0))) + 1


def board_of(problem: Problem, power: FloatArray, highest: FloatArray) -> Board:
    """`power` (kW, (n_ev, steps)) on a board; the site's load may grow to `highest` (kW, (steps,))."""
    minimum_class, desired_class = need_classes(problem)
    coefficients, limits = _rows_that_can_bind(problem, power)
    ev, row = np.nonzero(coefficients.T)
    steps = problem.horizon.steps
    need = np.minimum(problem.need_kwh, problem.deliverable_kwh)
    mobility = np.where((power < 0).any(axis=1) | (problem.discharge_power > 0), FROZEN, MOVABLE)
    return Board(
        hours=np.ascontiguousarray(problem.hours),
        price=np.ascontiguousarray(problem.steering_price),
        cheapest=np.lexsort((np.arange(steps), problem.steering_price)).astype(np.int64),
        first=problem.first_step,
        last=np.maximum(problem.last_step, problem.first_step),
        least=problem.min_power,
        most=np.ascontiguousarray(problem.most_power),
        need=need,
        minimum=np.minimum(problem.minimum_kwh, need),
        efficiency=problem.efficiency,
        minimum_class=minimum_class,
        desired_class=desired_class,
        free=problem.free_power,
        row_start=np.searchsorted(ev, np.arange(len(problem.evs) + 1)).astype(np.int64),
        row=row.astype(np.int64),
        weight=np.ascontiguousarray(coefficients[row, ev]),
        kin=_kin(coefficients, problem.free_power),
        mobility=mobility.astype(np.int64),
        power=np.array(power, dtype=np.float64, order="C"),
        left=need - problem.energy(power),
        room=np.ascontiguousarray(limits - coefficients @ problem.excess_power(power)),
        lift=np.ascontiguousarray(highest - power.sum(axis=0)),
    )


def _kin(coefficients: FloatArray, free: FloatArray) -> IntArray:
    """Number of each vehicle's kin, who count alike in the same rows, (n_ev,)."""
    numbers: dict[tuple[bytes, float], int] = {}
    columns = zip(np.ascontiguousarray(coefficients.T), free.tolist(), strict=True)
    kin = [numbers.setdefault((column.tobytes(), fallback), len(numbers)) for column, fallback in columns]
    return np.array(kin, dtype=np.int64)


def need_classes(problem: Problem) -> tuple[IntArray, IntArray]:
    """Rank of every vehicle's minimum need and of its desired rest, 0 is served first, each (n_ev,)."""
    levels, rank = np.unique(-problem.priority, return_inverse=True)
    minimum = rank.reshape(-1).astype(np.int64)
    return minimum, minimum + len(levels)


def by_urgency(problem: Problem) -> IntArray:
    """Vehicles by priority, then by the time they can spare, (n_ev,)."""
    return np.lexsort((problem.laxity_hours, -problem.priority)).astype(np.int64)


def missing_by_class(problem: Problem, power: FloatArray) -> FloatArray:
    """Battery kWh that a plan leaves in each class of need, the class that is served first in front."""
    minimum_class, desired_class = need_classes(problem)
    served = problem.energy(power)
    short = np.maximum(problem.minimum_kwh - served, 0.0)
    rest = np.maximum(problem.need_kwh - np.maximum(served, problem.minimum_kwh), 0.0)
    missing = np.zeros(int(desired_class.max(initial=0)) + 1)
    np.add.at(missing, minimum_class, short * problem.efficiency)
    np.add.at(missing, desired_class, rest * problem.efficiency)
    return missing


def _rows_that_can_bind(problem: Problem, power: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Coefficients (n_rows, n_ev) and limits (n_rows, steps): the tree's rows, and soft limits as high as they are now.

    A soft limit that the plan exceeds may stay exceeded by as much, so no move can make it dearer.
    """
    coefficients, limits = [problem.rows.coefficients], [problem.rows.limits]
    for node, members in problem.soft_nodes:
        assert node.soft_limit_kw is not None
        load = problem.excess_power(power[members], members).sum(axis=0)
        below = np.zeros((1, len(problem.evs)))
        below[0, members] = 1.0
        coefficients.append(below)
        limits.append(np.maximum(node.soft_limit_kw - node.reserved_kw, load)[None, :])
    every, limit = np.concatenate(coefficients), np.concatenate(limits)
    busiest = every @ problem.excess_power(problem.most_power)
    binding = (busiest > limit).any(axis=1)
    return every[binding], limit[binding]
