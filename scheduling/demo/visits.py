"""Who comes when and needs what; and whether all of it fits through the wires. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

STEP = timedelta(minutes=5)
EFFICIENCY = 0.92  # grid to battery
READY_KWH = 0.05


@dataclass(frozen=True)
class Guest:
    """A vehicle of the demo and the outlet it parks at."""

    id_tag: str
    station: str
    feeder: str
    max_power_kw: float
    battery_kwh: float
    phases: int = 3
    connector: int = 1


@dataclass(frozen=True)
class PlannedVisit:
    """A stay with its need from the grid; `soc_percent` is the one at plug-in, or now when it is plugged in already."""

    guest: Guest
    plug_in_at: datetime
    plug_out_at: datetime
    soc_percent: float
    need_kwh: float
    by_soc: bool = False  # booked as a target SoC instead of an energy
    tight: bool = False  # may ask for more than fits, so that there is something to explain
    exact_energy: bool = False  # the vehicle stops taking power when it has its need
    priority: int = 1

    @property
    def target_soc_percent(self) -> float:
        return self.soc_percent + self.need_kwh * EFFICIENCY / self.guest.battery_kwh * 100

    def most_kwh(self, now: datetime) -> float:
        """What the vehicle can take until it leaves, at full power, kWh."""
        hours = (self.plug_out_at - max(now, self.plug_in_at)).total_seconds() / 3600
        return max(0.0, hours) * self.guest.max_power_kw


def unmet_kwh(
    visits: Sequence[PlannedVisit],
    now: datetime,
    *,
    site_kw: Callable[[datetime], float],
    feeder_kw: float,
) -> float:
    """Energy that an earliest-deadline-first day cannot deliver, kWh: a rough upper bound of what a plan must miss."""
    left = {index: visit.need_kwh for index, visit in enumerate(visits)}
    order = sorted(left, key=lambda index: visits[index].plug_out_at)
    instant, end = now, max(visit.plug_out_at for visit in visits)
    while instant < end:
        free_kw = site_kw(instant)
        feeders: dict[str, float] = {}
        for index in order:
            visit = visits[index]
            if left[index] > 0 and visit.plug_in_at <= instant and instant + STEP <= visit.plug_out_at:
                feeder_left = feeders.get(visit.guest.feeder, feeder_kw)
                power_kw = min(visit.guest.max_power_kw, free_kw, feeder_left, left[index] / _hours(STEP))
                left[index] -= power_kw * _hours(STEP)
                free_kw -= power_kw
                feeders[visit.guest.feeder] = feeder_left - power_kw
        instant += STEP
    return sum(rest for rest in left.values() if rest > READY_KWH)


def made_to_fit(
    visits: Iterable[PlannedVisit], now: datetime, *, site_kw: Callable[[datetime], float], feeder_kw: float
) -> list[PlannedVisit]:
    """The same visits with needs lowered step by step until all but the tight ones are feasible together."""
    fitting = list(visits)
    for _ in range(40):
        feasible = [replace(each, need_kwh=min(each.need_kwh, 0.95 * each.most_kwh(now))) for each in fitting]
        if unmet_kwh(feasible, now, site_kw=site_kw, feeder_kw=feeder_kw) <= READY_KWH:
            break
        fitting = [each if each.tight else replace(each, need_kwh=round(each.need_kwh * 0.94, 2)) for each in fitting]
    return fitting


def _hours(length: timedelta) -> float:
    return length.total_seconds() / 3600
