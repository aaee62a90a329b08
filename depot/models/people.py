"""Who may use the yard: people with roles per depot, and service accounts with API keys."""

from __future__ import annotations

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models

from depot.models.site import Depot


class User(AbstractUser):
    pass


class DepotRole(models.Model):
    """A role of a person in one depot; what a role may do is in depot/access.py."""

    class Role(models.TextChoices):
        ADMIN = "admin", "Admin"
        DEPOT_MANAGER = "depot_manager", "Depot manager"
        DISPATCHER = "dispatcher", "Dispatcher"
        ENERGY_MANAGER = "energy_manager", "Energy manager"
        TECHNICIAN = "technician", "Technician"
        VIEWER = "viewer", "Viewer"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="depot_roles")
    depot = models.ForeignKey(Depot, on_delete=models.CASCADE, related_name="roles")
    role = models.CharField(max_length=20, choices=Role, default=Role.VIEWER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "depot", "role"], name="depot_role_once")]

    def __str__(self) -> str:
        return f"{self.user}: {self.get_role_display()} of {self.depot}"


class ApiKey(models.Model):
    """A service account's key, stored as SHA-256 of a random secret; only the prefix can be shown again."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, editable=False)
    key_hash = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list, help_text='for example ["read", "reservations:write", "commands:write"]')
    depots = models.ManyToManyField(Depot, blank=True, related_name="api_keys", help_text="empty: all depots")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)
    test = models.BooleanField(default=False, help_text="a key of the sandbox")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
