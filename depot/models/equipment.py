"""Chargers and their outlets."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Upper

from depot.models.site import Depot, LoadGroup

MINIMUM_CURRENT_A = 6.0  # IEC 61851-1: the least a pilot signal can offer
IDENTITY = RegexValidator(r"^[^/\x00-\x1f:]{1,48}$", "Use 1 to 48 characters without '/', ':' and control characters.")


class Station(models.Model):
    """A charger; `identity` is its OCPP identity, compared without regard to case (P03)."""

    class RateUnit(models.TextChoices):
        AMPERE = "A", "A per phase"
        WATT = "W", "W in total"

    class Kind(models.TextChoices):
        CHARGER = "charger", "Charger"
        METER = "meter", "Meter"

    depot = models.ForeignKey(Depot, on_delete=models.CASCADE, related_name="stations")
    load_group = models.ForeignKey(LoadGroup, on_delete=models.PROTECT, related_name="stations")
    identity = models.CharField(max_length=48, validators=[IDENTITY])
    name = models.CharField(max_length=100, blank=True)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.CHARGER)
    key_hash = models.CharField(
        max_length=200, blank=True, editable=False, help_text="salted hash of the basic-auth key"
    )
    vendor = models.CharField(max_length=50, blank=True)
    model = models.CharField(max_length=50, blank=True)
    serial_number = models.CharField(max_length=50, blank=True)
    firmware = models.CharField(max_length=50, blank=True)
    rate_unit = models.CharField(max_length=1, choices=RateUnit, default=RateUnit.AMPERE)
    max_schedule_periods = models.PositiveSmallIntegerField(default=12, validators=[MinValueValidator(2)])
    max_stack_level = models.PositiveSmallIntegerField(default=8)
    manual = models.BooleanField(
        default=False, help_text="send nothing unasked; the station counts at its hardware maximum"
    )
    clock_uncertainty_s = models.FloatField(
        default=60, validators=[MinValueValidator(0)], help_text="how far the charger's clock may be off, s"
    )

    class Meta:
        ordering = ["depot", "identity"]
        constraints = [
            models.UniqueConstraint(Upper("identity"), name="station_identity_unique_ignoring_case"),
            models.CheckConstraint(condition=Q(max_schedule_periods__gte=2), name="station_at_least_two_periods"),
        ]

    def __str__(self) -> str:
        return self.identity

    def clean(self) -> None:
        if self.load_group_id and self.depot_id and self.load_group.depot_id != self.depot_id:
            raise ValidationError({"load_group": f"{self.load_group} belongs to another depot."})


class Connector(models.Model):
    """An outlet that charges one vehicle at a time; `bay` is the operators' name of its parking place."""

    station = models.ForeignKey(Station, on_delete=models.CASCADE, related_name="connectors")
    number = models.PositiveSmallIntegerField(validators=[MinValueValidator(1)], help_text="connectorId in OCPP 1.6")
    bay = models.CharField(max_length=20)
    plug = models.CharField(max_length=20, default="Type2")
    phases = models.PositiveSmallIntegerField(default=3, validators=[MinValueValidator(1), MaxValueValidator(3)])
    phase_rotation = models.CharField(
        max_length=3,
        default="123",
        validators=[RegexValidator(r"^[123]{3}$", "Write the site's phases on L1, L2 and L3 of the outlet, e.g. 231.")],
        help_text="site phase on L1, L2 and L3 of the outlet",
    )
    max_current_a = models.FloatField(default=32, validators=[MinValueValidator(MINIMUM_CURRENT_A)])
    min_current_a = models.FloatField(default=MINIMUM_CURRENT_A, validators=[MinValueValidator(0)])
    voltage_v = models.FloatField(default=230, validators=[MinValueValidator(80), MaxValueValidator(600)])
    fallback_a = models.FloatField(
        default=0,
        validators=[MinValueValidator(0)],
        help_text="current per phase that the charger allows for ever when nobody tells it anything; 0 or 6 A and more",
    )

    class Meta:
        ordering = ["station", "number"]
        constraints = [
            models.UniqueConstraint(fields=["station", "number"], name="connector_number_unique_in_station"),
            models.CheckConstraint(condition=Q(number__gte=1), name="connector_number_from_1"),
            models.CheckConstraint(condition=Q(phases__gte=1, phases__lte=3), name="connector_1_to_3_phases"),
            models.CheckConstraint(condition=Q(voltage_v__gt=0), name="connector_voltage_positive"),
            models.CheckConstraint(
                condition=Q(max_current_a__gte=models.F("min_current_a")), name="connector_max_not_below_min"
            ),
            models.CheckConstraint(
                condition=Q(fallback_a=0)
                | Q(fallback_a__gte=models.F("min_current_a"), fallback_a__lte=models.F("max_current_a")),
                name="connector_fallback_0_or_between_min_and_max",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.bay} ({self.station.identity}/{self.number})"

    @property
    def kw_per_ampere(self) -> float:
        """kW drawn at 1 A on every phase of the outlet."""
        return self.voltage_v * self.phases / 1000

    @property
    def max_power_kw(self) -> float:
        return self.max_current_a * self.kw_per_ampere

    @property
    def min_power_kw(self) -> float:
        return self.min_current_a * self.kw_per_ampere

    @property
    def fallback_kw(self) -> float:
        return self.fallback_a * self.kw_per_ampere
