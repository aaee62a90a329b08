"""Supply tariffs and their versions, each in force for whole local days."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from depot.api import filters
from depot.api.permissions import scope_missing
from depot.api.principals import may, visible_depots
from depot.api.problems import Problem
from depot.api.resources import SLUG_PATTERN, Changeable, Creatable, Readable, Removable
from depot.api.serializers import StrictModelSerializer
from depot.models import Depot, Tariff, TariffVersion

DATE_PATTERN = "[0-9]{4}-[0-9]{2}-[0-9]{2}"


class TariffVersionSerializer(StrictModelSerializer[TariffVersion]):
    """Elements in force from `valid_from` (inclusive) to `valid_to` (exclusive; null: until further notice)."""

    elements = serializers.ListField(
        child=serializers.DictField(), help_text="energy_tou, energy_flat, demand, fixed_per_month, ..."
    )

    class Meta:
        model = TariffVersion
        fields = ("valid_from", "valid_to", "elements")


class TariffSerializer(StrictModelSerializer[Tariff]):
    versions = TariffVersionSerializer(many=True, read_only=True)
    depots = serializers.SlugRelatedField[Depot](slug_field="slug", many=True, read_only=True)

    class Meta:
        model = Tariff
        fields = ("slug", "name", "currency", "description", "depots", "versions")


class SharedTariffs:
    """Above depots: seen where one of the own depots uses a tariff or none does, changed with the right in all."""

    def visible(self, queryset: QuerySet[Any], depots: QuerySet[Depot], path: str) -> QuerySet[Any]:
        return queryset.filter(Q(**{f"{path}__in": depots}) | Q(**{f"{path}__isnull": True})).distinct()

    def require_in_all(self: Any, tariff: Tariff) -> None:
        using = Depot.objects.filter(tariff=tariff.pk) if tariff.pk else ()
        if not all(may(self.request, self.required_scope(), depot) for depot in using):
            raise scope_missing(self.required_scope())


@extend_schema(tags=["tariffs"])
class TariffViews(SharedTariffs, Creatable, Changeable, Removable, Readable[Tariff]):
    queryset = Tariff.objects.prefetch_related("versions", "depots")
    serializer_class = TariffSerializer
    write_scope = "tariffs:write"
    lookup_field = location_field = "slug"
    lookup_value_regex = SLUG_PATTERN
    ordering, ordering_fields = "slug", ("slug", "name")
    filters = {"depot": filters.text("depots__slug", "slug of a depot that uses the tariff")}

    def within(self, queryset: QuerySet[Tariff], depots: QuerySet[Depot]) -> QuerySet[Tariff]:
        return self.visible(queryset, depots, "depots")

    def depot_of(self, obj: Any) -> Depot | None:
        return None

    def check_object_permissions(self, request: Request, obj: Tariff) -> None:
        super().check_object_permissions(request, obj)
        if self.required_scope() == self.write_scope:
            self.require_in_all(obj)

    def before_removal(self, instance: Tariff) -> None:
        if instance.depots.exists():
            raise Problem(
                "in-use", status=409, detail="A depot still buys energy by this tariff; give it another first."
            )


EXAMPLE = OpenApiExample(
    "Two prices a day",
    request_only=True,
    value={
        "valid_from": "2026-01-01",
        "valid_to": None,
        "elements": [
            {
                "type": "energy_tou",
                "unit": "EUR/kWh",
                "periods": [
                    {"name": "night", "days": "all", "start": "22:00", "end": "06:00", "price": 0.21},
                    {"name": "day", "days": "all", "start": "06:00", "end": "22:00", "price": 0.34},
                ],
            }
        ],
    },
)


TARIFF_SLUG = OpenApiParameter("tariff_slug", str, OpenApiParameter.PATH, description="slug of the tariff")


@extend_schema(tags=["tariffs"], parameters=[TARIFF_SLUG])
class TariffVersionViews(SharedTariffs, Creatable, Changeable, Removable, Readable[TariffVersion]):
    """Versions of one tariff, addressed by the day from which they are in force."""

    queryset = TariffVersion.objects.select_related("tariff")
    serializer_class = TariffVersionSerializer
    write_scope = "tariffs:write"
    lookup_field = location_field = "valid_from"
    lookup_value_regex = DATE_PATTERN
    ordering, ordering_fields = "valid_from", ("valid_from",)

    def get_queryset(self) -> QuerySet[TariffVersion]:
        return super().get_queryset().filter(tariff__slug=self.kwargs.get("tariff_slug", ""))

    def within(self, queryset: QuerySet[TariffVersion], depots: QuerySet[Depot]) -> QuerySet[TariffVersion]:
        return self.visible(queryset, depots, "tariff__depots")

    def get_object(self) -> TariffVersion:
        try:
            return super().get_object()
        except ValueError as error:  # a day that no calendar has
            raise TariffVersion.DoesNotExist from error

    def depot_of(self, obj: Any) -> Depot | None:
        return None

    def check_object_permissions(self, request: Request, obj: TariffVersion) -> None:
        super().check_object_permissions(request, obj)
        if self.required_scope() == self.write_scope:
            self.require_in_all(obj.tariff)

    def tariff(self) -> Tariff:
        queryset = Tariff.objects.filter(slug=self.kwargs["tariff_slug"])
        found: Tariff | None = self.visible(queryset, visible_depots(self.request), "depots").first()
        if found is None:
            raise Tariff.DoesNotExist
        return found

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        self.tariff()
        return super().list(request, *args, **kwargs)

    @extend_schema(examples=[EXAMPLE])
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        tariff = self.tariff()
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        serializer.save(tariff=tariff)
        return Response(serializer.data, status=201, headers=self.get_success_headers(serializer.data))
