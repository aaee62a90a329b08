"""The visits of the demo yard: 40 vehicles around now; most are plugged in, some come, some leave soon. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from scheduling.demo.visits import EFFICIENCY, Guest, PlannedVisit, made_to_fit

SEED = 7
POWERS_KW = (6.0, 7.0, 11.0, 22.0)
BATTERIES_KWH = (30.0, 52.0, 88.0, 100.0)
TARGETS_PERCENT = (70.0, 75.0, 80.0, 85.0, 90.0)
PLUGGED = 25
LEAVING_SOON_MIN = (5, 9, 14)
LEAVING_TODAY_MIN = (25, 40, 55, 75, 100, 130, 170)
ARRIVING_SOON_MIN = (1, 2, 4, 6, 9)
LATEST_DEPARTURE_MIN = 14 * 60


def fleet(stations: Sequence[tuple[str, str]]) -> list[Guest]:
    """A vehicle per (station identity, feeder); power and battery drawn as in the reference case, always the same."""
    dice = random.Random(SEED)
    return [
        Guest(f"VEH{number:02d}", identity, feeder, dice.choice(POWERS_KW), dice.choice(BATTERIES_KWH))
        for number, (identity, feeder) in enumerate(stations, start=1)
    ]


def visits_around(
    now: datetime, guests: Sequence[Guest], *, site_kw: Callable[[datetime], float], feeder_kw: float
) -> list[PlannedVisit]:
    """A visit per vehicle, a second one for those that leave early; feasible together but for two tight ones."""
    dice = random.Random(SEED + 1)
    order = list(guests)
    dice.shuffle(order)
    plugged = [_plugged(dice, now, guest, minutes) for guest, minutes in zip(order, _departures(dice), strict=False)]
    coming = [
        _coming(dice, now, guest, minutes) for guest, minutes in zip(order[PLUGGED:], _arrivals(dice), strict=True)
    ]
    again = [_return(dice, visit) for visit in plugged if visit.plug_out_at < now + timedelta(hours=3)]
    visits = _with_tight_ones(plugged, now) + coming + again
    return made_to_fit(visits, now, site_kw=site_kw, feeder_kw=feeder_kw)


def _departures(dice: random.Random) -> list[int]:
    """Minutes from now at which the plugged vehicles leave."""
    fixed = [*LEAVING_SOON_MIN, *LEAVING_TODAY_MIN]
    rest = PLUGGED - len(fixed)
    return fixed + [_quarter(dice.uniform(4 * 60, LATEST_DEPARTURE_MIN)) for _ in range(rest)]


def _arrivals(dice: random.Random) -> list[int]:
    """Minutes from now at which the others come: some at once, the rest spread over the next ten hours."""
    rest = 40 - PLUGGED - len(ARRIVING_SOON_MIN)
    return [*ARRIVING_SOON_MIN, *sorted(_quarter(dice.uniform(15, 600)) for _ in range(rest))]


def _quarter(minutes: float) -> int:
    return int(minutes // 15) * 15


def _plugged(dice: random.Random, now: datetime, guest: Guest, minutes: int) -> PlannedVisit:
    came = now - timedelta(minutes=dice.randrange(20, 300))
    leaves = now + timedelta(minutes=minutes)
    soon = minutes <= LEAVING_SOON_MIN[-1]
    soc = dice.uniform(80, 86) if soon else dice.uniform(15, 65)
    return _visit(dice, guest, came, leaves, soc, since=now)


def _coming(dice: random.Random, now: datetime, guest: Guest, minutes: int) -> PlannedVisit:
    comes = now + timedelta(minutes=minutes)
    leaves = comes + timedelta(minutes=_quarter(dice.uniform(4 * 60, 10 * 60)))
    return _visit(dice, guest, comes, leaves, dice.uniform(12, 60), since=comes)


def _return(dice: random.Random, first: PlannedVisit) -> PlannedVisit:
    """Back from a tour with an emptier battery."""
    comes = first.plug_out_at + timedelta(minutes=_quarter(dice.uniform(75, 240)))
    leaves = comes + timedelta(minutes=_quarter(dice.uniform(5 * 60, 9 * 60)))
    soc = max(10.0, first.target_soc_percent - dice.uniform(20, 45))
    return replace(_visit(dice, first.guest, comes, leaves, soc, since=comes), by_soc=False)


def _visit(
    dice: random.Random, guest: Guest, came: datetime, leaves: datetime, soc: float, *, since: datetime
) -> PlannedVisit:
    target = max(dice.choice(TARGETS_PERCENT), soc + 3)
    wanted_kwh = (target - soc) / 100 * guest.battery_kwh / EFFICIENCY
    stay_h = (leaves - since).total_seconds() / 3600
    need_kwh = min(wanted_kwh, dice.uniform(0.4, 0.75) * guest.max_power_kw * stay_h)
    return PlannedVisit(
        guest, came, leaves, round(soc, 1), round(need_kwh, 2), by_soc=dice.random() < 0.5, priority=_priority(dice)
    )


def _priority(dice: random.Random) -> int:
    return 2 if dice.random() < 0.1 else 1


def _with_tight_ones(plugged: list[PlannedVisit], now: datetime) -> list[PlannedVisit]:
    """One vehicle wants somewhat more than its own power can give in time, another just as much as it can."""
    visits = list(plugged)
    roomy = [index for index, visit in enumerate(visits) if _hours_left(visit, now) > 0.9 and _room(visit, now) > 1.2]
    for index, share in zip(roomy, (1.12, 0.97), strict=False):
        need_kwh = round(share * visits[index].most_kwh(now), 2)
        visits[index] = replace(visits[index], need_kwh=need_kwh, by_soc=False, tight=True)
    return visits


def _hours_left(visit: PlannedVisit, now: datetime) -> float:
    return (visit.plug_out_at - now).total_seconds() / 3600


def _room(visit: PlannedVisit, now: datetime) -> float:
    """Space in the battery below 80 % (where charging slows down), as a multiple of what can be charged in time."""
    room_kwh = (80 - visit.soc_percent) / 100 * visit.guest.battery_kwh / EFFICIENCY
    return room_kwh / max(visit.most_kwh(now), 0.1)
