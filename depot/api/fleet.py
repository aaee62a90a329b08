"""Vehicles, what chargers recognise them by, and readings of their batteries."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from depot.api import filters
from depot.api.fields import ConnectorReference, DepotReference, Instant, StrictNumber, StrictText, VehicleReference
from depot.api.problems import invalid_field
from depot.api.resources import (
    NUMBER_PATTERN,
    TEXT_PATTERN,
    UUID_PATTERN,
    Changeable,
    Creatable,
    Readable,
    Removable,
    Resource,
)
from depot.api.serializers import StrictModelSerializer, StrictSerializer
from depot.models import Vehicle, VehicleIdentity, VehicleState
from depot.models.fleet import MOST_CURVE_KW
from depot.signals import announce_needs_changed

LARGEST_BATTERY_KWH, HIGHEST_VEHICLE_KW = 10_000, 10_000
LARGEST_BATCH = 1000


class VehicleSerializer(StrictModelSerializer[Vehicle]):
    """A vehicle: battery in kWh, the most it takes in kW, the least it starts at in A per phase."""

    depot = DepotReference()
    external_id = StrictText(max_length=64, help_text="the fleet system's own id, unique within the depot")
    battery_kwh = StrictNumber(min_value=0.1, max_value=LARGEST_BATTERY_KWH)
    max_ac_kw = StrictNumber(min_value=0.1, max_value=HIGHEST_VEHICLE_KW)
    max_dc_kw = StrictNumber(min_value=0.1, max_value=HIGHEST_VEHICLE_KW, allow_null=True, required=False)
    min_current_a = StrictNumber(min_value=0, max_value=1000, required=False)
    charging_curve = serializers.ListField(
        child=serializers.ListField(
            child=StrictNumber(min_value=0, max_value=MOST_CURVE_KW), min_length=2, max_length=2
        ),
        required=False,
        max_length=100,
        help_text="most power by state of charge: [[SoC %, kW], ...] with rising SoC; empty: always full power",
    )
    home_connector = ConnectorReference(allow_null=True, required=False)

    class Meta:
        model = Vehicle
        fields = (
            *("id", "depot", "external_id", "name", "battery_kwh", "max_ac_kw", "max_dc_kw", "phases"),
            *("min_current_a", "charging_efficiency", "charging_curve", "home_connector", "department"),
        )

    def store(self, instance: Vehicle, **options: Any) -> Vehicle:
        if instance.home_connector is not None and instance.home_connector.station.depot_id != instance.depot_id:
            raise invalid_field("home_connector", f"{instance.home_connector} stands in another depot.")
        with transaction.atomic():
            stored = super().store(instance, **options)
            announce_needs_changed(stored.depot_id, "vehicle")
        return stored


@extend_schema(tags=["vehicles"])
class VehicleViews(Creatable, Changeable, Removable, Readable[Vehicle]):
    """The fleet. `by-external-id` creates or replaces a vehicle under the fleet system's own id."""

    queryset = Vehicle.objects.select_related("depot", "home_connector__station")
    serializer_class = VehicleSerializer
    write_scope = "vehicles:write"
    lookup_value_regex = UUID_PATTERN
    ordering, ordering_fields = "name", ("id", "name", "external_id")
    filters = {
        "depot": filters.depot(),
        "external_id": filters.text("external_id", "the fleet system's own id"),
        "department": filters.text("department", "department"),
    }
    parameters = {"by_external_id": ("depot",)}

    def before_removal(self, instance: Vehicle) -> None:
        announce_needs_changed(instance.depot_id, "vehicle")

    @extend_schema(
        operation_id="vehicles_by_external_id_retrieve",
        methods=["GET"],
        parameters=[],
        responses={200: VehicleSerializer},
    )
    @extend_schema(
        operation_id="vehicles_by_external_id_upsert",
        methods=["PUT"],
        description="Creates the vehicle (201) or sets the named fields of the one that has this external id (200).",
        responses={200: VehicleSerializer, 201: VehicleSerializer},
    )
    @action(detail=False, methods=["get", "put"], url_path=rf"by-external-id/(?P<external_id>{TEXT_PATTERN})")
    def by_external_id(self, request: Request, external_id: str) -> Response:
        if request.method == "GET":
            return Response(self.get_serializer(self.one_called(request.query_params.get("depot"), external_id)).data)
        body = request.data if isinstance(request.data, dict) else {}
        if body.get("external_id", external_id) != external_id:
            raise invalid_field("external_id", f"The body says {body['external_id']!r}, the address {external_id!r}.")
        known = self.get_queryset().filter(external_id=external_id, depot__slug=str(body.get("depot", ""))).first()
        data = request.data if not isinstance(request.data, dict) else body | {"external_id": external_id}
        serializer = self.get_serializer(known, data=data, partial=known is not None)
        serializer.is_valid(raise_exception=True)
        unchanged = known is not None and all(
            getattr(known, name) == value for name, value in serializer.validated_data.items()
        )
        if not unchanged:
            serializer.save()
        return Response(serializer.data, status=200 if known else 201)

    def one_called(self, depot: str | None, external_id: str) -> Vehicle:
        found = self.get_queryset().filter(external_id=external_id)
        vehicle = (found.filter(depot__slug=depot) if depot else found).order_by("depot__slug").first()
        if vehicle is None:
            raise Vehicle.DoesNotExist
        self.check_object_permissions(self.request, vehicle)
        return vehicle


class VehicleIdentitySerializer(StrictModelSerializer[VehicleIdentity]):
    """An RFID tag, MAC address or VIN of a vehicle, unique without regard to case."""

    vehicle = VehicleReference()
    value = StrictText(max_length=36)

    class Meta:
        model = VehicleIdentity
        fields = ("id", "vehicle", "kind", "value", "blocked", "expires_at")


@extend_schema(tags=["vehicles"])
class VehicleIdentityViews(Creatable, Changeable, Removable, Readable[VehicleIdentity]):
    queryset = VehicleIdentity.objects.select_related("vehicle__depot")
    serializer_class = VehicleIdentitySerializer
    write_scope = "vehicles:write"
    depot_path = "vehicle__depot"
    lookup_value_regex = NUMBER_PATTERN
    filters = {
        "depot": filters.depot("vehicle__depot"),
        "vehicle": filters.vehicle(),
        "kind": filters.choice("kind", VehicleIdentity.Kind.values, "kind of identity"),
        "value": filters.text("value__iexact", "what the charger reads, without regard to case"),
    }


class VehicleStateSerializer(StrictModelSerializer[VehicleState]):
    """One reading of a battery; the newest by `measured_at` is in force, older ones are history."""

    vehicle = VehicleReference()
    soc_percent = StrictNumber(min_value=0, max_value=100)
    source = serializers.ChoiceField(  # type: ignore[assignment]
        choices=VehicleState.Source.choices, default=VehicleState.Source.TELEMATICS
    )
    measured_at = Instant()

    class Meta:
        model = VehicleState
        fields = ("vehicle", "soc_percent", "source", "measured_at", "received_at")
        read_only_fields = ("received_at",)


class VehicleStateBatch(StrictSerializer):
    """Up to 1,000 readings; a bad one does not spoil the others."""

    states = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=LARGEST_BATCH)


OUTCOME = inline_serializer(
    "VehicleStateOutcomes",
    {
        "outcomes": serializers.ListField(
            child=inline_serializer(
                "VehicleStateOutcome",
                {
                    "index": serializers.IntegerField(),
                    "outcome": serializers.ChoiceField(choices=["created", "unchanged", "error"]),
                    "in_force": serializers.BooleanField(required=False),
                    "errors": serializers.ListField(child=serializers.DictField(), required=False),
                },
            )
        )
    },
)
EXAMPLE = OpenApiExample(
    "Two readings",
    request_only=True,
    value={
        "states": [
            {"vehicle": "bus-214", "soc_percent": 47.5, "measured_at": "2026-03-28T17:05:00+01:00"},
            {"vehicle": "bus-215", "soc_percent": 12, "source": "manual", "measured_at": "2026-03-28T17:06:00+01:00"},
        ]
    },
)


@extend_schema(tags=["vehicles"])
class VehicleStateViews(Resource[VehicleState]):
    queryset = VehicleState.objects.select_related("vehicle__depot")
    serializer_class = VehicleStateSerializer
    write_scope = "vehicles:write"
    depot_path = "vehicle__depot"
    ordering, ordering_fields = "-measured_at", ("measured_at", "received_at")
    filters = {
        "depot": filters.depot("vehicle__depot"),
        "vehicle": filters.vehicle(),
        "source": filters.choice("source", VehicleState.Source.values, "where the reading comes from"),
        **filters.period("measured_at", "measured_at"),
    }

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)

    @extend_schema(
        request=VehicleStateBatch,
        responses={200: OUTCOME},
        examples=[EXAMPLE],
        description="Batch of readings from telematics, with an outcome each. Late ones are stored, not put in force.",
    )
    def create(self, request: Request) -> Response:
        batch = VehicleStateBatch(data=request.data, context=self.get_serializer_context())
        batch.is_valid(raise_exception=True)
        outcomes = [self.outcome(index, row) for index, row in enumerate(batch.validated_data["states"])]
        return Response({"outcomes": outcomes})

    def outcome(self, index: int, row: dict[str, Any]) -> dict[str, Any]:
        from depot.api.problems import field_errors

        serializer = self.get_serializer(data=row)
        if not serializer.is_valid():
            errors = [error.as_json() for error in field_errors(serializer.errors, f"/states/{index}")]
            return {"index": index, "outcome": "error", "errors": errors}
        state = VehicleState(received_at=timezone.now(), **serializer.validated_data)
        self.check_object_permissions(self.request, state)
        newest = VehicleState.objects.filter(vehicle=state.vehicle).aggregate(at=Max("measured_at"))["at"]
        try:
            with transaction.atomic():
                state.save()
        except IntegrityError:
            return {"index": index, "outcome": "unchanged"}
        in_force = newest is None or state.measured_at >= newest
        if in_force:
            announce_needs_changed(state.vehicle.depot_id, "vehicle")
        return {"index": index, "outcome": "created", "in_force": in_force}
