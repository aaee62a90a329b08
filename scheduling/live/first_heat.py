"""The heatmap rows as rectangles for the first picture; one unit of width is one planning step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scheduling.live.merge import Picture

LEVELS = 6


@dataclass(frozen=True)
class Cell:
    x: int
    width: int
    level: int


@dataclass(frozen=True)
class HeatRow:
    key: str
    name: str
    bay: str
    short: bool
    stay: Cell
    cells: list[Cell]


@dataclass(frozen=True)
class FirstHeat:
    steps: int
    rows: list[HeatRow]


def first_heat(picture: Picture) -> FirstHeat:
    heat = picture.get("heat")
    if not heat:
        return FirstHeat(0, [])
    rows = sorted(heat["rows"].items(), key=lambda item: item[1]["order"])
    return FirstHeat(
        steps=len(heat["borders"]) - 1, rows=[heat_row(key, row, heat["borders"], heat["top_kw"]) for key, row in rows]
    )


def heat_row(key: str, row: dict[str, Any], borders: list[int], top_kw: float) -> HeatRow:
    cells, x = [], 0
    for steps, power, _reason in row["runs"]:
        if power > 0:
            cells.append(Cell(x, steps, level(power, top_kw)))
        x += steps
    begin = sum(border <= row["from"] for border in borders[1:])
    end = sum(border <= row["to"] for border in borders[1:])
    return HeatRow(
        key=key,
        name=row["name"],
        bay=row.get("bay", ""),
        short=bool(row.get("short")),
        stay=Cell(begin, max(0, end - begin), 0),
        cells=cells,
    )


def level(power: float, top_kw: float) -> int:
    """1 to LEVELS."""
    return max(1, min(LEVELS, -int(-power * LEVELS // top_kw))) if top_kw > 0 else 1
