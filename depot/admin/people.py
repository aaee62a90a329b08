"""People, their roles per depot, and the keys of service accounts."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin, TabularInline
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from depot import audit
from depot.access import PERMISSIONS
from depot.admin.base import Audited, DepotAdmin, who
from depot.api_keys import issue_api_key
from depot.models import ApiKey, DepotRole, User

admin.site.unregister(Group)


class RolesInline(TabularInline):
    model = DepotRole
    extra = 0


@admin.register(User)
class UserAdmin(Audited, DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    inlines = (RolesInline,)
    list_display = ("username", "first_name", "last_name", "email", "is_active", "is_superuser", "last_login")


@admin.register(Group)
class GroupAdmin(Audited, DjangoGroupAdmin, ModelAdmin):
    pass


@admin.register(DepotRole)
class DepotRoleAdmin(DepotAdmin):
    list_display = ("user", "depot", "role")
    list_filter = ("depot", "role")
    list_select_related = ("user", "depot")
    search_fields = ("user__username",)
    autocomplete_fields = ("user",)


class ApiKeyForm(ModelForm):  # type: ignore[type-arg]
    scopes = forms.MultipleChoiceField(
        choices=[(permission, permission) for permission in PERMISSIONS],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        initial=["read"],
    )

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "depots", "expires_at", "test")


@admin.register(ApiKey)
class ApiKeyAdmin(DepotAdmin):
    form = ApiKeyForm
    list_display = ("name", "prefix", "scopes_", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_filter = ("test", "depots")
    search_fields = ("name", "prefix")
    autocomplete_fields = ("depots",)
    actions = ("revoke",)

    @admin.display(description="Scopes")
    def scopes_(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        key, secret = issue_api_key(obj.name, scopes=obj.scopes, expires_at=obj.expires_at, test=obj.test)
        obj.__dict__.update(key.__dict__)
        audit.record(who(request), "added", key, after={"scopes": key.scopes})
        messages.warning(request, f"API key {key.name}: {secret} (write it down, it is not shown again).")

    @admin.action(description="Revoke")
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        for key in queryset.filter(revoked_at__isnull=True):
            ApiKey.objects.filter(pk=key.pk).update(revoked_at=timezone.now())
            audit.record(who(request), "revoked", key)
            messages.success(request, f"{key.name} no longer opens anything.")
