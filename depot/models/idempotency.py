"""Answers to POST requests that carried an Idempotency-Key, kept so that a retry has one effect."""

from __future__ import annotations

from django.db import models


class IdempotencyRecord(models.Model):
    """One key of one principal. Unfinished: the first request still runs, or died and left nothing behind."""

    principal = models.CharField(max_length=64, help_text="key:<id> or user:<id>")
    key = models.CharField(max_length=255)
    request_hash = models.CharField(max_length=64, help_text="SHA-256 of method, path and body")
    status_code = models.PositiveSmallIntegerField(null=True, blank=True)
    headers = models.JSONField(default=dict, blank=True, help_text="of the answer: Location, ETag")
    body = models.JSONField(null=True, blank=True)
    created_at = models.DateTimeField()
    finished = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="idempotency_oldest")]
        constraints = [models.UniqueConstraint(fields=["principal", "key"], name="idempotency_key_once_per_principal")]

    def __str__(self) -> str:
        return f"{self.principal} {self.key}"
