"""The site's highest load of the billing month: what its demand charges have been paid for already.

Measured power of a window is the sum over all connectors and building meters of their stored samples; a building
without a meter, or with a silent one, counts with its expected load.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise

from depot.models import Depot, LoadGroup
from depot.tariffs.definition import Demand
from scheduling.live.measured import CARRY_MINUTES, MINUTE_S, MeterKey, Series, mean_power
from scheduling.models import MonthPeak

SAMPLES_COME_LATE = timedelta(minutes=2)
READ_AT_ONCE = timedelta(hours=6)  # a month that nobody has read yet is caught up with over several runs

NEVER = 10**12


def paid_for_kw(depot: Depot, demand: Demand, month: date, now: datetime) -> float:
    """The load that costs nothing more in this local month, kW: measured so far, of a ratchet, or of the contract."""
    measured = measured_peak_kw(depot, demand, month, now)
    return max(measured, ratchet_kw(depot, demand, month), contract_floor_kw(demand))


def measured_peak_kw(depot: Depot, demand: Demand, month: date, now: datetime) -> float:
    """Highest finished window of the month that counts, kW; reads what has been measured since the last run."""
    begin = datetime.combine(month, time(), depot.zone).astimezone(UTC)
    window = timedelta(minutes=demand.window_minutes)
    if now < begin + window:
        return 0.0
    peak, _ = MonthPeak.objects.get_or_create(depot=depot, month=month, counted=demand.label)
    since = peak.read_until or begin
    until = min(whole_windows(now - SAMPLES_COME_LATE, window), since + READ_AT_ONCE)
    if until <= since:
        return peak.peak_kw
    loads = window_loads(depot, since, until, window)
    counted = [load for start, load in loads if demand.counts_at(depot.local(start))]
    peak.peak_kw, peak.read_until = max([peak.peak_kw, *counted]), until
    peak.save(update_fields=["peak_kw", "read_until"])
    return peak.peak_kw


def ratchet_kw(depot: Depot, demand: Demand, month: date) -> float:
    """What earlier months oblige to, kW: a share of the highest billed load of the last months, which compounds."""
    ratchet = demand.fields.get("ratchet")
    if not isinstance(ratchet, dict):
        return 0.0
    share, lookback = float(ratchet.get("percent", 0)) / 100, int(ratchet.get("lookback_months", 11))
    billed: dict[int, float] = {}
    for row in MonthPeak.objects.filter(depot=depot, counted=demand.label, month__lt=month).order_by("month"):
        number = months_since_zero(row.month)
        obliged = share * highest(billed, number, lookback)
        billed[number] = max(row.peak_kw, obliged, contract_floor_kw(demand))
    return share * highest(billed, months_since_zero(month), lookback)


def contract_floor_kw(demand: Demand) -> float:
    """The share of the contracted power that is billed in any case, kW; 0 where the element does not name it."""
    floor, contract_kw = demand.fields.get("floor"), demand.fields.get("contract_kw")
    if not isinstance(floor, dict) or not isinstance(contract_kw, int | float):
        return 0.0
    return contract_kw * float(floor.get("percent_of_contract", 0)) / 100


def months_since_zero(day: date) -> int:
    return 12 * day.year + day.month


def highest(billed: dict[int, float], month: int, lookback: int) -> float:
    return max((load for number, load in billed.items() if month - lookback <= number < month), default=0.0)


def whole_windows(instant: datetime, window: timedelta) -> datetime:
    """The end of the last window that is over."""
    seconds = window.total_seconds()
    return datetime.fromtimestamp(math.floor(instant.timestamp() / seconds) * seconds, UTC)


def window_loads(depot: Depot, since: datetime, until: datetime, window: timedelta) -> list[tuple[datetime, float]]:
    """(start, mean kW of the site) of every window in the period."""
    series: dict[MeterKey, Series] = {}
    for station, number, minute, watts in mean_power(depot, since - timedelta(minutes=CARRY_MINUTES), until):
        series.setdefault((station, number), {})[minute] = watts / 1000
    outlets = [held(minutes, window) for (_, number), minutes in series.items() if number > 0]
    buildings = [
        (group, held(series.get((group.building_meter_id or 0, 0), {}), window))
        for group in LoadGroup.objects.filter(depot=depot).select_related("depot")
    ]
    loads, start = [], since
    while start < until:
        minutes = range(int(start.timestamp()), int((start + window).timestamp()), MINUTE_S)
        total = sum(outlet.get(minute, 0.0) for outlet in outlets for minute in minutes)
        for group, meter in buildings:
            expected = group.building_load_at(start)
            total += sum(meter.get(minute, expected) for minute in minutes)
        loads.append((start, total / len(minutes)))
        start += window
    return loads


def held(series: Series, window: timedelta) -> Series:
    """The series with every value held until the next one, where that comes within a window; else for two minutes."""
    filled: Series = {}
    minutes = sorted(series)
    for minute, following in pairwise([*minutes, NEVER]):
        gap = following - minute
        lasts = gap if gap <= window.total_seconds() else (1 + CARRY_MINUTES) * MINUTE_S
        filled.update(dict.fromkeys(range(minute, minute + int(lasts), MINUTE_S), series[minute]))
    return filled
