"""Which connectors suit, which bookings clash, and where the nearest free period is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from depot.booking.terms import Alternative, Conflict, Requirements
from depot.models import Connector, Depot, Reservation, Station, Vehicle

ALTERNATIVES = 3
LOOK_AHEAD = timedelta(days=7)
Held = tuple[datetime, datetime]


@dataclass(frozen=True)
class Period:
    """[starts_at, ends_at) and the end of the gap kept after it."""

    starts_at: datetime
    ends_at: datetime
    held_until: datetime

    @property
    def held(self) -> timedelta:
        return self.held_until - self.starts_at

    def moved_to(self, starts_at: datetime) -> Period:
        shift = starts_at - self.starts_at
        return Period(starts_at, self.ends_at + shift, self.held_until + shift)


def period_of(depot: Depot, starts_at: datetime, ends_at: datetime) -> Period:
    return Period(starts_at, ends_at, ends_at + timedelta(minutes=depot.buffer_minutes))


def live_reservations(*, but: UUID | None = None) -> QuerySet[Reservation]:
    """The reservations that hold their connector."""
    holding = Reservation.objects.filter(state__in=Reservation.HOLDING, connector__isnull=False)
    return holding.exclude(pk=but) if but else holding


def conflicts_on(connector: Connector, period: Period, *, but: UUID | None = None) -> list[Conflict]:
    """Live bookings that overlap the period or its buffer, in order of time."""
    clashing = live_reservations(but=but).filter(
        connector=connector, starts_at__lt=period.held_until, held_until__gt=period.starts_at
    )
    return [_conflict(each, period) for each in clashing.order_by("starts_at")]


def free_ones(connectors: Sequence[Connector], period: Period, *, but: UUID | None = None) -> list[Connector]:
    """Those of the connectors that nothing holds in the period, in the same order."""
    clashing = live_reservations(but=but).filter(
        connector__in=connectors, starts_at__lt=period.held_until, held_until__gt=period.starts_at
    )
    taken = set(clashing.values_list("connector_id", flat=True))
    return [connector for connector in connectors if connector.pk not in taken]


def _conflict(other: Reservation, period: Period) -> Conflict:
    touches = other.starts_at < period.ends_at and period.starts_at < other.ends_at
    return Conflict(other.pk, other.starts_at, other.ends_at, "reservation" if touches else "buffer")


def suitable_connectors(
    depot: Depot, vehicle: Vehicle | None, requirements: Requirements | None = None
) -> list[Connector]:
    """Connectors that can serve, best first: the vehicle's home, then the smallest that is enough, then the largest."""
    requirements = requirements or Requirements()
    connectors = Connector.objects.filter(station__depot=depot, station__kind=Station.Kind.CHARGER)
    if requirements.plug:
        connectors = connectors.filter(plug__iexact=requirements.plug)
    required_kw = requirements.power_required_kw
    found = [
        connector
        for connector in connectors.select_related("station__load_group")
        if required_kw is None or connector.max_power_kw >= required_kw
    ]
    return sorted(found, key=lambda connector: _preference(connector, vehicle, required_kw))


def _preference(
    connector: Connector, vehicle: Vehicle | None, required_kw: float | None
) -> tuple[bool, bool, float, str]:
    home = vehicle is not None and vehicle.home_connector_id == connector.pk
    enough_kw = vehicle.max_ac_kw if vehicle else 0.0
    power_kw = usable_kw(connector, vehicle)
    enough = power_kw >= (required_kw or enough_kw) - 1e-9
    return not home, not enough, connector.max_power_kw if enough else -power_kw, connector.bay


def usable_kw(connector: Connector, vehicle: Vehicle | None) -> float:
    """The most this vehicle can take from this outlet, kW: both sides' current, phases and power count."""
    if vehicle is None:
        return connector.max_power_kw
    phases = min(connector.phases, vehicle.phases)
    return min(vehicle.max_ac_kw, connector.max_current_a * connector.voltage_v * phases / 1000)


def alternatives_to(
    connector: Connector | None,
    candidates: Sequence[Connector],
    vehicle: Vehicle | None,
    period: Period,
    *,
    now: datetime,
    but: UUID | None = None,
) -> list[Alternative]:
    """Up to three free periods: same time on another bay, same bay at its next free time, nearest time on any."""
    held = _held_periods([*candidates, *([connector] if connector else [])], period, now, but)
    same_time = [
        (other, period.starts_at)
        for other in candidates
        if other != connector and next_free(held[other.pk], period.starts_at, period.held) == period.starts_at
    ]
    options = same_time[:1]
    if connector is not None:
        options.append((connector, next_free(held[connector.pk], period.starts_at, period.held)))
    nearest = sorted(_other_times(candidates, held, period, now), key=lambda each: abs(each[1] - period.starts_at))
    options += nearest[:1] + same_time[1:] + nearest[1:]
    return [_offer(other, vehicle, period, start) for other, start in _distinct(options)[:ALTERNATIVES]]


def next_free(held: Iterable[Held], starts_at: datetime, length: timedelta) -> datetime:
    """The first start at or after `starts_at` that leaves `length` free; `held` in order of time."""
    start = starts_at
    for begin, end in held:
        if begin < start + length and start < end:
            start = end
    return start


def previous_free(
    held: Sequence[Held], starts_at: datetime, length: timedelta, *, not_before: datetime
) -> datetime | None:
    """The last start before `starts_at` that leaves `length` free, if any is not in the past."""
    start = starts_at
    for begin, end in reversed(held):
        if begin < start + length and start < end:
            start = begin - length
    return start if not_before <= start < starts_at else None


def _other_times(
    candidates: Sequence[Connector], held: dict[int, list[Held]], period: Period, now: datetime
) -> list[tuple[Connector, datetime]]:
    times: list[tuple[Connector, datetime]] = []
    for other in candidates:
        later = next_free(held[other.pk], period.starts_at, period.held)
        earlier = previous_free(held[other.pk], period.starts_at, period.held, not_before=now)
        times += [(other, start) for start in (later, earlier) if start is not None and start != period.starts_at]
    return times


def _held_periods(
    connectors: Iterable[Connector], period: Period, now: datetime, but: UUID | None
) -> dict[int, list[Held]]:
    rows = live_reservations(but=but).filter(
        connector__in={connector.pk for connector in connectors},
        held_until__gt=min(now, period.starts_at),
        starts_at__lt=period.held_until + LOOK_AHEAD,
    )
    held: dict[int, list[Held]] = defaultdict(list)
    for connector_id, begin, end in rows.order_by("starts_at").values_list("connector_id", "starts_at", "held_until"):
        if connector_id is not None:
            held[connector_id].append((begin, end))
    return held


def _distinct(options: Iterable[tuple[Connector, datetime]]) -> list[tuple[Connector, datetime]]:
    return list({(connector.pk, start): (connector, start) for connector, start in options}.values())


def _offer(connector: Connector, vehicle: Vehicle | None, period: Period, start: datetime) -> Alternative:
    moved = period.moved_to(start)
    hours = max(0.0, (min(moved.ends_at, period.ends_at) - start).total_seconds() / 3600)
    kwh = min(usable_kw(connector, vehicle), free_kw(connector, start)) * hours
    return Alternative(connector.pk, connector.bay, start, moved.ends_at, round(kwh, 1))


def free_kw(connector: Connector, instant: datetime) -> float:
    """What the tree could give this one connector at most, kW: the narrowest node above it, less its building."""
    nodes = connector.station.load_group.ancestors(include_self=True)
    return max(0.0, min(node.limit_kw - node.building_worst_at(instant) for node in nodes))
