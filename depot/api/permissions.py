"""Deny by default: every act needs its scope, and every object a depot in which the scope holds."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from depot.api.principals import may
from depot.api.problems import Problem


def scope_missing(scope: str) -> Problem:
    return Problem(
        "scope-missing",
        status=403,
        title="Not allowed",
        detail=f"This needs the scope {scope!r}; ask for a key or a role that has it.",
        scope=scope,
    )


class ScopedAccess(BasePermission):
    """Anonymous: 401. Without the scope: 403 that names it. An object of another depot is not found at all (404)."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not request.user.is_authenticated:
            return False
        if not may(request, view.required_scope(), None):
            raise scope_missing(view.required_scope())
        return True

    def has_object_permission(self, request: Request, view: Any, obj: Any) -> bool:
        if not may(request, view.required_scope(), view.depot_of(obj)):
            raise scope_missing(view.required_scope())
        return True


class DocumentationAccess(BasePermission):
    """Schema and documentation: open in the demo, behind a key or a login elsewhere."""

    def has_permission(self, request: Request, view: Any) -> bool:
        from django.conf import settings

        return bool(settings.DEBUG or settings.DEMO or request.user.is_authenticated)
