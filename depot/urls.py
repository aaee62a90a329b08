"""Addresses of every page and of the API; each room brings its own."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from depot.api.pages import NothingHere
from depot.health import healthz, metrics, readyz

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("api", NothingHere.as_view()),
    path("api/", include("depot.api_urls")),
    path("", include("scheduling.urls")),
]
