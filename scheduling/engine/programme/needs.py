"""The least missing energy, class by class: limits and vehicles alone, as nothing else helps a need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.problem import Problem
from scheduling.engine.programme.highs import Programme
from scheduling.engine.programme.model import Model
from scheduling.engine.site import Site

_SERVED_KWH = 1e-7
_MOST_RATIO = 30.0
_WIDEST_RANGE = 1e4


@dataclass(frozen=True, eq=False)
class Needs:
    """What has to be missing, kWh at the meter by vehicle, shape (n_ev,), and a plan that misses no more."""

    minimum: FloatArray
    rest: FloatArray
    power: FloatArray
    objectives: dict[str, float]
    """Missing battery energy by class, kWh."""


@dataclass(frozen=True, eq=False)
class NeedClass:
    """Missing energy that counts the same, and two objectives for it, one after the other."""

    name: str
    columns: IntArray
    least: FloatArray
    """What even full power leaves open, kWh at the meter."""
    cost: FloatArray  # (n_columns,) kWh in the battery
    cost_of_ties: FloatArray  # (n_columns,)


def least_missing(problem: Problem, until: float) -> Needs:
    """Least sum of missing battery energy of each class, the most important first; the less lax miss less.

    Giving back makes no room and takes energy away, a stationary battery only takes room, and the sun makes none: the
    optimum without them is the optimum with them.
    """
    model = Model.of(replace(problem, discharge_power=np.zeros(len(problem.evs)), site=Site()))
    programme, classes = Programme(model.matrix, until), list(_classes(model))
    objectives: dict[str, float] = {}
    # Weights that are a good guess make the strict objectives that follow a matter of a few iterations.
    x = programme.minimise(_weighted(model, classes)) if classes else model.matrix.lower
    for need in classes:
        if (x[need.columns] > need.least + _SERVED_KWH).any():
            programme.minimise(need.cost)
            programme.hold()
            x = programme.minimise(need.cost_of_ties)
            programme.hold()
        else:
            programme.bound(need.columns, need.least, need.least)
        objectives[need.name] = float(need.cost @ x)
    minimum, rest = np.zeros(len(problem.evs)), np.zeros(len(problem.evs))
    minimum[model.missing.ev], rest[model.missing.ev] = x[model.missing.minimum], x[model.missing.rest]
    return Needs(minimum, rest, model.power_of(x), objectives)


def _classes(model: Model) -> Iterator[NeedClass]:
    """The missing minimum of each priority class, the highest first, then the missing desired energy likewise."""
    missing, problem = model.missing, model.problem
    priority, urgency = problem.priority[missing.ev], _urgency(problem)[missing.ev]
    for name, columns, least in (
        ("minimum need", missing.minimum, missing.least_minimum),
        ("desired energy", missing.rest, missing.least_rest),
    ):
        for level in np.unique(priority)[::-1]:
            here = (priority == level) & (model.matrix.upper[columns] > least)
            if here.any():
                cost, ties = np.zeros(len(model.money)), np.zeros(len(model.money))
                cost[columns[here]] = problem.efficiency[missing.ev[here]]
                ties[columns[here]] = urgency[here] * cost[columns[here]]
                yield NeedClass(f"{name}, priority {level}", columns[here], least[here], cost, ties)


def _urgency(problem: Problem) -> FloatArray:
    """From 2 for the least lax down to 1, shape (n_ev,), by rank, so that no two weigh the same.

    Who cannot be ready anyway comes last: what it is given would make another one late as well.
    """
    laxity = np.where(problem.laxity_hours < -1e-9, np.inf, problem.laxity_hours)
    rank = np.argsort(np.argsort(laxity, kind="stable"))
    urgency: FloatArray = 2.0 - rank / max(len(rank), 1)
    return urgency


def _weighted(model: Model, classes: list[NeedClass]) -> FloatArray:
    """All classes in one objective, the more important ones weighing more, as far as numbers stay sound."""
    ratio = min(_MOST_RATIO, _WIDEST_RANGE ** (1.0 / max(len(classes) - 1, 1)))
    cost = np.zeros(len(model.money))
    for level, need in enumerate(reversed(classes)):
        cost += ratio**level * need.cost_of_ties
    return cost
