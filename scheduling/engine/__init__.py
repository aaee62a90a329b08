"""What should happen: needs, limits and prices become plans. Pure: no Django, no I/O, no clock.

An `Algorithm` plans the `EV`s of a `Horizon` under a `PowerTree`; `check` judges any plan without sharing its code.
"""

from scheduling.engine.algorithm import Algorithm, Options
from scheduling.engine.checker import Violation, check
from scheduling.engine.ev import EV, ChargingRateUnit
from scheduling.engine.horizon import Horizon, round_down_datetime
from scheduling.engine.problem import Problem
from scheduling.engine.registry import ALGORITHMS, algorithm
from scheduling.engine.shortfall import Shortfall
from scheduling.engine.solution import Solution
from scheduling.engine.tree import Node, PowerTree

__all__ = [
    "ALGORITHMS",
    "EV",
    "Algorithm",
    "ChargingRateUnit",
    "Horizon",
    "Node",
    "Options",
    "PowerTree",
    "Problem",
    "Shortfall",
    "Solution",
    "Violation",
    "algorithm",
    "check",
    "round_down_datetime",
]
