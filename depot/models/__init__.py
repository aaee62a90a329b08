"""What stands in the yard and who may use it: site, power tree, equipment, fleet, bookings, tariffs, people."""

from depot.models.audit import AuditEvent
from depot.models.booking import Reservation, ReservationTransition
from depot.models.equipment import Connector, Station
from depot.models.fleet import Vehicle, VehicleIdentity, VehicleState
from depot.models.idempotency import IdempotencyRecord
from depot.models.incident import Incident
from depot.models.people import ApiKey, DepotRole, User
from depot.models.site import Depot, Limit, LoadGroup
from depot.models.tariff import Tariff, TariffVersion

__all__ = [
    "ApiKey",
    "AuditEvent",
    "Connector",
    "Depot",
    "DepotRole",
    "IdempotencyRecord",
    "Incident",
    "Limit",
    "LoadGroup",
    "Reservation",
    "ReservationTransition",
    "Station",
    "Tariff",
    "TariffVersion",
    "User",
    "Vehicle",
    "VehicleIdentity",
    "VehicleState",
]
