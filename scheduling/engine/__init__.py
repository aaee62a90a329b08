"""What should happen: needs, limits and prices become plans. Pure: no Django, no I/O, no clock.

An `Algorithm` plans the `EV`s of a `Horizon` under a `PowerTree`; `check` judges any plan without sharing its code.
"""

from scheduling.engine.algorithm import Algorithm, Options
from scheduling.engine.checker import Violation, check
from scheduling.engine.ev import EV, ChargingRateUnit
from scheduling.engine.horizon import Horizon, round_down_datetime
from scheduling.engine.problem import Problem
from scheduling.engine.registry import ALGORITHMS, algorithm, algorithm_names
from scheduling.engine.shortfall import Shortfall
from scheduling.engine.site import Battery, DemandCharge, Dispatch, Site
from scheduling.engine.solution import Solution
from scheduling.engine.tree import Node, PowerTree

__all__ = [
    "ALGORITHMS",
    "EV",
    "Algorithm",
    "Battery",
    "ChargingRateUnit",
    "DemandCharge",
    "Dispatch",
    "Horizon",
    "Node",
    "Options",
    "PowerTree",
    "Problem",
    "Shortfall",
    "Site",
    "Solution",
    "Violation",
    "algorithm",
    "algorithm_names",
    "check",
    "round_down_datetime",
]
