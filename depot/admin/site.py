"""Depots, their power tree and its temporary limits."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from depot import audit
from depot.admin.base import DepotAdmin, who
from depot.admin.fitting import LimitForm, LoadGroupForm
from depot.fallbacks import check_fallbacks, propose_fallbacks, store_fallbacks
from depot.models import Depot, Limit, LoadGroup
from depot.signals import announce_needs_changed


@admin.register(Depot)
class DepotSiteAdmin(DepotAdmin):
    list_display = ("name", "slug", "time_zone", "tariff", "planning_enabled", "algorithm", "fallbacks")
    list_filter = ("planning_enabled",)
    search_fields = ("name", "slug")
    actions = ("store_proposal", "plan_now")
    fieldsets = (
        (None, {"fields": ("name", "slug", "time_zone", "currency", "tariff")}),
        (
            "Planning",
            {
                "fields": (
                    *("planning_enabled", "algorithm", "resolution_minutes", "horizon_hours", "plan_interval_s"),
                    *("departure_margin_minutes", "arrival_uncertainty_minutes", "min_on_minutes", "min_off_minutes"),
                    *("default_stay_hours", "default_target_soc_percent", "co2_price_per_kg", "co2_kg_per_kwh"),
                )
            },
        ),
        ("Booking", {"fields": ("buffer_minutes", "early_start_minutes", "noshow_timeout_minutes")}),
        ("Chargers", {"fields": ("fallback_share", "assume_ocpp16")}),
    )

    @admin.display(description="Fallbacks")
    def fallbacks(self, depot: Depot) -> str:
        misfits = check_fallbacks(depot)
        return "; ".join(str(misfit) for misfit in misfits) if misfits else "fit"

    @admin.action(description="Set the fallbacks as proposed: 6 A for as many as the share carries, 0 for the rest")
    def store_proposal(self, request: HttpRequest, queryset: QuerySet[Depot]) -> None:
        for depot in queryset:
            proposal = propose_fallbacks(depot)
            store_fallbacks(proposal)
            granted = sum(1 for current_a in proposal.values() if current_a)
            audit.record(who(request), "fallbacks set", depot, after={"granted": granted, "of": len(proposal)})
            announce_needs_changed(depot.pk, "limit")
            messages.success(
                request, f"{depot}: {granted} of {len(proposal)} connectors have a fallback, the rest 0 A."
            )

    @admin.action(description="Plan now")
    def plan_now(self, request: HttpRequest, queryset: QuerySet[Depot]) -> None:
        for depot in queryset:
            announce_needs_changed(depot.pk, "operator")
            messages.success(request, f"A plan of {depot} is asked for.")


@admin.register(LoadGroup)
class LoadGroupAdmin(DepotAdmin):
    form = LoadGroupForm
    list_display = ("name", "slug", "depot", "parent", "limit_kw", "limit_a", "chargers", "building_meter")
    list_filter = ("depot",)
    list_select_related = ("depot", "parent__depot", "building_meter")
    search_fields = ("name", "slug")
    autocomplete_fields = ("building_meter",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LoadGroup]:
        counted: QuerySet[LoadGroup] = super().get_queryset(request).annotate(n_stations=Count("stations"))
        return counted

    @admin.display(description="Chargers here", ordering="n_stations")
    def chargers(self, group: Any) -> int:
        return int(group.n_stations)


@admin.register(Limit)
class LimitAdmin(DepotAdmin):
    form = LimitForm
    list_display = ("load_group", "limit_kw", "kind", "hard", "price_per_kwh", "starts_at", "ends_at", "reason")
    list_filter = ("load_group__depot", "kind", "hard")
    list_select_related = ("load_group__depot",)
    search_fields = ("reason", "load_group__name")
    date_hierarchy = "starts_at"
