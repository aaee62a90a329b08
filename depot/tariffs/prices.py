"""Price series: what a kWh costs in each step. Series are UTC, prices are looked up by local wall clock (Z10)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from depot.tariffs.definition import (
    SATURDAY,
    WEEKDAY,
    WEEKEND_OR_HOLIDAY,
    Elements,
    EnergyFlat,
    EnergyTou,
    TariffError,
)

Version = tuple[date, date | None, Elements]  # valid_from inclusive, valid_to exclusive, local dates
FloatArray = NDArray[np.float64]

QUARTER = timedelta(minutes=15)  # every clock change in force falls on a quarter hour of UTC


class TariffHole(TariffError):
    """No version of the tariff is in force at an instant."""


def price_per_kwh(
    versions: Sequence[Version], borders: Sequence[datetime], zone: ZoneInfo, *, holidays: Collection[date] = ()
) -> FloatArray:
    """Time-weighted mean price of each step between successive borders, currency/kWh, shape (len(borders) - 1,)."""
    _check_borders(borders)
    if len(borders) == 1:
        return np.zeros(0)
    cuts = _cuts(versions, borders, zone)
    starts = cuts[:-1]
    prices = _prices_at(versions, [cut.astimezone(zone) for cut in starts], frozenset(holidays))
    seconds = np.diff(np.array([cut.timestamp() for cut in cuts]))
    edges = np.array([border.timestamp() for border in borders])
    step = np.searchsorted(edges, np.array([cut.timestamp() for cut in starts]), side="right") - 1
    weighted = np.bincount(step, weights=prices * seconds, minlength=len(borders) - 1)
    return np.asarray(weighted / np.diff(edges), dtype=np.float64)


def price_at(versions: Sequence[Version], instant: datetime, zone: ZoneInfo) -> float:
    """Price of a kWh taken at this instant, currency/kWh."""
    return float(_prices_at(versions, [instant.astimezone(zone)], frozenset())[0])


def version_at(versions: Sequence[Version], local: datetime) -> Elements:
    """The elements in force on the local date; TariffHole when there is none, TariffError when there are two."""
    day = local.date()
    found = [elements for begin, end, elements in versions if begin <= day and (end is None or day < end)]
    if not found:
        raise TariffHole(f"No version of the tariff is in force at {local.isoformat()}; add one that covers {day}.")
    if len(found) > 1:
        raise TariffError(f"{len(found)} versions of the tariff are in force at {local.isoformat()}; end all but one.")
    return found[0]


def _check_borders(borders: Sequence[datetime]) -> None:
    if not borders:
        raise ValueError("A price series needs at least one border.")
    for border in borders:
        if border.tzinfo is None:
            raise ValueError(f"{border.isoformat()} has no time zone; borders are aware instants.")
    for earlier, later in pairwise(borders):
        if later <= earlier:
            raise ValueError(f"Borders must rise: {later.isoformat()} follows {earlier.isoformat()}.")


def _cuts(versions: Sequence[Version], borders: Sequence[datetime], zone: ZoneInfo) -> list[datetime]:
    """Instants between which neither step nor price changes: borders, window edges, midnights, clock changes."""
    first, last = borders[0].astimezone(UTC), borders[-1].astimezone(UTC)
    cuts = {border.astimezone(UTC) for border in borders}
    cuts.update(_quarters(first, last))
    minutes = {0}
    for _, _, elements in versions:
        for element in elements.energy:
            if isinstance(element, EnergyTou):
                minutes |= element.boundary_minutes
    odd = [minute for minute in minutes if minute % 15 or _odd_offset(first, zone)]
    day = first.astimezone(zone).date() - timedelta(days=1)
    while odd and day <= last.astimezone(zone).date():
        for minute in odd:
            wall = datetime.combine(day, time(minute // 60, minute % 60), zone)
            cuts.update(wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
        day += timedelta(days=1)
    return sorted(cut for cut in cuts if first <= cut <= last)


def _quarters(first: datetime, last: datetime) -> list[datetime]:
    quarter = datetime.fromtimestamp(first.timestamp() // QUARTER.total_seconds() * QUARTER.total_seconds(), UTC)
    return [quarter + QUARTER * k for k in range(1, int((last - quarter) / QUARTER) + 1)]


def _odd_offset(instant: datetime, zone: ZoneInfo) -> bool:
    """Whether local quarter hours are not quarter hours of UTC (historic offsets only)."""
    offset = instant.astimezone(zone).utcoffset()
    return offset is not None and offset % QUARTER != timedelta(0)


def _prices_at(versions: Sequence[Version], locals_: Sequence[datetime], holidays: frozenset[date]) -> FloatArray:
    """Price at each local instant, shape (n,); rows of one version are looked up together."""
    by_version: dict[int, tuple[Elements, list[int]]] = {}
    by_day: dict[date, Elements] = {}
    for index, local in enumerate(locals_):
        day = local.date()
        if day not in by_day:
            by_day[day] = version_at(versions, local)
        elements = by_day[day]
        by_version.setdefault(id(elements), (elements, []))[1].append(index)
    prices = np.zeros(len(locals_))
    for elements, rows in by_version.values():
        prices[rows] = _look_up(elements, [locals_[row] for row in rows], holidays)
    return prices


def _look_up(elements: Elements, locals_: Sequence[datetime], holidays: frozenset[date]) -> FloatArray:
    if not elements.energy:
        raise TariffError("The tariff has no energy price that can be looked up by time (energy_tou or energy_flat).")
    total = np.zeros(len(locals_))
    month = np.array([local.month - 1 for local in locals_])
    day = np.array([_day_class(local.date(), holidays) for local in locals_])
    minute = np.array([local.hour * 60 + local.minute for local in locals_])
    for element in elements.energy:
        if isinstance(element, EnergyFlat):
            total += float(element.price_per_kwh)
        else:
            total += element.prices[element.table[month, day, minute]]
    return total


def _day_class(day: date, holidays: frozenset[date]) -> int:
    return WEEKEND_OR_HOLIDAY if day.weekday() >= SATURDAY or day in holidays else WEEKDAY
