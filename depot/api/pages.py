"""The schema, the page that shows it, and the answer for addresses that do not exist."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import Http404
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from depot.api.renderers import ApiJsonRenderer


class ProblemsInJson:
    """Mixed into views with other renderers: what goes wrong is told as everywhere."""

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)  # type: ignore[misc]
        if response.exception:
            response.accepted_renderer = ApiJsonRenderer()
        return response


@cache
def schema_of_all_rooms() -> Any:
    """The schema, made once a process: neither the request nor the client changes it."""
    return SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]


class SchemaView(ProblemsInJson, SpectacularAPIView):
    """OpenAPI 3.1, as JSON unless the client asks for YAML."""

    renderer_classes = [OpenApiJsonRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer2, OpenApiYamlRenderer]

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(schema_of_all_rooms())


class DocumentationView(ProblemsInJson, SpectacularSwaggerSplitView):
    """The schema to browse and to try out; its script is served apart, as the content policy wants it."""

    template_name = "api/documentation.html"


@extend_schema(exclude=True)
class NothingHere(APIView):
    """Any other address below the API, with any method: 404 as a problem."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    throttle_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        raise Http404
