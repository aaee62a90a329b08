"""What a charger's answer means for what we believe about it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from charging.gate import clock_uncertainty_s, schedule_in_play, tolerance_a
from charging.models import Command, InstalledProfile
from charging.nudges import COMMANDS, LIVE, nudge
from charging.outbox import create_command, wake_sender
from charging.profiles import from_wire
from depot.incidents import close_incident, raise_incident
from depot.signals import announce_needs_changed

# Answers that mean "done", whatever the action calls it. ClearChargingProfile Unknown: already absent (P80).
ACCEPTING = {"Accepted", "Scheduled", "RebootRequired", "Unlocked", "AcceptedCanceled"}
State = Command.State
ABSURD_LIMIT = 1e5  # above it, or below 0, a composite schedule says nothing (P74)


@dataclass(frozen=True)
class Answer:
    """What a charger answered: a CALLRESULT payload, or the code and description of a CALLERROR."""

    command_id: uuid.UUID
    at: datetime
    result: dict[str, Any] | None = None
    error_code: str = ""
    error_description: str = ""
    late: bool = False


def record_answers(answers: Iterable[Answer]) -> None:
    """What chargers answered, in one transaction; a late answer still counts (P24)."""
    answers = list(answers)
    with transaction.atomic():
        commands = Command.objects.select_related("station", "connector__station", "profile").in_bulk(
            [answer.command_id for answer in answers]
        )
        for answer in answers:
            command = commands.get(answer.command_id)
            if command is not None and command.state in (State.SENT, State.UNKNOWN):
                record_answer(command, answer)
    for depot_id in {command.station.depot_id for command in commands.values()}:
        nudge(LIVE, depot=depot_id, what="command")
    freed = {c.station.depot_id for c in commands.values() if getattr(c, "profile", None) is not None}
    if freed:
        wake_waiting_raises(freed)


def wake_waiting_raises(depots: Iterable[int]) -> None:
    """A confirmed cut may be what held raises wait for, also at sockets of other processes."""
    waiting = Command.objects.filter(station__depot__in=depots, state=State.QUEUED)
    if stations := list(waiting.values_list("station_id", flat=True).distinct()):
        nudge(COMMANDS, stations=stations)


def record_answer(command: Command, answer: Answer) -> None:
    command.state = state_of(command.action, answer.result, answer.error_code)
    command.answered_at = answer.at
    command.answer = answer.result
    command.error_code = answer.error_code[:40]
    command.error_description = answer.error_description[:300]
    command.late = answer.late
    command.save(update_fields=["state", "answered_at", "answer", "error_code", "error_description", "late"])
    apply(command, answer.at)


def record_timeouts(command_ids: Iterable[uuid.UUID], at: datetime) -> None:
    """No answer in time: both contents count until one is ruled out (S6)."""
    mark_unknown(Command.objects.filter(pk__in=list(command_ids)), at, "no answer within the call time-out")


def link_lost(station_id: int, epoch: int, at: datetime) -> None:
    """The connection is gone: what was under way over it may have arrived or not."""
    sent = Command.objects.filter(station_id=station_id, epoch__lte=epoch)
    mark_unknown(sent, at, "the connection was lost before an answer")


def mark_unknown(commands: QuerySet[Command], at: datetime, why: str) -> None:
    stations = set(commands.filter(state=State.SENT).values_list("station_id", "station__depot_id"))
    commands.filter(state=State.SENT).update(state=State.UNKNOWN, error_description=why, answered_at=at)
    for station_id, depot_id in stations:
        transaction.on_commit(partial(wake_sender, station_id, depot_id))


def state_of(action: str, result: dict[str, Any] | None, error_code: str) -> Command.State:
    if result is None or error_code:
        return Command.State.ERROR
    status = result.get("status")
    if status is None or status in ACCEPTING or (action == "ClearChargingProfile" and status == "Unknown"):
        return Command.State.ACCEPTED
    return Command.State.REJECTED


def apply(command: Command, at: datetime) -> None:
    """Draw the conclusions of an answered command."""
    profile: InstalledProfile | None = getattr(command, "profile", None)
    if profile is not None:
        if command.state == Command.State.ACCEPTED:
            confirm(profile, command, at)
        else:
            refused(profile, command)
    elif command.action == "GetCompositeSchedule" and command.connector is not None:
        compare_composite(command, at)


def confirm(profile: InstalledProfile, command: Command, at: datetime) -> None:
    """Accepted: everything older in this charger's slot is replaced and counts until it has settled."""
    older = InstalledProfile.objects.filter(
        station_id=profile.station_id,
        number=profile.number,
        slot=profile.slot,
        state__in=InstalledProfile.COUNTED,
        sent_at__lt=profile.sent_at,
    ).exclude(pk=profile.pk)
    if profile.slot == InstalledProfile.Slot.MANUAL:
        older = older.filter(purpose=profile.purpose, stack_level=profile.stack_level)
    Command.objects.filter(profile__in=older, state=Command.State.UNKNOWN).update(state=Command.State.SUPERSEDED)
    older.filter(replaced_at__isnull=True).update(state=InstalledProfile.State.POSSIBLE, replaced_at=at)
    newer = InstalledProfile.objects.filter(
        station_id=profile.station_id, number=profile.number, slot=profile.slot, sent_at__gt=profile.sent_at
    ).filter(state=InstalledProfile.State.CONFIRMED)
    late = newer.exists() and profile.slot != InstalledProfile.Slot.MANUAL
    profile.state = InstalledProfile.State.POSSIBLE if late else InstalledProfile.State.CONFIRMED
    profile.confirmed_at = at
    profile.replaced_at = at if late else None
    profile.save(update_fields=["state", "confirmed_at", "replaced_at"])
    close_incident("profile.rejected", subject=command.station.identity)
    if profile.slot == InstalledProfile.Slot.FALLBACK:
        announce_needs_changed(command.station.depot_id, "fallback-verified")
    elif command.connector is not None and profile.slot == InstalledProfile.Slot.TX and not late:
        ask_for_composite(command)


def refused(profile: InstalledProfile, command: Command) -> None:
    """Refused or in error: the old and the new content both count (S6), and the operator is told."""
    why = command.error_code or (command.answer or {}).get("status", "refused")
    raise_incident(
        "profile.rejected",
        subject=command.station.identity,
        depot=command.station.depot_id,
        severity="critical",
        message=f"{command.station.identity} answered {why} to a charging profile for connector {profile.number}.",
        remedy="Look at the message log; check unit, stack level and number of periods the charger supports.",
    )


def ask_for_composite(command: Command) -> None:
    """Accepted is a claim: read back what the connector will do in the next minutes."""
    connector = command.connector
    assert connector is not None
    create_command(
        station=command.station,
        connector=connector,
        action="GetCompositeSchedule",
        payload={
            "connectorId": connector.number,
            "duration": 3600,
            "chargingRateUnit": connector.station.rate_unit,
        },
        natural_key=f"composite:{connector.number}",
        cause=f"verify {command.pk}",
        now=command.answered_at or command.created_at,
    )


def compare_composite(command: Command, at: datetime) -> None:
    """Compare the limit the charger says is in force with the one it confirmed."""
    connector = command.connector
    assert connector is not None
    claimed = claimed_current_a(command)
    rows = list(
        InstalledProfile.objects.filter(
            station_id=command.station_id,
            number=connector.number,
            state__in=InstalledProfile.COUNTED,
            replaced_at__isnull=True,
        ).select_related("command", "session")
    )
    rows = [row for row in rows if row.session is None or row.session.live]
    plans = [row for row in rows if row.slot == InstalledProfile.Slot.TX]
    relevant = plans or [row for row in rows if row.slot == InstalledProfile.Slot.FALLBACK]
    if claimed is None or not relevant or any(row.slot == InstalledProfile.Slot.MANUAL for row in rows):
        return
    newest = max(relevant, key=lambda row: row.sent_at or row.starts_at)
    if newest.state != InstalledProfile.State.CONFIRMED:
        return  # it may hold this one or an older one: the reading proves neither obedience nor the opposite
    spread = timedelta(seconds=clock_uncertainty_s(command.station))
    schedule = schedule_in_play(newest)
    moments = [at - spread, at, at + spread, *(c for c in schedule.changes() if abs(c - at) <= spread)]
    expected = max((schedule.current_at(moment) or 0.0) for moment in moments)
    obeys = claimed <= expected + tolerance_a(expected)
    state = Command.State.VERIFIED if obeys else Command.State.CONTRADICTED
    Command.objects.filter(pk=newest.command_id).update(state=state)
    if obeys:
        InstalledProfile.objects.filter(pk=newest.pk).update(verified_at=at)
        close_incident("profile.ignored", subject=f"{command.station.identity}/{connector.number}")
        return
    raise_incident(
        "profile.ignored",
        subject=f"{command.station.identity}/{connector.number}",
        depot=command.station.depot_id,
        severity="critical",
        message=f"{connector.bay}: the charger plans {claimed:.1f} A where {expected:.1f} A was accepted.",
        remedy="The plan is sent again; if it stays so, take the charger out of service.",
    )
    announce_needs_changed(command.station.depot_id, "contradiction")


def claimed_current_a(command: Command) -> float | None:
    """First limit of a composite schedule in A per phase; None when the answer cannot be trusted (P74)."""
    answer = command.answer or {}
    schedule = answer.get("chargingSchedule") or {}
    periods = schedule.get("chargingSchedulePeriod") or []
    connector = command.connector
    if answer.get("status") != "Accepted" or not periods or connector is None:
        return None
    limit = periods[0].get("limit")
    if not isinstance(limit, int | float) or not 0 <= limit <= ABSURD_LIMIT:
        return None
    unit = schedule.get("chargingRateUnit") or connector.station.rate_unit
    return from_wire(float(limit), unit, connector, periods[0].get("numberPhases"))
