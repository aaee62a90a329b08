"""Stations and connectors: what stands there together with what it is doing."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_field, inline_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from charging.models import ConnectorState, StationLink, UnknownStation
from depot.api import filters
from depot.api.fields import DepotReference, LoadGroupReference, StationReference, StrictNumber, StrictText
from depot.api.resources import NUMBER_PATTERN, Changeable, Creatable, Readable, Resource
from depot.api.serializers import StrictModelSerializer
from depot.credentials import hash_station_key, new_station_key
from depot.models import Connector, Depot, Station
from depot.signals import announce_needs_changed

IDENTITY_PATTERN = r"[^/:\x00-\x1f\x7f]{1,48}"
HIGHEST_CURRENT_A = 2000


class LinkSerializer(serializers.ModelSerializer[StationLink]):
    """The newest connection of the station."""

    class Meta:
        model = StationLink
        fields = (
            "online",
            "registration",
            "connected_at",
            "disconnected_at",
            "last_seen_at",
            "booted_at",
            "clock_skew_s",
        )
        read_only_fields = fields


class StationSerializer(StrictModelSerializer[Station]):
    """A charger or meter; `identity` is the OCPP identity in its URL, compared without regard to case."""

    depot = DepotReference()
    load_group = LoadGroupReference()
    clock_uncertainty_s = StrictNumber(min_value=0, max_value=86_400, required=False)
    connectors = serializers.SerializerMethodField(help_text="ids of its connectors")
    link = serializers.SerializerMethodField(help_text="null: has never connected")

    class Meta:
        model = Station
        fields = (
            *("identity", "name", "depot", "load_group", "kind", "vendor", "model", "serial_number", "firmware"),
            *("rate_unit", "max_schedule_periods", "max_stack_level", "manual", "clock_uncertainty_s"),
            *("connectors", "link"),
        )
        read_only_fields = ("serial_number", "firmware")

    def get_connectors(self, station: Station) -> list[int]:
        return [connector.pk for connector in station.connectors.all()]

    @extend_schema_field(LinkSerializer(allow_null=True))
    def get_link(self, station: Station) -> Any:
        link = getattr(station, "link", None)
        return LinkSerializer(link).data if link else None

    def store(self, instance: Station, **options: Any) -> Station:
        with transaction.atomic():
            stored = super().store(instance, **options)
            announce_needs_changed(stored.depot_id, "settings")
        return stored


@extend_schema(tags=["stations"])
class StationViews(Creatable, Changeable, Readable[Station]):
    """Chargers, with their connection."""

    queryset = Station.objects.select_related("depot", "load_group__depot", "link").prefetch_related("connectors")
    serializer_class = StationSerializer
    write_scope = "equipment:write"
    lookup_field, lookup_url_kwarg = "identity__iexact", "identity"
    location_field = "identity"
    lookup_value_regex = IDENTITY_PATTERN
    ordering, ordering_fields = "identity", ("identity", "name")
    filters = {
        "depot": filters.depot(),
        "load_group": filters.number("load_group", "id of a load group"),
        "kind": filters.choice("kind", Station.Kind.values, "charger or meter"),
        "online": filters.flag(Q(link__online=True), "whether its socket is open"),
    }

    @extend_schema(request=None, responses={200: inline_serializer("StationKey", {"key": serializers.CharField()})})
    @action(detail=True, methods=["post"])
    def key(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """A new random basic-auth key, shown this once; the old one is dead at the next connection."""
        station = self.get_object()
        key = new_station_key()
        with transaction.atomic():
            Station.objects.filter(pk=station.pk).update(key_hash=hash_station_key(key))
            self.audited("key replaced", station)
        return Response({"key": key}, headers={"Cache-Control": "no-store"})


class ConnectorStateSerializer(serializers.ModelSerializer[ConnectorState]):
    """The latest word of the connector; judge a value by the age of `status_at` and `sampled_at`."""

    current_a = serializers.ListField(child=serializers.FloatField(allow_null=True), allow_null=True, read_only=True)

    class Meta:
        model = ConnectorState
        fields = (
            *("status", "error_code", "info", "status_at", "power_kw", "current_a", "offered_a"),
            *("energy_wh", "soc_percent", "sampled_at"),
        )
        read_only_fields = fields


class ConnectorSerializer(StrictModelSerializer[Connector]):
    """An outlet; `bay` is the label of its parking place, `number` the connectorId of OCPP 1.6."""

    station = StationReference()
    depot = DepotReference(source="station.depot", read_only=True)
    bay = StrictText(max_length=20)
    max_current_a = StrictNumber(min_value=6, max_value=HIGHEST_CURRENT_A, required=False)
    min_current_a = StrictNumber(min_value=0, max_value=HIGHEST_CURRENT_A, required=False)
    voltage_v = StrictNumber(min_value=80, max_value=600, required=False)
    fallback_a = StrictNumber(min_value=0, max_value=HIGHEST_CURRENT_A, required=False)
    max_power_kw = serializers.FloatField(read_only=True)
    state = serializers.SerializerMethodField(help_text="null: has never reported")

    class Meta:
        model = Connector
        fields = (
            *("id", "station", "depot", "number", "bay", "plug", "phases", "phase_rotation", "max_current_a"),
            *("min_current_a", "voltage_v", "fallback_a", "max_power_kw", "state"),
        )

    @extend_schema_field(ConnectorStateSerializer(allow_null=True))
    def get_state(self, connector: Connector) -> Any:
        state = getattr(connector, "state", None)
        return ConnectorStateSerializer(state).data if state else None

    def store(self, instance: Connector, **options: Any) -> Connector:
        with transaction.atomic():
            stored = super().store(instance, **options)
            announce_needs_changed(stored.station.depot_id, "settings")
        return stored


@extend_schema(tags=["stations"])
class ConnectorViews(Creatable, Changeable, Readable[Connector]):
    """Outlets with their state: status, measured power, SoC where the vehicle tells it."""

    queryset = Connector.objects.select_related("station__depot", "state")
    serializer_class = ConnectorSerializer
    write_scope = "equipment:write"
    depot_path = "station__depot"
    lookup_value_regex = NUMBER_PATTERN
    ordering, ordering_fields = "id", ("id", "bay")
    filters = {
        "depot": filters.depot("station__depot"),
        "station": filters.station(),
        "bay": filters.text("bay", "label of the parking place"),
        "status": filters.text("state__status", "Available, Charging, Faulted, ..."),
    }


class UnknownStationSerializer(serializers.ModelSerializer[UnknownStation]):
    class Meta:
        model = UnknownStation
        fields = ("identity", "remote_address", "subprotocols", "attempts", "first_seen_at", "last_seen_at")
        read_only_fields = fields


@extend_schema(tags=["stations"])
class UnknownStationViews(Resource[UnknownStation]):
    """Identities that asked to connect and are not known. They have no depot: only a key of all depots sees them."""

    queryset = UnknownStation.objects.all()
    serializer_class = UnknownStationSerializer
    ordering, ordering_fields = "-last_seen_at", ("identity", "last_seen_at", "first_seen_at")

    def within(self, queryset: QuerySet[UnknownStation], depots: QuerySet[Depot]) -> QuerySet[UnknownStation]:
        return queryset.none()

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(self.get_serializer(page, many=True).data)
