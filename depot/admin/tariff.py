"""Tariffs and their versions; a version with a hole or an unknown element is refused."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import StackedInline

from depot.admin.base import DepotAdmin, ReadableJson
from depot.models import Tariff, TariffVersion


class VersionsInline(ReadableJson, StackedInline):
    model = TariffVersion
    extra = 0


@admin.register(Tariff)
class TariffAdmin(DepotAdmin):
    list_display = ("name", "slug", "currency", "versions_", "used_by")
    list_filter = ("currency",)
    search_fields = ("name", "slug")
    inlines = (VersionsInline,)

    @admin.display(description="Versions")
    def versions_(self, tariff: Tariff) -> int:
        return tariff.versions.count()

    @admin.display(description="Used by")
    def used_by(self, tariff: Tariff) -> str:
        return ", ".join(tariff.depots.values_list("name", flat=True)) or "-"


@admin.register(TariffVersion)
class TariffVersionAdmin(DepotAdmin):
    list_display = ("tariff", "valid_from", "valid_to")
    list_filter = ("tariff",)
    list_select_related = ("tariff",)
    search_fields = ("tariff__name",)
