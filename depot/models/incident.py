"""A fault or risk with a life: one open row per type and subject."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from depot.models.site import Depot


class Incident(models.Model):
    class Severity(models.TextChoices):
        INFO = "info", "Info"
        WARNING = "warning", "Warning"
        CRITICAL = "critical", "Critical"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    depot = models.ForeignKey(Depot, on_delete=models.CASCADE, related_name="incidents", null=True, blank=True)
    type = models.CharField(max_length=40, help_text="for example charger.offline")
    subject = models.CharField(max_length=100, help_text="what it is about, for example a station's identity")
    severity = models.CharField(max_length=10, choices=Severity, default=Severity.WARNING)
    message = models.CharField(max_length=300)
    remedy = models.CharField(max_length=300, blank=True)
    opened_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-opened_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["type", "subject"], condition=Q(closed_at__isnull=True), name="incident_one_open_per_subject"
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.subject}"
