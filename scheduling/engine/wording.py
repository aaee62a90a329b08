"""Numbers, places and times as people say them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

Clock = Callable[[datetime], str]
"""Words an instant, in the time zone of whoever reads it."""


def utc_clock(instant: datetime) -> str:
    """Hour and minute, UTC."""
    return f"{instant:%H:%M}"


def price_in_words(price: float) -> str:
    """A price with two to four decimals."""
    text = f"{price:.4f}"
    return text[:-2] + text[-2:].rstrip("0")


def place_in_words(name: str, is_root: bool) -> str:
    """A node as people name it."""
    return f"grid connection {name!r}" if is_root else f"load group {name!r}"


def duration_in_words(minutes: int) -> str:
    """Hours and minutes."""
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def count_in_words(number: int, what: str) -> str:
    """A number of things; the plural takes an s."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
