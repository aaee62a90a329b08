"""Everything a picture of a depot needs, read from the database in a fixed number of queries."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from django.db.models import OuterRef, Q, Subquery

from charging.models import (
    Command,
    ConnectorState,
    InstalledProfile,
    MeterState,
    Session,
    StationLink,
    UnknownStation,
)
from depot.models import Connector, Depot, Incident, Limit, LoadGroup, Reservation, Station, Vehicle, VehicleState
from scheduling.live.measured import MeteredMinutes, MeterKey
from scheduling.models import Plan, PlanningState, PlanRun

STALE_AFTER = timedelta(seconds=90)  # a reading older than this is not the present
KNOCKED_WITHIN = timedelta(hours=24)
BOOKED_AHEAD = timedelta(hours=24)
SHOWN_INCIDENTS = 50
SHOWN_UNKNOWN = 20


@dataclass(frozen=True)
class Yard:
    """One depot at one instant."""

    depot: Depot
    now: datetime
    groups: list[LoadGroup]
    connectors: list[Connector]
    sessions: dict[int, Session]  # live, by connector
    meters: dict[int, MeterState]  # by station
    limits: list[Limit]  # in force now
    planning: PlanningState | None
    last_run: PlanRun | None
    run: PlanRun | None  # newest published
    plans: list[Plan]
    reservations: list[Reservation]
    soc: dict[object, VehicleState]  # newest, by vehicle
    on_plan: set[MeterKey]  # connectors that hold a transaction profile
    held: dict[MeterKey, str]  # why a queued raise waits
    incidents: list[Incident]
    knocking: list[UnknownStation]
    minutes: MeteredMinutes

    @cached_property
    def children(self) -> dict[int | None, list[LoadGroup]]:
        below: dict[int | None, list[LoadGroup]] = defaultdict(list)
        for group in self.groups:
            below[group.parent_id].append(group)
        return below

    def subtree(self, group: LoadGroup) -> list[LoadGroup]:
        """The node and everything under it."""
        return [group, *(node for child in self.children[group.pk] for node in self.subtree(child))]

    def tree(self) -> list[tuple[int, LoadGroup]]:
        """(depth, node) from the root downwards."""

        def walk(parent: int | None, depth: int) -> Iterable[tuple[int, LoadGroup]]:
            for group in self.children[parent]:
                yield depth, group
                yield from walk(group.pk, depth + 1)

        return list(walk(None, 0))

    def connectors_below(self, group: LoadGroup) -> list[Connector]:
        nodes = {node.pk for node in self.subtree(group)}
        return [connector for connector in self.connectors if connector.station.load_group_id in nodes]

    def limit_kw(self, group: LoadGroup) -> float:
        """The lowest limit in force now."""
        return min([group.limit_kw, *(limit.limit_kw for limit in self.limits if limit.load_group_id == group.pk)])

    def plan_of(self, connector: Connector) -> Plan | None:
        """The plan that runs on the connector now, or the next one."""
        session = self.sessions.get(connector.pk)
        waiting = [plan for plan in self.plans_by_connector[connector.pk] if plan.departure_at > self.now]
        for plan in waiting:
            if session is not None and plan.session_id == session.pk:
                return plan
        return waiting[0] if waiting else None

    @cached_property
    def plans_by_connector(self) -> dict[int, list[Plan]]:
        found: dict[int, list[Plan]] = defaultdict(list)
        for plan in self.plans:
            found[plan.connector_id].append(plan)
        return found

    @cached_property
    def connectors_by_id(self) -> dict[int, Connector]:
        return {connector.pk: connector for connector in self.connectors}

    @cached_property
    def step_now(self) -> int | None:
        """Index of the plan step that contains now; None before, after or without a plan."""
        if self.run is None:
            return None
        return step_at(self.run, self.now)


def step_at(run: PlanRun, instant: datetime) -> int | None:
    """Index of the run's step that contains the instant."""
    return run.horizon.step_at(instant) if run.steps else None


def link_of(station: Station) -> StationLink | None:
    return getattr(station, "link", None)


def state_of(connector: Connector) -> ConnectorState | None:
    return getattr(connector, "state", None)


def is_online(station: Station) -> bool:
    link = link_of(station)
    return link is not None and link.online


@dataclass
class Memory:
    """What an earlier picture has read and a later one need not read again: metered minutes, the run in force."""

    minutes: MeteredMinutes = field(default_factory=MeteredMinutes)
    run: PlanRun | None = None
    plans: list[Plan] = field(default_factory=list)

    def recall(self, depot: Depot, now: datetime) -> None:
        self.minutes.read(depot, now)
        published = depot.plan_runs.filter(status=PlanRun.Status.PUBLISHED).order_by("-started_at")
        newest = published.values_list("pk", flat=True).first()
        if newest is None:
            self.run, self.plans = None, []
        elif self.run is None or self.run.pk != newest:
            self.run = depot.plan_runs.defer("marginal", "summary", "sentences").get(pk=newest)
            self.plans = _plans(self.run)


def read_yard(depot: Depot, now: datetime, memory: Memory | None = None) -> Yard:
    """Read the depot; the memory of an earlier picture saves most of the rows."""
    memory = memory or Memory()
    memory.recall(depot, now)
    groups = list(LoadGroup.objects.filter(depot=depot).select_related("building_meter").order_by("id"))
    for group in groups:
        group.depot = depot
    profiles, held = _profiles_and_holds(depot, now)
    return Yard(
        depot=depot,
        now=now,
        groups=groups,
        connectors=_connectors(depot),
        sessions={session.connector_id: session for session in _live_sessions(depot)},
        meters={meter.station_id: meter for meter in MeterState.objects.filter(station__depot=depot)},
        limits=list(Limit.objects.filter(load_group__depot=depot, starts_at__lte=now, ends_at__gt=now)),
        planning=PlanningState.objects.filter(depot=depot).first(),
        last_run=depot.plan_runs.defer("site", "deferred", "marginal").order_by("-started_at").first(),
        run=memory.run,
        plans=memory.plans,
        reservations=_reservations(depot, now),
        soc=newest_soc(depot),
        on_plan=profiles,
        held=held,
        incidents=_incidents(depot),
        knocking=list(UnknownStation.objects.filter(last_seen_at__gte=now - KNOCKED_WITHIN)[:SHOWN_UNKNOWN]),
        minutes=memory.minutes,
    )


def _connectors(depot: Depot) -> list[Connector]:
    rows = Connector.objects.filter(station__depot=depot, station__kind=Station.Kind.CHARGER)
    return sorted(rows.select_related("station__link", "state"), key=yard_order)


def yard_order(connector: Connector) -> tuple[int, list[tuple[int, str]], int]:
    """Feeder by feeder, bays as people count them: A2 before A10."""
    parts = [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", connector.bay) if part]
    return connector.station.load_group_id, parts, connector.pk


def _live_sessions(depot: Depot) -> Iterable[Session]:
    rows = Session.objects.filter(station__depot=depot, state__in=Session.LIVE, historical=False)
    return rows.select_related("vehicle", "reservation")


def _plans(run: PlanRun) -> list[Plan]:
    return list(
        run.plans.defer("why")
        .select_related("vehicle", "session", "reservation")
        .order_by("departure_at", "connector_id")
    )


def _reservations(depot: Depot, now: datetime) -> list[Reservation]:
    rows = Reservation.objects.filter(
        depot=depot, state__in=Reservation.HOLDING, ends_at__gt=now, starts_at__lt=now + BOOKED_AHEAD
    )
    return list(rows.select_related("vehicle").order_by("starts_at"))


def newest_soc(depot: Depot) -> dict[object, VehicleState]:
    newest = VehicleState.objects.filter(vehicle=OuterRef("pk")).order_by("-measured_at").values("pk")[:1]
    wanted = Vehicle.objects.filter(depot=depot).annotate(state_id=Subquery(newest)).values("state_id")
    return {state.vehicle_id: state for state in VehicleState.objects.filter(pk__in=wanted)}


def _profiles_and_holds(depot: Depot, now: datetime) -> tuple[set[MeterKey], dict[MeterKey, str]]:
    profiles = InstalledProfile.objects.filter(
        Q(ends_at__isnull=True) | Q(ends_at__gt=now),
        station__depot=depot,
        slot=InstalledProfile.Slot.TX,
        state__in=InstalledProfile.COUNTED,
    )
    holds = Command.objects.filter(station__depot=depot, state=Command.State.QUEUED).exclude(held_because="")
    return (
        set(profiles.values_list("station_id", "number")),
        {
            (station, connector or 0): because
            for station, connector, because in holds.values_list("station_id", "connector__number", "held_because")
        },
    )


def _incidents(depot: Depot) -> list[Incident]:
    rows = Incident.objects.filter(Q(depot=depot) | Q(depot__isnull=True), closed_at__isnull=True)
    return list(rows.select_related("acknowledged_by")[:SHOWN_INCIDENTS])
