"""What the station pages show, and the form that sends a charger a command."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import Count, Q, QuerySet

from charging.commands import queue_command
from charging.gate import LimitExceeded
from charging.models import Command, Frame, InstalledProfile, Session
from charging.wire.errors import PayloadError
from depot.models import Connector, Depot, Station
from scheduling.live import words
from scheduling.live.tiles import PLUGGED, power_now
from scheduling.live.yard import is_online, link_of, state_of

COMMANDS_SHOWN = 25
FRAMES_SHOWN = 40
FRAME_CHARACTERS = 2_000
NAMED_COMMAND = re.compile(r"\s*[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
EXAMPLES: dict[str, dict[str, Any]] = {
    "TriggerMessage": {"requestedMessage": "StatusNotification", "connectorId": 1},
    "GetCompositeSchedule": {"connectorId": 1, "duration": 86400, "chargingRateUnit": "A"},
    "GetConfiguration": {},
    "ChangeConfiguration": {"key": "MeterValueSampleInterval", "value": "10"},
    "ChangeAvailability": {"connectorId": 1, "type": "Operative"},
    "UnlockConnector": {"connectorId": 1},
    "RemoteStopTransaction": {"transactionId": 1},
    "Reset": {"type": "Soft"},
    "ClearCache": {},
}
STATE_TONES = {
    Command.State.ACCEPTED: "good",
    Command.State.VERIFIED: "good",
    Command.State.REJECTED: "bad",
    Command.State.ERROR: "bad",
    Command.State.CONTRADICTED: "bad",
    Command.State.UNKNOWN: "warn",
    Command.State.EXPIRED: "warn",
}


@dataclass(frozen=True)
class ProfileRow:
    """A charging profile that the charger holds, may hold, or is about to be sent."""

    slot: str
    state: str
    tone: str
    starts_at: datetime
    ends_at: datetime | None
    now_a: str
    periods: str
    verified_at: datetime | None


@dataclass(frozen=True)
class OutletFacts:
    connector: Connector
    status: str
    note: str
    power: str
    offered: str
    sampled_at: datetime | None
    session: Session | None
    profiles: list[ProfileRow]


@dataclass(frozen=True)
class StationFacts:
    online: bool
    link: Any
    outlets: list[OutletFacts]
    station_profiles: list[ProfileRow]


def station_rows(depot: Depot, now: datetime) -> list[dict[str, Any]]:
    """One row per station of the list page."""
    open_commands = Count("commands", filter=Q(commands__state__in=Command.OPEN))
    stations = (
        depot.stations.select_related("link", "load_group")
        .prefetch_related("connectors__state")
        .annotate(open_commands=open_commands)
        .order_by("identity")
    )
    return [station_row(station, now) for station in stations]


def station_row(station: Any, now: datetime) -> dict[str, Any]:
    link = link_of(station)
    outlets = list(station.connectors.all())
    statuses = [words.status_in_words(state.status) for outlet in outlets if (state := state_of(outlet)) is not None]
    return {
        "station": station,
        "bays": ", ".join(outlet.bay for outlet in outlets),
        "link": link,
        "online": is_online(station),
        "status": ", ".join(statuses) if is_online(station) else "",
        "open_commands": station.open_commands,
    }


def facts_of(station: Station, now: datetime) -> StationFacts:
    sessions = {
        session.connector_id: session
        for session in station.sessions.filter(state__in=Session.LIVE, historical=False).select_related("vehicle")
    }
    profiles = list(
        station.profiles.exclude(state=InstalledProfile.State.GONE)
        .exclude(ends_at__lte=now)
        .order_by("number", "slot", "-starts_at")
    )
    return StationFacts(
        online=is_online(station),
        link=link_of(station),
        outlets=[
            outlet_facts(outlet, sessions.get(outlet.pk), profiles, now)
            for outlet in station.connectors.select_related("state", "station__link")
        ],
        station_profiles=[profile_row(profile, now) for profile in profiles if profile.number == 0],
    )


def outlet_facts(
    outlet: Connector, session: Session | None, profiles: list[InstalledProfile], now: datetime
) -> OutletFacts:
    state, online = state_of(outlet), is_online(outlet.station)
    power = power_now(state, session, online, now)
    plugged = session is not None or (state is not None and state.status in PLUGGED)
    notes = [state.info, "" if state.error_code == "NoError" else state.error_code] if state is not None else []
    return OutletFacts(
        connector=outlet,
        status=words.status_in_words(state.status) if state is not None else "Unknown",
        note=" · ".join(note for note in notes if note),
        power=words.kw(power),
        offered=words.number(state.offered_a, 0) if state is not None and plugged else words.UNKNOWN,
        sampled_at=state.sampled_at if state is not None else None,
        session=session,
        profiles=[profile_row(profile, now) for profile in profiles if profile.number == outlet.number],
    )


def profile_row(profile: InstalledProfile, now: datetime) -> ProfileRow:
    tones = {InstalledProfile.State.CONFIRMED: "good", InstalledProfile.State.POSSIBLE: "warn"}
    current = current_in(profile.periods, (now - profile.starts_at).total_seconds())
    return ProfileRow(
        slot=profile.get_slot_display(),
        state="Replaced" if profile.replaced_at is not None else profile.get_state_display(),
        tone=tones.get(InstalledProfile.State(profile.state), "plain"),
        starts_at=profile.starts_at,
        ends_at=profile.ends_at,
        now_a=words.number(current),
        periods=f"{len(profile.periods)} periods" if len(profile.periods) != 1 else "1 period",
        verified_at=profile.verified_at,
    )


def current_in(periods: list[Any], seconds: float) -> float | None:
    """A per phase of the period that holds at `seconds` after the start; None before it."""
    current = None
    for start, ampere in periods:
        if start <= seconds:
            current = float(ampere)
    return current


def history_of(station: Station) -> dict[str, Any]:
    """The newest commands, frames and findings of a station."""
    frames: QuerySet[Frame] = Frame.objects.filter(station=station).order_by("-at", "-id")
    return {
        "commands": [command_row(command) for command in station.commands.all()[:COMMANDS_SHOWN]],
        "frames": [frame_row(frame) for frame in frames[:FRAMES_SHOWN]],
        "findings": list(station.findings.all()[:COMMANDS_SHOWN]),
    }


def command_row(command: Command) -> dict[str, Any]:
    took = command.answered_at - command.sent_at if command.answered_at and command.sent_at else None
    return {
        "command": command,
        "tone": STATE_TONES.get(Command.State(command.state), "plain"),
        "outcome": outcome_of(command),
        "took": f"{took.total_seconds() * 1000:,.0f} ms" if isinstance(took, timedelta) else "",
        "cause": NAMED_COMMAND.sub("", command.cause),
        "payload": json.dumps(command.payload, ensure_ascii=False, indent=1),
    }


def outcome_of(command: Command) -> str:
    """What came of it, in words."""
    if command.held_because and command.state == Command.State.QUEUED:
        return f"Held: {command.held_because}"
    if command.error_code:
        return f"{command.error_code}: {command.error_description}".rstrip(": ")
    if isinstance(command.answer, dict):
        status = command.answer.get("status")
        text = str(status) if status else json.dumps(command.answer, ensure_ascii=False)[:200]
        return f"{text} (late)" if command.late else text
    return {
        Command.State.QUEUED: "Waits for the charger",
        Command.State.SENT: "On its way",
        Command.State.UNKNOWN: "No answer: it may have happened or not",
        Command.State.SUPERSEDED: "Replaced by a newer command",
        Command.State.EXPIRED: "Not sent in time",
    }.get(Command.State(command.state), "")


def frame_row(frame: Frame) -> dict[str, Any]:
    text = bytes(frame.raw).decode("utf-8", "backslashreplace")
    return {
        "frame": frame,
        "direction": "←" if frame.direction == Frame.Direction.IN else "→",
        "label": frame.get_direction_display(),
        "text": text[:FRAME_CHARACTERS] + ("…" if len(text) > FRAME_CHARACTERS else ""),
    }


class CommandForm(forms.Form):
    """One request to a charger: an OCPP action and its payload as JSON."""

    action = forms.CharField(max_length=40, widget=forms.TextInput(attrs={"list": "actions", "autocomplete": "off"}))
    payload = forms.CharField(
        max_length=20_000, initial="{}", widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"})
    )

    def clean_payload(self) -> dict[str, Any]:
        try:
            payload = json.loads(self.cleaned_data["payload"])
        except ValueError as error:
            raise forms.ValidationError(f"This is not JSON: {error}.") from error
        if not isinstance(payload, dict):
            raise forms.ValidationError("Write a JSON object, for example {}.")
        return payload

    def send(self, station: Station, *, by: str) -> Command | None:
        """Queue the command, or tell on the form why it is refused."""
        data = self.cleaned_data
        try:
            return queue_command(station=station, action=data["action"], payload=data["payload"], cause=by)
        except PayloadError as error:
            self.add_error("payload" if error.field else "action", sentence(str(error)))
        except LimitExceeded as error:
            self.add_error(None, sentence(str(error)))
        return None


def sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
