"""The planner against the floor and against others, on the same depots in the same run.

The floor is the linear problem's matrix passed straight to HiGHS, by simplex or interior point, whichever is quicker.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from benchmarks.alone import Measured, measure
from benchmarks.instances import Instance
from benchmarks.rows import Table, shown

FLOOR = ("HiGHS simplex", "HiGHS ipm")
_MODELLED = ("SciPy linprog", "CVXPY Clarabel", "PuLP HiGHS", "PuLP CBC")
_PROJECTS = ("smartcharging LP", "smartcharging MILP", "Opti-VGI Go")
OTHER_PROBLEM = {
    "smartcharging LP": "no tree, one price",
    "smartcharging MILP": "no tree, one price",
    "Opti-VGI LP": "no prices",
    "Opti-VGI Go": "no prices",
}
"""What a method does not know: its money is judged by the true prices all the same."""

Runs = dict[str, int]


def _times(runs: int, *methods: str) -> Runs:
    return dict.fromkeys(methods, runs)


LINEAR: dict[Instance, Runs] = {
    Instance(40, tree=True): _times(7, "flow", "optimal", *FLOOR, *_MODELLED, "OR-tools min-cost flow")
    | _times(3, *_PROJECTS, "Opti-VGI LP"),
    Instance(200, tree=True): _times(7, "flow", "optimal")
    | _times(5, *FLOOR, *_MODELLED, "OR-tools min-cost flow")
    | _times(1, *_PROJECTS),
    Instance(1000): _times(7, "flow", "optimal") | _times(3, *FLOOR, "OR-tools min-cost flow"),
    Instance(1000, tree=True): _times(7, "flow", "optimal")
    | _times(3, *FLOOR, "OR-tools min-cost flow")
    | _times(1, *_MODELLED, "smartcharging LP", "Opti-VGI Go"),
    Instance(1000, 288, tree=True): _times(5, "flow")
    | _times(3, "optimal")
    | _times(1, "HiGHS ipm", "OR-tools min-cost flow"),
    Instance(5000, tree=True): _times(5, "flow")
    | _times(3, "optimal")
    | _times(1, "HiGHS ipm", "OR-tools min-cost flow"),
    Instance(5000, 288, tree=True): _times(3, "flow") | _times(2, "optimal") | _times(1, "OR-tools min-cost flow"),
}
DEMAND: dict[Instance, Runs] = {
    Instance(200, tree=True, demand=True): _times(5, "flow", "optimal", *FLOOR) | _times(3, *_MODELLED),
    Instance(1000, tree=True, demand=True): _times(5, "flow", "optimal") | _times(3, *FLOOR) | _times(1, *_MODELLED),
    Instance(1000, 288, tree=True, demand=True): _times(3, "flow") | _times(1, "HiGHS ipm"),
    Instance(5000, tree=True, demand=True): _times(3, "flow") | _times(1, "HiGHS ipm"),
}
MINIMUM: dict[Instance, Runs] = {
    Instance(40, tree=True, minimum=True): _times(5, "flow", "flow and shape", "optimal", *FLOOR)
    | _times(1, "HiGHS MILP"),
    Instance(200, tree=True, minimum=True): _times(5, "flow", "flow and shape", "optimal", *FLOOR),
    Instance(1000, tree=True, minimum=True): _times(5, "flow", "flow and shape", "optimal") | _times(1, *FLOOR),
}
EVERYTHING: dict[Instance, Runs] = LINEAR | DEMAND | MINIMUM
QUICK: dict[Instance, Runs] = {instance: runs for instance, runs in EVERYTHING.items() if instance.vehicles <= 200}


@dataclass(frozen=True)
class Found:
    """The figures of all methods on all instances."""

    by_instance: dict[Instance, dict[str, Measured]] = field(default_factory=dict)

    def __call__(self, instance: Instance, method: str) -> Measured:
        """Figures of one method, or ones that say they were not taken."""
        return self.by_instance.get(instance, {}).get(method, Measured(method, problem="not measured"))

    def reference(self, instance: Instance) -> Measured:
        """The quicker run of the floor; without one, the min-cost flow, which is exact too."""
        floors = [self(instance, method) for method in FLOOR]
        good = [one for one in floors if not one.problem]
        return min(good, key=lambda one: one.seconds) if good else self(instance, "OR-tools min-cost flow")

    def times_faster(self, instance: Instance, method: str = "flow") -> float:
        """How many times faster than the floor."""
        return self.reference(instance).seconds / self(instance, method).seconds

    def served_gap(self, instance: Instance, method: str) -> float:
        """Energy that the floor serves and the method does not, as a share."""
        best = self.reference(instance).served_kwh
        return (best - self(instance, method).served_kwh) / best

    def money_gap(self, instance: Instance, method: str) -> float:
        """Money above the floor's, as a share."""
        best = self.reference(instance).money
        return (self(instance, method).money - best) / best


def take(wanted: Mapping[Instance, Runs]) -> Found:
    """Measure one method after another, each in a process of its own."""
    return Found(
        {
            instance: {method: measure(method, instance, runs) for method, runs in methods.items()}
            for instance, methods in wanted.items()
        }
    )


def tables(found: Found) -> Iterator[Table]:
    """A table per instance, the quickest first."""
    head = (
        "method",
        ">seconds",
        ">times the floor",
        ">energy short, %",
        ">money above, %",
        ">periods",
        ">MB",
        ">runs",
        "",
    )
    for instance, methods in found.by_instance.items():
        ordered = sorted(methods.values(), key=lambda one: (bool(one.problem), one.seconds))
        lines = tuple(_line(found, instance, one) for one in ordered)
        yield Table(f"Vehicles x steps: {instance.title}", head, lines)


def _line(found: Found, instance: Instance, one: Measured) -> tuple[str, ...]:
    if one.problem:
        return one.method, *[""] * 7, one.problem
    return (
        one.method,
        shown(one.seconds),
        shown(one.seconds / found.reference(instance).seconds),
        percent(found.served_gap(instance, one.method)),
        percent(found.money_gap(instance, one.method)),
        f"{one.periods:.1f}",
        f"{one.memory_mb:.0f}",
        str(one.runs),
        OTHER_PROBLEM.get(one.method, ""),
    )


def percent(share: float) -> str:
    """A gap in %, as 0 where it is rounding."""
    return "0" if abs(share) < 5e-9 else f"{100 * share:.2g}"
