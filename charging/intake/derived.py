"""The latest readings: gathered in memory per connector and session, written in bulk at most twice a second.

A crash loses only what the next sample repairs: the samples themselves are durable before they come here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection, transaction

from charging import sessions
from charging.intake import storage
from charging.intake.entry import Arrival, SampleRow, StationRef, storable
from charging.models import MeterState, Session
from charging.wire.errors import Finding
from depot.models import Station, VehicleState

log = structlog.get_logger(__name__)

SOC_EVERY = timedelta(seconds=60)
LIVE_SAMPLE = timedelta(minutes=5)
MAX_FINDINGS_OF_A_STATION = 100
MAX_KNOWN_TRANSACTIONS = 50_000
UNTRUSTED = {"power": ("power_w",), "energy": ("energy_wh",), "soc": ("soc_percent",)}

Key = tuple[int, int]


@dataclass(slots=True)
class Reading:
    """The newest values of one connector, or of a main meter (number 0); None where nothing was said."""

    arrival: Arrival
    number: int
    at: datetime
    transaction_id: int | None = None
    energy_wh: float | None = None
    power_w: float | None = None
    current_a: tuple[float | None, float | None, float | None] | None = None
    offered_a: float | None = None
    soc_percent: float | None = None

    def take(self, row: SampleRow) -> None:
        """Newer values win; what this sample does not say stays."""
        flags = row.flags.split(",") if row.flags else ()
        values = row._asdict() if flags else None
        if values is not None:
            for flag in flags:
                values.update(dict.fromkeys(UNTRUSTED.get(flag, ())))
            row = SampleRow(**values)
        self.at = row.at
        self.transaction_id = row.transaction_id or self.transaction_id
        self.energy_wh = self.energy_wh if row.energy_wh is None else row.energy_wh
        self.power_w = self.power_w if row.power_w is None else row.power_w
        self.offered_a = self.offered_a if row.offered_a is None else row.offered_a
        self.soc_percent = self.soc_percent if row.soc_percent is None else row.soc_percent
        if row.current_1_a is not None or row.current_2_a is not None or row.current_3_a is not None:
            self.current_a = (row.current_1_a, row.current_2_a, row.current_3_a)


@dataclass(slots=True)
class Pending:
    """What the next flush writes."""

    readings: dict[Key, Reading] = field(default_factory=dict)
    findings: Counter[tuple[int, str, str]] = field(default_factory=Counter)

    def __bool__(self) -> bool:
        return bool(self.readings or self.findings)


class Derivation:
    """Gathers on the event loop; `write` runs in a thread."""

    def __init__(self) -> None:
        self._pending = Pending()
        self._newest: dict[Key, datetime] = {}
        self._soc_written: dict[Any, datetime] = {}
        self._known_transactions: set[int] = set()
        self._finding_texts: dict[int, set[tuple[str, str]]] = {}

    def take_samples(self, arrival: Arrival, rows: Iterable[SampleRow]) -> None:
        """Live samples only: history lies in the table and changes nothing now (P43)."""
        for row in rows:
            key = (row.station_id, 0 if arrival.station.is_meter else row.number)
            newest = self._newest.get(key)
            if arrival.at - row.at > LIVE_SAMPLE or (newest is not None and row.at < newest):
                continue
            self._newest[key] = min(row.at, arrival.at)
            reading = self._pending.readings.get(key)
            if reading is None:
                reading = self._pending.readings[key] = Reading(arrival, key[1], row.at)
            reading.arrival = arrival
            reading.take(row)

    def take_findings(self, station: StationRef, findings: Sequence[Finding]) -> None:
        for finding in findings:
            texts = self._finding_texts.setdefault(station.id, set())
            name = (finding.rule[:20], storable(finding.text, 200))
            if name not in texts and len(texts) >= MAX_FINDINGS_OF_A_STATION:
                name = (finding.rule[:20], "and more of this kind")
            texts.add(name)
            self._pending.findings[station.id, name[0], name[1]] += 1

    def swap(self) -> Pending:
        """What is to be written now; gathering goes on in a fresh one."""
        pending, self._pending = self._pending, Pending()
        return pending

    def put_back(self, pending: Pending) -> None:
        """Keep what could not be written, unless something newer came meanwhile."""
        for key, reading in pending.readings.items():
            self._pending.readings.setdefault(key, reading)
        self._pending.findings.update(pending.findings)

    # --- in a thread -------------------------------------------------------------------------------------------------

    def write(self, pending: Pending, now: datetime) -> set[int]:
        """Write everything and return the depots whose picture changed."""
        self._forget_deleted(pending)
        connectors = [reading for reading in pending.readings.values() if reading.number > 0]
        meters = [reading for reading in pending.readings.values() if reading.number == 0]
        with transaction.atomic():
            write_connector_states(connectors)
            write_meter_states(meters)
            write_findings(pending.findings, now)
            self._meet_transactions(connectors)
            write_sessions(connectors)
            self._write_battery_states(connectors)
        return {reading.arrival.station.depot_id for reading in pending.readings.values()}

    def _forget_deleted(self, pending: Pending) -> None:
        """A station that was deleted while its charger talked must not spoil what the others said."""
        named = {station_id for station_id, _ in pending.readings} | {name[0] for name in pending.findings}
        existing = set(Station.objects.filter(pk__in=named).values_list("pk", flat=True))
        for key in [key for key in pending.readings if key[0] not in existing]:
            del pending.readings[key]
        for name in [name for name in pending.findings if name[0] not in existing]:
            del pending.findings[name]

    def _meet_transactions(self, readings: Sequence[Reading]) -> None:
        """Adopt running transactions that nobody announced (P45); attribute samples without one by connector (P46)."""
        attribute([reading for reading in readings if reading.transaction_id is None])
        named = {r.transaction_id: r for r in readings if r.transaction_id is not None}
        strangers = {number: reading for number, reading in named.items() if number not in self._known_transactions}
        if not strangers:
            return
        known = {
            number: (station_id, historical)
            for number, station_id, historical in Session.objects.filter(transaction_id__in=strangers).values_list(
                "transaction_id", "station_id", "historical"
            )
        }
        for number, reading in strangers.items():
            if known.get(number, (reading.arrival.station.id, True)) == (reading.arrival.station.id, True):
                sessions.adopt(reading.arrival, reading.number, number, reading.at, reading.energy_wh)
            self._known_transactions.add(number)
        if len(self._known_transactions) > MAX_KNOWN_TRANSACTIONS:
            self._known_transactions.clear()

    def _write_battery_states(self, readings: Iterable[Reading]) -> None:
        charging = {r.transaction_id: r for r in readings if r.soc_percent and r.transaction_id}
        if not charging:
            return
        rows = []
        vehicles = Session.objects.filter(transaction_id__in=charging, vehicle__isnull=False)
        for number, station_id, vehicle_id in vehicles.values_list("transaction_id", "station_id", "vehicle_id"):
            reading = charging[number]
            last = self._soc_written.get(vehicle_id)
            if station_id != reading.arrival.station.id or (last is not None and reading.at - last < SOC_EVERY):
                continue
            self._soc_written[vehicle_id] = reading.at
            rows.append(
                VehicleState(
                    vehicle_id=vehicle_id,
                    soc_percent=reading.soc_percent or 0.0,
                    source=VehicleState.Source.CHARGER,
                    measured_at=reading.at,
                    received_at=reading.arrival.at,
                )
            )
        VehicleState.objects.bulk_create(rows, ignore_conflicts=True)


def attribute(readings: Sequence[Reading]) -> None:
    """Give readings without a transaction the one that runs on their connector."""
    silent = {(r.arrival.station.id, r.number): r for r in readings if r.energy_wh is not None or r.soc_percent}
    if not silent:
        return
    live = Session.objects.filter(
        station_id__in={station_id for station_id, _ in silent}, state__in=Session.LIVE, historical=False
    )
    for station_id, number, transaction_id, started_at in live.values_list(
        "station_id", "connector__number", "transaction_id", "started_at"
    ):
        reading = silent.get((station_id, number))
        if reading is not None and started_at <= reading.at:
            reading.transaction_id = transaction_id


def write_connector_states(readings: Sequence[Reading]) -> None:
    """Columns that a sample did not mention keep their value; a connector that is not known has no row and no state."""
    number = "CAST(%s AS double precision)"
    sql = (
        "UPDATE charging_connectorstate SET sampled_at = %s,"  # noqa: S608 (only constants)
        f" power_kw = COALESCE({number}, power_kw), offered_a = COALESCE({number}, offered_a),"
        f" energy_wh = COALESCE({number}, energy_wh), soc_percent = COALESCE({number}, soc_percent),"
        " current_a = COALESCE(" + ("%s::jsonb" if storage.on_postgresql() else "%s") + ", current_a)"
        " WHERE connector_id = (SELECT id FROM depot_connector WHERE station_id = %s AND number = %s)"
    )
    _many(
        sql,
        [
            (
                _time(reading.at),
                None if reading.power_w is None else reading.power_w / 1000,
                reading.offered_a,
                reading.energy_wh,
                reading.soc_percent,
                None if reading.current_a is None else json.dumps(reading.current_a),
                reading.arrival.station.id,
                reading.number,
            )
            for reading in sorted(readings, key=lambda reading: (reading.arrival.station.id, reading.number))
        ],
    )


def write_meter_states(readings: Sequence[Reading]) -> None:
    states = [
        MeterState(
            station_id=reading.arrival.station.id,
            power_kw=reading.power_w / 1000,
            energy_wh=reading.energy_wh,
            sampled_at=reading.at,
        )
        for reading in readings
        if reading.power_w is not None
    ]
    MeterState.objects.bulk_create(
        states,
        update_conflicts=True,
        unique_fields=["station"],
        update_fields=["power_kw", "energy_wh", "sampled_at"],
    )


def write_sessions(readings: Sequence[Reading]) -> None:
    """Progress of live sessions: energy follows the register, from the first reading where the start named none."""
    number = "CAST(%s AS double precision)"
    sql = (
        "UPDATE charging_session SET last_sample_at = %s,"  # noqa: S608 (only constants)
        f" meter_start_wh = CASE WHEN last_register_wh IS NULL THEN CAST(COALESCE({number}, 0) AS bigint)"
        " ELSE meter_start_wh END,"
        f" energy_kwh = CASE WHEN last_register_wh IS NOT NULL AND {number} > meter_start_wh"
        f" THEN ({number} - meter_start_wh) / 1000.0 ELSE energy_kwh END,"
        f" last_register_wh = COALESCE({number}, last_register_wh),"
        f" start_soc_percent = COALESCE(start_soc_percent, {number}),"
        f" soc_percent = COALESCE({number}, soc_percent)"
        " WHERE transaction_id = %s AND station_id = %s AND state IN ('open', 'suspended')"
    )
    _many(
        sql,
        [
            (
                _time(reading.at),
                *[reading.energy_wh] * 4,
                *[reading.soc_percent] * 2,
                reading.transaction_id,
                reading.arrival.station.id,
            )
            for reading in sorted(readings, key=lambda reading: reading.transaction_id or 0)
            if reading.transaction_id is not None
        ],
    )


def write_findings(findings: Counter[tuple[int, str, str]], now: datetime) -> None:
    """Leniencies, counted per station, rule and text."""
    _many(
        "INSERT INTO charging_finding (station_id, rule, text, count, first_seen_at, last_seen_at)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (station_id, rule, text) DO UPDATE"
        " SET count = charging_finding.count + excluded.count, last_seen_at = excluded.last_seen_at",
        [(*name, count, _time(now), _time(now)) for name, count in sorted(findings.items())],
    )


def _many(sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    if rows:
        with connection.cursor() as cursor:
            cursor.executemany(sql, rows)


def _time(at: datetime) -> datetime | str:
    return at if storage.on_postgresql() else storage.sqlite_time(at)
