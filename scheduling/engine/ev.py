"""What the engine schedules: one active session or one future reservation."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np

from scheduling.engine.arrays import FloatArray
from scheduling.engine.horizon import DEFAULT_STEPS, Horizon, require_aware
from scheduling.engine.profile import periods_of, to_wire
from scheduling.engine.units import ChargingRateUnit as ChargingRateUnit  # its public home is beside EV

CHARGING_PROFILE_ID = 1
CHARGING_PROFILE_PURPOSE = "TxProfile"
CHARGING_PROFILE_STACK_LEVEL = 1
CHARGING_PROFILE_KIND = "Absolute"


def _no_power() -> FloatArray:
    return np.zeros(0)


def _is_rising(taper: tuple[tuple[float, float], ...]) -> bool:
    socs = [soc for soc, _ in taper]
    return all(math.isfinite(x) and x >= 0 for pair in taper for x in pair) and socs == sorted(set(socs))


@dataclass(eq=False)
class EV:
    """A vehicle with its need; powers in kW and energy in kWh, or in A per phase and Ah where `unit` is A.

    `energy` goes into the battery; the meter sees `energy / efficiency`. Equality and hash look at `ev_id` only.
    """

    ev_id: int | str
    active: bool
    station_id: int | str
    connector_id: int | str
    min_power: float
    max_power: float
    arrival_time: datetime
    departure_time: datetime
    energy: float
    unit: ChargingRateUnit = ChargingRateUnit.W
    voltage: float = 230.0
    power: FloatArray = field(default_factory=_no_power, repr=False)  # result: one value per step, in `unit`
    _: KW_ONLY
    phases: int = 3
    priority: int = 1
    free_power: float = 0.0
    """kW: the connector's fallback, which every node above it counts whether it is used or not."""
    nodes: tuple[str, ...] = ()
    """Names of the tree's nodes above the connector, leaf first; empty means the root."""
    phase_map: str = "123"
    """Site phases that the connector's L1, L2, L3 are wired to; a one-phase vehicle on L2 has "2"."""
    name: str = ""
    max_periods: int = 12
    soc: float | None = None
    """State of charge, %; for information."""
    battery_kwh: float | None = None
    efficiency: float = 1.0
    in_force: FloatArray | None = field(default=None, repr=False)
    """The plan in force, kW per step; replanning keeps to it where that costs nothing."""
    minimum_energy: float | None = None
    """The needed part of `energy`; the rest is desired and served after everybody's minimum. None: all of it."""
    arrival_latest: datetime | None = None
    """Until when an uncertain arrival may be delayed: the plan avoids the time before where the need allows it."""
    departure_margin: timedelta = timedelta(0)
    """Time before the departure by which it should be ready: used only for energy that would be missing else."""
    min_on: timedelta = timedelta(0)
    """Shortest time of charging without a pause."""
    min_off: timedelta = timedelta(0)
    """Shortest pause."""
    taper: tuple[tuple[float, float], ...] = ()
    """Most power by state of charge as (SoC %, kW at the outlet), rising SoC; needs `soc` and `battery_kwh`."""
    discharge_power: float = 0.0
    """Most it may give back while plugged in, kW (vehicle-to-grid); needs `soc` and `battery_kwh`."""
    least_soc: float = 0.0
    """State of charge that giving back never goes below, %."""
    cycle_cost_per_kwh: float = 0.0
    """Money for wear per kWh given back."""
    hold: Literal["", "fault", "override"] = ""
    """Not to be planned: the charger has a fault, or an operator has taken it over."""
    horizon: Horizon | None = field(default=None, repr=False)
    """Time grid of `power`; set by the algorithm."""

    def __post_init__(self) -> None:
        self.arrival_time = require_aware(self.arrival_time, f"Arrival of vehicle {self.ev_id}")
        self.departure_time = require_aware(self.departure_time, f"Departure of vehicle {self.ev_id}")
        if self.arrival_latest is not None:
            self.arrival_latest = require_aware(self.arrival_latest, f"Latest arrival of vehicle {self.ev_id}")
        if wrong := "; ".join(self._defects()):
            raise ValueError(f"Vehicle {self.ev_id}: {wrong}.")

    def _defects(self) -> list[str]:
        numbers = [self.min_power, self.max_power, self.energy, self.voltage, self.free_power, self.efficiency]
        numbers += [self.minimum_energy or 0.0, self.discharge_power, self.least_soc, self.cycle_cost_per_kwh]
        needs_state = bool(self.taper) or self.discharge_power > 0
        if not all(map(math.isfinite, numbers)):
            return ["every number must be finite"]
        rules = (
            (self.min_power >= 0, f"minimum power {self.min_power} is negative"),
            (self.min_power <= self.max_power, f"minimum power {self.min_power} is above maximum {self.max_power}"),
            (self.departure_time > self.arrival_time, f"departure {self.departure_time} is not after its arrival"),
            (self.energy >= 0, f"energy {self.energy} is negative"),
            (self.voltage > 0, f"voltage {self.voltage} V must be above zero"),
            (self.phases in (1, 2, 3), f"{self.phases} phases are not 1, 2 or 3"),
            (
                set(self.phase_map) <= set("123") and self.phase_map,
                f"phase map {self.phase_map!r} is not made of 1, 2, 3",
            ),
            (self.free_power >= 0, f"fallback {self.free_power} kW is negative"),
            (0 < self.efficiency <= 1, f"efficiency {self.efficiency} is not in (0, 1]"),
            (
                0 <= (self.minimum_energy or 0.0) <= self.energy + 1e-9,
                f"minimum energy {self.minimum_energy} is not between 0 and the {self.energy} asked for",
            ),
            (
                self.arrival_latest is None or self.arrival_latest >= self.arrival_time,
                f"latest arrival {self.arrival_latest} is before the expected one",
            ),
            (min(self.departure_margin, self.min_on, self.min_off) >= timedelta(0), "a duration is negative"),
            (self.discharge_power >= 0, f"discharge power {self.discharge_power} is negative"),
            (0 <= self.least_soc <= 100, f"least state of charge {self.least_soc} % is not between 0 and 100"),
            (self.cycle_cost_per_kwh >= 0, f"cycle cost {self.cycle_cost_per_kwh} is negative"),
            (self.soc is None or 0 <= self.soc <= 100, f"state of charge {self.soc} % is not between 0 and 100"),
            (self.battery_kwh is None or self.battery_kwh > 0, f"battery {self.battery_kwh} kWh must be above zero"),
            (
                not needs_state or (self.soc is not None and self.battery_kwh is not None),
                "taper and giving back need its state of charge and battery size",
            ),
            (
                _is_rising(self.taper),
                f"taper {self.taper} is not made of (SoC %, kW) with rising SoC",
            ),
            (self.hold in ("", "fault", "override"), f"hold {self.hold!r} is not fault or override"),
        )
        return [sentence for fulfilled, sentence in rules if not fulfilled]

    def __eq__(self, other: object) -> bool:
        return self.ev_id == other.ev_id if isinstance(other, EV) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.ev_id)

    @property
    def kw_per_unit(self) -> float:
        """kW that one native unit of power stands for (1 for W; volts x phases / 1000 for A per phase)."""
        return 1.0 if self.unit is ChargingRateUnit.W else self.voltage * self.phases / 1000.0

    @property
    def power_kw(self) -> FloatArray:
        """The plan in kW, whatever the native unit, shape (steps,)."""
        # An algorithm may have filled it with a plain list.
        result: FloatArray = np.asarray(self.power, dtype=np.float64) * self.kw_per_unit
        return result

    def grid(self, now: datetime | None = None) -> Horizon:
        """The vehicle's horizon, begun at `now` if that is given."""
        if now is None and self.horizon is None:
            raise ValueError(f"Vehicle {self.ev_id} has no horizon yet: pass `now` or calculate a plan.")
        if now is None or (self.horizon is not None and require_aware(now, "Now") == self.horizon.start):
            assert self.horizon is not None
            return self.horizon
        if self.horizon is not None:
            return Horizon(now, self.horizon.resolution, len(self.power) or self.horizon.steps)
        return Horizon(now, steps=len(self.power) or DEFAULT_STEPS)

    def arrival_index(self, now: datetime | None = None, horizon: Horizon | None = None) -> int:
        """First usable step: an active vehicle starts now, a future one at the first border after its arrival.

        The clock of a charger may be ahead: an active vehicle counts as there up to one resolution before its arrival.
        """
        grid = horizon or self.grid(now)
        if self.active and self.arrival_time < grid.start + grid.resolution:
            return 0
        return grid.first_step_at_or_after(self.arrival_time)

    def departure_index(self, now: datetime | None = None, horizon: Horizon | None = None) -> int:
        """First unusable step, at most the number of steps."""
        return (horizon or self.grid(now)).last_border_at_or_before(self.departure_time)

    def energy_charged(self) -> float:
        """Energy of the plan at the meter, kWh or Ah."""
        if len(self.power) == 0:
            return 0.0
        return float(np.asarray(self.power, dtype=np.float64) @ self.grid().hours)

    def charging_profile(self, now: datetime, unit: ChargingRateUnit | None = None) -> dict[str, Any]:
        """The plan as OCPP 1.6 csChargingProfiles: whole seconds, limits rounded down to 0.1, at most `max_periods`."""
        horizon = self.grid(now)
        periods = periods_of(self.power_kw, horizon, **self._wire(unit), max_periods=self.max_periods)
        return self._profile(horizon.start, unit, [(period.start_s, period.limit) for period in periods])

    def current_charging_profile(self, now: datetime, unit: ChargingRateUnit | None = None) -> dict[str, Any]:
        """Only the step that holds now, as one period."""
        kw = float(self.power_kw[0]) if len(self.power) else 0.0
        return self._profile(self.grid(now).start, unit, [(0, to_wire(kw, **self._wire(unit)))])

    def _wire(self, unit: ChargingRateUnit | None) -> dict[str, Any]:
        return {"unit": unit or self.unit, "voltage": self.voltage, "phases": self.phases}

    def _profile(
        self, start: datetime, unit: ChargingRateUnit | None, periods: list[tuple[int, float]]
    ) -> dict[str, Any]:
        return {
            "chargingProfileId": CHARGING_PROFILE_ID,
            "stackLevel": CHARGING_PROFILE_STACK_LEVEL,
            "chargingProfilePurpose": CHARGING_PROFILE_PURPOSE,
            "chargingProfileKind": CHARGING_PROFILE_KIND,
            "chargingSchedule": {
                "startSchedule": start.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "chargingRateUnit": (unit or self.unit).value,
                "chargingSchedulePeriod": [
                    {"startPeriod": start_s, "limit": limit, "numberPhases": self.phases} for start_s, limit in periods
                ],
            },
        }
