"""What each connector says it is doing, now and before."""

from __future__ import annotations

from django.db import models

from depot.models import Connector, Station


class ConnectorStatus(models.TextChoices):
    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EVSE = "SuspendedEVSE"
    SUSPENDED_EV = "SuspendedEV"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"
    UNKNOWN = "Unknown"


class ConnectorState(models.Model):
    """The latest known state of a connector; a reading older than its threshold is shown with its age."""

    connector = models.OneToOneField(Connector, on_delete=models.CASCADE, related_name="state")
    status = models.CharField(max_length=15, choices=ConnectorStatus, default=ConnectorStatus.UNKNOWN)
    error_code = models.CharField(max_length=50, blank=True)
    info = models.CharField(max_length=200, blank=True)
    status_at = models.DateTimeField(null=True, blank=True)
    power_kw = models.FloatField(null=True, blank=True)
    current_a = models.JSONField(null=True, blank=True, help_text="A on L1, L2, L3")
    offered_a = models.FloatField(null=True, blank=True)
    energy_wh = models.FloatField(null=True, blank=True, help_text="meter register")
    soc_percent = models.FloatField(null=True, blank=True)
    sampled_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.connector}: {self.status}"

    @property
    def highest_current_a(self) -> float | None:
        """The highest phase current of the last sample; phases that the charger does not report are None (P60)."""
        return max((float(current) for current in self.current_a or () if current is not None), default=None)


class StatusNotice(models.Model):
    """History of StatusNotification; connector number 0 is the station itself."""

    station = models.ForeignKey(Station, on_delete=models.CASCADE, related_name="status_notices")
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=15, choices=ConnectorStatus)
    error_code = models.CharField(max_length=50, blank=True)
    info = models.CharField(max_length=200, blank=True)
    vendor_error_code = models.CharField(max_length=50, blank=True)
    at = models.DateTimeField()
    received_at = models.DateTimeField()

    class Meta:
        ordering = ["-at"]
        constraints = [
            models.UniqueConstraint(
                fields=["station", "number", "at", "status", "error_code"], name="status_notice_natural_key"
            )
        ]

    def __str__(self) -> str:
        return f"{self.station}/{self.number} {self.status}"


class MeterState(models.Model):
    """The latest reading of a station's main meter (connector 0), for example a building's load."""

    station = models.OneToOneField(Station, on_delete=models.CASCADE, related_name="meter_state")
    power_kw = models.FloatField()
    energy_wh = models.FloatField(null=True, blank=True)
    sampled_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.station}: {self.power_kw:.1f} kW"
