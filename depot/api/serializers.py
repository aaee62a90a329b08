"""Serializers that refuse unknown fields and store through `full_clean`, the depot check and the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from django.db import models, transaction
from rest_framework import serializers

from depot import audit
from depot.api.fields import Instant, StrictFlag, StrictInteger, StrictNumber, StrictText
from depot.api.fitting import Fitting, refuse_misfits
from depot.api.principals import actor_of

M = TypeVar("M", bound=models.Model)


class UnknownFieldsRefused:
    """Mixed into serializers: a name that is not in the schema is a mistake of the client, not noise."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            fields: Mapping[str, serializers.Field[Any, Any, Any, Any]] = self.fields  # type: ignore[attr-defined]
            writable = {name for name, field in fields.items() if not field.read_only}
            errors = {
                str(name): [serializers.ErrorDetail(refusal(str(name), name in fields), code="unknown-field")]
                for name in data
                if name not in writable
            }
            if errors:
                raise serializers.ValidationError(errors)
        return super().to_internal_value(data)  # type: ignore[misc]


def refusal(name: str, known: bool) -> str:
    return f"{name!r} can be read only." if known else f"There is no field {name!r}."


class StrictSerializer(UnknownFieldsRefused, serializers.Serializer[Any]):
    """A body that is no model."""


class StrictModelSerializer(UnknownFieldsRefused, serializers.ModelSerializer[M]):
    serializer_field_mapping = serializers.ModelSerializer.serializer_field_mapping | {
        models.CharField: StrictText,
        models.TextField: StrictText,
        models.SlugField: serializers.SlugField,
        models.FloatField: StrictNumber,
        models.IntegerField: StrictInteger,
        models.PositiveIntegerField: StrictInteger,
        models.PositiveSmallIntegerField: StrictInteger,
        models.BooleanField: StrictFlag,
        models.DateTimeField: Instant,
    }

    def get_validators(self) -> list[Any]:
        """None of DRF's own for groups of fields: `full_clean` knows every constraint, also those with conditions."""
        return []

    def create(self, validated_data: Any) -> M:
        return self.store(self.Meta.model(**validated_data), action="created")  # type: ignore[misc]

    def update(self, instance: M, validated_data: Any) -> M:
        before = {name: getattr(instance, name) for name in validated_data}
        for name, value in validated_data.items():
            setattr(instance, name, value)
        return self.store(instance, action="changed", before=before)

    def store(self, instance: M, *, action: str, before: Mapping[str, Any] | None = None) -> M:
        """Check the client's right in the depot it ends up in, the model's rules, save, and leave an audit row."""
        view, request = self.context["view"], self.context["request"]
        view.check_object_permissions(request, instance)
        instance.full_clean()
        if isinstance(instance, Fitting):
            refuse_misfits(instance)
        with transaction.atomic():
            instance.save()
            audit.record(
                actor_of(request),
                action,
                instance,
                before=plain(before) if before is not None else None,
                after=plain(self.validated_data),
            )
        return instance


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Field values as the audit trail keeps them: rows by their name."""
    return {name: str(value) if isinstance(value, models.Model) else value for name, value in values.items()}
