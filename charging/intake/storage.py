"""Bulk writes of the journal: COPY and unnest on PostgreSQL, executemany on SQLite. Inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.db import connection

from charging.intake.entry import FrameRow, SampleRow

FRAME_COLUMNS = ", ".join(FrameRow._fields)
FRAME_TYPES = ("int8", "int8", "text", "timestamptz", "text", "text", "bytea", "text")
SAMPLE_COLUMNS = ", ".join(SampleRow._fields)
SAMPLE_TYPES = (
    "int8", "int4", "int8", "timestamptz", "timestamptz", "text", "text",
    "float8", "float8", "float8", "float8", "float8", "float8", "float8", "float8", "text",
)  # fmt: skip
STATION_LOCKS = 0x0CCB  # first key of the advisory locks that serialise the effects of one station

COPY_FRAMES = f"COPY charging_frame ({FRAME_COLUMNS}) FROM STDIN (FORMAT BINARY)"
INSERT_FRAMES = f"INSERT INTO charging_frame ({FRAME_COLUMNS}) VALUES ({', '.join(['%s'] * len(FRAME_TYPES))})"  # noqa: S608
UNNEST_SAMPLES = (
    f"INSERT INTO charging_metersample ({SAMPLE_COLUMNS}) "  # noqa: S608
    f"SELECT * FROM unnest({', '.join(f'%b::{kind}[]' for kind in SAMPLE_TYPES)}) ON CONFLICT DO NOTHING"
)
INSERT_SAMPLES = (
    f"INSERT OR IGNORE INTO charging_metersample ({SAMPLE_COLUMNS}) "  # noqa: S608
    f"VALUES ({', '.join(['%s'] * len(SAMPLE_TYPES))})"
)


def on_postgresql() -> bool:
    return connection.vendor == "postgresql"


@contextmanager
def server_cursor() -> Iterator[psycopg.Cursor[Any]]:
    """A cursor with server-side parameters on Django's connection: arrays travel binary, statements stay prepared."""
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        yield cursor


def write_frames(rows: Sequence[FrameRow]) -> None:
    if not rows:
        return
    if on_postgresql():
        with server_cursor() as copier, copier.copy(COPY_FRAMES) as copy:
            copy.set_types(FRAME_TYPES)
            for row in rows:
                copy.write_row(row)
        return
    with connection.cursor() as cursor:
        cursor.executemany(INSERT_FRAMES, [(*row[:3], sqlite_time(row.at), *row[4:]) for row in rows])


def write_samples(rows: Sequence[SampleRow]) -> None:
    """Rows whose natural key is known already are left out."""
    if not rows:
        return
    if on_postgresql():
        with server_cursor() as inserter:
            inserter.execute(UNNEST_SAMPLES, [list(column) for column in zip(*rows, strict=True)])
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            INSERT_SAMPLES, [(*row[:3], sqlite_time(row.at), sqlite_time(row.received_at), *row[5:]) for row in rows]
        )


def lock_stations(station_ids: Iterable[int]) -> None:
    """Serialise effects per station across processes, in one order; SQLite transactions are IMMEDIATE anyway."""
    if not on_postgresql():
        return
    with server_cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, id) FROM (SELECT unnest(%s::int4[]) AS id ORDER BY 1) AS ordered",
            [STATION_LOCKS, sorted({station_id & 0x7FFFFFFF for station_id in station_ids})],
        )


def sqlite_time(at: datetime) -> str:
    """An instant as Django stores it in SQLite."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ")
