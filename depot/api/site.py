"""Depots, the nodes of their power trees and the limits on them."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers

from depot.api import filters
from depot.api.fields import DepotReference, LoadGroupReference, StationReference, StrictNumber, StrictText
from depot.api.resources import (
    NUMBER_PATTERN,
    SLUG_PATTERN,
    Changeable,
    Creatable,
    Readable,
    Removable,
)
from depot.api.serializers import StrictModelSerializer
from depot.models import Depot, Limit, LoadGroup, Tariff
from depot.models.site import MOST_CO2_KG_PER_KWH

HIGHEST_KW = 1e6
POWER: dict[str, Any] = {"min_value": 0, "max_value": HIGHEST_KW}


class DepotSerializer(StrictModelSerializer[Depot]):
    """One site with the settings that planning and booking use."""

    tariff = serializers.SlugRelatedField(
        slug_field="slug", queryset=Tariff.objects.all(), allow_null=True, required=False
    )

    co2_price_per_kg = StrictNumber(min_value=0, max_value=1000, required=False)
    co2_kg_per_kwh = serializers.ListField(
        child=StrictNumber(min_value=0, max_value=MOST_CO2_KG_PER_KWH),
        required=False,
        help_text="kg per kWh for each of the 24 local hours, or one for all, or empty",
    )

    class Meta:
        model = Depot
        fields = (
            *("slug", "name", "time_zone", "currency", "tariff", "planning_enabled", "algorithm"),
            *("resolution_minutes", "horizon_hours", "plan_interval_s", "departure_margin_minutes"),
            *("arrival_uncertainty_minutes", "min_on_minutes", "min_off_minutes", "co2_price_per_kg", "co2_kg_per_kwh"),
            *("default_stay_hours", "default_target_soc_percent", "fallback_share", "buffer_minutes"),
            *("early_start_minutes", "noshow_timeout_minutes"),
        )
        read_only_fields = ("slug",)


@extend_schema(tags=["depots"])
class DepotViews(Changeable, Readable[Depot]):
    """Sites. Their settings are changed with the scope equipment:write."""

    queryset = Depot.objects.select_related("tariff")
    serializer_class = DepotSerializer
    write_scope = "equipment:write"
    depot_path = ""
    lookup_field = "slug"
    lookup_value_regex = SLUG_PATTERN
    ordering, ordering_fields = "slug", ("slug", "name")


class LoadGroupSerializer(StrictModelSerializer[LoadGroup]):
    """A node of the power tree, limited in kW and optionally in A per phase."""

    depot = DepotReference()
    parent = LoadGroupReference(allow_null=True, required=False)  # type: ignore[assignment]
    limit_kw = StrictNumber(**POWER)
    limit_a = StrictNumber(**POWER, allow_null=True, required=False)
    building_reserve_kw = StrictNumber(**POWER, required=False)
    building_load_kw = serializers.ListField(
        child=StrictNumber(**POWER), required=False, help_text="kW for each of the 24 local hours, or empty"
    )
    building_meter = StationReference(allow_null=True, required=False)

    class Meta:
        model = LoadGroup
        fields = (
            *("id", "depot", "parent", "slug", "name", "limit_kw", "limit_a"),
            *("building_load_kw", "building_reserve_kw", "building_meter"),
        )


@extend_schema(tags=["load-groups"])
class LoadGroupViews(Creatable, Changeable, Removable, Readable[LoadGroup]):
    """Grid connection, transformers, feeders, boards. A child's draw counts in every ancestor."""

    queryset = LoadGroup.objects.select_related("depot", "parent", "building_meter")
    serializer_class = LoadGroupSerializer
    write_scope = "limits:write"
    lookup_value_regex = NUMBER_PATTERN
    filters = {"depot": filters.depot(), "slug": filters.text("slug", "slug within the depot")}


class LimitSerializer(StrictModelSerializer[Limit]):
    """A lower limit for a time: `hard` protects equipment and contract, soft protects cost."""

    load_group = LoadGroupReference()
    limit_kw = StrictNumber(**POWER)
    price_per_kwh = StrictNumber(min_value=0, allow_null=True, required=False)
    reason = StrictText(max_length=200, allow_blank=True, required=False)

    class Meta:
        model = Limit
        fields = ("id", "load_group", "kind", "starts_at", "ends_at", "limit_kw", "hard", "price_per_kwh", "reason")


@extend_schema(tags=["limits"])
class LimitViews(Creatable, Changeable, Removable, Readable[Limit]):
    """Time-bounded limits on nodes of the power tree; a change asks for a new plan at once."""

    queryset = Limit.objects.select_related("load_group__depot")
    serializer_class = LimitSerializer
    write_scope = "limits:write"
    depot_path = "load_group__depot"
    lookup_value_regex = NUMBER_PATTERN
    ordering, ordering_fields = "starts_at", ("id", "starts_at", "ends_at")
    filters = {
        "depot": filters.depot("load_group__depot"),
        "load_group": filters.number("load_group", "id of a load group"),
        "kind": filters.choice("kind", Limit.Kind.values, "kind of limit"),
        **filters.period("starts_at", "ends_at"),
    }
