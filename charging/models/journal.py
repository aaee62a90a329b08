"""Every frame, byte for byte, stored before it is answered."""

from __future__ import annotations

from django.db import models

from depot.models import Station


class Frame(models.Model):
    class Direction(models.TextChoices):
        IN = "in", "From the charger"
        OUT = "out", "To the charger"

    station = models.ForeignKey(Station, on_delete=models.CASCADE, related_name="frames", db_constraint=False)
    epoch = models.PositiveBigIntegerField()
    direction = models.CharField(max_length=3, choices=Direction, default=Direction.IN)
    at = models.DateTimeField(help_text="received or sent")
    message_id = models.CharField(max_length=36, blank=True)
    action = models.CharField(max_length=40, blank=True, help_text="empty for answers")
    raw = models.BinaryField()
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        indexes = [models.Index(fields=["station", "at"], name="frame_of_station")]

    def __str__(self) -> str:
        return f"{self.direction} {self.action or 'answer'} {self.message_id}"


class Finding(models.Model):
    """A leniency or oddity of a station, counted: what its frames made us forgive."""

    station = models.ForeignKey(Station, on_delete=models.CASCADE, related_name="findings")
    rule = models.CharField(max_length=20)
    text = models.CharField(max_length=200)
    count = models.PositiveBigIntegerField(default=1)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        ordering = ["-last_seen_at"]
        constraints = [models.UniqueConstraint(fields=["station", "rule", "text"], name="finding_once_per_station")]

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"
