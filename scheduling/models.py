"""Plans: one row per optimisation run and one per vehicle in it."""

from __future__ import annotations

import uuid
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.core.validators import MinValueValidator
from django.db import models

from charging.models import Session
from depot.models import Connector, Depot, Reservation, Vehicle
from scheduling.day_ahead.models import DayAheadPlan as DayAheadPlan  # Django looks for a room's models here
from scheduling.engine import Horizon


class PlanningState(models.Model):
    """Per depot: whether a plan is asked for, and the fencing epoch that lets only the newest planner write (S20)."""

    depot = models.OneToOneField(Depot, on_delete=models.CASCADE, related_name="planning")
    epoch = models.PositiveBigIntegerField(default=0)
    requests = models.PositiveBigIntegerField(default=0, help_text="how often a plan was asked for, ever")
    served_requests = models.PositiveBigIntegerField(default=0, help_text="the request count the last started run saw")
    requested_because = models.CharField(max_length=40, blank=True)
    queued_at = models.DateTimeField(null=True, blank=True, help_text="a run is queued and has not started")
    started_at = models.DateTimeField(null=True, blank=True)
    planned_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.depot} epoch {self.epoch}"


AT_RISK_KWH = 0.5  # a smaller shortfall is planning dust: no alarm, no red number


class PlanRun(models.Model):
    """One optimisation of one depot: what asked for it, what it saw, how it ended."""

    class Status(models.TextChoices):
        PUBLISHED = "published", "Published"
        SUPERSEDED = "superseded", "Superseded by a newer run"
        REFUSED = "refused", "Refused by the checker"
        FAILED = "failed", "Failed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    depot = models.ForeignKey(Depot, on_delete=models.CASCADE, related_name="plan_runs")
    epoch = models.PositiveBigIntegerField()
    trigger = models.CharField(max_length=40)
    algorithm = models.CharField(max_length=50)
    status = models.CharField(max_length=12, choices=Status)
    solver_status = models.CharField(max_length=100, blank=True)
    message = models.CharField(max_length=500, blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    horizon_start = models.DateTimeField()
    resolution_s = models.PositiveIntegerField(help_text="nominal length of a step; see borders")
    borders: Any = models.JSONField(
        default=list, help_text="borders of the steps, s after horizon_start; empty: equal steps of resolution_s"
    )
    steps = models.PositiveIntegerField()
    timings_s = models.JSONField(default=dict)
    vehicles = models.PositiveIntegerField(default=0)
    deferred = models.JSONField(default=list, help_text="vehicles outside the horizon")
    energy_kwh = models.FloatField(default=0)
    shortfall_kwh = models.FloatField(default=0)
    cost = models.DecimalField(max_digits=14, decimal_places=4, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    site = models.JSONField(default=dict, help_text="per node: limit, building and planned kW per step")
    summary: Any = models.JSONField(default=dict, help_text="key figures: energy, money by component, peak")
    sentences: Any = models.JSONField(default=list, help_text="the run in words")
    marginal: Any = models.JSONField(
        default=dict,
        help_text="per node and step: money that one more kWh saves, and the steps where it serves more",
    )

    class Meta:
        ordering = ["-started_at"]
        indexes = [models.Index(fields=["depot", "-started_at"], name="plan_run_newest")]
        constraints = [
            models.UniqueConstraint(fields=["depot", "epoch"], name="plan_run_one_per_epoch"),
        ]

    def __str__(self) -> str:
        return f"{self.depot} {self.started_at:%d %b %H:%M:%S} ({self.status})"

    @cached_property
    def horizon(self) -> Horizon:
        """The steps of `Plan.power_kw`; a run that failed has none to show."""
        resolution = timedelta(seconds=self.resolution_s)
        if not self.borders:
            return Horizon(self.horizon_start, resolution, max(self.steps, 1))
        return Horizon.between((self.horizon_start + timedelta(seconds=s) for s in self.borders), resolution)


class Plan(models.Model):
    """Planned power of one vehicle, per step of its run, with the reason for each step."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    run = models.ForeignKey(PlanRun, on_delete=models.CASCADE, related_name="plans")
    connector = models.ForeignKey(Connector, on_delete=models.CASCADE, related_name="plans")
    vehicle = models.ForeignKey(Vehicle, on_delete=models.SET_NULL, null=True, blank=True, related_name="plans")
    session = models.ForeignKey(Session, on_delete=models.SET_NULL, null=True, blank=True, related_name="plans")
    reservation = models.ForeignKey(Reservation, on_delete=models.SET_NULL, null=True, blank=True, related_name="plans")
    arrival_at = models.DateTimeField()
    departure_at = models.DateTimeField()
    power_kw = models.JSONField(help_text="kW per step")
    reasons = models.JSONField(help_text="reason code per step")
    limit_nodes: Any = models.JSONField(default=list, help_text="load group that holds it down, per step; empty: none")
    why: Any = models.JSONField(default=list, help_text="[first step, sentence], each until the next one")
    need_kwh = models.FloatField()
    energy_kwh = models.FloatField()
    shortfall_kwh = models.FloatField(default=0)
    shortfall_reason = models.CharField(max_length=20, blank=True)
    remedy = models.CharField(max_length=500, blank=True)
    remedies: Any = models.JSONField(default=list, help_text="what would remove the shortfall, each alone, as data")
    predicted_soc_percent = models.FloatField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "connector", "departure_at"], name="plan_once_per_visit")]

    def __str__(self) -> str:
        return f"{self.vehicle or 'unknown vehicle'}: {self.energy_kwh:.1f} kWh"

    @property
    def sentences(self) -> list[str]:
        """The sentence of every step."""
        first = {int(step): str(sentence) for step, sentence in self.why}
        told, sentence = [], ""
        for step in range(len(self.power_kw)):
            sentence = first.get(step, sentence)
            told.append(sentence)
        return told


class MonthPeak(models.Model):
    """Highest load of a site in a billing month, kW: what a demand charge has been paid for already.

    Measured as the runs go along; earlier months, which a ratchet looks back on, may be entered by hand.
    """

    depot = models.ForeignKey(Depot, on_delete=models.CASCADE, related_name="month_peaks")
    month = models.DateField(help_text="first local day of the month")
    counted = models.CharField(
        max_length=60, default="15 min", help_text='the windows that count, such as "15 min", as plans name them'
    )
    peak_kw = models.FloatField(default=0, validators=[MinValueValidator(0)])
    read_until = models.DateTimeField(null=True, blank=True, help_text="measured up to here; empty: entered by hand")

    class Meta:
        ordering = ["depot", "-month", "counted"]
        constraints = [
            models.UniqueConstraint(fields=["depot", "month", "counted"], name="month_peak_once"),
            models.CheckConstraint(condition=models.Q(peak_kw__gte=0), name="month_peak_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.depot} {self.month:%B %Y}: {self.peak_kw:.1f} kW"
