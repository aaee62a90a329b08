"""Incidents, which people acknowledge; the audit trail and the API's remembered answers, which nobody changes."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from depot import audit
from depot.admin.base import JournalAdmin, ReadOnlyAdmin, who
from depot.incidents import acknowledge_incident
from depot.models import AuditEvent, Incident, User
from depot.models.idempotency import IdempotencyRecord


class OpenFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin[Incident]) -> list[tuple[str, str]]:
        return [("yes", "Open"), ("no", "Closed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Incident]) -> QuerySet[Incident]:
        if self.value() in ("yes", "no"):
            return queryset.filter(closed_at__isnull=self.value() == "yes")
        return queryset


@admin.register(Incident)
class IncidentAdmin(ReadOnlyAdmin):
    list_display = ("type", "subject", "severity", "message", "count", "opened_at", "acknowledged_by", "closed_at")
    list_filter = (OpenFilter, "severity", "type", "depot")
    list_select_related = ("depot", "acknowledged_by")
    search_fields = ("type", "subject", "message")
    date_hierarchy = "opened_at"
    actions = ("acknowledge",)

    @admin.action(description="Acknowledge")
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Incident]) -> None:
        assert isinstance(request.user, User)
        done = 0
        for incident in queryset:
            if acknowledge_incident(incident, by=request.user):
                audit.record(who(request), "acknowledged", incident)
                done += 1
        messages.success(request, f"Acknowledged {done}; what was acknowledged or closed before stays as it is.")


@admin.register(AuditEvent)
class AuditEventAdmin(JournalAdmin):
    list_display = ("at", "actor", "action", "subject", "reason")
    list_filter = ("action",)
    search_fields = ("actor", "subject", "reason")
    date_hierarchy = "at"


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(JournalAdmin):
    list_display = ("created_at", "principal", "key", "finished", "status_code")
    list_filter = ("finished", "status_code")
    search_fields = ("principal", "key")
    ordering = ("-created_at",)
