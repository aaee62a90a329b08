"""Incidents that mirror a condition found anew by every run: raised while it holds, closed when it does not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from depot.incidents import close_incident, raise_incident
from depot.models import Depot


@dataclass(frozen=True)
class Risk:
    message: str
    remedy: str


def mirror(depot: Depot, type: str, found: Mapping[str, Risk], *, severity: str, open_new: bool = True) -> None:
    """Open incidents of `type` become exactly the `found` ones, by subject (within the depot's own subjects)."""
    for incident in depot.incidents.filter(type=type, closed_at__isnull=True):
        if incident.subject not in found:
            close_incident(type, subject=incident.subject)
    if not open_new:
        return
    for subject, risk in found.items():
        raise_incident(
            type, subject=subject, depot=depot, severity=severity, message=risk.message[:300], remedy=risk.remedy[:300]
        )
