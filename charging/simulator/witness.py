"""The ground truth: what really flows, second by second, whatever anybody reports."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import TextIO

SAMPLES_KEPT = 90_000


@dataclass(frozen=True, slots=True)
class Sample:
    """Power at one instant, kW. `total_kw` is what the grid connection carries: chargers and metered building."""

    at: datetime
    total_kw: float
    charging_kw: float
    stations: dict[str, float]

    def as_json(self) -> str:
        content = {
            "at": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "total_kw": round(self.total_kw, 4),
            "charging_kw": round(self.charging_kw, 4),
            "stations": {identity: round(kw, 4) for identity, kw in self.stations.items()},
        }
        return json.dumps(content, separators=(",", ":"))


class Witness:
    """Sees every change of power at once, keeps the peaks, and takes samples when asked."""

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=SAMPLES_KEPT)
        self.peak_kw = 0.0
        self.peak_charging_kw = 0.0
        self._chargers: dict[str, float] = {}
        self._buildings: dict[str, float] = {}

    @property
    def charging_kw(self) -> float:
        return sum(self._chargers.values())

    @property
    def total_kw(self) -> float:
        return self.charging_kw + sum(self._buildings.values())

    def power_of(self, identity: str) -> float:
        """Power of one station now, kW."""
        return self._chargers.get(identity, self._buildings.get(identity, 0.0))

    def observe(self, identity: str, power_w: float, *, building: bool = False) -> None:
        """Note the power of a station from now on."""
        power = self._buildings if building else self._chargers
        if power.get(identity) == power_w / 1000.0:
            return
        power[identity] = power_w / 1000.0
        self.peak_kw = max(self.peak_kw, self.total_kw)
        self.peak_charging_kw = max(self.peak_charging_kw, self.charging_kw)

    def sample(self, at: datetime, file: TextIO | None = None) -> Sample:
        """Remember the present power of all stations, and write it as a line of JSON."""
        taken = Sample(at, self.total_kw, self.charging_kw, {**self._chargers, **self._buildings})
        self.samples.append(taken)
        if file is not None:
            file.write(taken.as_json() + "\n")
            file.flush()
        return taken
