"""Measured power of the past hours, per minute and node of the power tree, from stored meter samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Avg, CharField, F, Func

from charging.models import MeterSample
from depot.models import Depot

PAST = timedelta(hours=2)
CARRY_MINUTES = 2  # a meter that reports once a minute may miss one
MINUTE_S = 60

Series = dict[int, float]  # minute of the epoch, in s -> kW
MeterKey = tuple[int, int]  # station, connector number


class MinuteText(Func):
    """`at` cut to its UTC minute as text, `2026-11-20 10:21`, on either database without a Python call per row."""

    output_field = CharField()
    template = "to_char(%(expressions)s at time zone 'UTC', 'YYYY-MM-DD HH24:MI')"

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, Any]:
        return self.as_sql(compiler, connection, template="substr(%(expressions)s, 1, 16)", **extra)


@dataclass
class MeteredMinutes:
    """Mean kW per meter and minute; kept between pictures, so that only the newest minutes are read again."""

    by_meter: dict[MeterKey, Series] = field(default_factory=dict)
    read_until: datetime | None = None

    def read(self, depot: Depot, now: datetime) -> None:
        """Add what was measured since the last reading; minutes older than two hours are dropped."""
        oldest = floor_minute(now - PAST)
        since = oldest if self.read_until is None else max(oldest, floor_minute(self.read_until) - timedelta(minutes=2))
        for station, connector, minute, watts in mean_power(depot, since, now):
            self.by_meter.setdefault((station, connector), {})[minute] = watts / 1000
        self.read_until = now
        self._forget(int(oldest.timestamp()))

    def _forget(self, oldest: int) -> None:
        for key, series in list(self.by_meter.items()):
            for minute in [minute for minute in series if minute < oldest]:
                del series[minute]
            if not series:
                del self.by_meter[key]


def mean_power(depot: Depot, since: datetime, until: datetime) -> Iterable[tuple[int, int, int, float]]:
    """(station, connector number, minute in epoch s, mean W) of the samples in the period."""
    rows = (
        MeterSample.objects.filter(station__depot=depot, at__gte=since, at__lte=until, power_w__isnull=False)
        .annotate(minute=MinuteText(F("at")))
        .values_list("station_id", "number", "minute")
        .annotate(watts=Avg("power_w"))
        .order_by()
    )
    for station, connector, minute, watts in rows:
        stamp = datetime.strptime(minute, "%Y-%m-%d %H:%M").replace(tzinfo=UTC)
        yield station, connector, int(stamp.timestamp()), float(watts)


def floor_minute(instant: datetime) -> datetime:
    return instant.replace(second=0, microsecond=0)


def node_series(minutes: MeteredMinutes, meters: Iterable[MeterKey], now: datetime) -> Series:
    """Sum of the meters per whole minute, kW, rounded to 0.1; minutes without any reading are missing, not zero."""
    total: Series = {}
    last = int(floor_minute(now).timestamp())
    for key in meters:
        for minute, value in carried(minutes.by_meter.get(key, {}), last).items():
            total[minute] = total.get(minute, 0.0) + value
    return {minute: round(value, 1) for minute, value in sorted(total.items())}


def carried(series: Mapping[int, float], last: int) -> Series:
    """The series with gaps of up to two minutes filled by the value before them."""
    filled: Series = {}
    for minute, value in series.items():
        filled[minute] = value
        for step in range(1, CARRY_MINUTES + 1):
            later = minute + step * MINUTE_S
            if later > last or later in series:
                break
            filled[later] = value
    return filled
