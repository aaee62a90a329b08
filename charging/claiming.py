"""Which queued commands may leave now: one per station, and a raise only into proven head-room."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet, Subquery

from charging.exposure import Exposure
from charging.gate import exposure_of, locked, schedule_in_play
from charging.models import Command, InstalledProfile, StationLink
from charging.outbox import create_command, expire, store_plan_profile, supersede
from charging.profiles import Schedule, plan_payload, reduced
from depot.models import Depot

State = Command.State


@dataclass(frozen=True)
class ClaimedCommand:
    """A command that may go on the wire now; its row says `sent` already."""

    id: uuid.UUID
    station_id: int
    identity: str
    epoch: int
    action: str
    payload: dict[str, Any]


def claim_commands(owner: str, now: datetime, *, limit: int = 500) -> list[ClaimedCommand]:
    """Commands that may leave now over sockets of this process: one per station, raises only through the gate."""
    waiting = list(waiting_for(owner).select_related("station", "profile").order_by("created_at")[:limit])
    gated: dict[int, set[int]] = defaultdict(set)
    for command in waiting:
        if profile_of(command) is not None:
            gated[command.station.depot_id].add(command.station_id)
    behind_the_gate = set().union(*gated.values())
    plain = [command for command in waiting if command.station_id not in behind_the_gate]
    claimed = claim_plain(plain, now)
    for depot_id, stations in gated.items():
        claimed += claim_in_depot(depot_id, stations, owner, now)
    return claimed


def waiting_for(owner: str) -> QuerySet[Command]:
    """Queued commands of stations whose socket this process holds and whose line is free (C1)."""
    outstanding = Command.objects.filter(station=OuterRef("station"), state=State.SENT)
    return Command.objects.filter(
        ~Exists(outstanding),
        state=State.QUEUED,
        station__link__owner=owner,
        station__link__online=True,
        station__link__registration=StationLink.Registration.ACCEPTED,
    )


def claim_plain(waiting: Sequence[Command], now: datetime) -> list[ClaimedCommand]:
    """The oldest command of each station, where none touches power: no budget to lock."""
    oldest: dict[int, Command] = {}
    for command in waiting:
        if command.deadline is not None and command.deadline <= now:
            expire(command, now)
        else:
            oldest.setdefault(command.station_id, command)
    chosen = Command.objects.filter(pk__in=[command.pk for command in oldest.values()])
    if not oldest:
        return []
    epoch = StationLink.objects.filter(station=OuterRef("station")).values("epoch")
    chosen.filter(state=State.QUEUED).update(state=State.SENT, sent_at=now, epoch=Subquery(epoch))
    rows = chosen.filter(state=State.SENT, sent_at=now).select_related("station")
    return [ClaimedCommand(c.pk, c.station_id, c.station.identity, c.epoch or 0, c.action, c.payload) for c in rows]


def claim_in_depot(depot_id: int, station_ids: set[int], owner: str, now: datetime) -> list[ClaimedCommand]:
    """What may leave to these stations, decided while nobody else can spend the depot's budget."""
    with locked(depot_id):
        queued = list(
            waiting_for(owner)
            .filter(station__in=station_ids)
            .select_related("station__link", "station__load_group", "connector__station", "profile__session")
            .order_by("created_at")
        )
        claim = _Claim(depot_id, queued, now)
        busy: set[int] = set()
        for command in sorted(queued, key=claim.order):
            if command.station_id not in busy and (sent := claim.try_to_send(command)) is not None:
                busy.add(command.station_id)
                claim.sent.append(sent)
    return [
        ClaimedCommand(c.pk, c.station_id, c.station.identity, c.station.link.epoch, c.action, c.payload)
        for c in claim.sent
    ]


class _Claim:
    """One look at the queue of a depot, against one reading of its exposure."""

    def __init__(self, depot_id: int, queued: Sequence[Command], now: datetime) -> None:
        self.depot_id = depot_id
        self.now = now
        self.sent: list[Command] = []
        self.candidates = {c.pk: schedule_in_play(c.profile) for c in queued if profile_of(c) is not None}
        self._exposure: Exposure | None = None

    @property
    def exposure(self) -> Exposure:
        if self._exposure is None:
            depot = Depot.objects.get(pk=self.depot_id)
            self._exposure = exposure_of(depot, self.now, self.candidates.values())
        return self._exposure

    def order(self, command: Command) -> tuple[int, datetime]:
        """Fallbacks first, cuts before raises, then by age."""
        profile = profile_of(command)
        if profile is None:
            return 1, command.created_at
        if profile.slot == InstalledProfile.Slot.FALLBACK:
            return 0, command.created_at
        key = connector_key(command)
        raises = key is not None and self.exposure.refusal(key, self.candidates[command.pk]) is not None
        return (3 if raises else 2), command.created_at

    def try_to_send(self, command: Command) -> Command | None:
        if command.deadline is not None and command.deadline <= self.now:
            expire(command, self.now)
            return None
        profile = profile_of(command)
        if profile is None:
            return self.send(command)
        if profile.session is not None and not profile.session.live:
            supersede(Command.objects.filter(pk=command.pk), self.now)
            return None
        key = connector_key(command)
        refusal = self.exposure.grant(key, self.candidates[command.pk]) if key is not None else None
        if refusal is None:
            return self.send(command)
        because = f"waits for room: {refusal}"[:200]
        if command.held_because != because:
            Command.objects.filter(pk=command.pk).update(held_because=because)
        return self.send_cut_of(command, profile)

    def send_cut_of(self, command: Command, profile: InstalledProfile) -> Command | None:
        """The part of a held plan that only lowers leaves at once, so that two swaps cannot wait for each other."""
        connector, session = command.connector, profile.session
        if connector is None or session is None:
            return None
        held = in_force(profile)
        wanted = self.candidates[command.pk]
        if held is None or not self.exposure.takes_away(connector.pk, schedule_in_play(held), wanted):
            return None
        cut = self.exposure.lowered(connector.pk, wanted)
        cut = Schedule(cut.starts_at, tuple(reduced(cut.periods, connector.station.max_schedule_periods)), cut.ends_at)
        if self.exposure.refusal(connector.pk, cut) is not None:
            return None
        row = create_command(
            station=command.station,
            connector=connector,
            action="SetChargingProfile",
            payload=plan_payload(connector, session.transaction_id, cut),
            natural_key=f"cut:{connector.number}",
            cause="plan (cut first)",
            plan_run=command.plan_run,
            now=self.now,
        )
        row.station = command.station
        row.profile = store_plan_profile(row, connector, session, cut)
        return self.send(row)

    def send(self, command: Command) -> Command:
        command.state = State.SENT
        command.sent_at = self.now
        command.epoch = command.station.link.epoch
        command.held_because = ""
        command.save(update_fields=["state", "sent_at", "epoch", "held_because"])
        InstalledProfile.objects.filter(command=command).update(state=InstalledProfile.State.POSSIBLE, sent_at=self.now)
        return command


def profile_of(command: Command) -> InstalledProfile | None:
    return getattr(command, "profile", None)


def connector_key(command: Command) -> int | None:
    """The connector whose exposure the command's profile changes."""
    return command.connector_id if profile_of(command) is not None else None


def in_force(profile: InstalledProfile) -> InstalledProfile | None:
    """The newest profile of the same slot that has left and was not replaced."""
    return (
        InstalledProfile.objects.filter(
            station=profile.station,
            number=profile.number,
            slot=profile.slot,
            session=profile.session,
            state__in=InstalledProfile.COUNTED,
            replaced_at__isnull=True,
        )
        .order_by("-sent_at")
        .first()
    )
