"""What every resource shares: scope, depot, strict parameters, idempotent POST, headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import models, transaction
from django.db.models import QuerySet
from rest_framework import mixins, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from depot import audit
from depot.api import idempotency
from depot.api.filters import PAGING, Param, refuse_unknown
from depot.api.principals import actor_of, sees_everything, visible_depots
from depot.models import Depot

M = TypeVar("M", bound=models.Model)
UUID_PATTERN = "[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}"
NUMBER_PATTERN = "[0-9]{1,18}"
SLUG_PATTERN = "[-a-zA-Z0-9_]{1,50}"
TEXT_PATTERN = r"[^/\x00-\x1f\x7f]{1,64}"
READING = {"GET", "HEAD", "OPTIONS"}


class ApiRouter(SimpleRouter):
    """The same addresses with and without a trailing slash, never a redirect."""

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"


class Resource(viewsets.GenericViewSet[M]):
    """Objects of the client's depots. Subclasses say where the depot is, which filters exist and what writing needs."""

    write_scope: ClassVar[str] = ""
    depot_path: ClassVar[str] = "depot"
    filters: ClassVar[Mapping[str, Param]] = {}
    ordering: ClassVar[str] = "id"
    ordering_fields: ClassVar[tuple[str, ...]] = ("id",)
    list_actions: ClassVar[tuple[str, ...]] = ("list",)
    parameters: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Query parameters of actions that are no lists."""

    def required_scope(self) -> str:
        return "read" if self.request.method in READING else self.write_scope

    def depot_of(self, obj: Any) -> Depot | None:
        """The depot an object belongs to; None for what stands above depots."""
        for step in self.depot_path.split("__") if self.depot_path else ():
            obj = getattr(obj, step)
        return obj if isinstance(obj, Depot) else None

    def get_queryset(self) -> QuerySet[M]:
        queryset = super().get_queryset()
        if getattr(self, "swagger_fake_view", False) or sees_everything(self.request):
            return queryset
        return self.within(queryset, visible_depots(self.request))

    def within(self, queryset: QuerySet[M], depots: QuerySet[Depot]) -> QuerySet[M]:
        return queryset.filter(**{f"{self.depot_path}__in" if self.depot_path else "pk__in": depots})

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        refuse_large_body(request)
        super().initial(request, *args, **kwargs)
        refuse_unknown(request, self.known_parameters())
        if request.method == "POST" and (key := idempotency.key_of(request)) is not None:
            handler = self.post  # type: ignore[has-type]
            self.post = idempotency.answered_once(key, request, handler)

    def check_permissions(self, request: Request) -> None:
        """A method that no handler takes is 405, whoever asks."""
        if self.action is None:
            self.http_method_not_allowed(request)
        super().check_permissions(request)

    def known_parameters(self) -> tuple[str, ...]:
        if self.action in self.list_actions:
            return (*self.filters, *PAGING)
        return self.parameters.get(self.action, ())

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        budget = getattr(request, "rate_budget", None)
        if budget is not None:
            for name, value in budget.headers().items():
                response[name] = value
        response.setdefault("Cache-Control", "private, no-cache")
        return response

    def audited(self, action: str, subject: models.Model, **details: Any) -> None:
        audit.record(actor_of(self.request), action, subject, **details)


def refuse_large_body(request: Request) -> None:
    """413 before anything is parsed. A body of unknown length is measured after it came in."""
    cap = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    if cap is not None and len(request._request.body) > cap:
        raise RequestDataTooBig


class Readable(Resource[M], mixins.ListModelMixin, mixins.RetrieveModelMixin):
    """GET of the list and of one object."""


class Creatable(mixins.CreateModelMixin):
    """POST; the answer says in `Location` where the new object is."""

    def get_success_headers(self, data: Any) -> dict[str, str]:
        path = self.request.path.rstrip("/")  # type: ignore[attr-defined]
        return {"Location": f"{path}/{data[self.location_field]}/"}

    location_field: ClassVar[str] = "id"


class Changeable:
    """PATCH, never PUT: what is not named stays."""

    def partial_update(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(self.get_object(), data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        return Response(serializer.data)


class Removable:
    """DELETE; what others refer to stays (409 in-use)."""

    def destroy(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
        instance = self.get_object()
        with transaction.atomic():
            self.audited("removed", instance)
            self.before_removal(instance)
            instance.delete()
        return Response(status=204)

    def before_removal(self, instance: Any) -> None:
        """What else has to happen, in the same transaction."""
