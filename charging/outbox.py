"""Rows of commands and of the profiles they carry: durable before the first byte leaves (S4)."""

from __future__ import annotations

import uuid
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Max, QuerySet

from charging.models import Command, InstalledProfile, Session
from charging.nudges import COMMANDS, LIVE, nudge
from charging.profiles import PLAN_PROFILE_ID, PLAN_STACK, Schedule, plan_payload
from depot.models import Connector, Station

State = Command.State


def create_command(
    *,
    station: Station,
    action: str,
    payload: dict[str, Any],
    cause: str,
    now: datetime,
    natural_key: str | None = None,
    connector: Connector | None = None,
    deadline: datetime | None = None,
    plan_run: uuid.UUID | None = None,
    state: State = State.QUEUED,
) -> Command:
    """The row of a command; with a natural key, a queued older one that sets the same is superseded."""
    generation = 1
    if natural_key is not None:
        supersede(Command.objects.filter(station=station, natural_key=natural_key, state=State.QUEUED), now)
        same_key = Command.objects.filter(station=station, natural_key=natural_key)
        generation = (same_key.aggregate(newest=Max("generation"))["newest"] or 0) + 1
    command = Command.objects.create(
        station=station,
        connector=connector,
        action=action,
        payload=payload,
        natural_key=natural_key or f"{action}:{uuid.uuid4()}",
        generation=generation,
        cause=cause,
        created_at=now,
        deadline=deadline,
        plan_run=plan_run,
        state=state,
    )
    transaction.on_commit(partial(wake_sender, station.pk, station.depot_id))
    return command


def wake_sender(station_id: int, depot_id: int) -> None:
    nudge(COMMANDS, stations=[station_id])
    nudge(LIVE, depot=depot_id, what="command")


def supersede(commands: QuerySet[Command], now: datetime) -> None:
    """Queued commands that a newer one replaces: they never leave, nor do their profiles."""
    ids = list(commands.values_list("pk", flat=True))
    if ids:
        InstalledProfile.objects.filter(command__in=ids).update(state=InstalledProfile.State.GONE)
        Command.objects.filter(pk__in=ids).update(state=State.SUPERSEDED, answered_at=now, held_because="")


def queue_plan(*, connector: Connector, session: Session, schedule: Schedule, run: uuid.UUID, now: datetime) -> Command:
    """Queue the plan of a running transaction. Call it inside `gate.locked(depot)`, with the plan it belongs to."""
    command = create_command(
        station=connector.station,
        connector=connector,
        action="SetChargingProfile",
        payload=plan_payload(connector, session.transaction_id, schedule),
        natural_key=f"plan:{connector.number}",
        cause="plan",
        plan_run=run,
        now=now,
    )
    store_plan_profile(command, connector, session, schedule)
    return command


def store_plan_profile(
    command: Command, connector: Connector, session: Session, schedule: Schedule
) -> InstalledProfile:
    return InstalledProfile.objects.create(
        station=connector.station,
        number=connector.number,
        slot=InstalledProfile.Slot.TX,
        purpose="TxProfile",
        stack_level=min(PLAN_STACK, connector.station.max_stack_level),
        profile_id=PLAN_PROFILE_ID + connector.number,
        command=command,
        session=session,
        starts_at=schedule.starts_at,
        periods=list(schedule.periods),
        ends_at=schedule.ends_at,
    )


def expire(command: Command, now: datetime) -> None:
    Command.objects.filter(pk=command.pk).update(state=State.EXPIRED, answered_at=now)
    InstalledProfile.objects.filter(command=command, state=InstalledProfile.State.WANTED).update(
        state=InstalledProfile.State.GONE
    )
