"""The site and its power tree: where the kilowatts come from and what limits them."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from depot.algorithms import validate_algorithm

HOURS_OF_DAY = 24
MOST_CO2_KG_PER_KWH = 10
LONGEST_SWITCHING_MINUTES = 240


def is_number(value: Any) -> bool:
    """Whether a value of a JSON field is a finite number."""
    return not isinstance(value, bool) and isinstance(value, int | float) and math.isfinite(value)


def validate_time_zone(name: str) -> None:
    if name not in available_timezones():
        raise ValidationError(f"{name!r} is not an IANA time zone; write for example Europe/Berlin.")


def validate_co2_factor(value: Any) -> None:
    if value in ([], None):
        return
    if not isinstance(value, list) or len(value) not in (1, HOURS_OF_DAY):
        raise ValidationError("Give a list of one number, such as [0.35], or of 24, kg per kWh for each local hour.")
    for hour, factor in enumerate(value):
        if not is_number(factor) or not 0 <= factor <= MOST_CO2_KG_PER_KWH:
            raise ValidationError(f"Hour {hour}: {factor!r} is not from 0 to {MOST_CO2_KG_PER_KWH} kg per kWh.")


class Depot(models.Model):
    """One site: time zone, currency and the settings that planning and booking use."""

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    time_zone = models.CharField(max_length=64, default="Europe/Berlin", validators=[validate_time_zone])
    currency = models.CharField(max_length=3, default="EUR", help_text="ISO 4217 code")
    tariff = models.ForeignKey("depot.Tariff", on_delete=models.SET_NULL, null=True, blank=True, related_name="depots")

    planning_enabled = models.BooleanField(default=True)
    algorithm = models.CharField(
        max_length=50, default="optimal", validators=[validate_algorithm], help_text="name of a registered algorithm"
    )
    resolution_minutes = models.PositiveSmallIntegerField(
        default=15, validators=[MinValueValidator(1), MaxValueValidator(60)], help_text="length of a planning step, min"
    )
    horizon_hours = models.PositiveSmallIntegerField(
        default=24, validators=[MinValueValidator(1), MaxValueValidator(72)], help_text="how far a plan looks ahead, h"
    )
    plan_interval_s = models.PositiveIntegerField(default=60, validators=[MinValueValidator(5)])
    departure_margin_minutes = models.PositiveSmallIntegerField(
        default=0, help_text="plan to be ready this long before the booked end, where that leaves no energy out, min"
    )
    arrival_uncertainty_minutes = models.PositiveSmallIntegerField(
        default=0, help_text="how late a booked vehicle often comes: plans avoid that time where they can, min"
    )
    min_on_minutes = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(LONGEST_SWITCHING_MINUTES)],
        help_text="shortest time that a vehicle charges without a pause, min",
    )
    min_off_minutes = models.PositiveSmallIntegerField(
        default=0, validators=[MaxValueValidator(LONGEST_SWITCHING_MINUTES)], help_text="shortest pause, min"
    )
    co2_price_per_kg = models.FloatField(
        default=0,
        validators=[MinValueValidator(0), MaxValueValidator(1000)],
        help_text="weight of a kg of CO2 against money, in the depot's currency; it steers plans and is on no bill",
    )
    co2_kg_per_kwh = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_co2_factor],
        help_text="CO2 of the grid's energy, kg per kWh: a list of one number for all hours or of 24 for the "
        "local hours; empty means unknown",
    )
    default_stay_hours = models.PositiveSmallIntegerField(
        default=8, validators=[MinValueValidator(1)], help_text="assumed stay of a vehicle without a reservation, h"
    )
    default_target_soc_percent = models.PositiveSmallIntegerField(default=80, validators=[MaxValueValidator(100)])
    fallback_share = models.FloatField(
        default=1 / 3,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="share of every node that permanent fallbacks may take together",
    )
    buffer_minutes = models.PositiveSmallIntegerField(default=10, help_text="gap kept after a reservation")
    early_start_minutes = models.PositiveSmallIntegerField(default=30)
    noshow_timeout_minutes = models.PositiveSmallIntegerField(default=30)
    assume_ocpp16 = models.BooleanField(
        default=True, help_text="treat a charger that offers no subprotocol as OCPP 1.6J"
    )

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                condition=Q(resolution_minutes__gte=1, resolution_minutes__lte=60), name="depot_resolution_1_to_60_min"
            ),
            models.CheckConstraint(
                condition=Q(horizon_hours__gte=1, horizon_hours__lte=72), name="depot_horizon_1_to_72_h"
            ),
            models.CheckConstraint(
                condition=Q(fallback_share__gte=0, fallback_share__lte=1), name="depot_fallback_share_0_to_1"
            ),
            models.CheckConstraint(condition=Q(co2_price_per_kg__gte=0), name="depot_co2_price_not_negative"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def local(self, instant: datetime) -> datetime:
        return instant.astimezone(self.zone)


def validate_load_by_hour(value: Any) -> None:
    if value in ([], None):
        return
    if not isinstance(value, list) or len(value) != HOURS_OF_DAY:
        raise ValidationError("Give 24 numbers, the load in kW for each local hour, or leave it empty.")
    for hour, load in enumerate(value):
        if isinstance(load, bool) or not isinstance(load, int | float) or not 0 <= load < 1e6:
            raise ValidationError(f"Hour {hour}: {load!r} is not a load in kW of 0 or more.")


class LoadGroup(models.Model):
    """A node of the power tree: grid connection, transformer, feeder, board. Children count in every ancestor."""

    depot = models.ForeignKey(Depot, on_delete=models.CASCADE, related_name="load_groups")
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    slug = models.SlugField()
    name = models.CharField(max_length=100)
    limit_kw = models.FloatField(validators=[MinValueValidator(0)])
    limit_a = models.FloatField(null=True, blank=True, validators=[MinValueValidator(0)], help_text="A per phase")
    building_load_kw = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_load_by_hour],
        help_text="expected load of the building on this node, kW for each of the 24 local hours; empty means none",
    )
    building_reserve_kw = models.FloatField(
        default=0,
        validators=[MinValueValidator(0)],
        help_text="how far the building may go above its expected load, kW",
    )
    building_meter = models.OneToOneField(
        "depot.Station",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="metered_group",
        help_text="station whose connector 0 reports the building's load",
    )

    class Meta:
        ordering = ["depot", "id"]
        constraints = [
            models.UniqueConstraint(fields=["depot", "slug"], name="load_group_slug_unique_in_depot"),
            models.UniqueConstraint(
                fields=["depot"], condition=Q(parent__isnull=True), name="load_group_one_root_per_depot"
            ),
            models.CheckConstraint(condition=Q(limit_kw__gte=0), name="load_group_limit_kw_not_negative"),
            models.CheckConstraint(
                condition=Q(limit_a__isnull=True) | Q(limit_a__gte=0), name="load_group_limit_a_not_negative"
            ),
            models.CheckConstraint(condition=Q(building_reserve_kw__gte=0), name="load_group_reserve_not_negative"),
            models.CheckConstraint(
                condition=Q(parent__isnull=True) | ~Q(parent=F("id")), name="load_group_not_its_own_parent"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.depot.slug}/{self.slug}"

    def clean(self) -> None:
        if self.parent_id is None:
            return
        if self.parent is not None and self.parent.depot_id != self.depot_id:
            raise ValidationError({"parent": f"{self.parent} belongs to another depot; choose a node of {self.depot}."})
        if self.pk is not None and any(node.pk == self.pk for node in self.parent.ancestors(include_self=True)):  # type: ignore[union-attr]
            raise ValidationError({"parent": f"{self.parent} lies below {self.name}; a node cannot hang under itself."})

    def ancestors(self, *, include_self: bool = False) -> list[LoadGroup]:
        """The nodes from here to the root, nearest first."""
        found: list[LoadGroup] = [self] if include_self else []
        node = self.parent
        while node is not None and node not in found:
            found.append(node)
            node = node.parent
        return found

    def building_load_at(self, instant: datetime) -> float:
        """Expected load of the building on this node, kW."""
        if not self.building_load_kw:
            return 0.0
        return float(self.building_load_kw[self.depot.local(instant).hour])

    def building_worst_at(self, instant: datetime) -> float:
        """The most the building is configured to take, kW: what counts while its meter is silent."""
        return self.building_load_at(instant) + self.building_reserve_kw


class Limit(models.Model):
    """A time-bounded lower limit on a LoadGroup."""

    class Kind(models.TextChoices):
        MANUAL = "manual", "Manual"
        GRID_OPERATOR = "grid_operator", "Grid operator"
        DEMAND_RESPONSE = "demand_response", "Demand response"

    load_group = models.ForeignKey(LoadGroup, on_delete=models.CASCADE, related_name="limits")
    kind = models.CharField(max_length=20, choices=Kind, default=Kind.MANUAL)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    limit_kw = models.FloatField(validators=[MinValueValidator(0)])
    hard = models.BooleanField(default=True, help_text="a soft limit protects cost, a hard one equipment and contract")
    price_per_kwh = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="of a soft limit: what a kWh above it is worth; empty means ten times the mean energy price",
    )
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["starts_at"]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="limit_ends_after_it_starts"),
            models.CheckConstraint(condition=Q(limit_kw__gte=0), name="limit_kw_not_negative"),
            models.CheckConstraint(
                condition=Q(price_per_kwh__isnull=True) | Q(price_per_kwh__gte=0), name="limit_price_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.limit_kw:g} kW on {self.load_group} from {self.starts_at.astimezone(UTC):%Y-%m-%d %H:%M}Z"

    def clean(self) -> None:
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise ValidationError({"ends_at": f"{self.ends_at} is not after the start {self.starts_at}."})
        if self.hard and self.price_per_kwh is not None:
            raise ValidationError(
                {"price_per_kwh": "A hard limit is never exceeded and has no price: make it soft, or leave this empty."}
            )
