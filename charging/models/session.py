"""Sessions (OCPP transactions), their events and meter samples."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q

from depot.models import Connector, Reservation, Station, Vehicle


class TransactionNumber(models.Model):
    """Source of OCPP 1.6 transaction ids: positive, rising, never reused (its primary key is the number)."""

    id = models.BigAutoField(primary_key=True)

    def __str__(self) -> str:
        return str(self.id)


class Session(models.Model):
    """One OCPP transaction: a projection of its append-only events. Outside it is addressed by its random id."""

    class State(models.TextChoices):
        OPEN = "open", "Open"
        SUSPENDED = "suspended", "Suspended"
        ENDED = "ended", "Ended"
        ENDED_WITHOUT_STOP = "ended-without-stop", "Ended without stop"
        ORPHAN = "orphan", "Orphan"

    LIVE = (State.OPEN, State.SUSPENDED)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    transaction_id = models.BigIntegerField(unique=True)
    station = models.ForeignKey(Station, on_delete=models.PROTECT, related_name="sessions")
    connector = models.ForeignKey(Connector, on_delete=models.PROTECT, related_name="sessions")
    vehicle = models.ForeignKey(Vehicle, on_delete=models.SET_NULL, null=True, blank=True, related_name="sessions")
    reservation = models.ForeignKey(
        Reservation, on_delete=models.SET_NULL, null=True, blank=True, related_name="sessions"
    )
    id_tag = models.CharField(max_length=36, blank=True)
    id_tag_status = models.CharField(max_length=15, blank=True)
    state = models.CharField(max_length=20, choices=State, default=State.OPEN)
    historical = models.BooleanField(default=False, help_text="arrived late; it triggers nothing live")
    started_at = models.DateTimeField(help_text="by the charger's clock where it is plausible")
    received_at = models.DateTimeField()
    meter_start_wh = models.BigIntegerField()
    stopped_at = models.DateTimeField(null=True, blank=True)
    meter_stop_wh = models.BigIntegerField(null=True, blank=True)
    stop_reason = models.CharField(max_length=30, blank=True)
    energy_kwh = models.FloatField(default=0, help_text="delivered so far, never negative")
    last_register_wh = models.FloatField(null=True, blank=True)
    last_sample_at = models.DateTimeField(null=True, blank=True)
    start_soc_percent = models.FloatField(null=True, blank=True)
    soc_percent = models.FloatField(null=True, blank=True)
    flags = models.JSONField(default=list, blank=True, help_text="clock, register, negative, gap, duplicate-conflict")

    class Meta:
        ordering = ["-started_at"]
        indexes = [
            models.Index(fields=["station", "state"], name="session_of_station"),
            models.Index(fields=["vehicle", "-started_at"], name="session_of_vehicle"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(transaction_id__gt=0), name="session_transaction_id_positive"),
            models.CheckConstraint(condition=Q(energy_kwh__gte=0), name="session_energy_not_negative"),
            models.UniqueConstraint(
                fields=["station", "connector", "id_tag", "started_at", "meter_start_wh"], name="session_natural_key"
            ),
            models.UniqueConstraint(
                fields=["connector"],
                condition=Q(state__in=("open", "suspended"), historical=False),
                name="session_one_live_per_connector",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.vehicle or self.id_tag or 'unknown'} at {self.connector}"

    @property
    def live(self) -> bool:
        return self.state in self.LIVE


class SessionEvent(models.Model):
    """What was reported about a session: append-only; orphans (no session) wait here for review with their reason."""

    class Kind(models.TextChoices):
        START = "start", "Start"
        STOP = "stop", "Stop"
        CORRECTION = "correction", "Correction"

    station = models.ForeignKey(Station, on_delete=models.CASCADE, related_name="session_events")
    session = models.ForeignKey(Session, on_delete=models.CASCADE, null=True, blank=True, related_name="events")
    kind = models.CharField(max_length=10, choices=Kind)
    natural_key = models.CharField(max_length=200)
    payload = models.JSONField()
    at = models.DateTimeField()
    received_at = models.DateTimeField()
    repeats = models.PositiveIntegerField(default=0)
    orphan_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["received_at"]
        constraints = [
            models.UniqueConstraint(fields=["station", "kind", "natural_key"], name="session_event_natural_key")
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.natural_key}"


class MeterSample(models.Model):
    """One set of readings of a connector (number 0: the station's main meter), in W, Wh, A per phase and V."""

    id = models.BigAutoField(primary_key=True)
    station = models.ForeignKey(Station, on_delete=models.CASCADE, related_name="samples", db_constraint=False)
    number = models.PositiveIntegerField()
    transaction_id = models.BigIntegerField(null=True, blank=True)
    at = models.DateTimeField()
    received_at = models.DateTimeField()
    context = models.CharField(max_length=20, blank=True)
    content_hash = models.CharField(max_length=16, help_text="of the measurands: part of the natural key")
    energy_wh = models.FloatField(null=True, blank=True)
    power_w = models.FloatField(null=True, blank=True)
    current_1_a = models.FloatField(null=True, blank=True)
    current_2_a = models.FloatField(null=True, blank=True)
    current_3_a = models.FloatField(null=True, blank=True)
    voltage_v = models.FloatField(null=True, blank=True)
    offered_a = models.FloatField(null=True, blank=True)
    soc_percent = models.FloatField(null=True, blank=True)
    flags = models.CharField(max_length=100, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                F("station"),
                F("at"),
                F("number"),
                F("content_hash"),
                name="meter_sample_natural_key",
            )
        ]

    def __str__(self) -> str:
        return f"{self.station_id}/{self.number} {self.at}"


class AuthorizationAttempt(models.Model):
    station = models.ForeignKey(Station, on_delete=models.CASCADE, related_name="authorization_attempts")
    id_tag = models.CharField(max_length=36)
    status = models.CharField(max_length=15)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.id_tag}: {self.status}"
