"""Scenarios: which stations stand where, and which vehicles visit them. Every error names its field."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from charging.simulator.battery import Vehicle
from charging.simulator.defects import Defect
from charging.simulator.schedule import Unit, Wiring

FORMAT = "fleet-depot-scenario/1"
HOURS = 24
_Choice = TypeVar("_Choice", bound=StrEnum)


class ConfigError(ValueError):
    """What is wrong with a scenario, and where."""


class StationKind(StrEnum):
    CHARGER = "charger"
    METER = "meter"


class RateUnit(StrEnum):
    A = "A"
    W = "W"
    BOTH = "A,W"


@dataclass(frozen=True, slots=True)
class ConnectorConfig:
    number: int
    phases: int = 3
    max_current_a: float = 32.0
    voltage_v: float = 230.0
    register_wh: float = 0.0
    fallback_a: float = 0.0
    preloaded_fallback: bool = False
    switches_phases: bool = False

    @property
    def wiring(self) -> Wiring:
        return Wiring(self.phases, self.voltage_v, self.max_current_a, self.switches_phases)


@dataclass(frozen=True, slots=True)
class StationConfig:
    identity: str
    password: str = field(default="", repr=False)
    vendor: str = "FleetDepot"
    model: str = "Sim-22"
    kind: StationKind = StationKind.CHARGER
    profile_unit: RateUnit = RateUnit.A
    meter_interval_s: int = 5
    connectors: tuple[ConnectorConfig, ...] = ()
    defects: frozenset[Defect] = frozenset()
    load_kw_by_hour: tuple[float, ...] = ()
    noise_kw: float = 0.0
    time_zone: str = "UTC"

    @property
    def units(self) -> frozenset[Unit]:
        return frozenset(Unit(name) for name in self.profile_unit.value.split(","))


@dataclass(frozen=True, slots=True)
class Visit:
    """A vehicle at a connector; its SoC is the one at plug-in, or at the start when it is plugged in already."""

    station: str
    connector: int
    plug_in_at: datetime
    plug_out_at: datetime
    vehicle: Vehicle


@dataclass(frozen=True, slots=True)
class Scenario:
    stations: tuple[StationConfig, ...]
    visits: tuple[Visit, ...] = ()
    seed: int = 0

    def visits_of(self, identity: str) -> tuple[Visit, ...]:
        return tuple(visit for visit in self.visits if visit.station == identity)


class _Fields:
    """One JSON object being read; knows where it stands and which of its fields nobody asked for."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{path or 'scenario'}: expected an object, got {_shown(value)}")
        self._values: Mapping[str, Any] = value
        self._path = path
        self._asked: set[str] = set()

    def at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def wrong(self, key: str, expected: str) -> ConfigError:
        if key not in self._values:
            return ConfigError(f"{self.at(key)}: missing, expected {expected}")
        return ConfigError(f"{self.at(key)}: expected {expected}, got {_shown(self._values[key])}")

    def text(self, key: str, default: str | None = None, *, longest: int = 200) -> str:
        value = self._take(key, default)
        if not isinstance(value, str) or len(value) > longest or (default is None and not value):
            raise self.wrong(key, f"a text of 1 to {longest} characters")
        return value

    def number(
        self, key: str, default: float | None = None, *, least: float = 0.0, most: float = 1e9, whole: bool = False
    ) -> float:
        value = self._take(key, default)
        kind = "a whole number" if whole else "a number"
        numeric = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not numeric or not least <= value <= most or (whole and value != int(value)):
            raise self.wrong(key, f"{kind} from {least:g} to {most:g}")
        return float(value)

    def whole(self, key: str, default: int | None = None, *, least: int = 0, most: int = 10**9) -> int:
        return int(self.number(key, default, least=least, most=most, whole=True))

    def truth(self, key: str, default: bool) -> bool:
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "true or false")
        return value

    def choice(self, key: str, kind: type[_Choice], default: _Choice) -> _Choice:
        value = self._take(key, default.value)
        if value not in [member.value for member in kind]:
            raise self.wrong(key, f"one of {', '.join(member.value for member in kind)}")
        return kind(value)

    def instant(self, key: str) -> datetime:
        value = self._take(key, None)
        try:
            at = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise self.wrong(key, "an RFC 3339 time") from None
        if at.tzinfo is None:
            raise self.wrong(key, "an RFC 3339 time with its zone")
        return at.astimezone(UTC)

    def zone(self, key: str, default: str) -> str:
        value = self.text(key, default)
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise self.wrong(key, "an IANA time zone") from None
        return value

    def items(self, key: str, default: list[Any] | None = None) -> list[Any]:
        value = self._take(key, default)
        if not isinstance(value, list):
            raise self.wrong(key, "a list")
        return value

    def objects(self, key: str, default: list[Any] | None = None) -> list[_Fields]:
        return [_Fields(item, f"{self.at(key)}[{index}]") for index, item in enumerate(self.items(key, default))]

    def done(self) -> None:
        for key in self._values:
            if key not in self._asked:
                raise ConfigError(f"{self.at(key)}: unknown field, known here are {', '.join(sorted(self._asked))}")

    def has(self, key: str) -> bool:
        self._asked.add(key)
        return self._values.get(key) is not None

    def _take(self, key: str, default: Any) -> Any:
        self._asked.add(key)
        return self._values.get(key, default)


def _shown(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def load_scenario(path: Path) -> Scenario:
    """Read a scenario file; ConfigError names the file and the field."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path}: is not JSON: {error}") from error
    try:
        return parse_scenario(content)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse_scenario(content: object) -> Scenario:
    """A scenario from its JSON content."""
    fields = _Fields(content, "")
    if fields.text("format") != FORMAT:
        raise fields.wrong("format", f'"{FORMAT}"')
    scenario = Scenario(
        seed=fields.whole("seed", 0),
        stations=tuple(_station(item) for item in fields.objects("stations")),
        visits=tuple(_visit(item) for item in fields.objects("visits", [])),
    )
    fields.done()
    _check_whole(scenario)
    return scenario


def _station(fields: _Fields) -> StationConfig:
    kind = fields.choice("kind", StationKind, StationKind.CHARGER)
    connectors = tuple(_connector(item) for item in fields.objects("connectors", []))
    load = tuple(fields.items("load_kw_by_hour", []))
    if kind is StationKind.CHARGER and sorted(each.number for each in connectors) != list(
        range(1, len(connectors) + 1)
    ):
        raise ConfigError(f"{fields.at('connectors')}: numbers must be 1, 2, ... without gaps")
    if kind is StationKind.CHARGER and not connectors:
        raise ConfigError(f"{fields.at('connectors')}: a charger needs at least one")
    if kind is StationKind.METER and (len(load) != HOURS or not all(isinstance(each, int | float) for each in load)):
        raise fields.wrong("load_kw_by_hour", f"a list of {HOURS} numbers")
    station = StationConfig(
        identity=fields.text("identity", longest=48),
        password=fields.text("password", ""),
        vendor=fields.text("vendor", "FleetDepot", longest=20),
        model=fields.text("model", "Sim-22", longest=20),
        kind=kind,
        profile_unit=fields.choice("profile_unit", RateUnit, RateUnit.A),
        meter_interval_s=fields.whole("meter_interval_s", 5, least=0, most=86_400),
        connectors=tuple(sorted(connectors, key=lambda each: each.number)),
        defects=_defects(fields),
        load_kw_by_hour=tuple(float(each) for each in load),
        noise_kw=fields.number("noise_kw", 0.0),
        time_zone=fields.zone("time_zone", "UTC"),
    )
    fields.done()
    return station


def _defects(fields: _Fields) -> frozenset[Defect]:
    names = fields.items("defects", [])
    known = [defect.value for defect in Defect]
    for index, name in enumerate(names):
        if name not in known:
            raise ConfigError(f"{fields.at('defects')}[{index}]: {_shown(name)} is none of {', '.join(known)}")
    return frozenset(Defect(name) for name in names)


def _connector(fields: _Fields) -> ConnectorConfig:
    connector = ConnectorConfig(
        number=fields.whole("number", least=1, most=100),
        phases=fields.whole("phases", 3, least=1, most=3),
        max_current_a=fields.number("max_current_a", 32.0, least=1.0, most=1000.0),
        voltage_v=fields.number("voltage_v", 230.0, least=80.0, most=600.0),
        register_wh=fields.number("register_wh", 0.0, most=1e12),
        fallback_a=fields.number("fallback_a", 0.0, most=1000.0),
        preloaded_fallback=fields.truth("preloaded_fallback", False),
        switches_phases=fields.truth("switches_phases", False),
    )
    fields.done()
    return connector


def _visit(fields: _Fields) -> Visit:
    wanted = fields.number("energy_wanted_kwh", least=0.001, most=10_000.0) if fields.has("energy_wanted_kwh") else None
    visit = Visit(
        station=fields.text("station", longest=48),
        connector=fields.whole("connector", 1, least=1, most=100),
        plug_in_at=fields.instant("plug_in_at"),
        plug_out_at=fields.instant("plug_out_at"),
        vehicle=Vehicle(
            id_tag=fields.text("id_tag", longest=20),
            battery_kwh=fields.number("battery_kwh", least=0.1, most=10_000.0),
            soc=fields.number("soc_percent", most=100.0) / 100.0,
            max_power_kw=fields.number("max_power_kw", least=0.1, most=10_000.0),
            phases=fields.whole("phases", 3, least=1, most=3),
            min_current_a=fields.number("min_current_a", 6.0, most=1000.0),
            energy_wanted_kwh=wanted,
        ),
    )
    if visit.plug_out_at <= visit.plug_in_at:
        raise fields.wrong("plug_out_at", "a time after plug_in_at")
    fields.done()
    return visit


def _check_whole(scenario: Scenario) -> None:
    """Identities are unique; every visit has its place, and nobody else is there."""
    places: set[tuple[str, int]] = set()
    identities: set[str] = set()
    for index, station in enumerate(scenario.stations):
        if station.identity.lower() in identities:
            raise ConfigError(f"stations[{index}].identity: {station.identity} is there twice")
        identities.add(station.identity.lower())
        places.update((station.identity, connector.number) for connector in station.connectors)
    free_from: dict[tuple[str, int], datetime] = {}
    order = sorted(range(len(scenario.visits)), key=lambda each: scenario.visits[each].plug_in_at)
    for index in order:
        visit = scenario.visits[index]
        place = visit.station, visit.connector
        if place not in places:
            raise ConfigError(f"visits[{index}].connector: station {visit.station} has no connector {visit.connector}")
        if place in free_from and visit.plug_in_at < free_from[place]:
            raise ConfigError(f"visits[{index}].plug_in_at: connector {visit.station}/{visit.connector} is still taken")
        free_from[place] = visit.plug_out_at


_FLEET = ((6.0, 30.0, 1), (7.0, 52.0, 1), (11.0, 88.0, 3), (22.0, 100.0, 3))


def generated_scenario(count: int, *, prefix: str, password: str, seed: int, now: datetime) -> Scenario:
    """`count` stations named PREFIX-0001 and so on, each with a vehicle that stays for half a day."""
    dice = random.Random(f"{seed}:fleet")
    stations: list[StationConfig] = []
    visits: list[Visit] = []
    for number in range(1, count + 1):
        identity = f"{prefix}-{number:04d}"
        power_kw, battery_kwh, phases = _FLEET[(number - 1) % len(_FLEET)]
        stations.append(StationConfig(identity, password, connectors=(ConnectorConfig(number=1),)))
        vehicle = Vehicle(f"{prefix}V{number:04d}"[-20:], battery_kwh, dice.uniform(0.15, 0.6), power_kw, phases)
        visits.append(Visit(identity, 1, now, now + timedelta(hours=12), vehicle))
    return Scenario(tuple(stations), tuple(visits), seed)
