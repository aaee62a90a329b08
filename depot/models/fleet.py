"""Vehicles, how chargers recognise them, and what is known of their batteries."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper

from depot.models.equipment import Connector
from depot.models.site import Depot, is_number

MOST_CURVE_KW = 10_000


def validate_charging_curve(value: Any) -> None:
    """[[SoC %, kW], ...] with rising SoC."""
    if value in ([], None):
        return
    if not isinstance(value, list):
        raise ValidationError("Give a list of [SoC %, kW], for example [[80, 50], [100, 10]], or leave it empty.")
    before = -1.0
    for number, point in enumerate(value, start=1):
        if not isinstance(point, list) or len(point) != 2 or not all(is_number(each) for each in point):
            raise ValidationError(f"Point {number}: {point!r} is not a pair of SoC % and kW.")
        soc, power = point
        if not 0 <= soc <= 100:
            raise ValidationError(f"Point {number}: {soc!r} is not a SoC from 0 to 100 %.")
        if soc <= before:
            raise ValidationError(f"Point {number}: the SoC {soc!r} % is not above the one before it, {before:g} %.")
        if not 0 <= power <= MOST_CURVE_KW:
            raise ValidationError(f"Point {number}: {power!r} is not a power from 0 to {MOST_CURVE_KW} kW.")
        before = soc


class Vehicle(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    depot = models.ForeignKey(Depot, on_delete=models.CASCADE, related_name="vehicles")
    external_id = models.CharField(max_length=64)
    name = models.CharField(max_length=100)
    battery_kwh = models.FloatField(validators=[MinValueValidator(0.1)])
    max_ac_kw = models.FloatField(validators=[MinValueValidator(0.1)])
    max_dc_kw = models.FloatField(null=True, blank=True, validators=[MinValueValidator(0.1)])
    phases = models.PositiveSmallIntegerField(default=3, validators=[MinValueValidator(1), MaxValueValidator(3)])
    min_current_a = models.FloatField(default=6, validators=[MinValueValidator(0)])
    charging_efficiency = models.FloatField(default=0.92, validators=[MinValueValidator(0.01), MaxValueValidator(1)])
    charging_curve = models.JSONField(
        default=list,
        blank=True,
        validators=[validate_charging_curve],
        help_text="most power by state of charge: [[SoC %, kW], ...] with rising SoC; empty means always full power",
    )
    home_connector = models.ForeignKey(
        Connector, on_delete=models.SET_NULL, null=True, blank=True, related_name="home_vehicles"
    )
    department = models.CharField(max_length=50, blank=True)

    class Meta:
        ordering = ["depot", "name"]
        constraints = [
            models.UniqueConstraint(fields=["depot", "external_id"], name="vehicle_external_id_unique_in_depot"),
            models.CheckConstraint(condition=Q(battery_kwh__gt=0), name="vehicle_battery_positive"),
            models.CheckConstraint(condition=Q(max_ac_kw__gt=0), name="vehicle_max_ac_positive"),
            models.CheckConstraint(condition=Q(phases__gte=1, phases__lte=3), name="vehicle_1_to_3_phases"),
            models.CheckConstraint(
                condition=Q(charging_efficiency__gt=0, charging_efficiency__lte=1), name="vehicle_efficiency_0_to_1"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class VehicleIdentity(models.Model):
    """What a charger reads from a vehicle or its driver's card. RFID tags compare without regard to case (P50)."""

    class Kind(models.TextChoices):
        RFID = "rfid", "RFID tag"
        MAC = "mac", "MAC address"
        VIN = "vin", "VIN"

    vehicle = models.ForeignKey(Vehicle, on_delete=models.CASCADE, related_name="identities")
    kind = models.CharField(max_length=4, choices=Kind, default=Kind.RFID)
    value = models.CharField(max_length=36)
    blocked = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["value"]
        verbose_name_plural = "vehicle identities"
        constraints = [models.UniqueConstraint("kind", Upper("value"), name="vehicle_identity_unique_ignoring_case")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.value}"


class VehicleState(models.Model):
    """One reading of a battery. The newest by `measured_at` is current; older rows that come late stay history."""

    class Source(models.TextChoices):
        CHARGER = "charger", "Charger"
        TELEMATICS = "telematics", "Telematics"
        MANUAL = "manual", "Manual"
        MODEL = "model", "Estimate"

    vehicle = models.ForeignKey(Vehicle, on_delete=models.CASCADE, related_name="states")
    soc_percent = models.FloatField(validators=[MinValueValidator(0), MaxValueValidator(100)])
    source = models.CharField(max_length=10, choices=Source)
    measured_at = models.DateTimeField()
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["-measured_at"]
        get_latest_by = "measured_at"
        constraints = [
            models.UniqueConstraint(fields=["vehicle", "source", "measured_at"], name="vehicle_state_once_per_source"),
            models.CheckConstraint(
                condition=Q(soc_percent__gte=0, soc_percent__lte=100), name="vehicle_state_soc_0_to_100"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.vehicle}: {self.soc_percent:.0f} % ({self.source})"
