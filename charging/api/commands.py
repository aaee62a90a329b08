"""Commands to chargers: asked for here, queued durably, polled until they end."""

from __future__ import annotations

import copy
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
    extend_schema_view,
)
from rest_framework import mixins, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from charging.commands import LimitExceeded, queue_command
from charging.models import Command
from charging.wire.errors import PayloadError
from depot.api import filters
from depot.api.fields import ConnectorReference, StationReference, StrictText
from depot.api.principals import actor_of, visible_depots
from depot.api.problems import FieldError, Problem, invalid
from depot.api.resources import UUID_PATTERN, Readable, Resource
from depot.api.serializers import StrictSerializer
from depot.models import Connector, Station

SECRET_KEYS = {"authorizationkey", "basicauthpassword"}
HIDDEN = "••••••"


class CommandErrorSerializer(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="of the CALLERROR, or why it did not get that far")
    description = serializers.CharField(allow_blank=True)


class CommandSerializer(serializers.ModelSerializer[Command]):
    """A request to a charger. `state` tells how far it came; `answer` is the CALLRESULT's payload."""

    station = StationReference(read_only=True)
    depot = serializers.SlugField(source="station.depot.slug", read_only=True)
    connector = ConnectorReference(read_only=True, allow_null=True)
    payload = serializers.SerializerMethodField()
    answer = serializers.JSONField(read_only=True, allow_null=True)
    error = serializers.SerializerMethodField()

    class Meta:
        model = Command
        fields = (
            *("id", "station", "depot", "connector", "action", "payload", "state", "held_because", "cause"),
            *("plan_run", "created_at", "deadline", "sent_at", "answered_at", "late", "answer", "error"),
        )
        read_only_fields = fields

    @extend_schema_field(OpenApiTypes.OBJECT)
    def get_payload(self, command: Command) -> Any:
        return without_secrets(command.action, command.payload)

    @extend_schema_field(CommandErrorSerializer(allow_null=True))
    def get_error(self, command: Command) -> Any:
        if not command.error_code:
            return None
        return {"code": command.error_code, "description": command.error_description}


def without_secrets(action: str, payload: Any) -> Any:
    """Credentials go to the charger and come back to nobody."""
    if action != "ChangeConfiguration" or not isinstance(payload, dict):
        return payload
    if str(payload.get("key", "")).lower() not in SECRET_KEYS:
        return payload
    return copy.copy(payload) | {"value": HIDDEN}


class CommandRequest(StrictSerializer):
    """An OCPP action with its payload, spelled as in the standard."""

    action = StrictText(max_length=40)
    payload = serializers.DictField(required=False, default=dict)


EXAMPLES = [
    OpenApiExample("Soft reset", request_only=True, value={"action": "Reset", "payload": {"type": "Soft"}}),
    OpenApiExample(
        "Ask for a status",
        request_only=True,
        value={"action": "TriggerMessage", "payload": {"requestedMessage": "StatusNotification", "connectorId": 1}},
    ),
]
COMMAND_FILTERS = {
    "state": filters.choice("state", Command.State.values, "state"),
    "action": filters.text("action", "OCPP action"),
    **filters.period("created_at", "created_at"),
}
COMMANDS = Command.objects.select_related("station__depot", "connector")


@extend_schema(tags=["commands"])
class CommandViews(Readable[Command]):
    """Every request to a charger, whoever asked for it, newest first."""

    queryset = COMMANDS
    serializer_class = CommandSerializer
    depot_path = "station__depot"
    lookup_value_regex = UUID_PATTERN
    ordering, ordering_fields = "-created_at", ("created_at",)
    filters = {
        "depot": filters.depot("station__depot"),
        "station": filters.station(),
        "connector": filters.number("connector", "id of a connector"),
        "plan_run": filters.identifier("plan_run", "id of the plan run that asked for it"),
        **COMMAND_FILTERS,
    }


IDENTITY = OpenApiParameter("identity", OpenApiTypes.STR, OpenApiParameter.PATH, description="OCPP identity")


@extend_schema_view(
    create=extend_schema(
        request=CommandRequest,
        responses={202: CommandSerializer},
        examples=EXAMPLES,
        description=(
            "Queue a command; poll the address in `Location`. What could raise power passes the gate first: "
            "409 limit-exceeded names the node, its limit and what would be needed."
        ),
    )
)
@extend_schema(tags=["commands"], parameters=[IDENTITY])
class StationCommandViews(mixins.ListModelMixin, Resource[Command]):
    """Commands of one station."""

    queryset = COMMANDS
    serializer_class = CommandSerializer
    write_scope = "commands:write"
    depot_path = "station__depot"
    ordering, ordering_fields = "-created_at", ("created_at",)
    filters = COMMAND_FILTERS

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.queryset = COMMANDS.filter(station=self.station())
        return super().list(request, *args, **kwargs)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        station = self.station()
        self.check_object_permissions(request, Command(station=station))
        wanted = CommandRequest(data=request.data, context=self.get_serializer_context())
        wanted.is_valid(raise_exception=True)
        command = self.queue(station, **wanted.validated_data)
        headers = {"Location": f"{request.path.split('/stations/')[0]}/commands/{command.pk}/"}
        return Response(self.get_serializer(command).data, status=202, headers=headers)

    def station(self) -> Station:
        own = Station.objects.filter(depot__in=visible_depots(self.request)).select_related("depot")
        return own.get(identity__iexact=self.kwargs["identity"])

    def queue(self, station: Station, action: str, payload: dict[str, Any]) -> Command:
        try:
            return queue_command(
                station=station,
                connector=connector_of(station, payload),
                action=action,
                payload=payload,
                cause=actor_of(self.request),
            )
        except PayloadError as error:
            raise invalid([FieldError(pointer_to(error), error.description, str(error.code))]) from error
        except LimitExceeded as error:
            raise limit_exceeded(error) from error


def connector_of(station: Station, payload: dict[str, Any]) -> Connector | None:
    number = payload.get("connectorId")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 2**15:
        return None
    return station.connectors.filter(number=number).first()


def pointer_to(error: PayloadError) -> str:
    """An unknown action is about `action`, everything else about the payload."""
    if not error.field and error.code == "NotImplemented":
        return "/action"
    return f"/payload{error.field if error.field.startswith('/') or not error.field else '/' + error.field}"


def limit_exceeded(error: LimitExceeded) -> Problem:
    return Problem(
        "limit-exceeded",
        status=409,
        title="The proven head-room does not carry this",
        detail=str(error),
        node=error.node,
        limit=error.limit,
        needed=error.needed,
        unit=error.unit,
    )
