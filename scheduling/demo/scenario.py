"""The scenario file for the simulator: the stations as they stand in the database, with fresh keys, and the visits."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from charging.models import ConnectorState
from depot.credentials import hash_station_key, new_station_key
from depot.models import Depot, Station
from scheduling.demo.night import SEED
from scheduling.demo.visits import PlannedVisit
from scheduling.demo.yard import OFFICE_NOISE_KW

FORMAT = "fleet-depot-scenario/1"
METER_INTERVAL_S = 5
FIRST_REGISTER_WH = 120_000


def scenario_of(depot: Depot, visits: Sequence[PlannedVisit]) -> dict[str, Any]:
    """Gives every station a new key, and returns the scenario that knows them."""
    stations = list(depot.stations.prefetch_related("connectors__state").order_by("identity"))
    keys = {station.pk: new_station_key() for station in stations}
    for station in stations:
        station.key_hash = hash_station_key(keys[station.pk])
    Station.objects.bulk_update(stations, ["key_hash"])
    return {
        "format": FORMAT,
        "seed": SEED,
        "stations": [_station(station, keys[station.pk], depot) for station in stations],
        "visits": [_visit(visit) for visit in visits],
    }


def write_private(path: Path, content: Any) -> None:
    """Replace the file in one step; only this user can read it."""
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
        file.write("\n")
    fresh.chmod(0o600)
    fresh.replace(path)


def _station(station: Station, key: str, depot: Depot) -> dict[str, Any]:
    common = {"identity": station.identity, "password": key, "meter_interval_s": METER_INTERVAL_S}
    if station.kind == Station.Kind.METER:
        load = station.metered_group.building_load_kw if hasattr(station, "metered_group") else []
        meter = {"kind": "meter", "load_kw_by_hour": load or [0.0] * 24, "noise_kw": OFFICE_NOISE_KW}
        return {**common, **meter, "time_zone": depot.time_zone}
    charger = {"kind": "charger", "vendor": station.vendor or "FleetDepot", "model": station.model or "Sim-22"}
    connectors = [
        {
            "number": connector.number,
            "phases": connector.phases,
            "max_current_a": connector.max_current_a,
            "voltage_v": connector.voltage_v,
            "register_wh": _register_wh(connector),
            "fallback_a": connector.fallback_a,
            "preloaded_fallback": True,
        }
        for connector in station.connectors.all()
    ]
    return {**common, **charger, "profile_unit": station.rate_unit, "connectors": connectors}


def _register_wh(connector: Any) -> float:
    """Meters go on from what they last reported."""
    state: ConnectorState | None = getattr(connector, "state", None)
    if state is not None and state.energy_wh is not None:
        return float(state.energy_wh)
    return float(FIRST_REGISTER_WH + 1_237 * connector.pk)


def _visit(visit: PlannedVisit) -> dict[str, Any]:
    guest = visit.guest
    wanted = {"energy_wanted_kwh": visit.need_kwh} if visit.exact_energy else {}
    return {
        "station": guest.station,
        "connector": guest.connector,
        "id_tag": guest.id_tag,
        "plug_in_at": _rfc3339(visit.plug_in_at),
        "plug_out_at": _rfc3339(visit.plug_out_at),
        "battery_kwh": guest.battery_kwh,
        "soc_percent": visit.soc_percent,
        "max_power_kw": guest.max_power_kw,
        "phases": guest.phases,
        "min_current_a": 6.0,
        **wanted,
    }


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def taken_identities(visits: Iterable[PlannedVisit]) -> set[str]:
    return {visit.guest.station for visit in visits}
