"""Query parameters of lists: declared per resource, refused when unknown, repeated to mean "any of"."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q, QuerySet
from rest_framework.filters import BaseFilterBackend
from rest_framework.request import Request

from depot.api.fields import EARLIEST, LARGEST_REFERENCE, LATEST, read_instant, vehicle_called, whole_number
from depot.api.pagination import invalid_parameter
from depot.api.problems import Problem

PAGING = ("cursor", "limit", "ordering")
Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Param:
    """A filter: the condition that one value sets, or ValueError with a sentence."""

    condition: Callable[[str], Q]
    description: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})
    repeatable: bool = True


def text(lookup: str, description: str) -> Param:
    return Param(lambda value: Q(**{lookup: value}), description)


def depot(path: str = "depot") -> Param:
    return text(f"{path}__slug", "slug of a depot")


def station(path: str = "station") -> Param:
    return text(f"{path}__identity__iexact", "OCPP identity of a station")


def vehicle(path: str = "vehicle") -> Param:
    return Param(lambda value: vehicle_called(value, path), "id or external id of a vehicle")


def number(lookup: str, description: str) -> Param:
    def condition(value: str) -> Q:
        if (found := whole_number(value)) is None:
            raise ValueError("is not a whole number from 1")
        return Q(**{lookup: found})

    return Param(condition, description, {"type": "integer", "minimum": 1, "maximum": LARGEST_REFERENCE})


def identifier(lookup: str, description: str) -> Param:
    return Param(lambda value: Q(**{lookup: uuid.UUID(value)}), description, {"type": "string", "format": "uuid"})


def choice(lookup: str, choices: Iterable[str], description: str) -> Param:
    allowed = list(choices)

    def condition(value: str) -> Q:
        if value not in allowed:
            raise ValueError(f"is none of {', '.join(allowed)}")
        return Q(**{lookup: value})

    return Param(condition, description, {"type": "string", "enum": allowed})


def flag(set_: Q, description: str) -> Param:
    def condition(value: str) -> Q:
        if value not in {"true", "false"}:
            raise ValueError("is neither true nor false")
        return set_ if value == "true" else ~set_

    return Param(condition, description, {"type": "boolean"}, repeatable=False)


def instant(lookup: str, description: str) -> Param:
    def condition(value: str) -> Q:
        return Q(**{lookup: instant_of(value)})

    return Param(condition, description, {"type": "string", "format": "date-time"}, repeatable=False)


def period(start: str, end: str) -> dict[str, Param]:
    """`from` and `to`: half-open [from, to). Give one path twice for moments, two for stays that touch the period."""
    same = start == end
    return {
        "from": instant(
            f"{end}__gte" if same else f"{end}__gt", "start of the period, inclusive; RFC 3339 with offset"
        ),
        "to": instant(f"{start}__lt", "end of the period, exclusive; RFC 3339 with offset"),
    }


def instant_of(value: str) -> datetime:
    """An instant from a query; the + of an offset may arrive as a blank."""
    found = read_instant(value if "T" not in value.upper() else value.replace(" ", "+"))
    if found is None:
        raise ValueError("is not an RFC 3339 date and time")
    if found.tzinfo is None:
        raise naive(value)
    try:
        if not EARLIEST <= found < LATEST:
            raise ValueError("lies outside 1970 to 2199")
    except OverflowError as error:
        raise ValueError("lies outside 1970 to 2199") from error
    return found.astimezone(UTC)


def naive(value: str) -> Problem:
    return Problem(
        "naive-timestamp",
        status=422,
        detail=f"{value[:40]!r} has no offset; write for example 2026-03-28T21:00:00+01:00 or end it with Z.",
    )


class StrictFilterBackend(BaseFilterBackend):
    """Applies the `filters` of a view to its list."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        if view.action not in view.list_actions:
            return queryset
        for name, param in view.filters.items():
            if values := request.query_params.getlist(name):
                queryset = queryset.filter(condition_of(name, param, values))
        return queryset

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        found = [self.parameter_of(name, param) for name, param in view.filters.items()]
        names = [sign + name for name in view.ordering_fields for sign in ("", "-")]
        schema = {"type": "string", "enum": names, "default": view.ordering}
        return [*found, {"name": "ordering", "in": "query", "required": False, "schema": schema}]

    def parameter_of(self, name: str, param: Param) -> dict[str, Any]:
        base = {"name": name, "in": "query", "required": False, "description": param.description}
        if not param.repeatable:
            return base | {"schema": dict(param.schema)}
        return base | {"schema": {"type": "array", "items": dict(param.schema)}, "style": "form", "explode": True}


def condition_of(name: str, param: Param, values: list[str]) -> Q:
    if len(values) > 1 and not param.repeatable:
        raise invalid_parameter(name, f"{name} may be given once only.")
    try:
        return reduce(or_, [param.condition(value) for value in values[:1000]])
    except ValueError as error:
        raise invalid_parameter(name, f"{name}: {values[0][:40]!r} {error}.") from error


def refuse_unknown(request: Request, known: Iterable[str]) -> None:
    """400 for a parameter that nobody reads, and for characters that no database takes."""
    allowed = sorted(known)
    for name in request.query_params:
        if name not in allowed:
            hint = f"known are {', '.join(allowed)}" if allowed else "this address takes none"
            raise Problem(
                "unknown-parameter",
                status=400,
                title="Unknown query parameter",
                detail=f"There is no query parameter {name[:40]!r}; {hint}.",
                parameter=name[:40],
            )
        if any("\x00" in value or not value.isprintable() for value in request.query_params.getlist(name)):
            raise invalid_parameter(name, f"{name} contains a control character.")
