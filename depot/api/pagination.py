"""Pages by opaque cursor, stable under inserts; the next page is in the body and in the Link header."""

from __future__ import annotations

from base64 import b64decode
from typing import Any
from urllib.parse import parse_qs

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from depot.api.problems import Problem

DEFAULT_LIMIT, MAXIMUM_LIMIT = 100, 1000


class CursorPages(CursorPagination):
    page_size = DEFAULT_LIMIT
    max_page_size = MAXIMUM_LIMIT
    page_size_query_param = "limit"
    cursor_query_param = "cursor"
    page_size_query_description = "How many to return at most."
    cursor_query_description = "Where to go on: taken from `next`, never made by hand."

    def get_page_size(self, request: Request) -> int:
        text = request.query_params.get("limit")
        if text is None:
            return DEFAULT_LIMIT
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= MAXIMUM_LIMIT):
            raise invalid_parameter("limit", f"limit is a whole number from 1 to {MAXIMUM_LIMIT}, not {text[:40]!r}.")
        return int(text)

    def decode_cursor(self, request: Request) -> Any:
        text = request.query_params.get(self.cursor_query_param)
        if text is not None and not set(parse_qs(b64decode(text, validate=True).decode())) <= {"o", "r", "p"}:
            raise ValueError(text)
        return super().decode_cursor(request)

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        wanted = request.query_params.get("ordering") or view.ordering
        if wanted.lstrip("-") not in view.ordering_fields or wanted.startswith("--"):
            names = ", ".join(view.ordering_fields)
            raise invalid_parameter("ordering", f"ordering is one of {names}, with a leading - for descending.")
        if wanted.lstrip("-") in {"pk", "id"}:
            return (wanted,)
        return (wanted, "-pk" if wanted.startswith("-") else "pk")

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except (NotFound, ValueError, TypeError, OverflowError, ValidationError) as error:
            raise invalid_parameter("cursor", "This cursor was not made by the API; start without one.") from error

    def get_paginated_response(self, data: Any) -> Response:
        following, previous = self.get_next_link(), self.get_previous_link()
        links = [f'<{url}>; rel="{rel}"' for url, rel in ((following, "next"), (previous, "prev")) if url]
        headers = {"Link": ", ".join(links)} if links else {}
        return Response({"next": following, "previous": previous, "results": data}, headers=headers)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        limit = {"type": "integer", "minimum": 1, "maximum": MAXIMUM_LIMIT, "default": DEFAULT_LIMIT}
        return [
            parameter(self.cursor_query_param, {"type": "string"}, str(self.cursor_query_description)),
            parameter(self.page_size_query_param, limit, str(self.page_size_query_description)),
        ]


def parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def invalid_parameter(name: str, detail: str) -> Problem:
    return Problem("invalid-parameter", status=400, title="A query parameter is invalid", detail=detail, parameter=name)
