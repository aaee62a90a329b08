"""Reservations of a connector by a vehicle, with the energy it needs."""

from __future__ import annotations

import uuid

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q

from depot.models.equipment import Connector
from depot.models.fleet import Vehicle
from depot.models.site import Depot


class Reservation(models.Model):
    """A held period of a connector. `held_until` includes the buffer, so the database alone can refuse an overlap."""

    class State(models.TextChoices):
        PENDING = "PENDING", "Pending"
        RESERVED = "RESERVED", "Reserved"
        REJECTED = "REJECTED", "Rejected"
        FAILED = "FAILED", "Failed"
        FULFILLED = "FULFILLED", "Fulfilled"
        CANCELED = "CANCELED", "Canceled"
        NO_SHOW = "NO_SHOW", "No show"

    HOLDING = (State.PENDING, State.RESERVED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    depot = models.ForeignKey(Depot, on_delete=models.CASCADE, related_name="reservations")
    connector = models.ForeignKey(
        Connector,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="reservations",
        help_text="empty: any suitable connector, chosen when it is booked",
    )
    vehicle = models.ForeignKey(Vehicle, on_delete=models.PROTECT, null=True, blank=True, related_name="reservations")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    held_until = models.DateTimeField(editable=False)
    energy_kwh = models.FloatField(null=True, blank=True, validators=[MinValueValidator(0)])
    required_soc_percent = models.FloatField(
        null=True, blank=True, validators=[MinValueValidator(0), MaxValueValidator(100)]
    )
    minimum_energy_kwh = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0)],
        help_text="the part of the energy that must be there, kWh; the rest is served after everybody's minimum",
    )
    minimum_soc_percent = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(100)],
        help_text="the SoC that must be reached, percent; what is above it is served after everybody's minimum",
    )
    priority = models.PositiveSmallIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(9)])
    state = models.CharField(max_length=10, choices=State, default=State.RESERVED)
    cancel_reason = models.CharField(max_length=20, blank=True)
    external_id = models.CharField(max_length=64, blank=True)
    notes = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["starts_at"]
        indexes = [models.Index(fields=["depot", "state", "starts_at"], name="reservation_live")]
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="reservation_ends_after_it_starts"),
            models.CheckConstraint(condition=Q(held_until__gte=F("ends_at")), name="reservation_held_past_its_end"),
            models.CheckConstraint(
                condition=Q(energy_kwh__isnull=True) | Q(energy_kwh__gte=0), name="reservation_energy_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(required_soc_percent__isnull=True)
                | Q(required_soc_percent__gte=0, required_soc_percent__lte=100),
                name="reservation_soc_0_to_100",
            ),
            models.UniqueConstraint(
                fields=["depot", "external_id"],
                condition=~Q(external_id=""),
                name="reservation_external_id_unique_in_depot",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.vehicle or 'any vehicle'} on {self.connector or 'any bay'} {self.starts_at:%d %b %H:%M}"

    def clean(self) -> None:
        problems: dict[str, str] = {}
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            problems["ends_at"] = f"The end {self.ends_at} is not after the start {self.starts_at}."
        if self.energy_kwh is not None and self.required_soc_percent is not None:
            problems["energy_kwh"] = "Give the energy or the target SoC, not both."
        if self.connector is not None and self.depot_id and self.connector.station.depot_id != self.depot_id:
            problems["connector"] = f"{self.connector} stands in another depot."
        if self.vehicle is not None and self.depot_id and self.vehicle.depot_id != self.depot_id:
            problems["vehicle"] = f"{self.vehicle} belongs to another depot."
        if problems:
            raise ValidationError(problems)


class ReservationTransition(models.Model):
    """Every change of a reservation's state, with actor, time and reason."""

    reservation = models.ForeignKey(Reservation, on_delete=models.CASCADE, related_name="transitions")
    from_state = models.CharField(max_length=10, blank=True)
    to_state = models.CharField(max_length=10, choices=Reservation.State)
    at = models.DateTimeField()
    actor = models.CharField(max_length=100)
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"{self.from_state or 'new'} -> {self.to_state}"
