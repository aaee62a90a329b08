"""Filters of the live pages: ages and countdowns as the script writes them later."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django import template

from scheduling.live.words import span

register = template.Library()


@register.filter
def ago(instant: Any, now: datetime) -> str:
    """Age of an ISO instant, for example `3 min ago`; empty without one."""
    if not instant:
        return ""
    return f"{span(max(0.0, (now - _instant(instant)).total_seconds()))} ago"


@register.filter
def until(instant: Any, now: datetime) -> str:
    """Time left to an ISO instant, `in 3 h 20 min`, or `overdue 5 min`."""
    if not instant:
        return ""
    left = (_instant(instant) - now).total_seconds()
    return f"in {span(left)}" if left >= 0 else f"overdue {span(left)}"


def _instant(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value)).astimezone(UTC)
