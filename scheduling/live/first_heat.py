"""The heatmap rows as rectangles for the first picture; one unit of width is a second."""

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
    seconds: int
    rows: list[HeatRow]


def first_heat(picture: Picture) -> FirstHeat:
    heat = picture.get("heat")
    if not heat:
        return FirstHeat(0, [])
    rows = sorted(heat["rows"].items(), key=lambda item: item[1]["order"])
    return FirstHeat(
        seconds=heat["borders"][-1] - heat["borders"][0],
        rows=[heat_row(key, row, heat["borders"], heat["top_kw"]) for key, row in rows],
    )


def heat_row(key: str, row: dict[str, Any], borders: list[int], top_kw: float) -> HeatRow:
    cells, step = [], 0
    for steps, power, _reason in row["runs"]:
        begin, end = borders[step] - borders[0], borders[step + steps] - borders[0]
        if power > 0:
            cells.append(Cell(begin, end - begin, level(power, top_kw)))
        step += steps
    begin, end = (max(0, min(at, borders[-1]) - borders[0]) for at in (row["from"], row["to"]))
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
