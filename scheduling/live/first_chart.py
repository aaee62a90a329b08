"""The power chart as SVG paths for the first picture, before any script runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scheduling.live.measured import PAST
from scheduling.live.merge import Picture

WIDTH, HEIGHT = 1000, 260
AHEAD_S = 12 * 3600
Points = list[tuple[float, float]]  # epoch s, kW


@dataclass(frozen=True)
class FirstChart:
    """Paths in a box of WIDTH x HEIGHT."""

    measured: str
    planned: str
    building: str
    limit: str
    now_x: float
    top_kw: float

    @property
    def box(self) -> str:
        return f"0 0 {WIDTH} {HEIGHT}"

    @property
    def empty(self) -> bool:
        return not (self.measured or self.planned)


@dataclass(frozen=True)
class Scale:
    start: float
    end: float
    top: float

    def path(self, points: Points) -> str:
        inside = [point for point in points if self.start <= point[0] <= self.end]
        return "M" + " L".join(self.place(*point) for point in inside) if len(inside) > 1 else ""

    def area(self, points: Points) -> str:
        line = self.path(points)
        if not line:
            return ""
        inside = [at for at, _ in points if self.start <= at <= self.end]
        return f"{line} L{self.place(inside[-1], 0)} L{self.place(inside[0], 0)} Z"

    def place(self, at: float, value: float) -> str:
        x = WIDTH * (at - self.start) / (self.end - self.start)
        return f"{x:.1f} {HEIGHT * (1 - value / self.top):.1f}"


def first_chart(picture: Picture, slug: str, now: datetime) -> FirstChart:
    """Measured and planned kW of one node from two hours ago to twelve hours ahead."""
    chart = picture["chart"]
    plan = chart.get("plan", {})
    node = plan.get("nodes", {}).get(slug, {})
    borders: list[float] = plan.get("borders", [])
    measured = sorted((float(minute), value) for minute, value in chart["measured"].get(slug, {}).items())
    building = node.get("building", [])
    total = [a + b for a, b in zip(node.get("planned", []), building or [0.0] * len(borders), strict=False)]
    limit_now = float(chart["now_limit"].get(slug, 0.0))
    start, end = now.timestamp() - PAST.total_seconds(), now.timestamp() + AHEAD_S
    limit = stairs(borders, node.get("limit", []))
    limit = [(start, limit_now), *(limit or [(end, limit_now)])]
    top = 1.1 * max([1.0, *(value for points in (measured, limit) for _, value in points), *total])
    scale = Scale(start, end, top)
    return FirstChart(
        measured=scale.path(measured),
        planned=scale.area(stairs(borders, total)),
        building=scale.area(stairs(borders, building)),
        limit=scale.path(limit),
        now_x=WIDTH * PAST.total_seconds() / (end - start),
        top_kw=top,
    )


def stairs(borders: list[float], values: list[Any]) -> Points:
    """Two points per step, so that a step stays level until its end."""
    return [
        point
        for begin, end, value in zip(borders, borders[1:], values, strict=False)
        for point in ((begin, float(value)), (end, float(value)))
    ]
