"""The admin's own content security policy: its skin evaluates expressions and sets inline styles; no other page may."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils.deprecation import MiddlewareMixin

POLICY: dict[str, Any] = {
    "default-src": [SELF],
    "script-src": [SELF, UNSAFE_EVAL],
    "style-src": [SELF, UNSAFE_INLINE],
    "img-src": [SELF, "data:"],
    "object-src": [NONE],
    "base-uri": [SELF],
    "form-action": [SELF],
    "frame-ancestors": [NONE],
}


class AdminCspMiddleware(MiddlewareMixin):
    """Stands inside csp's middleware and hands it another policy for the admin's addresses."""

    @cached_property
    def prefix(self) -> str:
        return reverse("admin:index")

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if request.path.startswith(self.prefix):
            response._csp_config = POLICY  # type: ignore[attr-defined]
        return response
