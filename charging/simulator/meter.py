"""The meter of a building's load: a station without outlets that reports on connector 0. OCPP 1.6 errata 3.16."""

from __future__ import annotations

import math
import random
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from ocpp.v16 import call

from charging.simulator.clock import Clock
from charging.simulator.config import StationConfig
from charging.simulator.metering import energy_sample, sampled
from charging.simulator.outbox import Outgoing
from charging.simulator.station import ALONE, Station, Surroundings, stamp


class MeterStation(Station):
    """Load by local hour plus noise within ± `noise_kw`, redrawn at each reading, never below 0."""

    building = True

    def __init__(
        self,
        config: StationConfig,
        url: str,
        clock: Clock | None = None,
        surroundings: Surroundings = ALONE,
    ) -> None:
        super().__init__(config, url, clock, surroundings)
        self._noise = random.Random(f"{surroundings.seed}:{config.identity}:noise")
        self._zone = ZoneInfo(config.time_zone)
        self._load_w = 0.0
        self._noise_kw = 0.0
        self._register_wh = 0.0
        self._lived_to: datetime | None = None
        self._next_reading_s = -math.inf

    @property
    def power_w(self) -> float:
        return self._load_w

    def live(self, now: datetime) -> None:
        if self._lived_to is not None:
            self._register_wh += self._load_w * (now - self._lived_to).total_seconds() / 3600.0
        self._lived_to = now
        due = self.clock.elapsed() >= self._next_reading_s
        if due:
            self._next_reading_s = self.clock.elapsed() + max(1, self.keys.number("MeterValueSampleInterval"))
            self._noise_kw = self._noise.uniform(-self.config.noise_kw, self.config.noise_kw)
        hour = now.astimezone(self._zone).hour
        self._load_w = max(0.0, self.config.load_kw_by_hour[hour] + self._noise_kw) * 1000.0
        if due and self.online and self.keys.number("MeterValueSampleInterval"):
            self._queue_reading(now, "Sample.Periodic")

    def keys_changed(self) -> None:
        super().keys_changed()
        self._next_reading_s = -math.inf

    def trigger(self, message: str, connector: int | None) -> str:
        if connector not in (None, 0):
            return "Rejected"
        if message == "MeterValues":
            self._queue_reading(self.clock.now(), "Trigger")
        elif message == "StatusNotification":
            self.outbox.put(self._status())
        else:
            return super().trigger(message, connector)
        return "Accepted"

    def present_state(self) -> list[Outgoing]:
        return [self._status()]

    def _status(self) -> Outgoing:
        payload = call.StatusNotification(0, "NoError", "Available", stamp(self.clock.now()))
        return Outgoing("StatusNotification", lambda: payload)

    def _queue_reading(self, now: datetime, context: str) -> None:
        values: list[Any] = [
            sampled("Power.Active.Import", self._load_w, "W", 1, context),
            energy_sample(self._register_wh, context),
        ]
        payload = call.MeterValues(0, [{"timestamp": stamp(now), "sampledValue": values}])
        self.outbox.put(Outgoing("MeterValues", lambda: payload))
