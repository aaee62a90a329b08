"""The algorithms by name."""

from scheduling.engine.algorithm import Algorithm
from scheduling.engine.earliest_deadline import EarliestDeadlineFirst
from scheduling.engine.first_come import FirstComeFirstServed
from scheduling.engine.least_laxity import LeastLaxityFirst
from scheduling.engine.linear import PulpLinearProgram
from scheduling.engine.uncontrolled import Uncontrolled

ALGORITHMS: dict[str, type[Algorithm]] = {
    "pulp-lp": PulpLinearProgram,
    "edf": EarliestDeadlineFirst,
    "llf": LeastLaxityFirst,
    "fcfs": FirstComeFirstServed,
    "uncontrolled": Uncontrolled,
}


def algorithm(name: str) -> type[Algorithm]:
    """The algorithm of that name, or ValueError listing the names there are."""
    try:
        return ALGORITHMS[name]
    except KeyError:
        raise ValueError(f"Unknown algorithm {name!r}: choose one of {', '.join(ALGORITHMS)}.") from None
