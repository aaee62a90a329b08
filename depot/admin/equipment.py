"""Chargers, their outlets and their keys."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from unfold.admin import TabularInline

from depot import audit
from depot.admin.base import DepotAdmin, who
from depot.admin.fitting import ConnectorForm, StationForm
from depot.credentials import hash_station_key, new_station_key
from depot.models import Connector, Station


class ConnectorsInline(TabularInline):
    model = Connector
    fields = ("number", "bay", "plug", "phases", "max_current_a", "fallback_a")
    readonly_fields = ("fallback_a",)
    extra = 0
    show_change_link = True


@admin.register(Station)
class StationAdmin(DepotAdmin):
    form = StationForm
    list_display = (
        "identity",
        "name",
        "depot",
        "load_group",
        "kind",
        "outlets",
        "vendor",
        "model",
        "firmware",
        "manual",
    )
    list_filter = ("depot", "load_group", "kind", "manual", "vendor")
    list_select_related = ("depot", "load_group__depot")
    search_fields = ("identity", "name", "serial_number")
    inlines = (ConnectorsInline,)
    actions = ("issue_new_key",)
    asks_for_plan = "equipment"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Station]:
        counted: QuerySet[Station] = super().get_queryset(request).annotate(n_connectors=Count("connectors"))
        return counted

    @admin.display(description="Connectors", ordering="n_connectors")
    def outlets(self, station: Any) -> int:
        return int(station.n_connectors)

    @admin.action(description="Issue a new key (shown once)", permissions=["change"])
    def issue_new_key(self, request: HttpRequest, queryset: QuerySet[Station]) -> None:
        for station in queryset:
            key = new_station_key()
            Station.objects.filter(pk=station.pk).update(key_hash=hash_station_key(key))
            audit.record(who(request), "key issued", station)
            messages.warning(
                request,
                f"Key of {station.identity}: {key} (write it down, it is not shown again; the old one is void).",
            )


@admin.register(Connector)
class ConnectorAdmin(DepotAdmin):
    form = ConnectorForm
    list_display = (
        "bay",
        "station",
        "number",
        "plug",
        "phases",
        "phase_rotation",
        "max_kw",
        "fallback_a",
        "fallback_kw_",
    )
    list_filter = ("station__depot", "station__load_group", "phases", "plug")
    list_select_related = ("station",)
    search_fields = ("bay", "station__identity")
    autocomplete_fields = ("station",)
    asks_for_plan = "limit"

    @admin.display(description="Max. kW")
    def max_kw(self, connector: Connector) -> str:
        return f"{connector.max_power_kw:.1f}"

    @admin.display(description="Fallback kW", ordering="fallback_a")
    def fallback_kw_(self, connector: Connector) -> str:
        return f"{connector.fallback_kw:.1f}"
