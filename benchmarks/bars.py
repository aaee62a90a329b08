"""What is asked of the planner, and whether it is reached."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.behaviour import Stability, Tight
from benchmarks.comparison import DEMAND, LINEAR, MINIMUM, Found, Runs
from benchmarks.instances import Instance
from benchmarks.replay import OPTIMUM
from benchmarks.rows import Table, shown

_TREE = Instance(1000, tree=True)
_TREE_WITH_CHARGE = Instance(1000, tree=True, demand=True)
_LARGEST = Instance(5000, 288, tree=True)
_PERIODS = {40: 7.0, 200: 7.0, 1000: 6.0}


@dataclass(frozen=True)
class Bar:
    """A figure that is asked for and the one that was measured; NaN was not measured and reaches nothing."""

    what: str
    value: float
    asked: float
    unit: str
    note: str = ""
    from_below: bool = False

    @property
    def reached(self) -> bool:
        """Whether the measured figure is on the right side."""
        return self.value >= self.asked if self.from_below else self.value <= self.asked

    @property
    def line(self) -> tuple[str, ...]:
        """Of the table: what, bar, measured, reached."""
        bar = f"at {'least' if self.from_below else 'most'} {shown(self.asked)} {self.unit}".rstrip()
        measured = "not measured" if math.isnan(self.value) else f"{shown(self.value)} {self.unit}".rstrip()
        note = f" ({self.note})" if self.note else ""
        return self.what, bar, measured + note, "yes" if self.reached else "**no**"


def table(bars: Iterable[Bar]) -> Table:
    """All bars, one a line."""
    return Table("Planning: what is asked for", ("what", "bar", "measured", "reached"), tuple(bar.line for bar in bars))


def of_the_linear_stage(found: Found) -> list[Bar]:
    """Exact and fast, with and without a demand charge."""
    whole = {size: f"whole run {shown(found(size, 'optimal').seconds)} s" for size in (_TREE, _LARGEST)}
    return [
        Bar("linear: energy short of the optimum, share", _worst(LINEAR, found.served_gap, "flow"), 1e-6, ""),
        Bar("linear: money above the optimum, share", _worst(LINEAR, found.money_gap, "flow"), 1e-6, ""),
        _faster("1,000 x 96, tree: faster than the floor", found, _TREE, whole[_TREE]),
        Bar("40 x 96, tree", 1000 * found(Instance(40, tree=True), "flow").seconds, 2, "ms"),
        Bar("5,000 x 288, tree", found(_LARGEST, "flow").seconds, 2, "s", whole[_LARGEST]),
        Bar(
            "growth of the time from 40 to 5,000 vehicles, exponent",
            growth(found, "flow", (40, 200, 1000, 5000)),
            1.3,
            "",
            f"from 200 on {shown(growth(found, 'flow', (200, 1000, 5000)))}",
        ),
        Bar("demand charge: money above the optimum, share", _worst(DEMAND, found.money_gap, "flow"), 1e-5, ""),
        _faster("demand charge, 1,000 x 96: faster than the floor", found, _TREE_WITH_CHARGE),
        Bar("memory at 5,000 x 288, the whole process", found(_LARGEST, "optimal").memory_mb, 300, "MB"),
    ]


def of_the_shape(found: Found) -> list[Bar]:
    """Minimum power and few periods at next to no cost."""
    large = Instance(1000, tree=True, minimum=True)
    below = _worst(MINIMUM, lambda instance, method: found(instance, method).below_minimum, "optimal")
    extra = found(large, "flow and shape").seconds - found(large, "flow").seconds
    short, above = (100 * _worst(MINIMUM, gap, "optimal") for gap in (found.served_gap, found.money_gap))
    bars = [
        Bar("minimum power: steps below it", below, 0, ""),
        Bar("minimum power: energy short of the linear optimum", short, 0.1, "%"),
        Bar("minimum power: money above the linear optimum", above, 0.1, "%"),
        Bar("minimum power, 1,000 x 96: more time than the linear plan", extra, 0.1, "s"),
    ]
    for n, bar in _PERIODS.items():
        plain, semi = (found(Instance(n, tree=True, minimum=on), "optimal").periods for on in (False, True))
        bars.append(Bar(f"periods per vehicle, {n:,} x 96", plain, bar, "", f"{shown(semi)} with minimum power"))
    return bars


def of_the_behaviour(tight: Tight, stable: Stability, cold_start_s: float) -> list[Bar]:
    """Small tight depots, replanning, the first plan of a process."""
    mean = f"mean of {tight.depots} depots {shown(100 * tight.mean_gap)} %"
    slowest = f"the MILP {shown(tight.slowest_milp_s)} s"
    kept = (
        f"least of {stable.events} events {shown(100 * stable.least_kept)} %, "
        f"money {shown(100 * stable.money_above)} % above the linear optimum at most"
    )
    return [
        Bar("small tight depots: energy short of the MILP's", 100 * tight.worst_gap, 0.1, "%", mean),
        Bar("small tight depots: slowest plan", tight.slowest_s, 2, "s", slowest),
        Bar("replanning: next hour of the others unchanged", 100 * stable.kept, 95, "%", kept, from_below=True),
        Bar("cold start: a new process to its first plan", cold_start_s, 3, "s"),
    ]


def of_the_replay(shares: Mapping[float, Mapping[str, float]]) -> list[Bar]:
    """Real sessions: no other algorithm delivers more, and who knows everything hardly more."""
    behind, missed = [], []
    for share in shares.values():
        ours = share.get("optimal", math.nan)
        others = max(value for name, value in share.items() if name not in ("optimal", OPTIMUM))
        behind.append(100 * (others - ours))
        missed.append(100 * (share[OPTIMUM] - ours))
    return [
        Bar("real sessions: behind the best other algorithm", max(behind), 0.1, "points"),
        Bar("real sessions: behind who knows everything", max(missed), 0.5, "points"),
    ]


def growth(found: Found, method: str, sizes: tuple[int, ...]) -> float:
    """Exponent of the time in the number of vehicles, fitted over depots of these sizes with a tree."""
    seconds = [found(Instance(n, tree=True), method).seconds for n in sizes]
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0]) if np.isfinite(seconds).all() else math.nan


def _faster(what: str, found: Found, instance: Instance, note: str = "") -> Bar:
    return Bar(what, found.times_faster(instance), 10, "times", note, from_below=True)


def _worst(wanted: Mapping[Instance, Runs], gap: Callable[[Instance, str], float], method: str) -> float:
    """Largest gap; NaN if one is missing."""
    return float(np.max([gap(instance, method) for instance in wanted]))
