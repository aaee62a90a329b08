"""Fields that take exactly the JSON type that the schema promises, and references that see only the client's depots."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from django.db.models import Model, Q, QuerySet
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from depot.api.principals import visible_depots
from depot.models import Connector, Depot, LoadGroup, Station, Vehicle

EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
LARGEST_NUMBER = 1e9
LARGEST_REFERENCE = 2**63 - 1
NAIVE = "{value} has no offset; write for example 2026-03-28T21:00:00+01:00 or end it with Z."


class StrictText(serializers.CharField):
    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictNumber(serializers.FloatField):
    """A JSON number within ±10⁹ unless narrower bounds are given: no text, no true."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("min_value", -LARGEST_NUMBER)
        options.setdefault("max_value", LARGEST_NUMBER)
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> float:
        if isinstance(data, bool) or not isinstance(data, int | float):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictInteger(serializers.IntegerField):
    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, bool) or not isinstance(data, int):
            self.fail("invalid")
        return super().to_internal_value(data)


class StrictFlag(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=data)
        return data


class Instant(serializers.DateTimeField):
    """RFC 3339 with an offset; what has none is refused, never guessed."""

    default_error_messages = {
        "naive-timestamp": NAIVE,
        "range": "{value} lies outside 1970 to 2199.",
    }

    def to_internal_value(self, value: Any) -> datetime:
        if not isinstance(value, str):
            self.fail("invalid", format="RFC 3339")
        instant = read_instant(value)
        if instant is None:
            self.fail("invalid", format="RFC 3339, for example 2026-03-28T21:00:00+01:00")
        if instant.tzinfo is None:
            self.fail("naive-timestamp", value=value)
        try:
            in_range = EARLIEST <= instant < LATEST
        except OverflowError:
            in_range = False
        if not in_range:
            self.fail("range", value=value)
        return instant.astimezone(UTC)


def read_instant(text: str) -> datetime | None:
    """Date and time, with whatever offset was written; None when it is neither."""
    try:
        return parse_datetime(text) if "T" in text.upper() or " " in text else None
    except ValueError:
        return None


class ScopedReference(serializers.RelatedField[Model, Any, Any]):
    """A reference to an object in one of the depots that the client sees; anything else does not exist."""

    depot_path = "depot"
    default_error_messages = {
        "does-not-exist": "There is no {what} {value!r}.",
        "ambiguous": "Several are called {value!r}; name the one by its id.",
        "type": "Give {what} as text or number.",
    }

    def get_queryset(self) -> QuerySet[Model]:
        queryset: QuerySet[Model] = super().get_queryset()  # type: ignore[assignment]
        request = self.context.get("request")
        if request is None:
            return queryset.all()
        return queryset.filter(**{f"{self.depot_path}__in" if self.depot_path else "pk__in": visible_depots(request)})

    def use_pk_only_optimization(self) -> bool:
        return False

    def condition(self, data: str | int) -> Q:
        raise NotImplementedError

    def to_internal_value(self, data: Any) -> Model:
        what = self.get_queryset().model._meta.verbose_name
        if isinstance(data, bool) or not isinstance(data, str | int):
            self.fail("type", what=what)
        found = list(self.get_queryset().filter(self.condition(data))[:2])
        if not found:
            self.fail("does-not-exist", what=what, value=data)
        if len(found) > 1:
            self.fail("ambiguous", value=data)
        return found[0]


def whole_number(data: str | int) -> int | None:
    """A primary key, given as number or as its digits; None when it is neither."""
    text = str(data)
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(LARGEST_REFERENCE)):
        return None
    return int(text) if 0 < int(text) <= LARGEST_REFERENCE else None


def by_number(data: str | int) -> Q:
    number = whole_number(data)
    return Q(pk__in=()) if number is None else Q(pk=number)


@extend_schema_field({"type": "string", "description": "slug of the depot", "examples": ["north"]})
class DepotReference(ScopedReference):
    depot_path = ""

    def __init__(self, **options: Any) -> None:
        super().__init__(**({} if options.get("read_only") else {"queryset": Depot.objects.all()}) | options)

    def condition(self, data: str | int) -> Q:
        return Q(slug=str(data))

    def to_representation(self, value: Any) -> str:
        return str(value.slug)


@extend_schema_field({"type": "integer", "description": "id of the load group"})
class LoadGroupReference(ScopedReference):
    def __init__(self, **options: Any) -> None:
        super().__init__(
            **({} if options.get("read_only") else {"queryset": LoadGroup.objects.select_related("depot")}) | options
        )

    def condition(self, data: str | int) -> Q:
        return by_number(data)

    def to_representation(self, value: Any) -> int:
        return int(value.pk)


@extend_schema_field({"type": "string", "description": "OCPP identity of the station, without regard to case"})
class StationReference(ScopedReference):
    def __init__(self, **options: Any) -> None:
        super().__init__(
            **({} if options.get("read_only") else {"queryset": Station.objects.select_related("depot")}) | options
        )

    def condition(self, data: str | int) -> Q:
        return Q(identity__iexact=str(data))

    def to_representation(self, value: Any) -> str:
        return str(value.identity)


@extend_schema_field({"type": "integer", "description": "id of the connector"})
class ConnectorReference(ScopedReference):
    depot_path = "station__depot"

    def __init__(self, **options: Any) -> None:
        queryset = Connector.objects.select_related("station__depot")
        super().__init__(**({} if options.get("read_only") else {"queryset": queryset}) | options)

    def condition(self, data: str | int) -> Q:
        identity, slash, number = str(data).rpartition("/")
        if slash and number.isascii() and number.isdigit() and len(number) < 6:
            return Q(station__identity__iexact=identity, number=int(number))
        return by_number(data)

    def to_representation(self, value: Any) -> int:
        return int(value.pk)


@extend_schema_field({"type": "string", "description": "id or external id of the vehicle"})
class VehicleReference(ScopedReference):
    def __init__(self, **options: Any) -> None:
        super().__init__(
            **({} if options.get("read_only") else {"queryset": Vehicle.objects.select_related("depot")}) | options
        )

    def condition(self, data: str | int) -> Q:
        condition = vehicle_called(str(data))
        body = getattr(self.parent, "initial_data", None)
        depot = body.get("depot") if isinstance(body, dict) else None
        return condition & Q(depot__slug=depot) if isinstance(depot, str) else condition

    def to_representation(self, value: Any) -> str:
        return str(value.pk)


def vehicle_called(text: str, path: str = "") -> Q:
    """The vehicle with this external id or, where the text has its shape, this id; `path` leads to the vehicle."""
    prefix = f"{path}__" if path else ""
    called = Q(**{f"{prefix}external_id": text})
    try:
        return called | Q(**{f"{prefix}pk": uuid.UUID(text)})
    except ValueError:
        return called
