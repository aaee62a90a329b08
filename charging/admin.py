"""Admin of what happens: commands to chargers, sessions, the journal, and stations that nobody knows yet."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from charging.commands import LimitExceeded, queue_command
from charging.models import (
    AuthorizationAttempt,
    Command,
    ConnectorState,
    Finding,
    Frame,
    InstalledProfile,
    MeterSample,
    MeterState,
    Session,
    SessionEvent,
    StationLink,
    StatusNotice,
    TransactionNumber,
    UnknownStation,
)
from charging.wire.errors import PayloadError
from charging.wire.v16.registry import TO_CHARGER
from depot import audit
from depot.admin.base import JournalAdmin, ReadOnlyAdmin, who
from depot.credentials import hash_station_key, new_station_key
from depot.models import Connector, Depot, LoadGroup, Station
from depot.models.equipment import IDENTITY

MOST_CONNECTORS = 10


class CommandForm(ModelForm):  # type: ignore[type-arg]
    """Any OCPP action with its payload; what touches power passes the gate."""

    action = forms.ChoiceField(choices=[(name, name) for name in sorted(TO_CHARGER)], widget=UnfoldAdminSelectWidget)
    payload = forms.JSONField(
        required=False, initial=dict, widget=UnfoldAdminTextareaWidget, help_text="as in the OCPP schema of the action"
    )

    cause = "operator"
    queued: Command

    class Meta:
        model = Command
        fields = ("station", "action", "payload")

    def clean(self) -> dict[str, Any]:
        """Queued here, where a refusal still has a form to be shown on."""
        cleaned = super().clean() or {}
        if self.errors:
            return cleaned
        try:
            with transaction.atomic():
                self.queued = queue_command(
                    station=cleaned["station"],
                    action=cleaned["action"],
                    payload={} if cleaned["payload"] is None else cleaned["payload"],
                    cause=self.cause,
                )
        except PayloadError as error:
            self.add_error("payload", str(error))
        except LimitExceeded as error:
            self.add_error(None, str(error))
        return cleaned


@admin.register(Command)
class CommandAdmin(JournalAdmin):
    list_display = ("created_at", "station", "action", "state_", "cause", "sent_at", "answered_at", "error_code")
    list_filter = ("state", "action", "station__depot", "late")
    list_select_related = ("station",)
    search_fields = ("station__identity", "action", "cause", "natural_key")
    autocomplete_fields = ("station",)

    @admin.display(description="State", ordering="state")
    def state_(self, command: Command) -> str:
        return f"{command.get_state_display()}: {command.held_because}" if command.held_because else command.state

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("charging.add_command"))

    def get_fields(self, request: HttpRequest, obj: Command | None = None) -> Any:
        return CommandForm.Meta.fields if obj is None else super().get_fields(request, obj)

    def get_form(self, request: HttpRequest, obj: Command | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        form = super().get_form(request, obj, change, form=CommandForm, **kwargs)
        form.cause = f"operator {who(request)}"[:100]
        return form

    def save_model(self, request: HttpRequest, obj: Command, form: Any, change: bool) -> None:
        obj.__dict__.update(form.queued.__dict__)
        audit.record(who(request), "command", obj, after={"action": obj.action, "payload": obj.payload})


@admin.register(InstalledProfile)
class InstalledProfileAdmin(ReadOnlyAdmin):
    list_display = (
        "station",
        "number",
        "slot",
        "state",
        "starts_at",
        "ends_at",
        "sent_at",
        "confirmed_at",
        "verified_at",
    )
    list_filter = ("state", "slot", "station__depot")
    list_select_related = ("station",)
    search_fields = ("station__identity",)


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    list_display = ("started_at", "connector", "vehicle", "id_tag", "state", "energy_kwh", "soc_percent", "stopped_at")
    list_filter = ("state", "station__depot", "historical")
    list_select_related = ("connector__station", "vehicle")
    search_fields = ("station__identity", "vehicle__name", "id_tag", "transaction_id")
    date_hierarchy = "started_at"


@admin.register(SessionEvent)
class SessionEventAdmin(JournalAdmin):
    list_display = ("received_at", "kind", "station", "session", "at", "repeats", "orphan_reason")
    list_filter = ("kind", "station__depot")
    list_select_related = ("station", "session__vehicle", "session__connector__station")
    search_fields = ("station__identity", "natural_key", "orphan_reason")


@admin.register(TransactionNumber)
class TransactionNumberAdmin(JournalAdmin):
    list_display = ("id",)


@admin.register(MeterSample)
class MeterSampleAdmin(JournalAdmin):
    list_display = ("at", "station", "number", "power_w", "energy_wh", "offered_a", "soc_percent", "flags")
    list_filter = ("station__depot",)
    list_select_related = ("station",)
    search_fields = ("station__identity",)
    ordering = ("-id",)


@admin.register(Frame)
class FrameAdmin(JournalAdmin):
    list_display = ("at", "station", "direction", "action", "message_id", "text", "error")
    list_filter = ("direction", "action", "station__depot")
    list_select_related = ("station",)
    search_fields = ("station__identity", "action", "message_id")
    ordering = ("-id",)
    fields = ("at", "station", "epoch", "direction", "action", "message_id", "error", "whole_text")
    readonly_fields = ("whole_text",)

    @admin.display(description="Frame")
    def text(self, frame: Frame) -> str:
        return self.whole_text(frame)[:120]

    @admin.display(description="Frame")
    def whole_text(self, frame: Frame) -> str:
        return bytes(frame.raw).decode(errors="replace")


@admin.register(Finding)
class FindingAdmin(ReadOnlyAdmin):
    list_display = ("station", "rule", "text", "count", "first_seen_at", "last_seen_at")
    list_filter = ("rule", "station__depot")
    list_select_related = ("station",)
    search_fields = ("station__identity", "text")


@admin.register(StationLink)
class StationLinkAdmin(ReadOnlyAdmin):
    list_display = (
        "station",
        "online",
        "registration",
        "last_seen_at",
        "connected_at",
        "clock_skew_s",
        "remote_address",
    )
    list_filter = ("online", "registration", "station__depot")
    list_select_related = ("station",)
    search_fields = ("station__identity", "remote_address")


@admin.register(ConnectorState)
class ConnectorStateAdmin(ReadOnlyAdmin):
    list_display = (
        "connector",
        "status",
        "error_code",
        "power_kw",
        "offered_a",
        "soc_percent",
        "sampled_at",
        "status_at",
    )
    list_filter = ("status", "connector__station__depot")
    list_select_related = ("connector__station",)
    search_fields = ("connector__bay", "connector__station__identity")


@admin.register(StatusNotice)
class StatusNoticeAdmin(JournalAdmin):
    list_display = ("at", "station", "number", "status", "error_code", "vendor_error_code", "info")
    list_filter = ("status", "station__depot")
    list_select_related = ("station",)
    search_fields = ("station__identity", "error_code", "vendor_error_code")


@admin.register(MeterState)
class MeterStateAdmin(ReadOnlyAdmin):
    list_display = ("station", "power_kw", "energy_wh", "sampled_at")
    list_select_related = ("station",)


@admin.register(AuthorizationAttempt)
class AuthorizationAttemptAdmin(JournalAdmin):
    list_display = ("at", "station", "id_tag", "status")
    list_filter = ("status", "station__depot")
    list_select_related = ("station",)
    search_fields = ("id_tag", "station__identity")


class AdoptionForm(forms.Form):
    """Where an unknown station stands and what it has."""

    identity = forms.CharField(max_length=48, validators=[IDENTITY], widget=UnfoldAdminTextInputWidget)
    depot = forms.ModelChoiceField(Depot.objects.all(), widget=UnfoldAdminSelectWidget)
    load_group = forms.ModelChoiceField(
        LoadGroup.objects.select_related("depot"), widget=UnfoldAdminSelectWidget, help_text="node of the power tree"
    )
    connectors = forms.IntegerField(
        initial=1, min_value=1, max_value=MOST_CONNECTORS, widget=UnfoldAdminIntegerFieldWidget
    )
    phases = forms.IntegerField(initial=3, min_value=1, max_value=3, widget=UnfoldAdminIntegerFieldWidget)
    max_current_a = forms.IntegerField(
        initial=32, min_value=6, max_value=1000, widget=UnfoldAdminIntegerFieldWidget, help_text="A per phase"
    )

    def clean_identity(self) -> str:
        identity = str(self.cleaned_data["identity"])
        if Station.objects.filter(identity__iexact=identity).exists():
            raise forms.ValidationError(f"A station {identity} is known already.")
        return identity

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        group = cleaned.get("load_group")
        if group is not None and group.depot != cleaned.get("depot"):
            self.add_error("load_group", f"{group} belongs to another depot.")
        return cleaned


def adopt(unknown: UnknownStation, wanted: dict[str, Any], *, by: str) -> tuple[Station, str]:
    """Make a station with connectors, which have no fallback until somebody gives them one; returns it with its key."""
    key = new_station_key()
    with transaction.atomic():
        station = Station.objects.create(
            depot=wanted["depot"],
            load_group=wanted["load_group"],
            identity=wanted["identity"],
            key_hash=hash_station_key(key),
        )
        for number in range(1, wanted["connectors"] + 1):
            bay = station.identity if wanted["connectors"] == 1 else f"{station.identity}/{number}"
            Connector.objects.create(
                station=station,
                number=number,
                bay=bay[-20:],
                phases=wanted["phases"],
                max_current_a=wanted["max_current_a"],
            )
        audit.record(by, "adopted", station, after={"connectors": wanted["connectors"]})
        unknown.delete()
    return station, key


@admin.register(UnknownStation)
class UnknownStationAdmin(ReadOnlyAdmin):
    list_display = (
        "identity",
        "attempts",
        "remote_address",
        "subprotocols",
        "first_seen_at",
        "last_seen_at",
        "adopt_link",
    )
    search_fields = ("identity", "remote_address")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("charging.delete_unknownstation"))  # ignored: it shows again when it knocks

    @admin.display(description="")
    def adopt_link(self, unknown: UnknownStation) -> str:
        return format_html('<a href="{}">Adopt</a>', reverse("admin:charging_unknownstation_adopt", args=[unknown.pk]))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.adopt_view)
        urls: list[URLPattern] = super().get_urls()
        return [path("<int:pk>/adopt/", view, name="charging_unknownstation_adopt"), *urls]

    def adopt_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if not request.user.has_perm("depot.add_station"):
            raise PermissionDenied("Adopting a station needs the permission to add stations.")
        unknown = get_object_or_404(UnknownStation, pk=pk)
        form = AdoptionForm(request.POST or None, initial=_adoption_defaults(unknown))
        if request.method == "POST" and form.is_valid():
            station, key = adopt(unknown, form.cleaned_data, by=who(request))
            messages.warning(
                request, f"{station} is adopted. Its key: {key} (enter it at the charger; it is not shown again)."
            )
            return HttpResponseRedirect(reverse("admin:depot_station_change", args=[station.pk]))
        context = {**self.admin_site.each_context(request), "form": form, "unknown": unknown, "opts": self.model._meta}
        context["title"] = f"Adopt {unknown.identity}"
        return TemplateResponse(request, "charging/admin/adopt_station.html", context)


def _adoption_defaults(unknown: UnknownStation) -> dict[str, Any]:
    depot = Depot.objects.filter(planning_enabled=True).first()
    root = depot.load_groups.filter(parent__isnull=True).first() if depot else None
    return {"identity": unknown.identity[:48], "depot": depot, "load_group": root}
