"""What all admin pages share: the audit trail behind every change, read-only records, times in the depot's zone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Field, JSONField, Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.admin import ModelAdmin

from depot import audit
from depot.models import Depot
from depot.signals import announce_needs_changed

MOST_COUNTED = 10_000


class IndentedJson(DjangoJSONEncoder):
    """For text areas that people read."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "indent": 2})


class Audited:
    """Every change is recorded with its author; `asks_for_plan` is the cause it gives for a new plan."""

    asks_for_plan = ""

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        before = {name: _shown(form.initial.get(name)) for name in form.changed_data} if change else None
        super().save_model(request, obj, form, change)  # type: ignore[misc]  # of the ModelAdmin it is mixed into
        after = {name: _shown(getattr(obj, name, None)) for name in form.changed_data}
        audit.record(who(request), "changed" if change else "added", obj, before=before, after=after)
        self.ask_for_plan(obj)

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        audit.record(who(request), "deleted", obj)
        self.ask_for_plan(obj)
        super().delete_model(request, obj)  # type: ignore[misc]

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for obj in queryset:
            self.delete_model(request, obj)

    def save_formset(self, request: HttpRequest, form: ModelForm[Any], formset: Any, change: bool) -> None:
        super().save_formset(request, form, formset, change)  # type: ignore[misc]
        for obj in formset.new_objects:
            audit.record(who(request), "added", obj)
        for obj, names in formset.changed_objects:
            audit.record(who(request), "changed", obj, after={name: _shown(getattr(obj, name, None)) for name in names})
        for obj in formset.deleted_objects:
            audit.record(who(request), "deleted", obj)

    def ask_for_plan(self, obj: Model) -> None:
        if self.asks_for_plan and (depot_id := depot_id_of(obj)) is not None:
            announce_needs_changed(depot_id, self.asks_for_plan)


class ReadableJson:
    """Shows JSON over several lines, in forms and inlines."""

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        if isinstance(db_field, JSONField):
            kwargs["encoder"] = IndentedJson
        return super().formfield_for_dbfield(db_field, request, **kwargs)  # type: ignore[misc]


class DepotAdmin(ReadableJson, Audited, ModelAdmin):
    """Rows that people edit."""

    list_per_page = 50
    compressed_fields = True
    warn_unsaved_form = True


class ReadOnlyAdmin(ModelAdmin):
    """Records that nobody edits."""

    list_per_page = 50
    compressed_fields = True

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts no further than some thousands: nobody turns so many pages, and counting a journal takes seconds."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows[: MOST_COUNTED + 1].count())


class JournalAdmin(ReadOnlyAdmin):
    """Records that come by the million."""

    paginator = CappedPaginator
    show_full_result_count = False


def who(request: HttpRequest) -> str:
    """Name of the person for the audit trail."""
    return str(request.user.get_username())


def depot_id_of(obj: Any) -> int | None:
    """The depot that a row belongs to."""
    if isinstance(obj, Depot):
        return obj.pk
    for path in (("depot_id",), ("station", "depot_id"), ("load_group", "depot_id"), ("vehicle", "depot_id")):
        value = obj
        for name in path:
            value = getattr(value, name, None)
        if isinstance(value, int):
            return value
    return None


def local_time(field: str, description: str) -> Callable[[Any, Any], str]:
    """A list column with a time in the zone of the row's depot."""

    @admin.display(description=description, ordering=field)
    def column(_: Any, obj: Any) -> str:
        instant: datetime | None = getattr(obj, field)
        return "-" if instant is None else f"{obj.depot.local(instant):%a %d %b %H:%M %Z}"

    return column


def _shown(value: Any) -> Any:
    return value if isinstance(value, str | int | float | bool | list | dict | type(None)) else str(value)
