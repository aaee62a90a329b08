"""Which process holds which charger's socket, and who knocked without being known."""

from __future__ import annotations

from django.db import models

from depot.models import Station


class StationLink(models.Model):
    """The newest connection of a station. `epoch` grows with each; nothing travels over an older one (C3)."""

    class Registration(models.TextChoices):
        NONE = "", "Not booted"
        ACCEPTED = "Accepted", "Accepted"
        PENDING = "Pending", "Pending"
        REJECTED = "Rejected", "Rejected"

    station = models.OneToOneField(Station, on_delete=models.CASCADE, related_name="link")
    epoch = models.PositiveBigIntegerField(default=0)
    owner = models.CharField(max_length=64, blank=True, help_text="process that holds the socket")
    online = models.BooleanField(default=False)
    remote_address = models.CharField(max_length=64, blank=True)
    connected_at = models.DateTimeField(null=True, blank=True)
    disconnected_at = models.DateTimeField(null=True, blank=True)
    last_seen_at = models.DateTimeField(null=True, blank=True)
    booted_at = models.DateTimeField(null=True, blank=True)
    registration = models.CharField(max_length=10, choices=Registration, blank=True, default=Registration.NONE)
    clock_skew_s = models.FloatField(null=True, blank=True, help_text="charger's clock minus ours, s, as last measured")

    class Meta:
        indexes = [models.Index(fields=["owner", "online"], name="station_link_owner")]

    def __str__(self) -> str:
        return f"{self.station} epoch {self.epoch}"


class UnknownStation(models.Model):
    """An identity that asked to connect and is not known: to adopt or to ignore."""

    identity = models.CharField(max_length=200, unique=True)
    remote_address = models.CharField(max_length=64, blank=True)
    subprotocols = models.CharField(max_length=200, blank=True)
    attempts = models.PositiveIntegerField(default=1)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        ordering = ["-last_seen_at"]

    def __str__(self) -> str:
        return self.identity
