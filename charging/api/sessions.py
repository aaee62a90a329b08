"""Sessions (OCPP transactions) and their meter values: read only."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from charging.models import MeterSample, Session
from depot.api import filters
from depot.api.fields import ConnectorReference, StationReference, VehicleReference
from depot.api.principals import visible_depots
from depot.api.resources import UUID_PATTERN, Readable, Resource

CLOCK_MARGIN = timedelta(days=1)


class SessionSerializer(serializers.ModelSerializer[Session]):
    """One transaction, with its vehicle and reservation where known."""

    station = StationReference(read_only=True)
    connector = ConnectorReference(read_only=True)
    bay = serializers.CharField(source="connector.bay", read_only=True)
    depot = serializers.SlugField(source="station.depot.slug", read_only=True)
    vehicle = VehicleReference(read_only=True, allow_null=True)
    reservation = serializers.UUIDField(source="reservation_id", read_only=True, allow_null=True)
    flags = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Session
        fields = (
            *("id", "depot", "station", "connector", "bay", "vehicle", "reservation", "transaction_id", "state"),
            *("started_at", "stopped_at", "stop_reason", "energy_kwh", "meter_start_wh", "meter_stop_wh"),
            *("start_soc_percent", "soc_percent", "last_sample_at", "flags"),
        )
        read_only_fields = fields


class MeterValueSerializer(serializers.ModelSerializer[MeterSample]):
    """Readings of one moment, in Wh, W, A per phase, V and percent."""

    current_a = serializers.SerializerMethodField(help_text="A on L1, L2, L3")

    class Meta:
        model = MeterSample
        fields = (
            "at",
            "received_at",
            "context",
            "energy_wh",
            "power_w",
            "current_a",
            "voltage_v",
            "offered_a",
            "soc_percent",
            "flags",
        )
        read_only_fields = fields

    def get_current_a(self, sample: MeterSample) -> list[float | None]:
        return [sample.current_1_a, sample.current_2_a, sample.current_3_a]


@extend_schema(tags=["sessions"])
class SessionViews(Readable[Session]):
    """Charging sessions, newest first; `from` and `to` look at the start."""

    queryset = Session.objects.select_related("station__depot", "connector", "vehicle")
    serializer_class = SessionSerializer
    depot_path = "station__depot"
    lookup_value_regex = UUID_PATTERN
    ordering, ordering_fields = "-started_at", ("started_at", "received_at")
    filters = {
        "depot": filters.depot("station__depot"),
        "state": filters.choice("state", Session.State.values, "state"),
        "station": filters.station(),
        "connector": filters.number("connector", "id of a connector"),
        "vehicle": filters.vehicle(),
        **filters.period("started_at", "started_at"),
    }


def samples_of(session: Session) -> QuerySet[MeterSample]:
    """Its samples, looked for around its time only: the index leads by station and time."""
    until = (session.stopped_at or timezone.now()) + CLOCK_MARGIN
    period = {"at__gte": session.started_at - CLOCK_MARGIN, "at__lte": until}
    return MeterSample.objects.filter(station=session.station_id, transaction_id=session.transaction_id, **period)


SESSION_ID = OpenApiParameter("session_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="id of the session")


@extend_schema(tags=["sessions"], parameters=[SESSION_ID])
class MeterValueViews(mixins.ListModelMixin, Resource[MeterSample]):
    """Meter values of one session, in order of time."""

    queryset = MeterSample.objects.all()
    serializer_class = MeterValueSerializer
    depot_path = "station__depot"
    ordering, ordering_fields = "at", ("at",)
    filters = filters.period("at", "at")

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        session = Session.objects.filter(pk=self.kwargs["session_id"]).first()
        if session is None or not visible_depots(request).filter(pk=session.station.depot_id).exists():
            raise Session.DoesNotExist
        self.queryset = samples_of(session)
        return super().list(request, *args, **kwargs)
