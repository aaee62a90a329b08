"""Which vehicles will come, when, and what they will need: invented from a seed, or read from the rows of a file."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from scheduling.engine.ev import EV
from scheduling.engine.horizon import DEFAULT_RESOLUTION, require_aware

POWERS_KW = (6.0, 7.0, 11.0, 22.0)
BATTERIES_KWH = (30.0, 52.0, 88.0, 100.0)
ARRIVAL_HOURS = (5.0, 16.0)
STAY_HOURS = (1.0, 5.0)
LATEST_DEPARTURE_HOUR = 23.0
_SHORTEST_LAST_DAY_H = 8.0
_EPS = 1e-6

REQUIRED = ("vehicle", "powerNom", "energyRequired", "energyMax", "arrivalTime", "departureTime", "arrivalSOE")
OPTIONAL = ("powerMin", "priority", "efficiency")
"""Columns of a file: kW, kWh in the battery, times as local hours of the day or as RFC 3339 with an offset."""
DERIVED = ("parkingDuration", "chargingDuration", "arrivalSOC", "restsOn")
"""Columns that predictions have and that follow from the others: read over."""
HIGHEST = 1e6
HIGHEST_PRIORITY = 1000


@dataclass(frozen=True)
class Demand:
    """One expected visit; energies are in the battery."""

    vehicle: str
    power_kw: float
    energy_kwh: float
    battery_kwh: float
    arrival: datetime
    departure: datetime
    arrival_soe_kwh: float = 0.0
    minimum_power_kw: float = 0.0
    priority: int = 1
    efficiency: float = 1.0
    rests_on: int = 0
    """Past visits that it is taken from; 0: none, it was given or invented."""

    @property
    def parking_hours(self) -> float:
        """Length of the stay, h."""
        return (self.departure - self.arrival).total_seconds() / 3600.0

    @property
    def charging_hours(self) -> float:
        """Time at full power that the need takes, h."""
        return self.energy_kwh / self.efficiency / self.power_kw

    @property
    def arrival_soc_percent(self) -> float:
        """State of charge at arrival, %."""
        return 100.0 * self.arrival_soe_kwh / self.battery_kwh

    def ev(self, nodes: tuple[str, ...] = ()) -> EV:
        """The vehicle as the engine schedules it, below the load groups `nodes`."""
        return EV(
            self.vehicle,
            False,
            "",
            1,
            min(self.minimum_power_kw, self.power_kw),
            self.power_kw,
            self.arrival,
            self.departure,
            self.energy_kwh,
            priority=self.priority,
            nodes=nodes,
            soc=min(self.arrival_soc_percent, 100.0),
            battery_kwh=self.battery_kwh,
            efficiency=self.efficiency,
        )


@dataclass(frozen=True)
class RowError:
    """What is wrong with one value: the row as its file counts, the column, and a sentence."""

    row: int
    column: str
    detail: str

    def __str__(self) -> str:
        return f"Row {self.row}, {self.column}: {self.detail}" if self.column else f"Row {self.row}: {self.detail}"


class DemandRefused(ValueError):
    """Rows that make no demand; `errors` has one entry per value, in the order of the file."""

    def __init__(self, errors: Sequence[RowError]) -> None:
        super().__init__(" ".join(map(str, errors)))
        self.errors = tuple(errors)


# --- invented --------------------------------------------------------------------------------------------------------


def synthetic_demand(
    vehicles: int,
    *,
    start: datetime,
    seed: int,
    hours: float = 24.0,
    resolution: timedelta = DEFAULT_RESOLUTION,
    efficiency: float = 1.0,
) -> list[Demand]:
    """Visits on the days from the local midnight `start`, the same for the same arguments.

    Arrivals from 05 to 16 h, stays of 1 to 5 h, all on multiples of `resolution` and over by 23 h and by the end of
    the horizon; needs are what the stay allows, at most a full battery. More vehicles leave the first ones as they are.
    """
    require_aware(start, "Start")
    if vehicles < 0:
        raise ValueError(f"{vehicles} vehicles: give 0 or more.")
    if hours < _SHORTEST_LAST_DAY_H:
        raise ValueError(
            f"A horizon of {hours:g} h is too short to invent a day: give {_SHORTEST_LAST_DAY_H:g} or more."
        )
    if not timedelta(0) < resolution <= timedelta(hours=1):
        raise ValueError(f"A resolution of {resolution} is not above zero and at most an hour.")
    if not 0 < efficiency <= 1:
        raise ValueError(f"Efficiency {efficiency} is not in (0, 1].")
    rng = np.random.default_rng(seed)
    return [_invented(rng, number, start, hours, resolution, efficiency) for number in range(1, vehicles + 1)]


def _invented(
    rng: np.random.Generator, number: int, start: datetime, hours: float, resolution: timedelta, efficiency: float
) -> Demand:
    whole_days, rest = divmod(hours, 24.0)
    day = int(rng.integers(int(whole_days) + (rest >= _SHORTEST_LAST_DAY_H)))
    power, battery = float(rng.choice(POWERS_KW)), float(rng.choice(BATTERIES_KWH))
    soe = battery * float(rng.uniform(0.0, 1.0))
    latest = min(LATEST_DEPARTURE_HOUR, hours - 24.0 * day)
    grid = resolution.total_seconds() / 3600.0
    earliest, last = ARRIVAL_HOURS[0], min(ARRIVAL_HOURS[1], latest - STAY_HOURS[0])
    arrival = _down(float(rng.uniform(earliest, last)), grid)
    stay = float(rng.uniform(*STAY_HOURS))
    departure = max(min(_down(arrival + stay, grid), _down(latest, grid)), arrival + grid)
    energy = min(power * (departure - arrival) * efficiency, battery - soe)
    return Demand(
        vehicle=f"vehicle-{number:03d}",
        power_kw=power,
        energy_kwh=math.floor(energy * 1000.0) / 1000.0,
        battery_kwh=battery,
        arrival=at_hour(start, 24.0 * day + arrival),
        departure=at_hour(start, 24.0 * day + departure),
        arrival_soe_kwh=round(soe, 3),
        efficiency=efficiency,
    )


def _down(hour: float, grid: float) -> float:
    return math.floor(hour / grid + _EPS) * grid


def at_hour(midnight: datetime, hours: float) -> datetime:
    """The instant at which the clocks of `midnight`'s zone have gone `hours` since then, UTC."""
    wall = midnight.replace(tzinfo=None) + timedelta(seconds=round(hours * 3600.0))
    return wall.replace(tzinfo=midnight.tzinfo).astimezone(UTC)


# --- from rows -------------------------------------------------------------------------------------------------------


def read_csv(text: str) -> list[tuple[int, dict[str, Any]]]:
    """Rows of a CSV file with their line numbers, the header being line 1; comma, semicolon or tab between values.

    With semicolons or tabs a number may have a decimal comma. DemandRefused if the header lacks a column.
    """
    lines = text.removeprefix("\ufeff")
    header = lines.partition("\n")[0]
    separator = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(lines, newline=""), delimiter=separator, skipinitialspace=True)
    names = [name.strip() for name in reader.fieldnames or []]
    reader.fieldnames = names
    problems = [RowError(1, name, "the column is missing.") for name in REQUIRED if name not in names]
    problems += [RowError(1, name, "the column comes twice.") for name in sorted(set(names)) if names.count(name) > 1]
    if problems:
        raise DemandRefused(problems)
    try:
        return [
            (reader.line_num, {name: _typed(name, value, separator) for name, value in row.items()}) for row in reader
        ]
    except csv.Error as error:
        raise DemandRefused([RowError(reader.line_num, "", f"cannot be read: {error}.")]) from error


def _typed(name: str | None, text: Any, separator: str) -> Any:
    """A cell as a number where it is one; the vehicle's name stays text, an empty cell is None."""
    if not isinstance(text, str):
        return text
    value = text.strip()
    if not value or name == "vehicle":
        return value or None
    try:
        return float(value.replace(",", ".") if separator != "," else value)
    except ValueError:
        return value


def demand_of(rows: Iterable[tuple[int, Mapping[str, Any]]], *, midnight: datetime) -> list[Demand]:
    """Visits of numbered rows; times given as hours count from the local `midnight`. Checks value by value.

    Raises DemandRefused with everything that is wrong: a missing or unknown column, what is no number or out of range,
    a departure that is not after its arrival, more energy than the battery has room for, a vehicle that comes twice.
    """
    require_aware(midnight, "Midnight")
    errors: list[RowError] = []
    found: list[Demand] = []
    seen: dict[str, int] = {}
    for number, row in rows:
        reading = _Row(number, row, midnight)
        demand = reading.demand()
        errors += reading.errors
        if demand is None:
            continue
        if demand.vehicle in seen:
            errors.append(RowError(number, "vehicle", f"{demand.vehicle!r} is in row {seen[demand.vehicle]} already."))
        seen.setdefault(demand.vehicle, number)
        found.append(demand)
    if errors:
        raise DemandRefused(errors)
    return found


class _Row:
    """One row while it is read: values out, errors collected."""

    def __init__(self, number: int, row: Mapping[str, Any], midnight: datetime) -> None:
        self.number, self.row, self.midnight = number, row, midnight
        self.errors: list[RowError] = []

    def demand(self) -> Demand | None:
        for name in self.row:
            if name not in (*REQUIRED, *OPTIONAL, *DERIVED):
                self.refuse(str(name or ""), "there is no such column." if name else "has more values than the header.")
        vehicle = self.vehicle()
        power = self.between("powerNom", 0.0, HIGHEST, above=True)
        battery = self.between("energyMax", 0.0, HIGHEST, above=True)
        energy = self.between("energyRequired", 0.0, HIGHEST)
        soe = self.between("arrivalSOE", 0.0, HIGHEST)
        least = self.between("powerMin", 0.0, HIGHEST, default=0.0)
        priority = self.between("priority", 0.0, HIGHEST_PRIORITY, default=1.0)
        efficiency = self.between("efficiency", 0.0, 1.0, above=True, default=1.0)
        arrival, departure = self.instant("arrivalTime"), self.instant("departureTime")
        if priority != int(priority):
            self.refuse("priority", f"{priority:g} is not a whole number.")
        if self.errors or arrival is None or departure is None:
            return None
        if departure <= arrival:
            self.refuse("departureTime", "is not after arrivalTime.")
        if soe > battery + _EPS:
            self.refuse("arrivalSOE", f"{soe:g} kWh is more than the battery's {battery:g}.")
        elif energy > battery - soe + _EPS:
            self.refuse(
                "energyRequired", f"{energy:g} kWh is more than the {battery - soe:g} that the battery has free."
            )
        if least > power:
            self.refuse("powerMin", f"{least:g} kW is above powerNom {power:g}.")
        return Demand(
            vehicle, power, energy, battery, arrival, departure, soe, least, int(priority), efficiency=efficiency
        )

    def refuse(self, column: str, detail: str) -> None:
        self.errors.append(RowError(self.number, column, detail))

    def vehicle(self) -> str:
        value = self.row.get("vehicle")
        if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
            self.refuse("vehicle", "give a name or number.")
        return str(value)

    def between(
        self, name: str, least: float, most: float, *, above: bool = False, default: float | None = None
    ) -> float:
        """The number in a column; NaN after an error."""
        value = self.row.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.refuse(name, "is missing." if value is None else f"{value!r} is not a number.")
            return math.nan
        if not (least < value if above else least <= value) or value > most:
            self.refuse(name, f"{value:g} is not {'above' if above else 'at least'} {least:g} and at most {most:g}.")
            return math.nan
        return float(value)

    def instant(self, name: str) -> datetime | None:
        """Hours since local midnight, or a date and time with an offset."""
        value = self.row.get(name)
        if isinstance(value, datetime):
            value = value.isoformat()
        if not isinstance(value, str):
            hours = self.between(name, 0.0, 24.0 * 365)
            return None if math.isnan(hours) else at_hour(self.midnight, hours)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.refuse(name, f"{value!r} is neither hours of the day nor a date and time.")
            return None
        if moment.tzinfo is None:
            self.refuse(name, f"{value} has no offset; write for example {value}+01:00 or end it with Z.")
            return None
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            self.refuse(name, f"{value} is out of range.")
            return None
