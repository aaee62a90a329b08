"""Admin of plans: read-only, and newest first."""

from __future__ import annotations

from django.contrib import admin

from depot.admin.base import DepotAdmin, JournalAdmin, ReadOnlyAdmin
from scheduling.models import DayAheadPlan, MonthPeak, Plan, PlanningState, PlanRun


@admin.register(PlanRun)
class PlanRunAdmin(JournalAdmin):
    list_display = (
        *("started_at", "depot", "trigger", "algorithm", "status", "solver_status"),
        *("vehicles", "energy_kwh", "shortfall_kwh", "cost", "seconds"),
    )
    list_filter = ("status", "depot", "trigger", "algorithm")
    list_select_related = ("depot",)
    search_fields = ("message", "trigger")
    date_hierarchy = "started_at"

    @admin.display(description="Seconds")
    def seconds(self, run: PlanRun) -> str:
        return f"{(run.finished_at - run.started_at).total_seconds():.2f}"


@admin.register(Plan)
class PlanAdmin(JournalAdmin):
    list_display = (
        *("run", "vehicle", "connector", "arrival_at", "departure_at"),
        *("need_kwh", "energy_kwh", "shortfall_kwh", "shortfall_reason", "predicted_soc_percent"),
    )
    list_filter = ("run__depot", "shortfall_reason")
    list_select_related = ("run__depot", "vehicle", "connector__station")
    search_fields = ("vehicle__name", "connector__bay", "remedy")
    ordering = ("-run__started_at", "departure_at")


@admin.register(PlanningState)
class PlanningStateAdmin(ReadOnlyAdmin):
    list_display = ("depot", "epoch", "requests", "served_requests", "requested_because", "queued_at", "planned_at")
    list_select_related = ("depot",)


@admin.register(MonthPeak)
class MonthPeakAdmin(DepotAdmin):
    list_display = ("depot", "month", "counted", "peak_kw", "read_until")
    list_filter = ("depot",)
    list_select_related = ("depot",)
    readonly_fields = ("read_until",)
    asks_for_plan = "tariff"


@admin.register(DayAheadPlan)
class DayAheadPlanAdmin(JournalAdmin):
    list_display = (
        *("created_at", "depot", "horizon_start", "algorithm", "status", "solver_status"),
        *("vehicles", "energy_kwh", "unmet_kwh", "cost"),
    )
    list_filter = ("status", "depot", "algorithm")
    list_select_related = ("depot",)
    search_fields = ("message",)
    date_hierarchy = "created_at"
