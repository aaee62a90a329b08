"""Reservations: booked, changed and cancelled by the booking services; a taken bay answers what is free instead."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from depot.api import filters
from depot.api.fields import (
    ConnectorReference,
    DepotReference,
    Instant,
    StrictInteger,
    StrictNumber,
    StrictText,
    VehicleReference,
)
from depot.api.principals import actor_of
from depot.api.problems import FieldError, Problem, invalid
from depot.api.resources import UUID_PATTERN, Creatable, Readable
from depot.api.serializers import StrictSerializer
from depot.booking import services
from depot.booking.rules import CANCEL_REASONS, MOST_ENERGY_KWH
from depot.booking.services import NEED_FIELDS, BookingConflict, InvalidBooking, InvalidTransition, Need
from depot.booking.terms import Alternative
from depot.models import Reservation


class RequirementsSerializer(StrictSerializer):
    """What a bay must offer when any bay will do."""

    plug = StrictText(max_length=20, required=False)
    power_required_kw = StrictNumber(min_value=0, max_value=10_000, required=False)


class PolicySerializer(serializers.Serializer[Any]):
    buffer_minutes = serializers.IntegerField()
    early_start_minutes = serializers.IntegerField()
    noshow_timeout_minutes = serializers.IntegerField()


class ReservationSerializer(serializers.ModelSerializer[Reservation]):
    """A booking as it is stored. `held_until` includes the gap that is kept after it."""

    depot = DepotReference(read_only=True)
    connector = ConnectorReference(read_only=True, allow_null=True)
    bay = serializers.CharField(source="connector.bay", default=None, read_only=True, allow_null=True)
    station = serializers.CharField(source="connector.station.identity", default=None, read_only=True, allow_null=True)
    vehicle = VehicleReference(read_only=True, allow_null=True)
    vehicle_external_id = serializers.CharField(
        source="vehicle.external_id", default=None, read_only=True, allow_null=True
    )
    time_zone = serializers.CharField(source="depot.time_zone", read_only=True)
    policy = PolicySerializer(source="depot", read_only=True)

    class Meta:
        model = Reservation
        fields = (
            *("id", "depot", "connector", "bay", "station", "vehicle", "vehicle_external_id"),
            *("starts_at", "ends_at", "held_until", "time_zone", *NEED_FIELDS),
            *("priority", "state", "cancel_reason", "external_id", "notes", "policy", "created_at", "updated_at"),
        )
        read_only_fields = fields


class ReservationChanges(StrictSerializer):
    """What may be changed while the reservation is not over."""

    connector = ConnectorReference(allow_null=True, required=False)
    vehicle = VehicleReference(allow_null=True, required=False)
    starts_at = Instant(required=False)
    ends_at = Instant(required=False)
    energy_kwh = StrictNumber(min_value=0, max_value=MOST_ENERGY_KWH, allow_null=True, required=False)
    required_soc_percent = StrictNumber(min_value=0, max_value=100, allow_null=True, required=False)
    minimum_energy_kwh = StrictNumber(
        min_value=0,
        max_value=MOST_ENERGY_KWH,
        allow_null=True,
        required=False,
        help_text="the part that must be there; the rest is served after everybody's minimum",
    )
    minimum_soc_percent = StrictNumber(min_value=0, max_value=100, allow_null=True, required=False)
    priority = StrictInteger(min_value=1, max_value=9, required=False, help_text="1 is normal, higher more important")
    external_id = StrictText(max_length=64, allow_blank=True, required=False)
    notes = StrictText(max_length=500, allow_blank=True, required=False)


class ReservationRequest(ReservationChanges):
    """A booking of `connector`, or of any suitable one when only `requirements` or nothing is said."""

    depot = DepotReference()
    starts_at = Instant()
    ends_at = Instant()
    requirements = RequirementsSerializer(required=False)


class Cancellation(StrictSerializer):
    reason = serializers.ChoiceField(choices=CANCEL_REASONS, default="NO_CANCELED")


EXAMPLES = [
    OpenApiExample(
        "Any bay with enough power",
        request_only=True,
        value={
            "depot": "north",
            "vehicle": "bus-214",
            "requirements": {"power_required_kw": 11},
            "starts_at": "2026-03-28T21:00:00+01:00",
            "ends_at": "2026-03-29T05:30:00+02:00",
            "required_soc_percent": 85,
            "priority": 2,
            "external_id": "ops-4711",
        },
    ),
]
IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="ETag of the version to change")


@extend_schema_view(
    list=extend_schema(description="Reservations; `from` and `to` give those that touch the period."),
    create=extend_schema(
        request=ReservationRequest,
        responses={201: ReservationSerializer},
        examples=EXAMPLES,
        description="Book. 409 reservation-conflict lists what is in the way and up to three alternatives.",
    ),
    partial_update=extend_schema(
        request=ReservationChanges, responses={200: ReservationSerializer}, parameters=[IF_MATCH]
    ),
    destroy=extend_schema(
        request=None,
        responses={200: ReservationSerializer},
        parameters=[IF_MATCH],
        description="Cancel. The reservation stays readable; cancelling it again changes nothing.",
    ),
)
@extend_schema(tags=["reservations"])
class ReservationViews(Creatable, Readable[Reservation]):
    queryset = Reservation.objects.select_related("depot", "connector__station", "vehicle")
    serializer_class = ReservationSerializer
    write_scope = "reservations:write"
    lookup_value_regex = UUID_PATTERN
    ordering, ordering_fields = "starts_at", ("starts_at", "ends_at", "created_at", "updated_at")
    filters = {
        "depot": filters.depot(),
        "state": filters.choice("state", Reservation.State.values, "state"),
        "vehicle": filters.vehicle(),
        "connector": filters.number("connector", "id of a connector"),
        "external_id": filters.text("external_id", "the booking system's own id"),
        "updated_since": filters.instant("updated_at__gte", "changed at or after this instant"),
        **filters.period("starts_at", "ends_at"),
    }

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        wanted = self.read(ReservationRequest)
        self.check_object_permissions(request, Reservation(depot=wanted["depot"]))
        with booking_problems():
            reservation = services.book(
                depot=wanted["depot"],
                vehicle=wanted.get("vehicle"),
                connector=wanted.get("connector"),
                starts_at=wanted["starts_at"],
                ends_at=wanted["ends_at"],
                need=Need(**{name: wanted.get(name) for name in NEED_FIELDS}),
                priority=wanted.get("priority", 1),
                by=actor_of(request),
                external_id=wanted.get("external_id", ""),
                notes=wanted.get("notes", ""),
                requirements=wanted.get("requirements"),
            )
        return self.answer(reservation, status=201)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.answer(self.get_object())

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        reservation = self.matched_reservation()
        changes = self.read(ReservationChanges, depot=reservation.depot.slug)
        if changes:
            with booking_problems():
                reservation = services.change(reservation, by=actor_of(request), **changes)
        return self.answer(reservation)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return self.canceled(self.matched_reservation(), "NO_CANCELED")

    @extend_schema(request=Cancellation, responses={200: ReservationSerializer}, parameters=[IF_MATCH])
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Cancel with one of OCPI's reasons."""
        return self.canceled(self.matched_reservation(), self.read(Cancellation)["reason"])

    def canceled(self, reservation: Reservation, reason: str) -> Response:
        if reservation.state != Reservation.State.CANCELED:
            with booking_problems():
                reservation = services.cancel(reservation, by=actor_of(self.request), reason=reason)
        return self.answer(reservation)

    def read(self, serializer_class: type[StrictSerializer], **hints: Any) -> dict[str, Any]:
        context = {**self.get_serializer_context(), **hints}
        serializer = serializer_class(data=self.request.data, context=context)
        serializer.is_valid(raise_exception=True)
        return dict(serializer.validated_data)

    def matched_reservation(self) -> Reservation:
        """The addressed reservation, if it still is the version that If-Match names."""
        reservation: Reservation = self.get_object()
        wanted = self.request.headers.get("If-Match")
        if wanted is not None and wanted.strip() != "*" and etag_of(reservation) not in listed(wanted):
            raise Problem(
                "precondition-failed",
                status=412,
                detail="The reservation has changed since you read it; read it again.",
                headers={"ETag": etag_of(reservation)},
            )
        return reservation

    def answer(self, reservation: Reservation, status: int = 200) -> Response:
        data = self.get_serializer(reservation).data
        headers = {"ETag": etag_of(reservation), **(self.get_success_headers(data) if status == 201 else {})}
        return Response(data, status, headers=headers)


def etag_of(reservation: Reservation) -> str:
    """Strong: it changes with every write."""
    return (
        '"'
        + hashlib.sha256(f"{reservation.pk} {reservation.updated_at.timestamp():.6f}".encode()).hexdigest()[:24]
        + '"'
    )


def listed(header: str) -> list[str]:
    return [part.strip() for part in header.split(",")]


@contextmanager
def booking_problems() -> Iterator[None]:
    """The booking room's refusals as problems."""
    try:
        yield
    except BookingConflict as conflict:
        raise Problem(
            "reservation-conflict",
            status=409,
            title="Bay is taken" if conflict.bay else "No bay is free",
            detail=str(conflict),
            conflicts=[each.as_dict() for each in conflict.conflicts],
            alternatives=[alternative_as_json(each) for each in conflict.alternatives],
        ) from conflict
    except InvalidTransition as error:
        raise Problem("final-state", status=409, title="The reservation is over", detail=str(error)) from error
    except InvalidBooking as error:
        raise invalid([FieldError(f"/{name}", sentence) for name, sentence in error.errors.items()]) from error


def alternative_as_json(alternative: Alternative) -> dict[str, Any]:
    found = alternative.as_dict()
    found.pop("connector_id", None)
    return found
