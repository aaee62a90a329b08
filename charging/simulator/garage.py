"""A real day of a garage, moved to another date: see data/README.md for where it comes from."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo

SAMPLE = "acn_caltech_2019-10-24.csv"
VOLTAGE_V = 208.0
MAX_CURRENT_A = 32.0
MIN_CURRENT_A = 6.0
PHASES = 1
PORT_KW = VOLTAGE_V * MAX_CURRENT_A / 1000.0


@dataclass(frozen=True, slots=True)
class GarageSession:
    """One stay at a port: aware UTC instants, and the energy the driver needs, kWh."""

    arrival: datetime
    departure: datetime
    energy_kwh: float
    station_id: str
    session_id: str


def garage_sessions(day: date, time_zone: str) -> list[GarageSession]:
    """The sample day on `day`: the garage's local time of day becomes that of `time_zone`; ordered by arrival.

    The energy asked for is the delivered energy, at most what the port can give during the stay. Where a clock change
    of `day` leaves no stay, the measured length holds.
    """
    zone = ZoneInfo(time_zone)
    text = (files("charging.simulator") / "data" / SAMPLE).read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    first_day = min(datetime.fromisoformat(row["arrival"]).date() for row in rows)
    return sorted((_moved(row, day - first_day, zone) for row in rows), key=_order)


def _moved(row: dict[str, str], shift: timedelta, zone: ZoneInfo) -> GarageSession:
    was_arrival, was_departure = (datetime.fromisoformat(row[name]) for name in ("arrival", "departure"))
    arrival = _on_the_wall(was_arrival, shift, zone)
    departure = _on_the_wall(was_departure, shift, zone)
    if departure <= arrival:
        departure = arrival + (was_departure - was_arrival)
    stay_h = (departure - arrival).total_seconds() / 3600.0
    energy_kwh = min(float(row["delivered_kwh"]), PORT_KW * stay_h)
    return GarageSession(arrival, departure, energy_kwh, row["station_id"], row["session_id"])


def _on_the_wall(measured: datetime, shift: timedelta, zone: ZoneInfo) -> datetime:
    """The same reading of the wall clock in `zone`, `shift` days later, as UTC."""
    wall = datetime.combine(measured.date() + shift, measured.time().replace(tzinfo=None))
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _order(session: GarageSession) -> tuple[datetime, str]:
    return session.arrival, session.station_id
