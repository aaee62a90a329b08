"""What a benchmark yields: tables, made of single figures or of whole lines."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One measured number with its unit."""

    name: str
    value: float
    unit: str
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A titled table; columns whose head begins with ">" are set to the right."""

    title: str
    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]

    @property
    def markdown(self) -> str:
        """The title as a heading, then the table."""
        rule = ("---:" if name.startswith(">") else "---" for name in self.head)
        rows = (tuple(name.removeprefix(">") for name in self.head), *self.lines)
        head, *body = (f"| {' | '.join(cells)} |" for cells in rows)
        return "\n".join([f"### {self.title}", "", head, f"|{'|'.join(rule)}|", *body])


def figures(title: str, rows: Iterable[Row]) -> Table:
    """A table of single figures."""
    lines = tuple((row.name, shown(row.value), row.unit, row.note) for row in rows)
    return Table(title, ("what", ">value", "unit", "note"), lines)


def shown(value: float) -> str:
    """Four significant digits, whole numbers in full; a dash for what was not measured."""
    if math.isnan(value):
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 0.001 or value == 0 else f"{value:.2e}"
