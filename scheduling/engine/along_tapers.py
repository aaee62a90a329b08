"""Heuristics along tapers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from scheduling.engine.arrays import FloatArray
from scheduling.engine.problem import Problem
from scheduling.engine.programme import tapered

_EPS = 1e-9


def along_tapers(problem: Problem, plan_once: Callable[[Problem], FloatArray]) -> FloatArray:
    """The plan of `plan_once` within all tapers, kW, shape (n_ev, steps), every power 0 or at least the minimum.

    What a taper has pushed below the minimum is left out: the battery then is fuller at no later time.
    """
    power = tapered(problem, plan_once)
    too_low = (power > 0) & (power < problem.min_power[:, None] - _EPS)
    return np.where(too_low, 0.0, power)
