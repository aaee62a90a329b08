"""From a plan to the periods of a charging schedule: rounded down, few, and safe against a wrong charger clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.horizon import Horizon
from scheduling.engine.units import ChargingRateUnit


@dataclass(frozen=True)
class Period:
    """A limit in the wire unit (W in total or A per phase) from `start_s` seconds after the schedule's start."""

    start_s: int
    limit: float


def to_wire(power_kw: float, *, unit: ChargingRateUnit, voltage: float, phases: int) -> float:
    """kW as W in total or A per phase, rounded down to 0.1. OCPP 1.6 §7.14."""
    value = power_kw * 1000.0
    if unit is ChargingRateUnit.A:
        value /= voltage * phases
    # 6 A may come as 5.9999999 from floating point: lift by a ten-millionth before the floor.
    return max(math.floor(value * 10.0 + 1e-6), 0) / 10.0


def charging_schedule(
    power_kw: FloatArray,
    horizon: Horizon,
    *,
    unit: ChargingRateUnit,
    voltage: float,
    phases: int,
    max_periods: int,
    fallback_kw: float,
    skew_s: float = 0,
    start_lag_s: float = 0,
) -> list[Period]:
    """The plan (kW per step) until the horizon's end, then the fallback, in at most `max_periods` periods.

    No period is above the plan in any step it covers. A charger whose clock is up to `skew_s` off, or that begins to
    count up to `start_lag_s` late, stays below the plan too: falls come that much early, rises `skew_s` late.
    Near periods are exact; what exceeds `max_periods` is one tail at its lowest value. The last period always begins at
    the horizon's end, also where the fallback equals the limit before it.
    """
    wire: dict[str, Any] = {"unit": unit, "voltage": voltage, "phases": phases}
    end = math.floor(horizon.border_seconds[-1])
    fallback = to_wire(fallback_kw, **wire)
    if max_periods < 2:
        return [Period(0, min(fallback, to_wire(float(power_kw.min()), **wire)))]
    starts = _candidate_starts(horizon, end, skew_s, start_lag_s)
    lows = _lowest_between(power_kw, horizon, starts, end, skew_s, start_lag_s)
    periods = _merge_equal([Period(int(s), to_wire(float(kw), **wire)) for s, kw in zip(starts, lows, strict=True)])
    return [*_at_most(periods, max_periods - 1), Period(end, fallback)]


def periods_of(
    power_kw: FloatArray, horizon: Horizon, *, unit: ChargingRateUnit, voltage: float, phases: int, max_periods: int
) -> list[Period]:
    """The plan alone, without the period after its end."""
    schedule = charging_schedule(
        power_kw,
        horizon,
        unit=unit,
        voltage=voltage,
        phases=phases,
        max_periods=max(max_periods, 1) + 1,
        fallback_kw=0.0,
    )
    return schedule[:-1]


def _candidate_starts(horizon: Horizon, end: int, skew_s: float, lag_s: float) -> IntArray:
    """Whole seconds in [0, end) at which the limit may change: falls early, rises late."""
    inner = horizon.border_seconds[1:-1]
    moments = np.concatenate([[0.0], np.floor(inner - skew_s - lag_s), np.ceil(inner + skew_s)])
    return np.unique(np.clip(moments, 0, max(end - 1, 0))).astype(np.int64)


def _lowest_between(
    power_kw: FloatArray, horizon: Horizon, starts: IntArray, end: int, skew_s: float, lag_s: float
) -> FloatArray:
    """Lowest plan in each piece [start, next start), widened by skew and lag."""
    borders = horizon.border_seconds
    stops = np.append(starts[1:], end)
    touches = (borders[:-1] < (stops + skew_s + lag_s)[:, None]) & (borders[1:] > (starts - skew_s)[:, None])
    lows: FloatArray = np.where(touches, power_kw, np.inf).min(axis=1)
    return np.where(np.isfinite(lows), lows, 0.0)


def _merge_equal(periods: list[Period]) -> list[Period]:
    return [p for k, p in enumerate(periods) if k == 0 or p.limit != periods[k - 1].limit]


def _at_most(periods: list[Period], count: int) -> list[Period]:
    """The first `count - 1` periods and one for all later ones, at their lowest."""
    if len(periods) <= count:
        return periods
    tail = periods[count - 1 :]
    return _merge_equal([*periods[: count - 1], Period(tail[0].start_s, min(p.limit for p in tail))])
