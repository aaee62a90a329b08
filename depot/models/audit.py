"""Who did what, when and why: append-only, each row chained to the one before it."""

from __future__ import annotations

from django.db import models


class AuditEvent(models.Model):
    at = models.DateTimeField()
    actor = models.CharField(max_length=100)
    action = models.CharField(max_length=50)
    subject = models.CharField(max_length=200)
    reason = models.CharField(max_length=200, blank=True)
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["previous_hash"], name="audit_chain_has_no_branches")]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.subject}"
