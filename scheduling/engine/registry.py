"""The algorithms by name: our own, and those that installed packages add."""

from __future__ import annotations

from importlib.metadata import entry_points

from scheduling.engine.algorithm import Algorithm
from scheduling.engine.day_ahead import DayAheadLP, DayAheadMILP
from scheduling.engine.earliest_deadline import EarliestDeadlineFirst
from scheduling.engine.first_come import FirstComeFirstServed
from scheduling.engine.go import GoAlgorithm
from scheduling.engine.least_laxity import LeastLaxityFirst
from scheduling.engine.linear import PulpLinearProgram
from scheduling.engine.optimal import OptimalPlanner
from scheduling.engine.pulp_numerical import PulpNumericalAlgorithm
from scheduling.engine.round_robin import RoundRobin
from scheduling.engine.uncontrolled import Uncontrolled

ENTRY_POINT_GROUP = "fleet_depot.algorithms"

ALGORITHMS: dict[str, type[Algorithm]] = {
    "optimal": OptimalPlanner,
    "day-ahead-lp": DayAheadLP,
    "day-ahead-milp": DayAheadMILP,
    "pulp-lp": PulpLinearProgram,
    "edf": EarliestDeadlineFirst,
    "llf": LeastLaxityFirst,
    "fcfs": FirstComeFirstServed,
    "round-robin": RoundRobin,
    "go": GoAlgorithm,
    "pulp-numerical": PulpNumericalAlgorithm,
    "uncontrolled": Uncontrolled,
}


def algorithm_names() -> list[str]:
    """Our own names, then those of installed packages; nothing is imported for it."""
    added = {point.name for point in entry_points(group=ENTRY_POINT_GROUP)} - ALGORITHMS.keys()
    return [*ALGORITHMS, *sorted(added)]


def algorithm(name: str) -> type[Algorithm]:
    """The algorithm of that name, or ValueError listing the names there are.

    A package adds one by an entry point of the group `fleet_depot.algorithms`; it cannot replace one of ours.
    """
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    for point in entry_points(group=ENTRY_POINT_GROUP, name=name):
        try:
            found = point.load()
        except Exception as error:
            raise ValueError(f"Algorithm {name!r} of {point.value!r} cannot be loaded: {error}.") from error
        if isinstance(found, type) and issubclass(found, Algorithm):
            return found
        raise ValueError(f"Algorithm {name!r} of {point.value!r} is no subclass of scheduling.engine.Algorithm.")
    raise ValueError(f"Unknown algorithm {name!r}: choose one of {', '.join(algorithm_names())}.")
