"""What every benchmark yields: one measured number with its unit."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A line of the printed table."""

    name: str
    value: float
    unit: str
    note: str = ""
