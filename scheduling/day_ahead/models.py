"""Day-ahead plans as jobs: what was asked, how far it is, what came out."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import models

from depot.models import Depot


class DayAheadPlan(models.Model):
    """One question about a coming day and its answer; nothing of it is sent to a charger."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    depot = models.ForeignKey(Depot, on_delete=models.CASCADE, related_name="day_ahead_plans")
    algorithm = models.CharField(max_length=50)
    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    message = models.CharField(max_length=500, blank=True, help_text="why it failed")
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    horizon_start = models.DateTimeField()
    resolution_minutes = models.PositiveSmallIntegerField()
    steps = models.PositiveIntegerField()
    question: Any = models.JSONField(help_text="vehicles, limits and prices as the planner gets them")
    solver_status = models.CharField(max_length=100, blank=True)
    vehicles = models.PositiveIntegerField(default=0)
    energy_kwh = models.FloatField(null=True, blank=True)
    unmet_kwh = models.FloatField(null=True, blank=True)
    cost = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    result: Any = models.JSONField(null=True, blank=True, help_text="series, state of energy, KPIs and costs")

    class Meta:
        app_label = "scheduling"
        ordering = ["-created_at"]
        indexes = [models.Index(fields=["depot", "-created_at"], name="day_ahead_plan_newest")]

    def __str__(self) -> str:
        return f"{self.depot} {self.horizon_start:%d %b} ({self.status})"
