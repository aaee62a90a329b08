"""Vehicles, limits and profiles of another CSMS over HTTP, and its requests for a plan over a WebSocket.

GET /evs?group_name          {"evs": [{ev_id, station_id, connector_id, min_power, max_power, arrival_time,
                             departure_time, energy_needed}], "voltage": V}; optional per vehicle: unit, phases (1)
GET /future_evs?group_name   the same under "future_evs": planned arrivals
GET /peak_power_demand?group_name&timestamp&voltage   {"<RFC 3339>": kW}, a step function
POST /powers                 {"powers": {"<ev_id>": profile}, "unit": null | "W" | "A"}
WebSocket                    {"type": "NEW_RESERVATION", "data": {"ev_id": n}} asks for a plan
"""

from __future__ import annotations

import json
import math
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit

import structlog
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from depot.environment import env_int, env_text
from scheduling.engine import EV, Algorithm, ChargingRateUnit, Horizon, PowerTree
from scheduling.engine.arrays import FloatArray
from scheduling.engine.constants import EVConstants
from scheduling.engine.horizon import require_aware
from scheduling.translation import EventQueue, Translation

RESERVATION_EVENT = "Reservation Event on Listener"
RECONNECTED_EVENT = "Reconnected on Listener"
LISTEN_FOR_S = 0.5
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0

log = structlog.get_logger(__name__)


class BadAnswer(Exception):
    """The other side's answer cannot be used; the message names the request and what is wrong."""


@dataclass(frozen=True)
class HttpApi:
    """Where the other CSMS listens, and how its chargers are planned."""

    url: str = "http://127.0.0.1:8080"
    websocket_url: str = "ws://127.0.0.1:8765"
    authorization: str = ""
    """Value of the Authorization header, such as "Bearer ...", of every request; empty: none."""
    timeout_s: int = 10
    fallback_a: int = 0
    """Limit that vehicles are sent when there is no plan, A per phase; must be safe for all of them together."""
    resolution: timedelta = timedelta(minutes=15)
    steps: int = 96

    def __post_init__(self) -> None:
        for url, schemes in ((self.url, ("http", "https")), (self.websocket_url, ("ws", "wss"))):
            if urlsplit(url).scheme not in schemes or not urlsplit(url).hostname:
                raise ValueError(f"{url!r} is no address: it must begin with {schemes[0]}:// or {schemes[1]}://.")
        if min(self.timeout_s, self.steps) < 1 or self.fallback_a < 0:
            raise ValueError("Timeout and horizon must be above zero, the fallback zero or more.")

    @staticmethod
    def from_environment() -> HttpApi:
        """SCHEDULE_API_URL, SCHEDULE_WEBSOCKET_URL (or API_PORT, WEBSOCKET_PORT on this machine) and the rest."""
        minutes = env_int("SCHEDULE_RESOLUTION_MINUTES", 15)
        if minutes < 1:
            raise ValueError(f"SCHEDULE_RESOLUTION_MINUTES {minutes} must be 1 or more.")
        return HttpApi(
            url=env_text("SCHEDULE_API_URL", f"http://127.0.0.1:{env_int('API_PORT', 8080)}").rstrip("/"),
            websocket_url=env_text("SCHEDULE_WEBSOCKET_URL", f"ws://127.0.0.1:{env_int('WEBSOCKET_PORT', 8765)}"),
            authorization=env_text("SCHEDULE_API_AUTHORIZATION"),
            timeout_s=env_int("SCHEDULE_TIMEOUT_S", 10),
            fallback_a=env_int("SCHEDULE_FALLBACK_A", 0),
            resolution=timedelta(minutes=minutes),
            steps=env_int("SCHEDULE_HORIZON_HOURS", 24) * 60 // minutes,
        )

    @property
    def headers(self) -> dict[str, str]:
        """What every request carries."""
        return {"Authorization": self.authorization} if self.authorization else {}

    def get(self, path: str, **parameters: object) -> dict[str, Any]:
        """The JSON object that a path answers with, or BadAnswer."""
        given = {name: value for name, value in parameters.items() if value is not None}
        return self._asked(f"{path}?{urlencode(given)}", None)

    def post(self, path: str, content: object) -> dict[str, Any]:
        """The JSON object that a path answers a JSON body with, or BadAnswer."""
        return self._asked(path, json.dumps(content).encode())

    def _asked(self, path: str, body: bytes | None) -> dict[str, Any]:
        kind = {} if body is None else {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, body, {**self.headers, **kind})  # noqa: S310 - http(s) only
        try:
            with urllib.request.urlopen(request, timeout=self.timeout_s) as response:  # noqa: S310
                answer = json.load(response)
        except HTTPError as error:
            error.close()  # it is the answer too, and holds the connection
            raise BadAnswer(f"{path}: {error}") from error
        except (OSError, ValueError) as error:
            raise BadAnswer(f"{path}: {error}") from error
        if not isinstance(answer, dict):
            raise BadAnswer(f"{path}: the answer is no JSON object")
        return answer


class HttpTranslation(Translation):
    """A CSMS that speaks the HTTP contract of the reference example.

    Without a usable plan its vehicles are made safe: each gets a profile of the configured fallback, by default 0 A,
    instead of keeping what an older plan allowed. So does a single vehicle that cannot be read.
    """

    def __init__(self, api: HttpApi | None = None) -> None:
        self.api = api or HttpApi.from_environment()
        self.voltage: dict[str, float | None] = {}
        self.connected: dict[str, dict[str, int]] = {}
        """Ids and phases of each group's connected vehicles at the last reading."""
        self.unreadable: dict[str, list[str]] = {}
        """Ids of connected vehicles that cannot be planned, because what was told about them makes no sense."""

    def get_evs(self, group_name: str) -> tuple[list[EV], float | None]:
        now = self.api.get("/evs", group_name=group_name)
        later = self.api.get("/future_evs", group_name=group_name)
        voltage = _voltage(now)
        self.voltage[group_name] = voltage
        here, unreadable = _vehicles(now, "evs", active=True, voltage=voltage)
        planned, _ = _vehicles(later, "future_evs", active=False, voltage=_voltage(later) or voltage)
        self.unreadable[group_name] = unreadable
        self.connected[group_name] = {str(ev.ev_id): ev.phases for ev in here} | dict.fromkeys(unreadable, 1)
        return [*here, *(ev for ev in planned if ev not in here)], voltage

    def get_peak_power_demand(self, group_name: str, now: datetime, voltage: float | None = None) -> FloatArray:
        """The site limit per step, kW; BadAnswer where the answer has none, or one that is no power."""
        answer = self.api.get("/peak_power_demand", group_name=group_name, timestamp=_rfc3339(now), voltage=voltage)
        if not answer:
            raise BadAnswer(f"/peak_power_demand: there is no limit for group {group_name!r}")
        try:
            series = [(_instant(key), _limit(value)) for key, value in answer.items()]
        except (TypeError, ValueError) as error:
            raise BadAnswer(f"/peak_power_demand: {error}") from error
        return self.get_horizon(group_name, now).sample(series, combine="min")

    def get_horizon(self, group_name: str, now: datetime) -> Horizon:
        return Horizon(now, self.api.resolution, self.api.steps)

    def get_power_tree(self, group_name: str, horizon: Horizon) -> PowerTree:
        limits = self.get_peak_power_demand(group_name, horizon.start, self.voltage.get(group_name))
        return PowerTree.single(limits, group_name)

    def send_power_to_evs(self, powers: Mapping[EV, dict[str, Any]], unit: ChargingRateUnit | None = None) -> None:
        self._send({str(ev.ev_id): profile for ev, profile in powers.items()}, unit)

    def publish(self, group_name: str, algorithm: Algorithm) -> None:
        super().publish(group_name, algorithm)
        self._make_safe(self.unreadable.get(group_name, []), self.connected.get(group_name, {}))

    def planning_failed(self, group_name: str, error: Exception) -> None:
        """Send the fallback to the vehicles that were connected at the last reading."""
        connected = self.connected.get(group_name, {})
        self._make_safe(list(connected), connected)
        log.warning("fallback sent", group=group_name, vehicles=len(connected), limit_a=self.api.fallback_a)

    def _make_safe(self, ev_ids: list[str], phases: Mapping[str, int]) -> None:
        begin = _rfc3339(datetime.now(UTC))
        profiles = {ev_id: fallback_profile(phases[ev_id], begin, self.api.fallback_a) for ev_id in ev_ids}
        self._send(profiles, ChargingRateUnit.A)

    def _send(self, profiles: Mapping[str, dict[str, Any]], unit: ChargingRateUnit | None) -> None:
        if profiles:
            self.api.post("/powers", {"powers": profiles, "unit": None if unit is None else unit.value})

    def listen(self, events: EventQueue, stop: Event) -> None:
        """Reservations become events; a lost connection is made anew, with pauses that grow to half a minute."""
        pause, was_connected = FIRST_PAUSE_S, False
        while not stop.is_set():
            try:
                with self._connected() as socket:
                    if was_connected:
                        events.put(RECONNECTED_EVENT)  # what was told meanwhile is lost
                    pause, was_connected = FIRST_PAUSE_S, True
                    _pass_on(socket, events, stop)
            except (OSError, WebSocketException) as error:
                log.warning("listener lost", url=self.api.websocket_url, error=str(error), again_in_s=pause)
            if stop.wait(pause):
                return
            pause = min(pause * 2, LONGEST_PAUSE_S)

    def _connected(self) -> ClientConnection:
        return connect(
            self.api.websocket_url, additional_headers=self.api.headers, open_timeout=self.api.timeout_s, proxy=None
        )


def fallback_profile(phases: int, begin: str, limit_a: float) -> dict[str, Any]:
    """One limit from now on, A per phase, as OCPP csChargingProfiles."""
    return {
        "chargingProfileId": EVConstants.CHARGING_PROFILE_ID,
        "stackLevel": EVConstants.CHARGING_PROFILE_STACK_LEVEL,
        "chargingProfilePurpose": EVConstants.CHARGING_PROFILE_PURPOSE,
        "chargingProfileKind": EVConstants.CHARGING_PROFILE_KIND,
        "chargingSchedule": {
            "startSchedule": begin,
            "chargingRateUnit": ChargingRateUnit.A.value,
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": float(limit_a), "numberPhases": phases}],
        },
    }


def _pass_on(socket: ClientConnection, events: EventQueue, stop: Event) -> None:
    while not stop.is_set():
        try:
            message = socket.recv(timeout=LISTEN_FOR_S)
        except TimeoutError:
            continue
        if _is_reservation(message):
            events.put(RESERVATION_EVENT)


def _is_reservation(message: str | bytes) -> bool:
    try:
        content = json.loads(message)
    except ValueError:
        log.warning("listener ignores a message that is no JSON", begins=str(message[:80]))
        return False
    return isinstance(content, dict) and content.get("type") == "NEW_RESERVATION"


def _vehicles(
    answer: Mapping[str, Any], key: str, *, active: bool, voltage: float | None
) -> tuple[list[EV], list[str]]:
    """The vehicles of an answer, and the ids of those that cannot be read; they do not spoil the others' plan."""
    rows = answer.get(key)
    if not isinstance(rows, list):
        raise BadAnswer(f"/{key}: {key!r} is not a list")
    evs: list[EV] = []
    unreadable: list[str] = []
    for number, row in enumerate(rows):
        try:
            evs.append(_vehicle(row, active=active, voltage=voltage))
        except (KeyError, TypeError, ValueError) as error:
            log.error("vehicle cannot be read", path=f"/{key}", row=number, error=f"{type(error).__name__}: {error}")
            if isinstance(row, dict) and isinstance(row.get("ev_id"), int | str):
                unreadable.append(str(row["ev_id"]))
    return evs, unreadable


def _vehicle(row: Mapping[str, Any], *, active: bool, voltage: float | None) -> EV:
    return EV(
        ev_id=row["ev_id"],
        active=active,
        station_id=row["station_id"],
        connector_id=row["connector_id"],
        min_power=float(row["min_power"]),
        max_power=float(row["max_power"]),
        arrival_time=_instant(row["arrival_time"]),
        departure_time=_instant(row["departure_time"]),
        energy=float(row["energy_needed"]),
        unit=ChargingRateUnit(row.get("unit", "W")),
        voltage=voltage or EVConstants.CHARGING_RATE_VOLTAGE,
        phases=int(row.get("phases", 1)),
    )


def _voltage(answer: Mapping[str, Any]) -> float | None:
    voltage = answer.get("voltage")
    return float(voltage) if isinstance(voltage, int | float) and voltage > 0 else None


def _instant(text: str) -> datetime:
    return require_aware(datetime.fromisoformat(text), "The time")


def _limit(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise ValueError(f"the limit {value!r} is not a power of 0 kW or more")
    return float(value)


def _rfc3339(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
