"""Reservations whose time has come: fulfilled, not shown up, or not served because the charger was away (O27)."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.apps import apps
from django.db.models import Case, Exists, F, OuterRef, Q, QuerySet, When
from django.utils import timezone

from depot.booking.services import transition
from depot.booking.terms import InvalidTransition
from depot.incidents import close_incident, raise_incident
from depot.models import Incident, Reservation

State = Reservation.State
BY = "clock"
NO_SHOW_INCIDENT = "reservation.no_show"
TIME_TO_REPORT = timedelta(minutes=2)  # a charger that has just connected may still tell who is plugged in


def advance_reservations(now: datetime) -> int:
    """RESERVED becomes NO_SHOW, FULFILLED or FAILED where it is time; returns how many moved."""
    moved = 0
    due = with_presence(Reservation.objects.filter(state=State.RESERVED, starts_at__lte=now))
    for reservation in due.select_related("depot", "vehicle", "connector__station"):
        if step := _due_step(reservation, now):
            moved += _move(reservation, *step)
    _close_old_no_shows(now)
    return moved


def with_presence(reservations: QuerySet[Reservation]) -> QuerySet[Reservation]:
    """Annotated with `plugged_in` (the booked vehicle), `used` (anyone on the bay) and `online_since` (its charger).

    Sessions and links are written by the room above; this room only reads them.
    """
    sessions = apps.get_model("charging", "Session")._default_manager.all()
    touching = sessions.filter(started_at__lt=OuterRef("ends_at")).filter(
        Q(stopped_at__isnull=True) | Q(stopped_at__gt=OuterRef("starts_at"))
    )
    return reservations.annotate(
        plugged_in=Exists(touching.filter(Q(reservation=OuterRef("pk")) | Q(vehicle=OuterRef("vehicle")))),
        used=Exists(touching.filter(connector=OuterRef("connector"))),
        online_since=Case(
            When(connector__station__link__online=True, then=F("connector__station__link__connected_at"))
        ),
    )


def _due_step(reservation: Reservation, now: datetime) -> tuple[str, str] | None:
    """The state it should move to and why, or None while there is time."""
    came = reservation.plugged_in if reservation.vehicle_id else reservation.used  # type: ignore[attr-defined]
    online_since: datetime | None = reservation.online_since  # type: ignore[attr-defined]
    over = reservation.ends_at <= now
    if came:
        return (State.FULFILLED, "the booked period ended") if over else None
    if online_since is None:  # it may be charging unseen: nobody can say that it did not come
        return (State.FAILED, "the charger was offline") if over else None
    if online_since > now - TIME_TO_REPORT:
        return None
    timeout = timedelta(minutes=reservation.depot.noshow_timeout_minutes)
    if over or reservation.starts_at + timeout <= now:
        return State.NO_SHOW, f"not plugged in by {reservation.depot.local(now):%H:%M %Z}"
    return None


def _move(reservation: Reservation, to: str, reason: str) -> bool:
    try:
        transition(reservation, to, by=BY, reason=reason)
    except InvalidTransition:  # somebody else was faster
        return False
    if to == State.NO_SHOW and reservation.ends_at > timezone.now():
        raise_incident(
            NO_SHOW_INCIDENT,
            subject=str(reservation.pk),
            depot=reservation.depot_id,
            message=f"{reservation.vehicle or 'Nobody'} did not plug in at {reservation.connector}: {reason}.",
            remedy="The bay is free again. Book anew when the vehicle comes.",
        )
    return True


def _close_old_no_shows(now: datetime) -> None:
    """The condition ends with the period that was booked."""
    open_ones = Incident.objects.filter(type=NO_SHOW_INCIDENT, closed_at__isnull=True).values_list("subject", flat=True)
    if subjects := list(open_ones):
        over = Reservation.objects.filter(pk__in=subjects, ends_at__lte=now).values_list("pk", flat=True)
        for pk in over:
            close_incident(NO_SHOW_INCIDENT, subject=str(pk))
