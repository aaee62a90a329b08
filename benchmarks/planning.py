"""The planner against the floor and against others, on the same depots in the same run, and the bars it has to clear.

The floor is the linear problem's matrix passed straight to HiGHS, by simplex or interior point, whichever is quicker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from benchmarks import behaviour, replay
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


def growth(found: Found, method: str) -> float:
    """Exponent of the time in the number of vehicles, fitted over 200, 1,000 and 5,000 on the tree."""
    sizes = (200, 1000, 5000)
    seconds = [found(Instance(n, tree=True), method).seconds for n in sizes]
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


@dataclass(frozen=True)
class Bar:
    """What is asked for and whether it is reached."""

    what: str
    asked: str
    measured: str
    reached: bool

    @property
    def line(self) -> tuple[str, ...]:
        return self.what, self.asked, self.measured, "yes" if self.reached else "**no**"


def most(what: str, value: float, bar: float, unit: str, note: str = "") -> Bar:
    """A bar from above; a figure that is missing does not reach it."""
    text = "not measured" if math.isnan(value) else f"{shown(value)}{unit}{note}"
    return Bar(what, f"at most {shown(bar)}{unit}", text, value <= bar)


def least(what: str, value: float, bar: float, unit: str, note: str = "") -> Bar:
    """A bar from below."""
    text = "not measured" if math.isnan(value) else f"{shown(value)}{unit}{note}"
    return Bar(what, f"at least {shown(bar)}{unit}", text, value >= bar)


def speed_bars(found: Found) -> list[Bar]:
    """Of the linear problem, with and without a demand charge."""
    large = Instance(1000, tree=True)
    whole = found(large, "optimal").seconds
    demand = Instance(1000, tree=True, demand=True)
    largest = Instance(5000, 288, tree=True)
    return [
        most("linear: energy short of the optimum", _worst(found, LINEAR, found.served_gap), 1e-6, ""),
        most("linear: money above the optimum", _worst(found, LINEAR, found.money_gap), 1e-6, ""),
        least("1,000 x 96, tree: faster than the floor", found.times_faster(large), 10, " times", _whole(whole)),
        most("40 x 96, tree", 1e3 * found(Instance(40, tree=True), "flow").seconds, 2, " ms"),
        most("5,000 x 288, tree", found(largest, "flow").seconds, 2, " s", _whole(found(largest, "optimal").seconds)),
        most("growth with the vehicles, exponent", growth(found, "flow"), 1.3, ""),
        most("demand charge: money above the optimum", _worst(found, DEMAND, found.money_gap), 1e-5, ""),
        least("demand charge, 1,000 x 96: faster than the floor", found.times_faster(demand), 10, " times"),
        most("memory at 5,000 x 288, whole process", found(largest, "optimal").memory_mb, 300, " MB"),
    ]


def shape_bars(found: Found) -> list[Bar]:
    """Of what comes after the linear problem."""
    large = Instance(1000, tree=True, minimum=True)
    below = [found(instance, "optimal").below_minimum for instance in MINIMUM if instance in found.by_instance]
    extra = found(large, "flow and shape").seconds - found(large, "flow").seconds
    bars = [
        most("minimum power: steps below it", float(sum(below)), 0, ""),
        most(
            "minimum power: energy short of the linear optimum",
            100 * _worst(found, MINIMUM, found.served_gap, "optimal"),
            0.1,
            " %",
        ),
        most(
            "minimum power: money above the linear optimum",
            100 * _worst(found, MINIMUM, found.money_gap, "optimal"),
            0.1,
            " %",
        ),
        most("minimum power, 1,000 x 96: more than the linear plan", extra, 0.1, " s"),
    ]
    for n, bar in ((40, 7), (200, 7), (1000, 6)):
        plain, semi = (found(Instance(n, tree=True, minimum=on), "optimal").periods for on in (False, True))
        note = f" ({shown(plain)} without minimum power)"
        bars.append(most(f"periods per vehicle, {n:,} x 96, minimum power", semi, bar, "", note))
    return bars


def _worst(
    found: Found, wanted: Mapping[Instance, Runs], gap: Callable[[Instance, str], float], method: str = "flow"
) -> float:
    gaps = [gap(instance, method) for instance in wanted if instance in found.by_instance]
    return max(gaps, key=lambda value: math.inf if math.isnan(value) else value)


def _whole(seconds: float) -> str:
    return "" if math.isnan(seconds) else f" (checked and shaped: {shown(seconds)} s)"


def bars_table(bars: Sequence[Bar]) -> Table:
    """What is asked for, what was measured."""
    return Table("Planning: what is asked for", ("what", "bar", "measured", "reached"), tuple(bar.line for bar in bars))


def run() -> list[Table]:
    """Everything: the bars, the replay, then the instances."""
    found = take(EVERYTHING)
    tight = behaviour.tight_depots()
    stable = behaviour.stability()
    replayed, shares = replay.run()
    cold = behaviour.cold_start_s()
    bars = [*speed_bars(found), *shape_bars(found)]
    bars += [
        most(
            "small tight depots: energy short of the MILP's",
            100 * tight.worst_gap,
            0.1,
            " %",
            f" (mean {shown(100 * tight.mean_gap)} %, {tight.depots} depots)",
        ),
        most("small tight depots: slowest", tight.slowest_s, 2, " s", f" (the MILP {shown(tight.slowest_milp_s)} s)"),
        least(
            "replanning: next hour of the others unchanged",
            100 * stable.kept,
            95,
            " %",
            f" (least of {stable.events} events {shown(100 * stable.least_kept)} %, money {stable.extra_money:+.2g})",
        ),
        most("cold start of a planner: imports, compiled code, a plan", cold, 3, " s"),
        *replay_bars(shares),
    ]
    return [bars_table(bars), replayed, *tables(found)]


def replay_bars(shares: Mapping[float, Mapping[str, float]]) -> list[Bar]:
    """Real sessions: no other algorithm delivers more, and hardly less than who knows everything."""
    behind, missed = [math.nan], [math.nan]
    for share in shares.values():
        others = max(value for name, value in share.items() if name not in ("optimal", replay.OPTIMUM))
        behind.append(100 * (others - share.get("optimal", math.nan)))
        missed.append(100 * (share[replay.OPTIMUM] - share.get("optimal", math.nan)))
    return [
        most("real sessions: behind the best other algorithm", float(np.nanmax(behind)), 0.1, " points"),
        most("real sessions: behind who knows everything", float(np.nanmax(missed)), 0.5, " points"),
    ]


def run_quick() -> list[Table]:
    """What takes a few seconds."""
    return list(tables(take(QUICK)))


def main() -> None:
    """Print the tables in Markdown."""
    print("\n\n".join(table.markdown for table in run()))


if __name__ == "__main__":
    main()
