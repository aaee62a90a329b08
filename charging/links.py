"""Which connection of a station counts: the newest, by an epoch that only grows (P14, P88)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial

from django.db import transaction

from charging import commands
from charging.models import ConnectorState, StationLink
from charging.nudges import COMMANDS, LIVE, nudge
from depot.incidents import close_incident, raise_incident
from depot.models import Connector, Incident, Station
from depot.signals import announce_needs_changed

OFFLINE = "charger.offline"
SEEN_EVERY_S = 30.0  # how often a process renews the sign of life of its links


def open_link(station_id: int, owner: str, remote_address: str, now: datetime) -> int:
    """Make this connection the station's newest and return its epoch; an older socket is fenced from now on."""
    with transaction.atomic():
        link, _ = StationLink.objects.select_for_update().get_or_create(station_id=station_id)
        older_owner = link.owner if link.online else ""
        link.epoch += 1
        link.owner = owner
        link.online = True
        link.remote_address = remote_address[:64]
        link.connected_at = link.last_seen_at = now
        link.save(update_fields=["epoch", "owner", "online", "remote_address", "connected_at", "last_seen_at"])
        commands.link_lost(station_id, link.epoch - 1, now)
        missing = Connector.objects.filter(station_id=station_id, state__isnull=True).values_list("pk", flat=True)
        ConnectorState.objects.bulk_create([ConnectorState(connector_id=pk) for pk in missing], ignore_conflicts=True)
    if older_owner not in ("", owner):
        nudge(COMMANDS, stations=[station_id], moved=True)
    return link.epoch


def announce_back(station_id: int) -> None:
    """The station is connected: its incident is over. The plan is asked for by `reconcile_station`, which follows."""
    station = Station.objects.get(pk=station_id)
    close_incident(OFFLINE, subject=station.identity)
    nudge(LIVE, depot=station.depot_id, what="status")


def close_link(station_id: int, epoch: int, now: datetime) -> bool:
    """Mark the station offline, unless a newer connection exists. False when an older epoch changed nothing."""
    with transaction.atomic():
        commands.link_lost(station_id, epoch, now)
        closed = StationLink.objects.filter(station_id=station_id, epoch=epoch, online=True).update(
            online=False, disconnected_at=now
        )
        if closed:
            tell_offline(Station.objects.get(pk=station_id))
    return bool(closed)


def tell_offline(station: Station) -> None:
    """Open the incident and ask for a plan that counts with a charger nobody can talk to."""
    raise_incident(
        OFFLINE,
        subject=station.identity,
        depot=station.depot_id,
        message=f"{station.identity} is not connected. It keeps its last profile, later its fallback.",
        remedy="Check the charger's power and network; it reconnects by itself.",
    )
    announce_needs_changed(station.depot_id, "charger-lost")
    transaction.on_commit(partial(nudge, LIVE, depot=station.depot_id, what="status"))


def close_links_quietly(owner: str, now: datetime) -> None:
    """A process stops: its chargers are expected back in a moment, so nobody is alarmed yet (P17)."""
    links = StationLink.objects.filter(owner=owner, online=True)
    with transaction.atomic():
        for station_id, epoch in links.values_list("station_id", "epoch"):
            commands.link_lost(station_id, epoch, now)
        links.update(online=False, disconnected_at=now)


def lost_sockets(owner: str, held: Mapping[int, int]) -> tuple[list[int], list[tuple[int, int]]]:
    """Stations whose socket here is no longer the newest, and links that name this owner without a socket here."""
    ours = dict(StationLink.objects.filter(owner=owner, online=True).values_list("station_id", "epoch"))
    stale = [station_id for station_id, epoch in held.items() if ours.get(station_id) != epoch]
    ghosts = [(station_id, epoch) for station_id, epoch in ours.items() if station_id not in held]
    return stale, ghosts


def note_seen(owner: str, now: datetime) -> None:
    """A sign of life of every socket this process holds: an open one has answered its last ping (P15)."""
    StationLink.objects.filter(owner=owner, online=True).update(last_seen_at=now)


def note_skews(skews_s: Mapping[int, float]) -> None:
    """Clock skews by station, s, as measured from live messages."""
    for station_id, skew_s in sorted(skews_s.items()):
        StationLink.objects.filter(station_id=station_id).update(clock_skew_s=round(skew_s, 1))


def mark_silent_links(now: datetime, silent_since: datetime) -> int:
    """Links that nobody has refreshed: their process or their charger died without a word. Returns how many."""
    silent = StationLink.objects.filter(online=True, last_seen_at__lt=silent_since)
    return sum(close_link(station_id, epoch, now) for station_id, epoch in silent.values_list("station_id", "epoch"))


def raise_missing_incidents(offline_since: datetime) -> int:
    """Incidents for stations that were closed quietly and did not come back. Returns how many were opened."""
    alarmed = Incident.objects.filter(type=OFFLINE, closed_at__isnull=True).values("subject")
    missing = Station.objects.filter(
        link__online=False, link__epoch__gt=0, link__disconnected_at__lt=offline_since
    ).exclude(identity__in=alarmed)
    stations: Iterable[Station] = list(missing)
    for station in stations:
        tell_offline(station)
    return len(list(stations))
