"""A vehicle's power while an algorithm fills it step by step, as algorithms of the reference system do it."""

from __future__ import annotations

import math

from scheduling.engine.ev import EV

_EPS = 1e-9


class EVPower:
    """Fills `ev.power` in the vehicle's own unit (kW and kWh, or A and Ah) and counts what its need leaves.

    The vehicle belongs to an algorithm already, which has given it a horizon and a power of zero in every step.
    """

    def __init__(self, ev: EV) -> None:
        self.ev = ev
        self._hours = ev.grid().hours.tolist()
        self.energy_left: float = max(ev.energy / ev.efficiency - ev.energy_charged(), 0.0)

    def power(self, time: int, max_available: float = math.inf, ignore_energy: bool = False) -> float:
        """Power that may come on top in a step: up to maximum, need and `max_available`; 0 where that is too little."""
        ev, now = self.ev, float(self.ev.power[time])
        more = min(ev.max_power - now, max_available)
        if not ignore_energy:
            more = min(more, self.energy_left / self._hours[time])
        return more if more > 0 and now + more >= ev.min_power - _EPS else 0.0

    def accept_power(self, time: int, power: float, ignore_energy: bool = False) -> float:
        """Add as much of `power` as `self.power` allows; returns what was added."""
        taken = self.power(time, power, ignore_energy)
        self.ev.power[time] += taken
        self.energy_left = max(self.energy_left - taken * self._hours[time], 0.0)
        return taken

    def shift_power(self, time_from: int, time_to: int, power: float) -> None:
        """Move the energy that `power` brings in one step to another; steps of other lengths get another power."""
        self.ev.power[time_from] -= power
        self.ev.power[time_to] += power * self._hours[time_from] / self._hours[time_to]
