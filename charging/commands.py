"""The life of a command (ocpp.md section 4.1), as other rooms use it.

queued -> sent -> accepted | rejected | error | unknown, then verified | contradicted; or superseded | expired.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from charging.claiming import ClaimedCommand, claim_commands
from charging.gate import LimitExceeded, locked
from charging.models import Command, InstalledProfile, Session
from charging.outbox import create_command, expire, queue_plan
from charging.outcomes import Answer, link_lost, record_answers, record_timeouts
from charging.raw import refuse_what_endangers_the_limit, schedules_of_command
from charging.wire.decoding import encode_request, validate_command
from depot.models import Connector, Station

__all__ = [
    "Answer",
    "ClaimedCommand",
    "LimitExceeded",
    "claim_commands",
    "housekeep",
    "link_lost",
    "queue_command",
    "queue_plan",
    "record_answers",
    "record_timeouts",
]

State = Command.State
UNKNOWN_ENDS_AFTER = timedelta(minutes=10)
REPLACED_ENDS_AFTER = timedelta(minutes=2)


def queue_command(
    *,
    station: Station,
    action: str,
    payload: dict[str, Any],
    cause: str,
    connector: Connector | None = None,
    natural_key: str | None = None,
    deadline: datetime | None = None,
    plan_run: uuid.UUID | None = None,
) -> Command:
    """Store a request to a charger and wake the process that holds its socket.

    Raises wire.PayloadError naming the field, or gate.LimitExceeded when proven head-room does not carry it.
    """
    checked = encode_request(validate_command(action, payload))
    now = timezone.now()
    limits = schedules_of_command(station, action, checked, now)
    with locked(station.depot_id) if limits else transaction.atomic():
        refuse_what_endangers_the_limit(station, action, checked, now)
        command = create_command(
            station=station,
            connector=limits[0][0] if limits else connector,
            action=action,
            payload=checked,
            natural_key=natural_key,
            cause=cause,
            deadline=deadline,
            plan_run=plan_run,
            now=now,
        )
        for limited, schedule, profile in limits:
            InstalledProfile.objects.create(
                station=station,
                number=limited.number,
                slot=InstalledProfile.Slot.MANUAL,
                purpose=profile["chargingProfilePurpose"],
                stack_level=profile["stackLevel"],
                profile_id=profile["chargingProfileId"],
                command=command,
                session=session_of(station, profile),
                starts_at=schedule.starts_at,
                periods=list(schedule.periods),
            )
    return command


def session_of(station: Station, profile: dict[str, Any]) -> Session | None:
    """The running transaction that a TxProfile names: with it the profile ends."""
    running = Session.objects.filter(station=station, state__in=Session.LIVE)
    return running.filter(transaction_id=profile.get("transactionId", 0)).first()


def housekeep(now: datetime) -> None:
    """End what can no longer change: overdue and long unknown commands, replaced profiles, those of ended sessions."""
    for command in Command.objects.filter(state=State.QUEUED, deadline__lte=now):
        expire(command, now)
    Command.objects.filter(state=State.UNKNOWN, profile__isnull=True, answered_at__lt=now - UNKNOWN_ENDS_AFTER).update(
        state=State.EXPIRED
    )
    in_play = InstalledProfile.objects.filter(state__in=InstalledProfile.COUNTED)
    in_play.filter(replaced_at__lt=now - REPLACED_ENDS_AFTER).update(state=InstalledProfile.State.GONE)
    ended = in_play.filter(slot=InstalledProfile.Slot.TX).exclude(session__state__in=Session.LIVE)
    Command.objects.filter(profile__in=ended, state=State.UNKNOWN).update(state=State.SUPERSEDED)
    ended.update(state=InstalledProfile.State.GONE)
