"""Incidents: one open row per (type, subject); repeats count, the end of the condition closes it (operations §7)."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone

from depot.models import Depot, Incident, User
from depot.signals import announce_incident_changed


def raise_incident(
    type: str,
    *,
    subject: str,
    message: str,
    depot: Depot | int | None = None,
    severity: str = Incident.Severity.WARNING,
    remedy: str = "",
) -> Incident:
    """Open an incident, or count one more occurrence of the open one and keep its newest words."""
    words = {"message": message[:300], "remedy": remedy[:300], "severity": severity}
    depot_id = depot.pk if isinstance(depot, Depot) else depot
    with transaction.atomic():
        incident = _count_again(type, subject, words)
        if incident is None:
            incident = _open(type, subject, depot_id, words)
        announce_incident_changed(incident.depot_id)
    return incident


def close_incident(type: str, *, subject: str) -> bool:
    """The condition is over. False when nothing was open."""
    with transaction.atomic():
        incident = Incident.objects.filter(type=type, subject=subject, closed_at__isnull=True).first()
        if incident is None:
            return False
        closed = Incident.objects.filter(pk=incident.pk, closed_at__isnull=True).update(closed_at=timezone.now())
        announce_incident_changed(incident.depot_id)
    return bool(closed)


def acknowledge_incident(incident: Incident, *, by: User) -> bool:
    """Somebody has seen it. The first acknowledgement stays; a closed incident needs none."""
    with transaction.atomic():
        open_ones = Incident.objects.filter(pk=incident.pk, acknowledged_at__isnull=True, closed_at__isnull=True)
        acknowledged = open_ones.update(acknowledged_at=timezone.now(), acknowledged_by=by)
        if acknowledged:
            announce_incident_changed(incident.depot_id)
    return bool(acknowledged)


def _count_again(type: str, subject: str, words: dict[str, str]) -> Incident | None:
    opened = Incident.objects.filter(type=type, subject=subject, closed_at__isnull=True)
    if not opened.update(count=F("count") + 1, last_seen_at=timezone.now(), **words):
        return None
    return opened.get()


def _open(type: str, subject: str, depot_id: int | None, words: dict[str, str]) -> Incident:
    now = timezone.now()
    try:
        with transaction.atomic():
            return Incident.objects.create(
                type=type, subject=subject, depot_id=depot_id, opened_at=now, last_seen_at=now, **words
            )
    except IntegrityError:  # another process opened it a moment ago
        incident = _count_again(type, subject, words)
        if incident is None:
            raise
        return incident
