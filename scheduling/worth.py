"""Where and when more power would help: the marginal values of a run as stretches of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TypedDict

from scheduling.models import PlanRun


class NodeValues(TypedDict):
    """What `PlanRun.marginal` holds of a node."""

    saved_per_kwh: list[float]  # money, per step
    serves_more: list[int]  # steps


@dataclass(frozen=True)
class Stretch:
    """Steps in a row in which one more kW at a node is worth the same."""

    node: str
    starts_at: datetime
    ends_at: datetime
    saved_per_kwh: float  # money
    serves_more: bool  # it would deliver energy that is missing now

    @property
    def hours(self) -> float:
        return (self.ends_at - self.starts_at).total_seconds() / 3600


def stretches_of(run: PlanRun) -> list[Stretch]:
    """All stretches in which more power is worth something, in the order of nodes and time."""
    return [stretch for node, values in run.marginal.items() for stretch in stretches_at(run, node, values)]


def most_helpful(run: PlanRun, count: int) -> list[Stretch]:
    """Those that serve more vehicles first, then by the money that one kW more would save."""
    found = sorted(stretches_of(run), key=lambda each: (not each.serves_more, -each.saved_per_kwh * each.hours))
    return found[:count]


def stretches_at(run: PlanRun, node: str, values: NodeValues) -> Iterator[Stretch]:
    borders, serves_more = run.horizon.borders, set(values["serves_more"])
    worth = [(round(saved, 4), step in serves_more) for step, saved in enumerate(values["saved_per_kwh"])]
    for (saved, serves), group in groupby(range(len(worth)), key=worth.__getitem__):
        steps = list(group)
        if saved > 0 or serves:
            yield Stretch(node, borders[steps[0]], borders[steps[-1] + 1], saved, serves)
