"""The gate in front of the socket: reads what is durable, and lets a raise pass only into proven head-room.

Every caller holds `locked(depot)`, so that two processes never spend the same kilowatt (S20).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from charging.exposure import ConnectorFacts, Exposure, NodeLimit, Refusal
from charging.models import ConnectorState, InstalledProfile, MeterState
from charging.profiles import Schedule
from depot.models import Connector, Depot, Limit, LoadGroup, Station

FRESH_SAMPLE = timedelta(seconds=30)
MEASURED_BUILDING_HOLDS = timedelta(minutes=15)
TOLERANCE_SHARE, TOLERANCE_A = 0.05, 0.5
MEASURED_SKEW_MARGIN_S = 2.0
SKEW_GRID_S = 5  # coarse, so that a jittering measurement does not make a new schedule of every plan


class LimitExceeded(Exception):
    """An act that the proven head-room does not carry (S17), with node and numbers."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        self.node, self.limit, self.needed, self.unit = refusal.node, refusal.allowed, refusal.needed, refusal.unit
        super().__init__(str(refusal))


@contextmanager
def locked(depot_id: int) -> Iterator[None]:
    """One transaction that owns the depot's budget. SQLite needs no row lock: its transactions are IMMEDIATE."""
    with transaction.atomic():
        if connection.vendor == "postgresql":
            Depot.objects.select_for_update(no_key=True).only("pk").get(pk=depot_id)  # rows that refer to it may go on
        yield


def exposure_of(depot: Depot, now: datetime, candidates: Iterable[Schedule] = ()) -> Exposure:
    """Worst case of every connector of a depot, from durable facts only."""
    connectors = list(
        Connector.objects.filter(station__depot=depot, station__kind=Station.Kind.CHARGER)
        .select_related("station__load_group", "station__link", "state")
        .order_by("pk")
    )
    in_play: dict[tuple[int, int], list[InstalledProfile]] = {}
    for profile in InstalledProfile.objects.filter(
        station__depot=depot, state__in=InstalledProfile.COUNTED
    ).select_related("session"):
        in_play.setdefault((profile.station_id, profile.number), []).append(profile)
    facts = [
        connector_facts(connector, in_play.get((connector.station_id, connector.number), []), now)
        for connector in connectors
    ]
    return Exposure(now, facts, node_limits(depot, now), candidates)


def connector_facts(connector: Connector, profiles: list[InstalledProfile], now: datetime) -> ConnectorFacts:
    station = connector.station
    profiles = [p for p in profiles if p.session is None or p.session.live]  # a TxProfile dies with its transaction
    fallbacks = [p for p in profiles if p.slot == InstalledProfile.Slot.FALLBACK]
    verified = any(p.state == InstalledProfile.State.CONFIRMED for p in fallbacks) and not station.manual
    state: ConnectorState | None = getattr(connector, "state", None)
    floor = max(highest(p) for p in fallbacks) if verified else connector.max_current_a
    obeyed = max([floor, *(limit_now(p, now) for p in profiles if p.state == InstalledProfile.State.CONFIRMED)])
    schedules = tuple(
        schedule_in_play(p)
        for p in profiles
        if p.slot != InstalledProfile.Slot.FALLBACK and not settled(p, state, obeyed, now)
    )
    return ConnectorFacts(
        key=connector.pk,
        label=connector.bay,
        node=station.load_group.slug,
        kw_per_ampere=connector.kw_per_ampere,
        phases=tuple(int(digit) for digit in connector.phase_rotation[: connector.phases]),
        hardware_a=connector.max_current_a,
        floor_a=floor,
        schedules=schedules,
        measured_a=measured_above(state, floor, profiles, now),
        clock_uncertainty_s=clock_uncertainty_s(station),
        floor_configured_a=connector.fallback_a,
    )


def settled(profile: InstalledProfile, state: ConnectorState | None, obeyed_a: float, now: datetime) -> bool:
    """Whether a replaced profile has stopped acting: by time, or because a later measurement obeys the new limit."""
    if profile.replaced_at is None:
        return False
    if now >= profile.replaced_at + timedelta(seconds=settings.OCPP_SETTLE_S):
        return True
    measured = None if state is None else state.highest_current_a
    if measured is None or state is None or state.sampled_at is None:
        return False
    measured_after = state.sampled_at > profile.replaced_at + timedelta(seconds=1)
    return measured_after and measured <= obeyed_a + tolerance_a(obeyed_a)


def limit_now(profile: InstalledProfile, now: datetime) -> float:
    return schedule_in_play(profile).current_at(now) or 0.0


def tolerance_a(limit_a: float) -> float:
    return max(TOLERANCE_SHARE * limit_a, TOLERANCE_A)


def highest(profile: InstalledProfile) -> float:
    return max((float(limit) for _, limit in profile.periods), default=0.0)


def schedule_in_play(profile: InstalledProfile) -> Schedule:
    return Schedule(
        profile.starts_at, tuple((int(start), float(limit)) for start, limit in profile.periods), profile.ends_at
    )


def measured_above(
    state: ConnectorState | None, floor_a: float, profiles: list[InstalledProfile], now: datetime
) -> float | None:
    """A fresh measurement above what the charger was allowed when it was taken: it counts as measured (S11)."""
    measured = None if state is None else state.highest_current_a
    if state is None or measured is None or state.sampled_at is None or now - state.sampled_at > FRESH_SAMPLE:
        return None
    settle = timedelta(seconds=settings.OCPP_SETTLE_S)
    at = state.sampled_at
    acting = [p for p in profiles if p.replaced_at is None or at < p.replaced_at + settle]
    moments = (at - settle, at, now)
    allowed = max([floor_a, *(schedule_in_play(p).current_at(m) or 0.0 for p in acting for m in moments)])
    tolerance = tolerance_a(allowed)
    return measured + tolerance if measured > allowed + tolerance else None


def clock_uncertainty_s(station: Station) -> float:
    """Measured skew plus a margin where the charger's clock is known, else the configured uncertainty."""
    link = getattr(station, "link", None)
    if link is None or link.clock_skew_s is None:
        return station.clock_uncertainty_s
    measured = math.ceil((abs(link.clock_skew_s) + MEASURED_SKEW_MARGIN_S) / SKEW_GRID_S) * SKEW_GRID_S
    return float(measured)


def node_limits(depot: Depot, now: datetime) -> list[NodeLimit]:
    """What every node leaves for chargers over time: its limit and limits in force, less the worst building."""
    groups = list(depot.load_groups.select_related("depot", "parent", "building_meter__meter_state"))
    limits: dict[int, list[Limit]] = {}
    until = now + timedelta(hours=depot.horizon_hours + 1)
    for limit in Limit.objects.filter(load_group__depot=depot, ends_at__gt=now, starts_at__lt=until, hard=True):
        limits.setdefault(limit.load_group_id, []).append(limit)
    instants = breakpoints(groups, limits, now, until)
    return [node_limit(group, limits.get(group.pk, []), groups, instants, now) for group in groups]


def breakpoints(
    groups: list[LoadGroup], limits: dict[int, list[Limit]], now: datetime, until: datetime
) -> list[datetime]:
    """Instants at which any node's room changes: whole hours where a building has a load curve, ends of limits."""
    instants = {now}
    if any(group.building_load_kw or group.building_meter_id for group in groups):
        hour = now.replace(minute=0, second=0, microsecond=0)
        instants.update(
            hour + timedelta(minutes=15 * k) for k in range(1, int((until - hour).total_seconds() // 900) + 1)
        )
    for rows in limits.values():
        for limit in rows:
            instants.update(at for at in (limit.starts_at, limit.ends_at) if at > now)
    return sorted(instants)


def node_limit(
    group: LoadGroup, limits: list[Limit], groups: list[LoadGroup], instants: list[datetime], now: datetime
) -> NodeLimit:
    below = [other for other in groups if other.pk == group.pk or group in other.ancestors()]
    room: list[tuple[datetime, float]] = []
    for instant in instants:
        value = min(
            [group.limit_kw, *(limit.limit_kw for limit in limits if limit.starts_at <= instant < limit.ends_at)]
        )
        room.append((instant, value - sum(building_worst_kw(other, instant, now) for other in below)))
    ampere = None
    if group.limit_a is not None:
        ampere = tuple(
            (instant, group.limit_a - sum(building_worst_kw(o, instant, now) for o in below) * 1000 / (3 * 230))
            for instant in instants
        )
    parent = group.parent.slug if group.parent is not None else None
    return NodeLimit(group.slug, parent, tuple(room), ampere)


def building_worst_kw(group: LoadGroup, instant: datetime, now: datetime) -> float:
    """The configured worst case; a fresh measurement above it counts for the next quarter of an hour (S12)."""
    worst = group.building_worst_at(instant)
    meter: MeterState | None = getattr(group.building_meter, "meter_state", None) if group.building_meter else None
    if meter is None or now - meter.sampled_at > FRESH_SAMPLE or instant >= now + MEASURED_BUILDING_HOLDS:
        return worst
    return max(worst, float(meter.power_kw))
