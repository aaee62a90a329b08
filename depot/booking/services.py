"""Book, change, cancel and advance reservations. Two requests for one bay: exactly one wins (operations §4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from depot import audit
from depot.booking import rules
from depot.booking.availability import (
    Period,
    alternatives_to,
    conflicts_on,
    free_ones,
    period_of,
    suitable_connectors,
)
from depot.booking.terms import BookingConflict, InvalidBooking, InvalidTransition, Need, Requirements
from depot.models import Connector, Depot, Reservation, ReservationTransition, Vehicle
from depot.signals import announce_needs_changed

__all__ = [
    "BookingConflict",
    "InvalidBooking",
    "InvalidTransition",
    "Need",
    "Requirements",
    "book",
    "cancel",
    "change",
    "probe",
    "transition",
]

State = Reservation.State
NEXT_STATES: dict[str, tuple[str, ...]] = {
    State.PENDING: (State.RESERVED, State.REJECTED, State.CANCELED),
    State.RESERVED: (State.FULFILLED, State.NO_SHOW, State.CANCELED, State.FAILED),
}
NEED_FIELDS = tuple(field.name for field in dataclasses.fields(Need))
CHANGEABLE = (
    *("connector", "vehicle", "starts_at", "ends_at", *NEED_FIELDS),
    *("priority", "external_id", "notes"),
)
OVERLAP = "reservation_no_overlap"


def book(
    *,
    depot: Depot,
    vehicle: Vehicle | None,
    connector: Connector | None,
    starts_at: datetime,
    ends_at: datetime,
    need: Need,
    priority: int = 1,
    by: str,
    external_id: str = "",
    notes: str = "",
    requirements: Requirements | Mapping[str, Any] | None = None,
) -> Reservation:
    """Hold a connector, or the best suitable free one when none is named.

    InvalidBooking has a sentence per wrong field; BookingConflict the clashing bookings and up to three alternatives.
    """
    reservation = Reservation(
        depot=depot,
        vehicle=vehicle,
        connector=connector,
        starts_at=starts_at,
        ends_at=ends_at,
        **dataclasses.asdict(need),
        priority=priority,
        external_id=external_id,
        notes=notes,
        state=State.RESERVED,
    )
    wanted = _requirements(requirements)
    rules.check(reservation, now=timezone.now())
    with transaction.atomic():
        if _hold_first_free(reservation, [connector] if connector else suitable_connectors(depot, vehicle, wanted)):
            _record_transition(reservation, "", by=by)
            audit.record(by, "booked", reservation, after=facts(reservation))
            announce_needs_changed(depot.pk, "booking")
            return reservation
    raise _conflict(reservation, connector, wanted)


def probe(reservation: Reservation) -> None:
    """Raise what book or change would raise, and write nothing."""
    rules.check(reservation, now=timezone.now())
    period = period_of(reservation.depot, reservation.starts_at, reservation.ends_at)
    named = reservation.connector
    connectors = [named] if named else suitable_connectors(reservation.depot, reservation.vehicle)
    if not free_ones(connectors, period, but=reservation.pk):
        raise _conflict(reservation, named)


def change(reservation: Reservation, *, by: str, **fields: Any) -> Reservation:
    """Change when, where, for whom or how much. The same errors as book; a final state never changes."""
    if unknown := sorted(set(fields) - {*CHANGEABLE, "need"}):
        raise InvalidBooking({name: f"{name} of a reservation cannot be changed." for name in unknown})
    need = fields.pop("need", None)
    if need is not None:
        fields |= dataclasses.asdict(need)
    with transaction.atomic():
        current = _locked(reservation)
        if current.state not in NEXT_STATES:
            raise InvalidTransition({"state": f"A {current.state} reservation does not change; book a new one."})
        before = facts(current)
        for name, value in fields.items():
            setattr(current, name, value)
        rules.check(current, now=timezone.now())
        suitable = [current.connector] if current.connector else suitable_connectors(current.depot, current.vehicle)
        if _hold_first_free(current, suitable):
            audit.record(by, "changed", current, before=before, after=facts(current))
            announce_needs_changed(current.depot_id, "booking")
            reservation.refresh_from_db()
            return reservation
    raise _conflict(current, current.connector)


def cancel(reservation: Reservation, *, by: str, reason: str = "NO_CANCELED") -> Reservation:
    """Withdraw a reservation and free its bay. `reason` is one of OCPI's cancel reasons."""
    if reason not in rules.CANCEL_REASONS:
        known = ", ".join(rules.CANCEL_REASONS)
        raise InvalidBooking({"reason": f"{reason!r} is not a cancel reason; use one of {known}."})
    return transition(reservation, State.CANCELED, by=by, reason=reason)


def transition(reservation: Reservation, to: str, *, by: str, reason: str = "") -> Reservation:
    """Move to another state, recorded with actor, time and reason; InvalidTransition when the state forbids it."""
    with transaction.atomic():
        current = _locked(reservation)
        before = current.state
        allowed = NEXT_STATES.get(before, ())
        if to not in allowed:
            after = f"it can become {' or '.join(allowed)}" if allowed else "that is final"
            raise InvalidTransition({"state": f"The reservation is {before} and cannot become {to}: {after}."})
        current.state = to
        if to == State.CANCELED:
            current.cancel_reason = reason[:20]
        current.save(update_fields=["state", "cancel_reason", "updated_at"])
        _record_transition(current, before, by=by, reason=reason)
        audit.record(by, to.lower(), current, reason=reason, before={"state": before}, after={"state": to})
        announce_needs_changed(current.depot_id, "booking")
    reservation.refresh_from_db()
    return reservation


def facts(reservation: Reservation) -> dict[str, Any]:
    """What the audit trail keeps of a reservation."""
    return {
        "connector": str(reservation.connector or ""),
        "vehicle": str(reservation.vehicle or ""),
        "starts_at": reservation.starts_at.isoformat(),
        "ends_at": reservation.ends_at.isoformat(),
        **{name: getattr(reservation, name) for name in NEED_FIELDS},
        "priority": reservation.priority,
        "state": reservation.state,
    }


def _requirements(given: Requirements | Mapping[str, Any] | None) -> Requirements:
    if given is None or isinstance(given, Requirements):
        return given or Requirements()
    power_kw = given.get("power_required_kw")
    if power_kw is not None and (isinstance(power_kw, bool) or not isinstance(power_kw, int | float)):
        raise InvalidBooking({"requirements": f"power_required_kw is {power_kw!r}, not a power in kW."})
    return Requirements(plug=str(given.get("plug") or ""), power_required_kw=power_kw)


def _hold_first_free(reservation: Reservation, connectors: Sequence[Connector]) -> bool:
    """Save the reservation on the first of these connectors that is free for its period and stays so once locked."""
    period = period_of(reservation.depot, reservation.starts_at, reservation.ends_at)
    reservation.held_until = period.held_until
    free = free_ones(connectors, period, but=reservation.pk)
    return any(_hold(reservation, connector, period) for connector in free)


def _hold(reservation: Reservation, connector: Connector, period: Period) -> bool:
    """One booking at a time per connector; the database's constraint decides what our own look could not see."""
    Connector.objects.select_for_update(no_key=True).get(pk=connector.pk)
    if conflicts_on(connector, period, but=reservation.pk):
        return False
    given, reservation.connector = reservation.connector, connector
    try:
        with transaction.atomic():
            reservation.save()
    except IntegrityError as error:
        reservation.connector = given
        if OVERLAP in str(error):
            return False
        if "external_id" in str(error):
            taken = f"Another reservation has the external id {reservation.external_id!r}."
            raise InvalidBooking({"external_id": taken}) from error
        raise
    return True


def _conflict(
    reservation: Reservation, connector: Connector | None, wanted: Requirements | None = None
) -> BookingConflict:
    period = period_of(reservation.depot, reservation.starts_at, reservation.ends_at)
    candidates = suitable_connectors(reservation.depot, reservation.vehicle, wanted)
    conflicts = conflicts_on(connector, period, but=reservation.pk) if connector else []
    alternatives = alternatives_to(
        connector, candidates, reservation.vehicle, period, now=timezone.now(), but=reservation.pk
    )
    return BookingConflict(conflicts, alternatives, bay=connector.bay if connector else "")


def _locked(reservation: Reservation) -> Reservation:
    return Reservation.objects.select_for_update(of=("self",), no_key=True).get(pk=reservation.pk)


def _record_transition(reservation: Reservation, before: str, *, by: str, reason: str = "") -> None:
    ReservationTransition.objects.create(
        reservation=reservation,
        from_state=before,
        to_state=reservation.state,
        at=timezone.now(),
        actor=by[:100],
        reason=reason[:200],
    )
