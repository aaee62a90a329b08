"""Changes below that the live pages should show at once."""

from __future__ import annotations

from typing import Any

from charging.nudges import LIVE, nudge
from depot.signals import incident_changed, needs_changed


def connect() -> None:
    """Call once when the apps are ready."""
    incident_changed.connect(show_incidents, dispatch_uid="live-incidents")
    needs_changed.connect(show_needs, dispatch_uid="live-needs")


def show_incidents(depot: int | None, **_: Any) -> None:
    nudge(LIVE, depot=depot, what="incident")


def show_needs(depot: int, because: str, **_: Any) -> None:
    """Bookings, limits and lost chargers are visible before the plan that answers them."""
    nudge(LIVE, depot=depot, what=because)
