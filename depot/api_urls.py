"""Addresses below /api/: version 1 of every room, the schema, its page, and a problem for everything else."""

from __future__ import annotations

from django.urls import include, path, re_path

from depot.api.pages import DocumentationView, NothingHere, SchemaView

urlpatterns = [
    path("v1/", include("depot.api.urls")),
    path("v1/", include("charging.api.urls")),
    path("v1/", include("scheduling.api.urls")),
    re_path(r"^schema/?$", SchemaView.as_view(), name="api-schema"),
    re_path(r"^docs/?$", DocumentationView.as_view(url_name="api-schema"), name="api-docs"),
    re_path(r"^", NothingHere.as_view()),
]
