"""Incidents: what is wrong now and was before; acknowledging says that somebody looks after it."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from depot.api import filters
from depot.api.fields import DepotReference
from depot.api.principals import api_key_of
from depot.api.resources import UUID_PATTERN, Readable
from depot.incidents import acknowledge_incident
from depot.models import Incident
from depot.signals import announce_incident_changed


class IncidentSerializer(serializers.ModelSerializer[Incident]):
    """One open row per type and subject; repeats raise `count`, the end of the condition sets `closed_at`."""

    depot = DepotReference(read_only=True, allow_null=True)
    acknowledged_by = serializers.CharField(source="acknowledged_by.username", default=None, allow_null=True)

    class Meta:
        model = Incident
        fields = (
            *("id", "depot", "type", "subject", "severity", "message", "remedy", "opened_at", "last_seen_at"),
            *("count", "acknowledged_at", "acknowledged_by", "closed_at"),
        )
        read_only_fields = fields


@extend_schema(tags=["incidents"])
class IncidentViews(Readable[Incident]):
    queryset = Incident.objects.select_related("depot", "acknowledged_by")
    serializer_class = IncidentSerializer
    write_scope = "commands:write"
    lookup_value_regex = UUID_PATTERN
    ordering, ordering_fields = "-opened_at", ("opened_at", "last_seen_at")
    filters = {
        "depot": filters.depot(),
        "type": filters.text("type", "for example charger.offline"),
        "subject": filters.text("subject", "what it is about"),
        "severity": filters.choice("severity", Incident.Severity.values, "severity"),
        "open": filters.flag(Q(closed_at__isnull=True), "true: only those that are not over"),
        **filters.period("opened_at", "opened_at"),
    }

    @extend_schema(request=None, responses={200: IncidentSerializer})
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Somebody has seen it. The first acknowledgement stays; a closed incident needs none."""
        incident = self.get_object()
        if api_key_of(request) is None:
            acknowledge_incident(incident, by=request.user)  # type: ignore[arg-type]
        else:
            open_one = Incident.objects.filter(pk=incident.pk, acknowledged_at__isnull=True, closed_at__isnull=True)
            if open_one.update(acknowledged_at=timezone.now()):
                announce_incident_changed(incident.depot_id)
        self.audited("acknowledged", incident)
        incident.refresh_from_db()
        return Response(self.get_serializer(incident).data)
