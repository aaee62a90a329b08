"""Vehicles, how they are recognised, and what is known of their batteries."""

from __future__ import annotations

from django.contrib import admin
from unfold.admin import TabularInline

from depot.admin.base import DepotAdmin
from depot.models import Vehicle, VehicleIdentity, VehicleState


class IdentitiesInline(TabularInline):
    model = VehicleIdentity
    extra = 0


@admin.register(Vehicle)
class VehicleAdmin(DepotAdmin):
    list_display = ("name", "external_id", "depot", "battery_kwh", "max_ac_kw", "phases", "home_connector", "soc")
    list_filter = ("depot", "department", "max_ac_kw")
    list_select_related = ("depot", "home_connector__station")
    search_fields = ("name", "external_id", "identities__value")
    autocomplete_fields = ("home_connector",)
    inlines = (IdentitiesInline,)
    asks_for_plan = "vehicle"

    @admin.display(description="SoC")
    def soc(self, vehicle: Vehicle) -> str:
        newest = vehicle.states.order_by("-measured_at").first()
        if newest is None:
            return "unknown"
        return f"{newest.soc_percent:.0f} % at {vehicle.depot.local(newest.measured_at):%d %b %H:%M}"


@admin.register(VehicleIdentity)
class VehicleIdentityAdmin(DepotAdmin):
    list_display = ("value", "kind", "vehicle", "blocked", "expires_at")
    list_filter = ("kind", "blocked", "vehicle__depot")
    list_select_related = ("vehicle",)
    search_fields = ("value", "vehicle__name")
    autocomplete_fields = ("vehicle",)


@admin.register(VehicleState)
class VehicleStateAdmin(DepotAdmin):
    list_display = ("vehicle", "soc_percent", "source", "measured_at", "received_at")
    list_filter = ("source", "vehicle__depot")
    list_select_related = ("vehicle",)
    search_fields = ("vehicle__name", "vehicle__external_id")
    autocomplete_fields = ("vehicle",)
    asks_for_plan = "vehicle"
