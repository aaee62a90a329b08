"""Plans for a coming day: at once where that is quick, else a job to poll."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from depot.api import filters
from depot.api.fields import DepotReference, Instant, StrictInteger, StrictNumber, StrictText
from depot.api.problems import invalid_field
from depot.api.resources import UUID_PATTERN, Readable
from depot.api.serializers import StrictSerializer
from depot.api.throttling import KeyThrottle, PlanRunThrottle
from depot.models import Depot
from scheduling.api.demand_predictions import (
    EARLIEST,
    LATEST,
    MOST_ROWS,
    ROW_EXAMPLE,
    ROWS_SCHEMA,
    RowsField,
    refused,
    tomorrow_of,
)
from scheduling.day_ahead import jobs
from scheduling.day_ahead.models import DayAheadPlan
from scheduling.day_ahead.question import BOOKINGS, HISTORY, SYNTHETIC, Wanted, midnight_of
from scheduling.engine import DemandCharge, algorithm
from scheduling.engine.demand_prediction import DemandRefused, demand_of
from scheduling.engine.problem_file import FileError

SOURCES = (BOOKINGS, HISTORY, SYNTHETIC)
ROWS = "rows"
LONGEST_HOURS = 72
HIGHEST = 1e6


class Series(serializers.Field[Any, Any, Any, Any]):
    """One number for all steps, or a list with one number per step."""

    def __init__(self, *, least: float, **options: Any) -> None:
        super().__init__(**options)
        self.number = StrictNumber(min_value=least, max_value=HIGHEST)

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, list):
            return self.number.run_validation(data)
        if not data:
            raise serializers.ValidationError("Give a number, or a list with one number per step.")
        return [self.number.run_validation(value) for value in data]


SERIES = {"oneOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}, "minItems": 1}]}


@extend_schema_field(SERIES)
class PowerSeries(Series):
    def __init__(self, **options: Any) -> None:
        super().__init__(least=0.0, **options)


@extend_schema_field(SERIES)
class PriceSeries(Series):
    def __init__(self, **options: Any) -> None:
        super().__init__(least=-HIGHEST, **options)


@extend_schema_field({"oneOf": [{"type": "string", "enum": list(SOURCES)}, ROWS_SCHEMA]})
class DemandField(serializers.Field[Any, Any, Any, Any]):
    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str) and data in SOURCES:
            return data
        if not isinstance(data, list):
            raise serializers.ValidationError(f"Give a list of rows, or one of {', '.join(SOURCES)}.")
        return RowsField().run_validation(data)


class DemandChargeRequest(StrictSerializer):
    price_per_kw = StrictNumber(min_value=0, max_value=HIGHEST)
    peak_so_far_kw = StrictNumber(min_value=0, max_value=HIGHEST, required=False, default=0.0)


class DayAheadRequest(StrictSerializer):
    """What is not given is the depot's own: its tree, its tariff with demand charges, its bookings, its next day."""

    depot = DepotReference()
    algorithm = StrictText(max_length=50, required=False, help_text="name of a registered algorithm")
    date = serializers.DateField(required=False, help_text="local day; not together with `start`")
    start = Instant(required=False)
    horizon_hours = StrictNumber(min_value=1, max_value=LONGEST_HOURS, required=False)
    resolution_minutes = StrictInteger(min_value=1, max_value=60, required=False)
    demand = DemandField(required=False)
    vehicles = StrictInteger(min_value=0, max_value=MOST_ROWS, required=False, default=10, help_text="if synthetic")
    seed = StrictInteger(min_value=0, max_value=2**32 - 1, required=False, default=0, help_text="if synthetic")
    limit_kw = PowerSeries(required=False, help_text="room for charging, instead of the depot's tree")
    prices_per_kwh = PriceSeries(required=False)
    demand_charge = DemandChargeRequest(required=False, help_text="instead of the tariff's; a price of 0 leaves it out")

    def validate_algorithm(self, name: str) -> str:
        try:
            algorithm(name)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from error
        return name

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "date" in attrs and "start" in attrs:
            raise serializers.ValidationError({"start": "Give the day or the start, not both."})
        if "date" in attrs and not EARLIEST <= attrs["date"] <= LATEST:
            raise serializers.ValidationError({"date": f"{attrs['date']} lies outside {EARLIEST} to {LATEST}."})
        return attrs


def wanted_of(values: Mapping[str, Any]) -> Wanted:
    """The question that a valid body asks; 422 where rows or series do not fit."""
    depot: Depot = values["depot"]
    start, hours = period_of(depot, values)
    demand = values.get("demand", BOOKINGS)
    charge = values.get("demand_charge")
    wanted = Wanted(
        depot=depot,
        start=start,
        hours=hours,
        resolution=timedelta(minutes=values.get("resolution_minutes", depot.resolution_minutes)),
        source=demand if isinstance(demand, str) else ROWS,
        rows=() if isinstance(demand, str) else rows_of(demand, depot, start),
        vehicles=values["vehicles"],
        seed=values["seed"],
        limit_kw=values.get("limit_kw"),
        prices=values.get("prices_per_kwh"),
        demand_charge=None if charge is None else DemandCharge(charge["price_per_kw"], charge["peak_so_far_kw"]),
    )
    for name in ("limit_kw", "prices_per_kwh"):
        series, steps = values.get(name), wanted.horizon.steps
        if isinstance(series, list) and len(series) != steps:
            raise invalid_field(name, f"{len(series)} values do not fit {steps} steps.")
    return wanted


def period_of(depot: Depot, values: Mapping[str, Any]) -> tuple[datetime, float]:
    """Start and length in hours: a day of the depot lasts from midnight to midnight, 23 to 25 h."""
    if "start" in values:
        return values["start"], values.get("horizon_hours", 24.0)
    day = values.get("date") or tomorrow_of(depot)
    start, end = (midnight_of(depot, each).astimezone(UTC) for each in (day, day + timedelta(days=1)))
    return start, values.get("horizon_hours", (end - start).total_seconds() / 3600)


def rows_of(rows: list[Mapping[str, Any]], depot: Depot, start: datetime) -> list[Any]:
    midnight = midnight_of(depot, depot.local(start).date())
    try:
        return demand_of(enumerate(rows, start=1), midnight=midnight)
    except DemandRefused as error:
        raise refused(error, "/demand") from error


# --- the answer, as the schema describes it --------------------------------------------------------------------------


class PlannedVehicleSerializer(serializers.Serializer[Any]):
    vehicle = serializers.CharField(help_text="as in the rows; of a booking `reservation:` and its id")
    name = serializers.CharField()
    arrival = serializers.DateTimeField()
    departure = serializers.DateTimeField()
    deferred = serializers.BooleanField(help_text="comes after the horizon")
    power_kw = serializers.ListField(child=serializers.FloatField(), help_text="per step")
    state_of_energy_kwh = serializers.ListField(child=serializers.FloatField(), help_text="at each of `times`")
    soc_percent = serializers.ListField(child=serializers.FloatField(), allow_null=True, help_text="at each of `times`")
    required_kwh = serializers.FloatField(help_text="in the battery")
    grid_kwh = serializers.FloatField(help_text="at the meter")
    battery_kwh = serializers.FloatField(help_text="in the battery")
    unmet_kwh = serializers.FloatField(help_text="missing in the battery at departure")
    unmet_reason = serializers.CharField(help_text="power, time, limit, charger, or empty")
    remedy = serializers.CharField()
    workload_percent = serializers.FloatField(help_text="delivered share of what it asks for")
    peak_kw = serializers.FloatField()
    cost = serializers.CharField(help_text="its share of the bill")


class PlanTotalsSerializer(serializers.Serializer[Any]):
    """Per step, ready for a chart."""

    power_kw = serializers.ListField(child=serializers.FloatField())
    limit_kw = serializers.ListField(child=serializers.FloatField(), allow_null=True, help_text="room for charging")
    building_kw = serializers.ListField(child=serializers.FloatField())
    price_per_kwh = serializers.ListField(child=serializers.FloatField())
    vehicles_charging = serializers.ListField(child=serializers.IntegerField())


class PlanKpisSerializer(serializers.Serializer[Any]):
    """Grid side is at the meter, battery side without the losses."""

    vehicles = serializers.IntegerField()
    vehicles_charged = serializers.IntegerField()
    vehicles_short = serializers.IntegerField()
    energy_grid_kwh = serializers.FloatField()
    energy_battery_kwh = serializers.FloatField()
    planned_grid_kwh = serializers.FloatField()
    planned_battery_kwh = serializers.FloatField()
    unmet_battery_kwh = serializers.FloatField()
    workload_grid_percent = serializers.FloatField()
    workload_battery_percent = serializers.FloatField()
    peak_kw = serializers.FloatField()
    site_peak_kw = serializers.FloatField(help_text="with the building")
    peak_reduction_kw = serializers.FloatField(help_text="against charging without control")


class PlanCostsSerializer(serializers.Serializer[Any]):
    """Decimal strings; `saving` is against `uncontrolled_bill`, which buys `uncontrolled_kwh`."""

    currency = serializers.CharField()
    energy = serializers.CharField()
    demand = serializers.CharField()
    soft_limits = serializers.CharField()
    wear = serializers.CharField()
    bill = serializers.CharField()
    price_per_kwh = serializers.CharField(allow_null=True)
    uncontrolled_bill = serializers.CharField()
    uncontrolled_kwh = serializers.FloatField()
    saving = serializers.CharField()
    co2_kg = serializers.FloatField()


class PlanResultSerializer(serializers.Serializer[Any]):
    algorithm_status = serializers.CharField(help_text="optimal, heuristic, empty, or `fallback: ` and why")
    seconds = serializers.FloatField()
    times = serializers.ListField(child=serializers.DateTimeField(), help_text="borders of the steps")
    vehicles = PlannedVehicleSerializer(many=True)
    totals = PlanTotalsSerializer()
    kpis = PlanKpisSerializer()
    costs = PlanCostsSerializer()
    violations = serializers.ListField(child=serializers.CharField(), help_text="only `uncontrolled` has any")


class DayAheadPlanSerializer(serializers.ModelSerializer[DayAheadPlan]):
    """One question about a coming day, and how far its answer is: queued, running, done or failed."""

    depot = DepotReference(read_only=True)

    class Meta:
        model = DayAheadPlan
        fields = (
            *("id", "depot", "algorithm", "status", "message", "created_at", "started_at", "finished_at"),
            *("horizon_start", "resolution_minutes", "steps", "solver_status", "vehicles"),
            *("energy_kwh", "unmet_kwh", "cost", "currency"),
        )
        read_only_fields = fields


class DayAheadPlanDetailSerializer(DayAheadPlanSerializer):
    """With the result; null until it is done."""

    result = serializers.SerializerMethodField()

    class Meta(DayAheadPlanSerializer.Meta):
        fields = (*DayAheadPlanSerializer.Meta.fields, "result")  # type: ignore[assignment]
        read_only_fields = fields  # type: ignore[assignment]

    @extend_schema_field(PlanResultSerializer(allow_null=True))
    def get_result(self, plan: DayAheadPlan) -> Any:
        return plan.result


EXAMPLES = [
    OpenApiExample(
        "Tomorrow's bookings under the depot's own limits and tariff", request_only=True, value={"depot": "north"}
    ),
    OpenApiExample(
        "Rows under a limit of 100 kW",
        request_only=True,
        value={
            "depot": "north",
            "algorithm": "day-ahead-milp",
            "date": "2026-11-21",
            "demand": [ROW_EXAMPLE],
            "limit_kw": 100,
            "prices_per_kwh": 0.13,
            "demand_charge": {"price_per_kw": 9.5, "peak_so_far_kw": 80},
        },
    ),
]


@extend_schema(tags=["plans"])
class DayAheadPlanViews(Readable[DayAheadPlan]):
    """Plans for a coming day, newest first; nothing of them is sent to a charger."""

    queryset = DayAheadPlan.objects.select_related("depot")
    write_scope = "plans:write"
    lookup_value_regex = UUID_PATTERN
    ordering, ordering_fields = "-created_at", ("created_at",)
    filters = {
        "depot": filters.depot(),
        "status": filters.choice("status", DayAheadPlan.Status.values, "status"),
        "algorithm": filters.text("algorithm", "name of the algorithm"),
        **filters.period("created_at", "created_at"),
    }

    def get_serializer_class(self) -> type[DayAheadPlanSerializer]:
        return DayAheadPlanSerializer if self.action == "list" else DayAheadPlanDetailSerializer

    def get_throttles(self) -> list[Any]:
        return [KeyThrottle(), PlanRunThrottle()] if self.request.method == "POST" else [KeyThrottle()]

    def get_queryset(self) -> QuerySet[DayAheadPlan]:
        queryset = super().get_queryset().defer("question")
        return queryset if self.action == "retrieve" else queryset.defer("question", "result")

    @extend_schema(
        request=DayAheadRequest,
        responses={201: DayAheadPlanDetailSerializer, 202: DayAheadPlanDetailSerializer},
        examples=EXAMPLES,
        parameters=[
            OpenApiParameter(
                "Prefer", str, OpenApiParameter.HEADER, description="`respond-async`: answer 202 whatever the size"
            )
        ],
        description=(
            "201 with the result where that is quick; else 202, and `Location` is polled until `status` is done or "
            f"failed. The default algorithm is {' or '.join(jobs.PREFERRED)}, the first that is there."
        ),
    )
    def create(self, request: Request) -> Response:
        body = DayAheadRequest(data=request.data, context=self.get_serializer_context())
        body.is_valid(raise_exception=True)
        self.check_object_permissions(request, DayAheadPlan(depot=body.validated_data["depot"]))
        wanted = wanted_of(body.validated_data)
        in_queue = "respond-async" in request.headers.get("Prefer", "").lower()
        name = body.validated_data.get("algorithm") or jobs.default_algorithm()
        try:
            plan = jobs.ask(wanted, name, now=timezone.now(), in_queue=in_queue)
        except FileError as error:
            raise invalid_field("", str(error)) from error
        status = 202 if plan.status == DayAheadPlan.Status.QUEUED else 201
        headers = {"Location": f"{request.path.rstrip('/')}/{plan.pk}/"}
        return Response(self.get_serializer(plan).data, status=status, headers=headers)
