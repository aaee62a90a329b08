"""Who may acknowledge an incident from the live page."""

from __future__ import annotations

from depot.access import Principal, may
from depot.models import Depot

ANY_OF = ("commands:write", "reservations:write", "limits:write")


def may_acknowledge(principal: Principal, depot: Depot) -> bool:
    """Whoever acts in the depot may say that they have seen it; a viewer may not."""
    return any(may(principal, permission, depot) for permission in ANY_OF)
