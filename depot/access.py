"""Who may do what where: roles of people per depot, scopes of API keys (operations §1)."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.utils import timezone

from depot.models import ApiKey, Depot, DepotRole, User

READ = "read"
ALL_SCOPES = "*"
PERMISSIONS = (
    READ,
    "reservations:write",
    "commands:write",
    "limits:write",
    "tariffs:write",
    "equipment:write",
    "vehicles:write",
    "plans:write",
)
ROLE_PERMISSIONS: dict[str, frozenset[str]] = {
    DepotRole.Role.ADMIN: frozenset(PERMISSIONS),
    DepotRole.Role.DEPOT_MANAGER: frozenset(PERMISSIONS) - {"tariffs:write"},
    DepotRole.Role.DISPATCHER: frozenset({READ, "reservations:write", "vehicles:write", "plans:write"}),
    DepotRole.Role.ENERGY_MANAGER: frozenset({READ, "limits:write", "tariffs:write", "plans:write"}),
    DepotRole.Role.TECHNICIAN: frozenset({READ, "commands:write", "equipment:write"}),
    DepotRole.Role.VIEWER: frozenset({READ}),
}
Principal = User | ApiKey | AnonymousUser


def may(principal: Principal, permission: str, depot: Depot | int) -> bool:
    """Whether this person or key holds the permission in this depot, now."""
    depot_id = depot.pk if isinstance(depot, Depot) else depot
    if isinstance(principal, ApiKey):
        return key_is_live(principal) and permission in principal.scopes and _key_covers(principal, depot_id)
    if not isinstance(principal, User) or not principal.is_active:
        return False
    if principal.is_superuser:
        return True
    roles = DepotRole.objects.filter(user=principal, depot_id=depot_id).values_list("role", flat=True)
    return any(permission in ROLE_PERMISSIONS[role] for role in roles)


def depots_for(principal: Principal, permission: str = READ) -> QuerySet[Depot]:
    """The depots in which this person or key holds the permission."""
    if isinstance(principal, ApiKey):
        if not key_is_live(principal) or permission not in principal.scopes:
            return Depot.objects.none()
        return principal.depots.all() if principal.depots.exists() else Depot.objects.all()
    if not isinstance(principal, User) or not principal.is_active:
        return Depot.objects.none()
    if principal.is_superuser:
        return Depot.objects.all()
    roles = [role for role, granted in ROLE_PERMISSIONS.items() if permission in granted]
    return Depot.objects.filter(roles__user=principal, roles__role__in=roles).distinct()


@dataclass(frozen=True)
class Actor:
    """Who acts, with the name that the audit trail shows."""

    principal: Principal

    @property
    def name(self) -> str:
        if isinstance(self.principal, ApiKey):
            return f"key {self.principal.prefix} ({self.principal.name})"[:100]
        return self.principal.get_username() or "anonymous"

    def may(self, permission: str, depot: Depot | int) -> bool:
        return may(self.principal, permission, depot)

    def require(self, permission: str, depot: Depot | int) -> None:
        """PermissionDenied names the permission that is missing."""
        if not self.may(permission, depot):
            raise PermissionDenied(f"{self.name} lacks the permission {permission!r} in this depot.")


def key_is_live(key: ApiKey) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > timezone.now())


def _key_covers(key: ApiKey, depot_id: int) -> bool:
    covered = set(key.depots.values_list("pk", flat=True))
    return not covered or depot_id in covered
