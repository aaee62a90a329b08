"""What a plan could not deliver, why, and what would help."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from scheduling.engine.arrays import ENERGY_TOLERANCE_KWH, FloatArray
from scheduling.engine.problem import Problem
from scheduling.engine.programme import most_energy
from scheduling.engine.remedies import LowerTarget, MorePower, Remedy, Situation
from scheduling.engine.wording import Clock, place_in_words, utc_clock

ShortfallReason = Literal["power", "time", "limit", "charger"]
_LONG_STAY_H = 6.0
_OFFERED = 4


@dataclass(frozen=True, eq=False)
class Shortfall:
    """Energy a vehicle will miss at its departure, kWh at the meter, and what would remove it."""

    ev_id: int | str
    kwh: float
    battery_kwh: float
    reason: ShortfallReason
    row: int = field(repr=False)
    situation: Situation = field(repr=False)

    @cached_property
    def remedies(self) -> tuple[Remedy, ...]:
        """All that would remove it, each alone; `MorePower` at several nodes belongs together."""
        return self.situation.remedies(self.row, self.kwh)

    @property
    def remedy(self) -> str:
        """The cause and up to four remedies as a sentence, times in UTC."""
        return self.sentence()

    def sentence(self, clock: Clock = utc_clock) -> str:
        """The cause and up to four remedies; `clock` words instants."""
        rest = self._rest_below_the_minimum()
        if rest:
            return rest
        return f"{self._cause()}: {_joined([remedy.words(clock) for remedy in self._offered()])}."

    def _offered(self) -> list[Remedy]:
        """What fits the cause first; giving up energy is the last resort and always possible."""
        more_power = [remedy for remedy in self.remedies if isinstance(remedy, MorePower)]
        others = [remedy for remedy in self.remedies if not isinstance(remedy, MorePower | LowerTarget)]
        resort = [remedy for remedy in self.remedies if isinstance(remedy, LowerTarget)]
        room = max(_OFFERED - len(more_power) - len(resort), 1)
        return [*more_power, *others[:room], *resort]

    def _cause(self) -> str:
        problem, row = self.situation.problem, self.row
        stay = float(problem.hours[problem.present[row]].sum())
        if self.reason == "charger":
            return {
                "fault": "The charger has a fault, repair it",
                "override": "An operator has taken it over, hand it back",
                "": "The connector gives no power, repair it or use another one",
            }[problem.evs[row].hold]
        if self.reason == "power":
            return f"At {problem.max_power[row]:.1f} kW a stay of {stay:.1f} h is too little"
        if self.reason == "time":
            return f"The stay of {stay:.1f} h is too short"
        full = self.situation.tightest(row)
        return f"The {place_in_words(*full)} is full during the stay" if full else "The power tree leaves too little"

    def _rest_below_the_minimum(self) -> str:
        """A rest that no step can hold at the minimum power, without any remedy but a lower target."""
        problem = self.situation.problem
        least = float(problem.min_power[self.row])
        if self.reason != "limit" or self.kwh >= least * float(problem.hours.max()) or len(self.remedies) > 1:
            return ""
        return (
            f"The rest of {self.kwh:.2f} kWh is less than a step at the minimum of {least:.1f} kW leaves room for: "
            "a later run will serve it, or raise the limit."
        )


def shortfalls_of(problem: Problem, power: FloatArray) -> tuple[Shortfall, ...]:
    """One entry per vehicle that misses more than 0.01 kWh, in their order; deferred ones are left out.

    Remedies are looked for when they are read, about a millisecond each.
    """
    missing = _missing_kwh(problem, power)
    short = np.flatnonzero(missing > ENERGY_TOLERANCE_KWH)
    if not short.size:
        return ()
    missing = missing - _deliverable_after_the_horizon(problem)
    deferred, situation = set(deferred_of(problem)), Situation(problem, power)
    return tuple(
        Shortfall(
            problem.evs[i].ev_id,
            float(missing[i]),
            float(missing[i] * problem.efficiency[i]),
            _reason(problem, i),
            i,
            situation,
        )
        for i in short.tolist()
        if missing[i] > ENERGY_TOLERANCE_KWH and problem.evs[i].ev_id not in deferred
    )


def deferred_of(problem: Problem) -> tuple[int | str, ...]:
    """Vehicles that arrive after the horizon: a later run plans them."""
    steps, end = problem.horizon.steps, problem.horizon.end
    beyond = zip(problem.evs, (problem.first_step >= steps).tolist(), strict=True)
    return tuple(ev.ev_id for ev, never_here in beyond if never_here and ev.arrival_time >= end)


def _missing_kwh(problem: Problem, power: FloatArray) -> FloatArray:
    """Need that the plan leaves, kWh at the meter; what a vehicle gives back it must take again, with the losses."""
    missing = problem.need_kwh - problem.energy(power)
    giving = np.flatnonzero(problem.discharge_power > 0)
    if giving.size:
        given = np.maximum(-power[giving], 0.0) @ problem.hours
        missing[giving] += given * (1.0 / problem.efficiency[giving] ** 2 - 1.0)
    return missing


def _deliverable_after_the_horizon(problem: Problem) -> FloatArray:
    end = problem.horizon.end
    hours = np.array([max((ev.departure_time - end).total_seconds() / 3600.0, 0.0) for ev in problem.evs])
    return hours * problem.max_power


def _reason(problem: Problem, i: int) -> ShortfallReason:
    if problem.held[i] or problem.max_power[i] <= 0:
        return "charger"
    ev, stay = problem.evs[i], float(problem.hours[problem.present[i]].sum())
    deliverable = float(problem.deliverable_kwh[i])
    if ev.taper:
        deliverable = min(deliverable, float(most_energy(ev, ev.soc or 0.0, stay)))
    if problem.need_kwh[i] <= deliverable + ENERGY_TOLERANCE_KWH:
        return "limit"
    return "power" if stay >= _LONG_STAY_H else "time"


def _joined(options: list[str]) -> str:
    return options[0] if len(options) == 1 else f"{', '.join(options[:-1])}, or {options[-1]}"
