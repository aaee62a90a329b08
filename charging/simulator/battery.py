"""Vehicles: a constant-current / constant-voltage battery behind an on-board charger. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

TAPER_FROM_SOC = 0.8
EFFICIENCY = 0.92
FULL_SOC = 1.0 - 1e-6
SUBSTEP_S = 10.0


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle as its charger feels it. `max_power_kw` is taken from the grid, `soc` is 0 to 1."""

    id_tag: str
    battery_kwh: float
    soc: float
    max_power_kw: float
    phases: int = 3
    min_current_a: float = 6.0
    efficiency: float = EFFICIENCY
    energy_wanted_kwh: float | None = None
    energy_taken_kwh: float = 0.0

    @property
    def full(self) -> bool:
        """Nothing more is accepted: the battery is full or has what its driver wanted."""
        return self.soc >= FULL_SOC or (
            self.energy_wanted_kwh is not None and self.energy_taken_kwh >= self.energy_wanted_kwh - 1e-9
        )

    @property
    def room_kwh(self) -> float:
        """Energy from the grid until the vehicle stops by itself, kWh."""
        room = (1.0 - self.soc) * self.battery_kwh / self.efficiency
        if self.energy_wanted_kwh is None:
            return max(0.0, room)
        return max(0.0, min(room, self.energy_wanted_kwh - self.energy_taken_kwh))


def taper(soc: float) -> float:
    """Share of the maximum power the battery accepts: 1 up to 80 % SoC, then linear to 0 at 100 %."""
    return min(1.0, max(0.0, (1.0 - soc) / (1.0 - TAPER_FROM_SOC)))


def accepted_current_a(vehicle: Vehicle, *, voltage_v: float, phases: int) -> float:
    """Current per phase the vehicle would draw without any limit, A; never below its minimum while not full."""
    if vehicle.full:
        return 0.0
    full_power_a = vehicle.max_power_kw * 1000.0 / (voltage_v * phases)
    return max(full_power_a * taper(vehicle.soc), min(vehicle.min_current_a, full_power_a))


def drawn_current_a(vehicle: Vehicle, offered_a: float, *, voltage_v: float, phases: int) -> float:
    """Current per phase under an offer, A. Below its minimum current a vehicle draws nothing (IEC 61851-1: 6 A)."""
    if offered_a + 1e-9 < vehicle.min_current_a:
        return 0.0
    return min(offered_a, accepted_current_a(vehicle, voltage_v=voltage_v, phases=phases))


def charged(vehicle: Vehicle, grid_kwh: float) -> Vehicle:
    """The vehicle after taking `grid_kwh` from the grid."""
    soc = min(1.0, vehicle.soc + grid_kwh * vehicle.efficiency / vehicle.battery_kwh)
    return replace(vehicle, soc=soc, energy_taken_kwh=vehicle.energy_taken_kwh + grid_kwh)
