"""A depot of one grid connection, its chargers and vehicles, and what the planner makes of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from charging.models import ConnectorState, Session
from depot.models import Connector, Depot, LoadGroup
from scheduling.depot_translation import DepotTranslation
from scheduling.engine import EV
from tests.factories import make_link, make_reservation, make_session, make_station, make_vehicle


def outlet(site: LoadGroup, *, status: str = "Charging", **fields: Any) -> Connector:
    """An outlet of 22 kW at a charger that is connected and obeys."""
    station = make_station(load_group=site, **fields)
    make_link(station, clock_skew_s=0, connected_at=timezone.now() - timedelta(hours=1))
    connector = station.connectors.get()
    ConnectorState.objects.create(connector=connector, status=status)
    return connector


def stay(site: LoadGroup, *, now: datetime, hours: float = 6, soc: float | None = 20, **fields: Any) -> Session:
    """A vehicle of 100 kWh and 22 kW that has charged since `now` under a reservation of 20 kWh."""
    connector = fields.pop("connector", None) or outlet(site)
    traits = fields.pop("vehicle_fields", {})
    vehicle = make_vehicle(site.depot, **{"max_ac_kw": 22, "battery_kwh": 100, "soc_percent": soc, **traits})
    reservation = make_reservation(
        connector=connector, vehicle=vehicle, starts_at=now, ends_at=now + timedelta(hours=hours), **fields
    )
    return make_session(connector=connector, vehicle=vehicle, reservation=reservation, started_at=now)


def world(depot: Depot, now: datetime) -> tuple[DepotTranslation, list[EV]]:
    """The depot as the planner reads it at this instant."""
    depot.refresh_from_db()
    translation = DepotTranslation(depot, now=now, epoch=1, trigger="test")
    evs, _ = translation.get_evs(depot.slug)
    return translation, evs


def only_ev(depot: Depot, now: datetime) -> EV:
    _, (ev,) = world(depot, now)
    return ev
