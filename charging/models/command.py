"""Requests to chargers: a durable row first, the wire second; and what chargers may be executing because of them."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from charging.models.session import Session
from depot.models import Connector, Station


class Command(models.Model):
    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        SENT = "sent", "Sent"
        ACCEPTED = "accepted", "Accepted"
        REJECTED = "rejected", "Rejected"
        ERROR = "error", "Error"
        UNKNOWN = "unknown", "Unknown"
        VERIFIED = "verified", "Verified"
        CONTRADICTED = "contradicted", "Contradicted"
        SUPERSEDED = "superseded", "Superseded"
        EXPIRED = "expired", "Expired"

    OPEN = (State.QUEUED, State.SENT)
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    station = models.ForeignKey(Station, on_delete=models.CASCADE, related_name="commands")
    connector = models.ForeignKey(Connector, on_delete=models.SET_NULL, null=True, blank=True, related_name="commands")
    action = models.CharField(max_length=40)
    payload = models.JSONField()
    natural_key = models.CharField(
        max_length=100, help_text="what the command sets; a newer one with the same key replaces a queued older one"
    )
    generation = models.PositiveBigIntegerField(default=1)
    state = models.CharField(max_length=12, choices=State, default=State.QUEUED)
    held_because = models.CharField(max_length=200, blank=True, help_text="why a queued raise still waits")
    cause = models.CharField(max_length=100, help_text="who or what asked: plan, operator, reconciler, API key")
    plan_run = models.UUIDField(null=True, blank=True)
    epoch = models.PositiveBigIntegerField(null=True, blank=True, help_text="connection it was sent over")
    created_at = models.DateTimeField()
    deadline = models.DateTimeField(null=True, blank=True, help_text="not sent after this")
    sent_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    late = models.BooleanField(default=False, help_text="the answer came after the time-out")
    answer = models.JSONField(null=True, blank=True)
    error_code = models.CharField(max_length=40, blank=True)
    error_description = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["station", "created_at"], condition=Q(state__in=("queued", "sent")), name="command_open"
            ),
            models.Index(fields=["-created_at"], name="command_newest"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["station", "natural_key", "generation"], name="command_natural_key")
        ]

    def __str__(self) -> str:
        return f"{self.action} to {self.station} ({self.state})"


class InstalledProfile(models.Model):
    """A charging profile that a charger holds, may hold, or is about to be sent. The raw material of exposure."""

    class Slot(models.TextChoices):
        CAP = "cap", "Station cap"
        FALLBACK = "fallback", "Fallback"
        TX = "tx", "Transaction plan"
        MANUAL = "manual", "Sent by hand"

    class State(models.TextChoices):
        WANTED = "wanted", "Wanted"  # queued: has not left
        POSSIBLE = "possible", "Possible"  # sent and not ruled out
        CONFIRMED = "confirmed", "Confirmed"  # accepted: rules out everything older in its slot
        GONE = "gone", "Gone"  # replaced, refused, cleared or ended

    COUNTED = (State.POSSIBLE, State.CONFIRMED)

    station = models.ForeignKey(Station, on_delete=models.CASCADE, related_name="profiles")
    number = models.PositiveSmallIntegerField(help_text="connectorId; 0 is the station")
    slot = models.CharField(max_length=10, choices=Slot)
    purpose = models.CharField(max_length=30)
    stack_level = models.PositiveIntegerField()
    profile_id = models.IntegerField()
    command = models.OneToOneField(Command, on_delete=models.CASCADE, related_name="profile")
    session = models.ForeignKey(Session, on_delete=models.CASCADE, null=True, blank=True, related_name="profiles")
    state = models.CharField(max_length=10, choices=State, default=State.WANTED)
    starts_at = models.DateTimeField()
    periods = models.JSONField(help_text="[[seconds after starts_at, A per phase], ...]")
    ends_at = models.DateTimeField(null=True, blank=True, help_text="lease end; empty: for ever")
    sent_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    replaced_at = models.DateTimeField(
        null=True, blank=True, help_text="a newer one was confirmed; counted until settled"
    )
    verified_at = models.DateTimeField(null=True, blank=True, help_text="by composite schedule")

    class Meta:
        indexes = [
            models.Index(
                fields=["station", "number"],
                condition=Q(state__in=("wanted", "possible", "confirmed")),
                name="installed_profile_in_play",
            )
        ]

    def __str__(self) -> str:
        return f"{self.slot} on {self.station}/{self.number}: {self.state}"
