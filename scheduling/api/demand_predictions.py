"""Which vehicles are to be expected on a day: invented, from the depot's history, or read from a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response

from depot.api.fields import DepotReference
from depot.api.pagination import invalid_parameter
from depot.api.parsers import StrictJsonParser, escape_pointer
from depot.api.principals import visible_depots
from depot.api.problems import FieldError, Problem, invalid, invalid_field
from depot.api.resources import Resource
from depot.api.serializers import StrictSerializer
from depot.models import Depot
from scheduling.day_ahead.history import expected_visits
from scheduling.day_ahead.question import HISTORY, SYNTHETIC, SYNTHETIC_EFFICIENCY, midnight_of
from scheduling.engine.demand_prediction import (
    OPTIONAL,
    REQUIRED,
    Demand,
    DemandRefused,
    demand_of,
    read_csv,
    synthetic_demand,
)

FILE = "file"
MOST_ROWS = 1000
MOST_ERRORS = 100
EARLIEST, LATEST = date(1970, 1, 2), date(2199, 12, 1)
ROW_EXAMPLE = {
    "vehicle": "bus-214",
    "powerNom": 50,
    "energyRequired": 120,
    "energyMax": 350,
    "arrivalTime": "2026-11-21T18:30:00+01:00",
    "departureTime": "2026-11-22T05:30:00+01:00",
    "arrivalSOE": 105,
}
CSV_EXAMPLE = (
    "vehicle,powerNom,energyRequired,energyMax,arrivalTime,departureTime,arrivalSOE\n"
    "bus-214,50,120,350,18.5,29.5,105\n"
    "bus-215,50,90,350,19.25,29.0,140\n"
)


class CsvParser(BaseParser):
    """A CSV file as text."""

    media_type = "text/csv"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        try:
            return stream.read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise ParseError(f"The file is not UTF-8: {error.reason} at byte {error.start}.") from error


class DemandRowSerializer(serializers.Serializer[Any]):
    """A row of a file, with what follows from it; energies are in the battery."""

    vehicle = serializers.CharField()
    powerNom = serializers.FloatField(help_text="kW")
    energyRequired = serializers.FloatField(help_text="kWh")
    energyMax = serializers.FloatField(help_text="kWh the battery holds")
    arrivalTime = serializers.DateTimeField()
    departureTime = serializers.DateTimeField()
    arrivalSOE = serializers.FloatField(help_text="kWh at arrival")
    powerMin = serializers.FloatField(help_text="kW; the power is 0 or at least this")
    priority = serializers.IntegerField(help_text="1 is normal, higher is more important")
    efficiency = serializers.FloatField(help_text="kWh in the battery per kWh at the meter")
    parkingDuration = serializers.FloatField(help_text="h")
    chargingDuration = serializers.FloatField(help_text="h at full power")
    arrivalSOC = serializers.FloatField(help_text="%")
    restsOn = serializers.IntegerField(help_text="past visits of the vehicle; 0 where it is invented or given")


class PredictionSerializer(serializers.Serializer[Any]):
    depot = serializers.SlugField()
    source = serializers.ChoiceField(choices=[SYNTHETIC, HISTORY, FILE])  # type: ignore[assignment]
    date = serializers.DateField()
    time_zone = serializers.CharField()
    seed = serializers.IntegerField(allow_null=True, help_text="of a synthetic prediction")
    energy_kwh = serializers.FloatField(help_text="of all vehicles, in their batteries")
    demand = DemandRowSerializer(many=True, help_text="may be sent as `demand` of a day-ahead plan")


_NUMBER, _TIME = {"type": "number"}, {"type": ["number", "string"], "description": "local hours, or RFC 3339"}
ROWS_SCHEMA = {
    "type": "array",
    "maxItems": MOST_ROWS,
    "items": {
        "type": "object",
        "required": list(REQUIRED),
        "properties": {"vehicle": {"type": ["string", "integer"]}}
        | {name: _TIME if name.endswith("Time") else _NUMBER for name in (*REQUIRED[1:], *OPTIONAL)},
    },
}


@extend_schema_field(ROWS_SCHEMA)
class RowsField(serializers.ListField):
    """Rows of a demand file; what stands in them is checked by the engine."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=serializers.DictField(), max_length=MOST_ROWS, **options)


class RowsRequest(StrictSerializer):
    depot = DepotReference()
    date = serializers.DateField(required=False)
    rows = RowsField()


def refused(error: DemandRefused, pointer: str) -> Problem:
    """422 that names row and column of everything that is wrong; `pointer` leads to the list of rows."""
    return invalid(
        [
            FieldError("/".join([pointer, str(each.row - 1), escape_pointer(each.column)]).rstrip("/"), str(each))
            for each in error.errors[:MOST_ERRORS]
        ]
    )


def in_range(day: date, name: str) -> date:
    if not EARLIEST <= day <= LATEST:
        raise invalid_field(name, f"{day} lies outside {EARLIEST} to {LATEST}.")
    return day


def tomorrow_of(depot: Depot) -> date:
    return depot.local(timezone.now()).date() + timedelta(days=1)


def row_of(demand: Demand) -> dict[str, Any]:
    return {
        "vehicle": demand.vehicle,
        "powerNom": round(demand.power_kw, 3),
        "energyRequired": demand.energy_kwh,
        "energyMax": demand.battery_kwh,
        "arrivalTime": instant(demand.arrival),
        "departureTime": instant(demand.departure),
        "arrivalSOE": demand.arrival_soe_kwh,
        "powerMin": round(demand.minimum_power_kw, 3),
        "priority": demand.priority,
        "efficiency": demand.efficiency,
        "parkingDuration": round(demand.parking_hours, 3),
        "chargingDuration": round(demand.charging_hours, 3),
        "arrivalSOC": round(demand.arrival_soc_percent, 1),
        "restsOn": demand.rests_on,
    }


def instant(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def prediction(depot: Depot, source: str, day: date, seed: int | None, demands: Iterable[Demand]) -> dict[str, Any]:
    rows = [row_of(demand) for demand in demands]
    return {
        "depot": depot.slug,
        "source": source,
        "date": day,
        "time_zone": depot.time_zone,
        "seed": seed,
        "energy_kwh": round(sum(row["energyRequired"] for row in rows), 3),
        "demand": rows,
    }


QUERY = [
    OpenApiParameter("depot", str, required=True, description="slug of the depot"),
    OpenApiParameter("date", OpenApiTypes.DATE, description="local day, by default tomorrow"),
]


@extend_schema(tags=["plans"])
class DemandPredictionViews(Resource[Depot]):
    """Expected visits of a day; nothing is stored."""

    queryset = Depot.objects.all()
    write_scope = "plans:write"
    depot_path = ""
    parser_classes = (StrictJsonParser, CsvParser)
    pagination_class = None
    filter_backends = ()
    parameters = {"predict": ("depot", "source", "vehicles", "seed", "date"), "read": ("depot", "date")}

    def get_queryset(self) -> QuerySet[Depot]:
        return visible_depots(self.request)

    @extend_schema(
        parameters=[
            *QUERY,
            OpenApiParameter("source", str, enum=[SYNTHETIC, HISTORY], default=SYNTHETIC),
            OpenApiParameter(
                "vehicles",
                {"type": "integer", "minimum": 0, "maximum": MOST_ROWS, "default": 10},
                description="how many vehicles; of the history: at most so many, by default all",
            ),
            OpenApiParameter(
                "seed",
                {"type": "integer", "minimum": 0, "maximum": 2**32 - 1, "default": 0},
                description="the same seed invents the same vehicles",
            ),
        ],
        responses={200: PredictionSerializer},
        description=(
            "`synthetic` invents vehicles from a seed: arrivals from 05 to 16 h, stays of 1 to 5 h. `history` takes "
            "those that came on at least half of the last eight same weekdays, with the medians of these days."
        ),
    )
    def predict(self, request: Request) -> Response:
        depot, day = self.depot_asked(), self.day_asked()
        source = request.query_params.get("source", SYNTHETIC)
        day = day or tomorrow_of(depot)
        if source == SYNTHETIC:
            seed = self.number("seed", 0, 2**32 - 1)
            demands = synthetic_demand(
                self.number("vehicles", 10, MOST_ROWS),
                start=midnight_of(depot, day),
                seed=seed,
                resolution=timedelta(minutes=depot.resolution_minutes),
                efficiency=SYNTHETIC_EFFICIENCY,
            )
            return Response(prediction(depot, source, day, seed, demands))
        if source != HISTORY:
            raise invalid_parameter("source", f"source is {SYNTHETIC} or {HISTORY}; send a file by POST.")
        expected = expected_visits(depot, day, now=timezone.now())[: self.number("vehicles", MOST_ROWS, MOST_ROWS)]
        return Response(prediction(depot, source, day, None, [each.demand for each in expected]))

    @extend_schema(
        parameters=[
            OpenApiParameter("depot", str, description="slug of the depot, with a CSV file"),
            OpenApiParameter("date", OpenApiTypes.DATE, description="local day that hours count from, with a CSV file"),
        ],
        request={"application/json": RowsRequest, "text/csv": OpenApiTypes.STR},
        responses={200: PredictionSerializer},
        examples=[
            OpenApiExample("Rows", request_only=True, value={"depot": "north", "rows": [ROW_EXAMPLE]}),
            OpenApiExample("CSV file", request_only=True, value=CSV_EXAMPLE, media_type="text/csv"),
        ],
        description="Reads the rows of a file, CSV or JSON, and checks each value; errors name row and column.",
    )
    def read(self, request: Request) -> Response:
        if isinstance(request.data, str):
            depot, day = self.depot_asked(), self.day_asked()
        else:
            wanted = RowsRequest(data=request.data, context=self.get_serializer_context())
            wanted.is_valid(raise_exception=True)
            depot, day = wanted.validated_data["depot"], wanted.validated_data.get("date")
        self.check_object_permissions(request, depot)
        day = in_range(day, "date") if day else tomorrow_of(depot)
        try:
            if isinstance(request.data, str):
                rows = read_csv(request.data)
            else:
                rows = list(enumerate(wanted.validated_data["rows"], start=1))
            if len(rows) > MOST_ROWS:
                raise invalid_field("", f"The file has {len(rows)} rows; send at most {MOST_ROWS}.")
            demands = demand_of(rows, midnight=midnight_of(depot, day))
        except DemandRefused as error:
            raise refused(error, "/rows") from error
        return Response(prediction(depot, FILE, day, None, demands))

    def depot_of(self, obj: Any) -> Depot | None:
        return obj if isinstance(obj, Depot) else None

    def depot_asked(self) -> Depot:
        slug = self.request.query_params.get("depot")
        if not slug:
            raise invalid_parameter("depot", "Say which depot, for example ?depot=north.")
        found: Depot = visible_depots(self.request).get(slug=slug)
        return found

    def day_asked(self) -> date | None:
        text = self.request.query_params.get("date")
        if text is None:
            return None
        try:
            day = date.fromisoformat(text)
        except ValueError as error:
            raise invalid_parameter("date", f"date is a day such as 2026-11-21, not {text[:40]!r}.") from error
        if not EARLIEST <= day <= LATEST:
            raise invalid_parameter("date", f"date lies outside {EARLIEST} to {LATEST}.")
        return day

    def number(self, name: str, default: int, most: int) -> int:
        text = self.request.query_params.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= most):
            raise invalid_parameter(name, f"{name} is a whole number from 0 to {most}, not {text[:40]!r}.")
        return int(text)
