"""Reservations: booked, changed and canceled through the booking services, so that the plan follows at once."""

from __future__ import annotations

from copy import copy
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.admin import TabularInline

from depot.admin.base import DepotAdmin, ReadOnlyAdmin, local_time, who
from depot.booking.services import (
    NEED_FIELDS,
    BookingConflict,
    InvalidBooking,
    Need,
    book,
    cancel,
    change,
    probe,
)
from depot.models import Depot, Reservation, ReservationTransition

FIELDS = (
    *("depot", "vehicle", "connector", "starts_at", "ends_at"),
    *NEED_FIELDS,
    *("priority", "external_id", "notes"),
)


class ReservationForm(ModelForm):  # type: ignore[type-arg]
    """Says in words what is in the way and what is free instead."""

    class Meta:
        model = Reservation
        fields = FIELDS
        labels = {
            "starts_at": "From",
            "ends_at": "Until",
            "energy_kwh": "Energy (kWh)",
            "required_soc_percent": "Target SoC (%)",
            "minimum_energy_kwh": "Of it at least (kWh)",
            "minimum_soc_percent": "At least SoC (%)",
            "external_id": "External id",
        }

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if self.errors or self.instance.state not in Reservation.HOLDING:
            return cleaned
        wanted = copy(self.instance)
        for name in set(FIELDS) & set(cleaned):
            setattr(wanted, name, cleaned[name])
        try:
            probe(wanted)
        except InvalidBooking as error:
            for name, sentence in error.errors.items():
                self.add_error(name if name in self.fields else None, sentence)
        except BookingConflict as conflict:
            words = conflict.in_words(wanted.depot.zone)
            self.add_error("connector", forms.ValidationError(words, code="conflict"))
        return cleaned


class TransitionsInline(TabularInline):
    model = ReservationTransition
    fields = readonly_fields = ("at", "from_state", "to_state", "actor", "reason")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Reservation)
class ReservationAdmin(DepotAdmin):
    form = ReservationForm
    list_display = ("vehicle", "bay", "starts", "ends", "need", "priority", "state", "depot")
    list_filter = ("state", "depot", "priority")
    list_select_related = ("depot", "vehicle", "connector__station")
    search_fields = ("vehicle__name", "vehicle__external_id", "external_id", "connector__bay", "notes")
    date_hierarchy = "starts_at"
    ordering = ("-starts_at",)
    autocomplete_fields = ("vehicle", "connector")
    inlines = (TransitionsInline,)
    actions = ("cancel_selected",)
    starts = local_time("starts_at", "Starts")
    ends = local_time("ends_at", "Ends")
    fieldsets = (
        (None, {"fields": ("depot", "vehicle", "connector")}),
        ("When (local time of the depot)", {"fields": ("starts_at", "ends_at")}),
        (
            "Need: energy or target SoC, neither means the depot's default target",
            {"fields": (*NEED_FIELDS, "priority")},
        ),
        ("More", {"fields": ("external_id", "notes")}),
    )

    @admin.display(description="Bay", ordering="connector__bay")
    def bay(self, reservation: Reservation) -> str:
        return reservation.connector.bay if reservation.connector else "any"

    @admin.display(description="Need")
    def need(self, reservation: Reservation) -> str:
        if reservation.energy_kwh is not None:
            return f"{reservation.energy_kwh:g} kWh"
        if reservation.required_soc_percent is not None:
            return f"{reservation.required_soc_percent:g} %"
        return "default"

    def get_readonly_fields(self, request: HttpRequest, obj: Reservation | None = None) -> tuple[str, ...]:
        if obj is None:
            return ()
        return ("depot",) if obj.state in Reservation.HOLDING else FIELDS

    def get_inlines(self, request: HttpRequest, obj: Reservation | None) -> Any:
        return self.inlines if obj is not None else ()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False  # canceled ones stay as history

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        given: dict[str, Any] = super().get_changeform_initial_data(request)
        depot = Depot.objects.filter(planning_enabled=True).first()
        hour = timezone.now().replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
        usual = {"starts_at": hour, "ends_at": hour + timedelta(hours=8)}
        return {**usual, **({"depot": depot.pk} if depot else {}), **given}

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """In the depot's local time; a race that is lost after the form was checked is said, not thrown."""
        with timezone.override(self._zone(request, object_id)):
            try:
                response: HttpResponse = super().changeform_view(request, object_id, form_url, extra_context)
            except (BookingConflict, InvalidBooking) as refusal:
                messages.error(request, str(refusal))
                return HttpResponseRedirect(request.get_full_path())
            if isinstance(response, TemplateResponse):
                response.render()
        return response

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        if change:
            self._change(request, obj, form)
            return
        wanted = form.cleaned_data
        booked = book(
            depot=wanted["depot"],
            vehicle=wanted["vehicle"],
            connector=wanted["connector"],
            starts_at=wanted["starts_at"],
            ends_at=wanted["ends_at"],
            need=Need(**{name: wanted[name] for name in NEED_FIELDS}),
            priority=wanted["priority"],
            external_id=wanted["external_id"],
            notes=wanted["notes"],
            by=who(request),
        )
        obj.__dict__.update(booked.__dict__)

    @admin.action(description="Cancel")
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Reservation]) -> None:
        for reservation in queryset:
            try:
                cancel(reservation, by=who(request))
                messages.success(request, f"{reservation} is canceled.")
            except InvalidBooking as error:
                messages.error(request, f"{reservation}: {error}")

    def _change(self, request: HttpRequest, obj: Reservation, form: ModelForm[Any]) -> None:
        fields = {name: form.cleaned_data[name] for name in form.changed_data if name in FIELDS}
        if fields:
            stored = Reservation.objects.get(pk=obj.pk)
            obj.__dict__.update(change(stored, by=who(request), **fields).__dict__)

    def _zone(self, request: HttpRequest, object_id: str | None) -> Any:
        depots = Depot.objects.all()
        if object_id is not None:
            depot = depots.filter(reservations__pk=object_id).first() if _is_uuid(object_id) else None
        elif str(request.POST.get("depot", "")).isdigit():
            depot = depots.filter(pk=request.POST["depot"]).first()
        else:
            depot = depots.filter(planning_enabled=True).first()
        return depot.zone if depot else timezone.get_default_timezone()


@admin.register(ReservationTransition)
class ReservationTransitionAdmin(ReadOnlyAdmin):
    list_display = ("at", "reservation", "from_state", "to_state", "actor", "reason")
    list_filter = ("to_state", "reservation__depot")
    list_select_related = ("reservation__vehicle", "reservation__connector__station")
    search_fields = ("actor", "reason")


def _is_uuid(text: str) -> bool:
    return len(text.replace("-", "").replace("_", "")) >= 32
