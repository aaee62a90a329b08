"""One outlet: what flows through it, and which status that is. Knows nothing of messages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from charging.simulator.battery import SUBSTEP_S, Vehicle, charged, drawn_current_a
from charging.simulator.config import ConnectorConfig
from charging.simulator.schedule import Limit


class Status(StrEnum):
    """Connector states of OCPP 1.6 §4.9 that the simulator knows."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    UNAVAILABLE = "Unavailable"


@dataclass(slots=True)
class Transaction:
    """A transaction as the station knows it; `id` comes with the answer to its StartTransaction."""

    id_tag: str
    started_at: datetime
    meter_start_wh: int
    id: int | None = None


class Connector:
    """Physics of one connector. Power follows its limit at once; energy is integrated by `advance`."""

    def __init__(self, config: ConnectorConfig, at: datetime, limit_at: Callable[[Connector, datetime], Limit]) -> None:
        self.config = config
        self.number = config.number
        self.vehicle: Vehicle | None = None
        self.transaction: Transaction | None = None
        self.energy_wh = 0.0
        self.limit = Limit(0.0, config.phases)
        self.current_a = 0.0
        self.phases_in_use = config.phases
        self.operative = True
        self.authorizing = False
        self.finished = False
        """The plugged vehicle had its transaction: nothing starts until it is unplugged."""
        self.refused = False
        """The plugged vehicle's tag was not accepted: only a remote start helps."""
        self._limit_at = limit_at
        self._at = at

    @property
    def power_w(self) -> float:
        return self.current_a * self.config.voltage_v * self.phases_in_use

    @property
    def register_wh(self) -> float:
        """Lifetime register of the connector's meter, Wh."""
        return self.config.register_wh + self.energy_wh

    @property
    def status(self) -> Status:
        if self.transaction is None:
            return self._idle_status()
        if self.current_a > 0.0:
            return Status.CHARGING
        if self.vehicle is None or self.vehicle.full:
            return Status.SUSPENDED_EV
        return Status.SUSPENDED_EVSE

    def _idle_status(self) -> Status:
        if not self.operative:
            return Status.UNAVAILABLE
        if self.vehicle is None:
            return Status.AVAILABLE
        return Status.FINISHING if self.finished else Status.PREPARING

    @property
    def wants_start(self) -> bool:
        """A vehicle waits for a transaction and nothing stands against it."""
        waiting = self.vehicle is not None and self.transaction is None
        return waiting and self.operative and not (self.finished or self.refused or self.authorizing)

    def plug_in(self, vehicle: Vehicle, at: datetime) -> None:
        """Connect a vehicle; ValueError when another one is there."""
        if self.vehicle is not None:
            raise ValueError(f"connector {self.number} is taken by {self.vehicle.id_tag}")
        self.advance(at)
        self.vehicle = vehicle
        self.wait_anew()

    def plug_out(self, at: datetime) -> Vehicle | None:
        """Take the vehicle away, in the state of charge it has reached."""
        self.advance(at)
        vehicle, self.vehicle = self.vehicle, None
        self.wait_anew()
        self._refresh(at)
        return vehicle

    def wait_anew(self) -> None:
        """Forget how far the plugged vehicle came towards a transaction."""
        self.finished = self.refused = self.authorizing = False

    def begin(self, transaction: Transaction, at: datetime) -> None:
        self.advance(at)
        self.transaction = transaction
        self.authorizing = False
        self._refresh(at)

    def end(self, at: datetime) -> Transaction | None:
        """Switch off; the vehicle stays plugged."""
        self.advance(at)
        transaction, self.transaction = self.transaction, None
        self.finished = self.vehicle is not None
        self._refresh(at)
        return transaction

    def advance(self, to: datetime) -> None:
        """Let time pass until `to`, in steps short enough for the battery curve, then look at the limit again."""
        while self._at < to:
            step = min(to - self._at, timedelta(seconds=SUBSTEP_S))
            self._refresh(self._at)
            self._take(step.total_seconds())
            self._at += step
        self._refresh(to)

    def _take(self, seconds: float) -> None:
        if self.vehicle is None or self.current_a == 0.0:
            return
        energy_kwh = min(self.power_w * seconds / 3.6e6, self.vehicle.room_kwh)
        self.energy_wh += energy_kwh * 1000.0
        self.vehicle = charged(self.vehicle, energy_kwh)

    def _refresh(self, at: datetime) -> None:
        """Set current and phases in use to what limit and vehicle give at `at`."""
        self.limit = self._limit_at(self, at)
        vehicle = self.vehicle
        if vehicle is None or self.transaction is None:
            self.current_a = 0.0
            return
        self.phases_in_use = min(vehicle.phases, self.limit.phases, self.config.phases)
        offered_a = min(self.limit.current_a, self.config.max_current_a)
        self.current_a = drawn_current_a(vehicle, offered_a, voltage_v=self.config.voltage_v, phases=self.phases_in_use)
