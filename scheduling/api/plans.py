"""Plan runs, the plans in them, and the one in force."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.http import urlencode
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field, inline_serializer
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from depot.api import filters
from depot.api.fields import ConnectorReference, DepotReference, VehicleReference
from depot.api.pagination import invalid_parameter
from depot.api.principals import visible_depots
from depot.api.resources import UUID_PATTERN, Readable
from depot.api.serializers import StrictSerializer
from depot.api.throttling import KeyThrottle, PlanRunThrottle
from depot.models import Depot
from scheduling.models import Plan, PlanRun
from scheduling.triggers import request_plan
from scheduling.worth import stretches_of


class PlanRunSerializer(serializers.ModelSerializer[PlanRun]):
    """One optimisation of one depot: what asked for it, how long it took, how it ended."""

    depot = DepotReference(read_only=True)
    timings_s = serializers.DictField(child=serializers.FloatField(), read_only=True)
    deferred = serializers.ListField(read_only=True, help_text="vehicles outside the horizon")

    class Meta:
        model = PlanRun
        fields = (
            *("id", "depot", "trigger", "algorithm", "status", "solver_status", "message", "started_at"),
            *("finished_at", "horizon_start", "resolution_s", "steps", "timings_s", "vehicles", "deferred"),
            *("energy_kwh", "shortfall_kwh", "cost", "currency"),
        )
        read_only_fields = fields


class StretchSerializer(serializers.Serializer[Any]):
    """When one more kW at a node is worth the same."""

    load_group = serializers.CharField(source="node", help_text="slug of the node")
    start = serializers.DateTimeField(source="starts_at")
    end = serializers.DateTimeField(source="ends_at")
    saved_per_kwh = serializers.FloatField(help_text="money that one more kWh there and then would save")
    serves_more = serializers.BooleanField(help_text="it would deliver energy that is missing now")


class PlanRunDetailSerializer(PlanRunSerializer):
    """With the site's series: per node limit, building and planned kW, and the price, for each step.

    `summary` has the key figures and the money by component, `sentences` the run in words, and `marginal_values` where
    and when more power would help.
    """

    site = serializers.DictField(read_only=True)
    summary = serializers.DictField(child=serializers.FloatField(allow_null=True), read_only=True)
    sentences = serializers.ListField(child=serializers.CharField(), read_only=True)
    marginal_values = serializers.SerializerMethodField()

    class Meta(PlanRunSerializer.Meta):
        fields = (  # type: ignore[assignment]
            *PlanRunSerializer.Meta.fields,
            *("summary", "sentences", "marginal_values", "site"),
        )
        read_only_fields = fields  # type: ignore[assignment]

    @extend_schema_field(StretchSerializer(many=True))
    def get_marginal_values(self, run: PlanRun) -> list[Any]:
        return list(StretchSerializer(stretches_of(run), many=True).data)


class PlanRequest(StrictSerializer):
    depot = DepotReference()


REQUESTED = inline_serializer(
    "PlanRequested",
    {
        "depot": serializers.SlugField(),
        "requested_at": serializers.DateTimeField(),
        "runs": serializers.CharField(help_text="the same address as in Location: the runs begun since"),
    },
)


@extend_schema(tags=["plans"])
class PlanRunViews(Readable[PlanRun]):
    """Optimisations, newest first; `from` and `to` look at their start."""

    queryset = PlanRun.objects.select_related("depot")
    write_scope = "plans:write"
    lookup_value_regex = UUID_PATTERN
    ordering, ordering_fields = "-started_at", ("started_at",)
    filters = {
        "depot": filters.depot(),
        "status": filters.choice("status", PlanRun.Status.values, "status"),
        "trigger": filters.text("trigger", "booking, plug-in, timer, ..."),
        "finished_since": filters.instant("finished_at__gte", "ended at or after this instant"),
        **filters.period("started_at", "started_at"),
    }

    def get_serializer_class(self) -> type[PlanRunSerializer]:
        return PlanRunDetailSerializer if self.action == "retrieve" else PlanRunSerializer

    def get_throttles(self) -> list[Any]:
        return [KeyThrottle(), PlanRunThrottle()] if self.request.method == "POST" else [KeyThrottle()]

    def get_queryset(self) -> QuerySet[PlanRun]:
        queryset = super().get_queryset()
        return queryset if self.action == "retrieve" else queryset.defer("site", "marginal")

    @extend_schema(
        request=PlanRequest,
        responses={202: REQUESTED},
        description=(
            "Ask for a plan now. Requests close together share one run; `Location` lists the runs begun since, "
            "empty until the first has ended."
        ),
    )
    def create(self, request: Request) -> Response:
        wanted = PlanRequest(data=request.data, context=self.get_serializer_context())
        wanted.is_valid(raise_exception=True)
        depot: Depot = wanted.validated_data["depot"]
        self.check_object_permissions(request, PlanRun(depot=depot))
        now = timezone.now()
        request_plan(depot.pk, "request")
        # a run's start is a whole second, so the end tells those of the same second apart
        since = {"from": f"{now:%Y-%m-%dT%H:%M:%SZ}", "finished_since": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}"}
        address = f"{request.path.rstrip('/')}/?{urlencode({'depot': depot.slug, **since})}"
        body = {"depot": depot.slug, "requested_at": now, "runs": address}
        return Response(body, status=202, headers={"Location": address})


class IntervalSerializer(serializers.Serializer[Any]):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    power_kw = serializers.FloatField()
    reason = serializers.CharField(help_text="deadline, cheap_price, cheaper_later, group_limit, waiting_turn, ...")
    load_group = serializers.CharField(allow_null=True, help_text="slug of the node that holds the vehicle down")
    why = serializers.CharField(help_text="the reason as a sentence, times local")


class PlanSerializer(serializers.ModelSerializer[Plan]):
    """Planned power of one vehicle, in intervals that may differ in length."""

    depot = serializers.SlugField(source="run.depot.slug", read_only=True)
    vehicle = VehicleReference(read_only=True, allow_null=True)
    vehicle_external_id = serializers.CharField(
        source="vehicle.external_id", default=None, allow_null=True, read_only=True
    )
    connector = ConnectorReference(read_only=True)
    bay = serializers.CharField(source="connector.bay", read_only=True)
    session = serializers.UUIDField(source="session_id", read_only=True, allow_null=True)
    reservation = serializers.UUIDField(source="reservation_id", read_only=True, allow_null=True)
    run = serializers.UUIDField(source="run_id", read_only=True)
    remedies = serializers.ListField(
        child=serializers.DictField(),
        read_only=True,
        help_text="kind: more_power, later_departure, stronger_connector, other_connector or lower_target",
    )
    intervals = serializers.SerializerMethodField()

    class Meta:
        model = Plan
        fields = (
            *("id", "run", "depot", "vehicle", "vehicle_external_id", "connector", "bay", "session", "reservation"),
            *("arrival_at", "departure_at", "need_kwh", "energy_kwh", "shortfall_kwh", "shortfall_reason", "remedy"),
            *("remedies", "predicted_soc_percent", "intervals"),
        )
        read_only_fields = fields

    @extend_schema_field(IntervalSerializer(many=True))
    def get_intervals(self, plan: Plan) -> list[dict[str, Any]]:
        nodes = plan.limit_nodes or [""] * len(plan.power_kw)
        series = zip(
            pairwise(plan.run.horizon.borders), plan.power_kw, plan.reasons, nodes, plan.sentences, strict=False
        )
        return [
            {"start": start, "end": end, "power_kw": kw, "reason": reason, "load_group": node or None, "why": sentence}
            for (start, end), kw, reason, node, sentence in series
        ]


@extend_schema(tags=["plans"])
class PlanViews(Readable[Plan]):
    """Plans of all runs; `current` gives those in force."""

    queryset = Plan.objects.select_related("run__depot", "vehicle", "connector").defer("run__site", "run__marginal")
    serializer_class = PlanSerializer
    depot_path = "run__depot"
    lookup_value_regex = UUID_PATTERN
    ordering, ordering_fields = "-arrival_at", ("arrival_at", "departure_at")
    filters = {
        "depot": filters.depot("run__depot"),
        "run": filters.identifier("run", "id of a plan run"),
        "vehicle": filters.vehicle(),
        "connector": filters.number("connector", "id of a connector"),
        **filters.period("arrival_at", "departure_at"),
    }
    parameters = {"current": ("depot",)}

    @extend_schema(
        parameters=[OpenApiParameter("depot", str, required=True, description="slug of the depot")],
        responses={200: PlanSerializer(many=True)},
        description="Plans of the newest published run of a depot, in the order of departure.",
        filters=False,
    )
    @action(detail=False, methods=["get"], pagination_class=None)
    def current(self, request: Request) -> Response:
        slug = request.query_params.get("depot")
        if not slug:
            raise invalid_parameter("depot", "Say which depot, for example ?depot=north.")
        depot = visible_depots(request).get(slug=slug)
        newest = PlanRun.objects.filter(depot=depot, status=PlanRun.Status.PUBLISHED).order_by("-started_at").first()
        plans = self.get_queryset().filter(run=newest).order_by("departure_at", "pk") if newest else []
        return Response(self.get_serializer(plans, many=True).data)
