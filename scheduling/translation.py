"""The seam between the engine and a world of chargers: what a planner asks for and where its plan goes.

Names and meanings of the reference system; a class written against it runs here after changing the import.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from threading import Event
from types import TracebackType
from typing import Any, Protocol

from scheduling.engine import EV, Algorithm, ChargingRateUnit, Horizon, PowerTree, Site
from scheduling.engine.arrays import FloatArray


class EventQueue(Protocol):
    """A queue of the standard library: what happened, in a word that is only logged; None ends the worker."""

    def put(self, item: str | None, /) -> None: ...

    def get(self) -> str | None: ...

    def get_nowait(self) -> str | None:
        """The next item, or `queue.Empty`."""


class Translation(AbstractContextManager["Translation"], ABC):
    """Reads vehicles and limits of a group, and sends it charging profiles. Opened once, used for many cycles."""

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    @abstractmethod
    def get_evs(self, group_name: str) -> tuple[list[EV], float | None]:
        """Connected vehicles and planned arrivals of the group, and its voltage (None: the default)."""

    @abstractmethod
    def get_peak_power_demand(
        self, group_name: str, now: datetime, voltage: float | None = None
    ) -> Sequence[float] | FloatArray:
        """The group's limit per step from the step that holds `now`, kW (A per phase where all vehicles are in A)."""

    @abstractmethod
    def send_power_to_evs(self, powers: Mapping[EV, dict[str, Any]], unit: ChargingRateUnit | None = None) -> None:
        """Deliver charging profiles (OCPP csChargingProfiles objects) to the vehicles' chargers."""

    # What a richer world knows beyond the reference system; a plain Translation leaves these alone.

    def get_horizon(self, group_name: str, now: datetime) -> Horizon | None:
        """The steps to plan; None: as many as `get_peak_power_demand` has values."""
        return None

    def get_power_tree(self, group_name: str, horizon: Horizon) -> PowerTree | None:
        """Nested limits; None: the flat limit of `get_peak_power_demand`."""
        return None

    def get_prices(self, group_name: str, horizon: Horizon) -> FloatArray | None:
        """Price per kWh and step; None: all steps cost the same."""
        return None

    def get_site(self, group_name: str, horizon: Horizon) -> Site | None:
        """Building, demand charges, sun, battery and emissions; None: nothing of that."""
        return None

    def planning_failed(self, group_name: str, error: Exception) -> None:
        """Nothing was sent for the group, because of `error`; by default its vehicles keep what they have."""
        return None

    def listen(self, events: EventQueue, stop: Event) -> None:
        """Put a word into `events` whenever the world asks for a plan, until `stop` is set; by default it never does.

        Runs in a thread of its own, on a translation of its own.
        """
        return None

    def publish(self, group_name: str, algorithm: Algorithm) -> None:
        """Take a calculated and checked plan; by default its profiles go to `send_power_to_evs`."""
        self.send_power_to_evs(algorithm.get_charging_profiles())
