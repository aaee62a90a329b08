"""Rows for tests: plain functions, every field can be given, nothing is hidden."""

from __future__ import annotations

import itertools
from datetime import date, datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import make_password
from django.utils import timezone

from charging.models import Session, StationLink, TransactionNumber
from depot.access import PERMISSIONS
from depot.api_keys import issue_api_key
from depot.credentials import hash_station_key
from depot.models import (
    ApiKey,
    Connector,
    Depot,
    DepotRole,
    Incident,
    Limit,
    LoadGroup,
    Reservation,
    Station,
    Tariff,
    TariffVersion,
    User,
    Vehicle,
    VehicleIdentity,
    VehicleState,
)

PASSWORD = "correct horse battery"
STATION_KEY = "station-key-for-tests"
FLAT = [{"type": "energy_flat", "price_per_kwh": 0.25}]

_numbers = itertools.count(1)


def make_tariff(
    *, elements: list[dict[str, Any]] | None = None, valid_from: date = date(2020, 1, 1), **fields: Any
) -> Tariff:
    """A tariff with one open-ended version, flat at 0.25 unless elements are given."""
    number = next(_numbers)
    tariff = Tariff.objects.create(**{"slug": f"tariff-{number}", "name": f"Tariff {number}", **fields})
    TariffVersion.objects.create(tariff=tariff, valid_from=valid_from, elements=elements or FLAT)
    return tariff


def make_depot(**fields: Any) -> Depot:
    """A depot without buffer between reservations and without a tree; make_load_group gives it one."""
    number = next(_numbers)
    return Depot.objects.create(**{"slug": f"depot-{number}", "name": f"Depot {number}", "buffer_minutes": 0, **fields})


def make_load_group(depot: Depot | None = None, *, parent: LoadGroup | None = None, **fields: Any) -> LoadGroup:
    """A node of 100 kW; without a parent the root, which a depot has only once."""
    depot = depot or (parent.depot if parent else make_depot())
    number = next(_numbers)
    return LoadGroup.objects.create(
        **{
            "depot": depot,
            "parent": parent,
            "slug": f"node-{number}",
            "name": f"Node {number}",
            "limit_kw": 100,
            **fields,
        }
    )


def root_of(depot: Depot) -> LoadGroup:
    """The depot's grid connection, made when it is missing."""
    return LoadGroup.objects.filter(depot=depot, parent__isnull=True).first() or make_load_group(depot)


def make_station(
    depot: Depot | None = None,
    *,
    load_group: LoadGroup | None = None,
    connectors: int = 1,
    key: str = STATION_KEY,
    online: bool | None = None,
    connector_fields: dict[str, Any] | None = None,
    **fields: Any,
) -> Station:
    """A three-phase 32 A charger with `connectors` outlets and no fallback; `online` writes its link as well."""
    number = next(_numbers)
    depot = depot or (load_group.depot if load_group else make_depot())
    defaults = {"load_group": load_group or root_of(depot), "identity": f"CP-{number:04d}"}
    station = Station.objects.create(**{"depot": depot, **defaults, "key_hash": hash_station_key(key), **fields})
    for outlet in range(1, connectors + 1):
        make_connector(station, number=outlet, **(connector_fields or {}))
    if online is not None:
        make_link(station, online=online)
    return station


def make_connector(station: Station | None = None, **fields: Any) -> Connector:
    station = station or make_station(connectors=0)
    number = fields.pop("number", station.connectors.count() + 1)
    return Connector.objects.create(**{"station": station, "number": number, "bay": f"B{next(_numbers)}", **fields})


def make_link(station: Station, *, online: bool = True, **fields: Any) -> StationLink:
    now = timezone.now()
    times = {"connected_at": now, "last_seen_at": now, "booted_at": now}
    defaults = {"epoch": 1, "owner": "test", "online": online, "registration": "Accepted", **times}
    return StationLink.objects.create(station=station, **{**defaults, **fields})


def make_vehicle(
    depot: Depot | None = None, *, id_tag: str = "", soc_percent: float | None = None, **fields: Any
) -> Vehicle:
    """A van of 60 kWh and 11 kW; `id_tag` adds an RFID identity, `soc_percent` a fresh telematics reading."""
    number = next(_numbers)
    vehicle = Vehicle.objects.create(
        **{
            "depot": depot or make_depot(),
            "external_id": f"van-{number}",
            "name": f"Van {number}",
            "battery_kwh": 60,
            "max_ac_kw": 11,
            **fields,
        }
    )
    if id_tag:
        VehicleIdentity.objects.create(vehicle=vehicle, value=id_tag)
    if soc_percent is not None:
        make_vehicle_state(vehicle, soc_percent=soc_percent)
    return vehicle


def make_vehicle_state(vehicle: Vehicle, *, soc_percent: float = 50, **fields: Any) -> VehicleState:
    now = timezone.now()
    source = VehicleState.Source.TELEMATICS
    defaults = {"source": source, "measured_at": now, "received_at": now}
    return VehicleState.objects.create(vehicle=vehicle, soc_percent=soc_percent, **{**defaults, **fields})


def make_reservation(
    *,
    connector: Connector | None = None,
    vehicle: Vehicle | None = None,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    **fields: Any,
) -> Reservation:
    """A row as it stands in the database, past the booking rules: RESERVED for 8 h from now with 20 kWh."""
    depot = fields.pop("depot", None) or (connector.station.depot if connector else None)
    depot = depot or (vehicle.depot if vehicle else make_depot())
    connector = connector or make_connector(make_station(depot, connectors=0))
    starts_at = starts_at or timezone.now()
    ends_at = ends_at or starts_at + timedelta(hours=8)
    need = {} if "required_soc_percent" in fields else {"energy_kwh": 20}
    return Reservation.objects.create(
        **{
            "depot": depot,
            "connector": connector,
            "vehicle": vehicle or make_vehicle(depot),
            "starts_at": starts_at,
            "ends_at": ends_at,
            "held_until": ends_at + timedelta(minutes=depot.buffer_minutes),
            **need,
            **fields,
        }
    )


def make_limit(load_group: LoadGroup, *, limit_kw: float = 50, **fields: Any) -> Limit:
    now = timezone.now()
    defaults = {"starts_at": now, "ends_at": now + timedelta(hours=1)}
    return Limit.objects.create(load_group=load_group, limit_kw=limit_kw, **{**defaults, **fields})


def make_session(*, connector: Connector | None = None, vehicle: Vehicle | None = None, **fields: Any) -> Session:
    """A live transaction that began now."""
    connector = connector or make_connector(make_station(connectors=0))
    now = timezone.now()
    return Session.objects.create(
        **{
            "transaction_id": TransactionNumber.objects.create().pk,
            "station": connector.station,
            "connector": connector,
            "vehicle": vehicle,
            "started_at": now,
            "received_at": now,
            "meter_start_wh": 0,
            **fields,
        }
    )


def make_incident(**fields: Any) -> Incident:
    now = timezone.now()
    number = next(_numbers)
    defaults = {"type": "charger.offline", "subject": f"CP-{number:04d}", "message": "The charger is offline."}
    return Incident.objects.create(**{**defaults, "opened_at": now, "last_seen_at": now, **fields})


def make_user(*, password: str = PASSWORD, role: str = "", depot: Depot | None = None, **fields: Any) -> User:
    """A person; `role` in `depot` unless neither is given."""
    user = User.objects.create(**{"username": f"user-{next(_numbers)}", "password": make_password(password), **fields})
    if role:
        DepotRole.objects.create(user=user, depot=depot or make_depot(), role=role)
    return user


def make_superuser(**fields: Any) -> User:
    return make_user(**{"is_staff": True, "is_superuser": True, **fields})


def make_api_key(
    scopes: list[str] | None = None, *, depots: list[Depot] | None = None, **fields: Any
) -> tuple[ApiKey, str]:
    """A key and its secret; all scopes in all depots unless they are given."""
    wanted = list(PERMISSIONS) if scopes is None else scopes
    key, secret = issue_api_key(f"key {next(_numbers)}", scopes=wanted, depots=depots or [])
    if fields:
        for name, value in fields.items():
            setattr(key, name, value)
        key.save()
    return key, secret
