"""How the API describes itself: the key's security scheme, and the problems that every operation may answer."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework import serializers

from depot.api.idempotency import HEADER
from depot.api.problems import MEDIA_TYPE

SCHEME = "apiKey"
BODY_METHODS = {"post", "put", "patch"}


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "depot.api.authentication.ApiKeyAuthentication"
    name = SCHEME

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "The word Api-Key, a blank and the key: `Api-Key fd_1a2b3c4d_...`",
        }


class FieldErrorSerializer(serializers.Serializer[Any]):
    pointer = serializers.CharField(allow_blank=True, help_text="JSON pointer into the body (RFC 6901)")
    detail = serializers.CharField()
    code = serializers.CharField()


class ConflictSerializer(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    kind = serializers.CharField(help_text="reservation or buffer")
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()


class AlternativeSerializer(serializers.Serializer[Any]):
    connector = serializers.IntegerField()
    bay = serializers.CharField()
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    available_kwh = serializers.FloatField()


class ProblemSerializer(serializers.Serializer[Any]):
    """An RFC 9457 problem. `type` is stable; the other members are for people and vary with the type."""

    type = serializers.CharField(help_text="for example /problems/reservation-conflict")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    errors = FieldErrorSerializer(many=True, required=False)  # type: ignore[assignment]
    conflicts = ConflictSerializer(many=True, required=False)
    alternatives = AlternativeSerializer(many=True, required=False)
    node = serializers.CharField(required=False, help_text="of limit-exceeded: the node of the power tree")
    limit = serializers.FloatField(required=False)
    needed = serializers.FloatField(required=False)
    unit = serializers.CharField(required=False, help_text="of limit and needed: kW or A")
    scope = serializers.CharField(required=False, help_text="of scope-missing: the scope that is needed")
    parameter = serializers.CharField(required=False, help_text="of a query parameter's problem: its name")

    class Meta:
        component_name = "Problem"


PROBLEMS = {
    "400": "Unreadable body or invalid query parameter",
    "401": "No valid key or login",
    "403": "The scope is missing",
    "404": "Not there, or not yours to see",
    "405": "The address does not take this method",
    "406": "Only JSON is available",
    "409": "Contradicts what is stored or running",
    "412": "If-Match names an older version",
    "413": "The body is too large",
    "415": "Send application/json",
    "422": "A field cannot be accepted",
    "429": "Too many requests; see Retry-After",
    "503": "The database is busy; try again",
}
ONLY_WITH_BODY = {"409", "412", "413", "415"}


class ProblemAutoSchema(AutoSchema):
    """Adds to every operation the problems it may answer, and to POST the Idempotency-Key."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        reference = self.resolve_serializer(ProblemSerializer, "response").ref
        content = {MEDIA_TYPE: {"schema": reference}}
        for status, description in PROBLEMS.items():
            if status in ONLY_WITH_BODY and self.method == "GET":
                continue
            operation["responses"].setdefault(status, {"description": description, "content": content})
        operation["responses"] = dict(sorted(operation["responses"].items()))
        return operation

    def get_override_parameters(self) -> list[Any]:
        from drf_spectacular.utils import OpenApiParameter

        found = list(super().get_override_parameters())
        if self.method == "POST":
            sentence = "A retry with the same key and body gets the stored answer, for 24 h."
            found.append(OpenApiParameter(HEADER, str, OpenApiParameter.HEADER, description=sentence))
        return found
