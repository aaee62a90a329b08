"""What would remove a shortfall: power at a node, time, another connector, or a lower target.

Every remedy stands alone (power at several nodes is one) and leaves all other vehicles what the plan gives them: with
it there is a plan in which nothing is missing. What a taper does not allow is not offered.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np

from scheduling.engine.arrays import ENERGY_TOLERANCE_KWH, FloatArray, IntArray
from scheduling.engine.problem import Problem
from scheduling.engine.programme import follow
from scheduling.engine.wording import Clock, duration_in_words, place_in_words

_EPS = 1e-9
_FINEST_KW = 1e-3
_FINEST_CONNECTOR_KW = 0.1
_PLACES_TRIED = 8


@dataclass(frozen=True)
class MorePower:
    """Room that a node lacks from `begin` to `end`, kW and, where it limits currents, A on each phase."""

    node: str
    is_root: bool
    begin: datetime
    end: datetime
    kw: float
    amps: float

    def words(self, clock: Clock) -> str:
        """As an advice."""
        place = place_in_words(self.node, self.is_root)
        return f"give {self.kw:.1f} kW more at {place} from {clock(self.begin)} to {clock(self.end)}"


@dataclass(frozen=True)
class LaterDeparture:
    """The departure by which the tree has room for the rest; after the horizon it is taken to have room."""

    departure: datetime
    minutes: int

    def words(self, clock: Clock) -> str:
        """As an advice."""
        return f"leave {duration_in_words(self.minutes)} later"


@dataclass(frozen=True)
class StrongerConnector:
    """The power that connector and vehicle would need."""

    kw: float

    def words(self, clock: Clock) -> str:
        """As an advice."""
        return f"use a charger of {self.kw:.1f} kW"


@dataclass(frozen=True)
class OtherConnector:
    """Nodes above other connectors, leaf first, with room during the stay; whether one is free is not looked at."""

    nodes: tuple[str, ...]
    is_root: bool

    def words(self, clock: Clock) -> str:
        """As an advice."""
        return f"move it to a bay at {place_in_words(self.nodes[0], self.is_root)}"


@dataclass(frozen=True)
class LowerTarget:
    """Energy to give up, kWh in the battery."""

    battery_kwh: float

    def words(self, clock: Clock) -> str:
        """As an advice."""
        return f"lower the target by {self.battery_kwh:.1f} kWh"


Remedy = MorePower | LaterDeparture | StrongerConnector | OtherConnector | LowerTarget


class Situation:
    """A plan (kW, shape (n_ev, steps)) and the room it leaves, in which a vehicle's remedies are looked for."""

    def __init__(self, problem: Problem, power: FloatArray) -> None:
        self.problem, self.power = problem, power
        self._known_places: dict[tuple[object, ...], tuple[list[tuple[str, ...]], list[int], FloatArray]] = {}

    @cached_property
    def _room(self) -> FloatArray:
        """What every row still carries, shape (n_rows, steps)."""
        rows = self.problem.rows
        room: FloatArray = rows.limits - rows.coefficients @ self.problem.excess_power(self.power)
        return room

    def remedies(self, ev: int, missing_kwh: float) -> tuple[Remedy, ...]:
        """All that would give the vehicle of row `ev` the `missing_kwh` (meter side), what costs others least first."""
        problem, vehicle = self.problem, self.problem.evs[ev]
        found: list[Remedy | None] = []
        if not vehicle.hold:
            found += self._more_power(ev, missing_kwh)
            found.append(self._later_departure(ev, missing_kwh))
            found.append(self._stronger_connector(ev, missing_kwh))
        found.append(self._other_connector(ev, missing_kwh))
        found.append(LowerTarget(missing_kwh * float(problem.efficiency[ev])))
        return tuple(remedy for remedy in found if remedy is not None)

    def tightest(self, ev: int) -> tuple[str, bool] | None:
        """Name of the node above the vehicle that is full in most steps of its stay, and whether it is a root."""
        rows = self.problem.rows
        above = self._above[ev]
        full = (self._room[above] < _FINEST_KW) & self.problem.present[ev]
        if not full.any():
            return None
        row = above[int(np.argmax(full.sum(axis=1)))]
        return rows.names[row], bool(rows.is_root[row])

    def _more_power(self, ev: int, missing_kwh: float) -> list[MorePower]:
        """The smallest raise of the limits, equal in all steps of the stay, cut to where it is used."""
        problem, rows = self.problem, self.problem.rows
        above = self._above[ev]
        room = self._room_beside(ev, above)
        stay = np.flatnonzero(problem.present[ev])
        ceiling, top = self._ceiling(ev, ev, above, room)[stay], problem.most_power[ev, stay]
        least = float(problem.min_power[ev])

        def reached(kw: float) -> FloatArray:
            return _usable(np.minimum(ceiling + kw, top), least)

        breaks = np.concatenate([[0.0], least - ceiling[top >= least], top - ceiling])
        kw = _smallest(reached, breaks, problem.hours[stay], self._needed(ev, missing_kwh))
        if kw is None or kw < _EPS:
            return []
        kw = float(np.ceil(kw / _FINEST_KW)) * _FINEST_KW
        if not self._is_taken(ev, stay, reached(kw), missing_kwh):
            return []
        counted = np.maximum(reached(kw) - problem.free_power[ev], 0.0)
        weight = rows.coefficients[above, ev][:, None]
        lacking = counted - room[:, stay] / weight
        return _by_node(problem, ev, [rows.names[r] for r in above], lacking, stay)

    def _later_departure(self, ev: int, missing_kwh: float) -> LaterDeparture | None:
        problem, vehicle = self.problem, self.problem.evs[ev]
        most = float(problem.max_power[ev])
        if most <= 0:
            return None
        begin = int(max(problem.first_step[ev], problem.last_step[ev]))
        ceiling = _usable(np.minimum(self._ceiling_of(ev, ev), most), float(problem.min_power[ev]))
        stays = self._followed(ev, np.concatenate([self.power[ev, :begin], ceiling[begin:]]))
        served = np.cumsum(stays[begin:] * problem.hours[begin:])
        step = begin + int(np.searchsorted(served, missing_kwh - ENERGY_TOLERANCE_KWH))
        if step < problem.horizon.steps:
            departure = problem.horizon.borders[step + 1]
        elif vehicle.taper:
            return None
        else:
            rest = missing_kwh - (float(served[-1]) if served.size else 0.0)
            departure = max(vehicle.departure_time, problem.horizon.end) + timedelta(hours=rest / most)
        minutes = (departure - vehicle.departure_time).total_seconds() / 60.0
        return LaterDeparture(departure, int(np.ceil(minutes - _EPS)))

    def _stronger_connector(self, ev: int, missing_kwh: float) -> StrongerConnector | None:
        problem = self.problem
        stay = np.flatnonzero(problem.present[ev])
        ceiling = _usable(self._ceiling_of(ev, ev)[stay], float(problem.min_power[ev]))

        def reached(kw: float) -> FloatArray:
            return np.minimum(ceiling, kw)

        kw = _smallest(reached, ceiling, problem.hours[stay], self._needed(ev, missing_kwh))
        if kw is None or kw <= problem.max_power[ev] + _EPS or problem.evs[ev].taper:
            return None  # a taper may be the car's own: a stronger charger is then no promise
        return StrongerConnector(float(np.ceil(kw / _FINEST_CONNECTOR_KW - _EPS) * _FINEST_CONNECTOR_KW))

    def _other_connector(self, ev: int, missing_kwh: float) -> OtherConnector | None:
        """A place with enough room; only places where a vehicle with the same wiring stands are compared."""
        problem = self.problem
        nodes, twins, ceilings = self._places(_wiring(problem, ev))
        stay = np.arange(problem.first_step[ev], problem.last_step[ev])
        most, hours = problem.max_power[ev], problem.hours[stay]
        promising = np.argsort(-(np.minimum(ceilings[:, stay], most) @ hours), kind="stable")[:_PLACES_TRIED]
        for place in promising.tolist():
            if not nodes[place] or nodes[place] == problem.evs[ev].nodes:
                continue
            ceiling = _usable(np.minimum(self._ceiling_of(ev, twins[place])[stay], most), float(problem.min_power[ev]))
            if self._is_taken(ev, stay, ceiling, missing_kwh):
                return OtherConnector(nodes[place], problem.tree.by_name[nodes[place][0]].parent is None)
        return None

    def _places(self, wiring: tuple[object, ...]) -> tuple[list[tuple[str, ...]], list[int], FloatArray]:
        """Nodes, a vehicle, and the power that is left per step, kW, at every place of vehicles with this wiring."""
        if wiring not in self._known_places:
            found: dict[tuple[str, ...], int] = {}
            for i, ev in enumerate(self.problem.evs):
                if _wiring(self.problem, i) == wiring:
                    found.setdefault(ev.nodes, i)
            twins = list(found.values())
            left = [self._ceiling(twin, twin, self._above[twin], self._room[self._above[twin]]) for twin in twins]
            self._known_places[wiring] = list(found), twins, np.maximum(np.array(left), 0.0)
        return self._known_places[wiring]

    def _is_taken(self, ev: int, stay: IntArray, kw: FloatArray, missing_kwh: float) -> bool:
        """Whether the vehicle gets all it needs from `kw` in the steps of its stay, its taper included."""
        offered = np.zeros(self.problem.horizon.steps)
        offered[stay] = kw
        return bool(self._followed(ev, offered) @ self.problem.hours >= self._needed(ev, missing_kwh) - _EPS)

    def _followed(self, ev: int, kw: FloatArray) -> FloatArray:
        """What the vehicle's battery takes of a power, kW, shape (steps,)."""
        if not self.problem.evs[ev].taper:
            return kw
        followed: FloatArray = follow(self.problem.rearranged(np.array([ev])), kw[None])[0]
        return followed

    def _needed(self, ev: int, missing_kwh: float) -> float:
        return float(self.power[ev] @ self.problem.hours) + missing_kwh

    def _room_beside(self, ev: int, above: IntArray) -> FloatArray:
        """What the rows `above` would carry without the vehicle, shape (n_above, steps)."""
        counted = np.maximum(self.power[ev] - self.problem.free_power[ev], 0.0)
        own = self.problem.rows.coefficients[above, ev][:, None]
        result: FloatArray = np.maximum(self._room[above] + own * counted, 0.0)
        return result

    def _ceiling_of(self, ev: int, place: int) -> FloatArray:
        """Most power that the tree leaves the vehicle beside all others where vehicle `place` stands, kW, (steps,)."""
        above = self._above[place]
        return self._ceiling(ev, place, above, self._room_beside(ev, above))

    @cached_property
    def _above(self) -> list[IntArray]:
        """Rows of the tree above every vehicle."""
        return [np.flatnonzero(column) for column in self.problem.rows.coefficients.T]

    def _ceiling(self, ev: int, place: int, rows: IntArray, room: FloatArray) -> FloatArray:
        """Most power that `rows` with `room` leave the vehicle at the place of vehicle `place`, kW, shape (steps,)."""
        problem = self.problem
        weight = problem.rows.coefficients[rows, place][:, None]
        result: FloatArray = problem.free_power[ev] + (room / weight).min(axis=0, initial=np.inf)
        return result


def _wiring(problem: Problem, ev: int) -> tuple[object, ...]:
    vehicle = problem.evs[ev]
    return vehicle.voltage, vehicle.phases, vehicle.phase_map[: vehicle.phases]


def _usable(kw: FloatArray, least: float) -> FloatArray:
    """Power that is zero or at least the minimum."""
    return np.where(kw < least - _EPS, 0.0, np.maximum(kw, 0.0))


def _smallest(
    reached: Callable[[float], FloatArray], breaks: FloatArray, hours: FloatArray, needed_kwh: float
) -> float | None:
    """The smallest kW with hours @ reached(kW) >= needed, None if there is none; between `breaks` the sum is linear."""
    if not hours.size:
        return None
    kinks = np.unique(np.maximum(np.append(breaks[np.isfinite(breaks)], 0.0), 0.0))
    # A minimum power makes the sum jump at a kink: a point just before it keeps the jump out of the straight part.
    before = np.maximum(kinks - 1e-7, 0.0)
    kinks = np.sort(np.concatenate([kinks, before, [kinks[-1] + needed_kwh / float(hours.min())]])).tolist()

    def kwh(kw: float) -> float:
        return float(reached(kw) @ hours)

    enough = bisect_left(kinks, needed_kwh - _EPS, key=kwh)
    if enough == len(kinks):
        return None
    if enough == 0:
        return float(kinks[0])
    low, high = kwh(kinks[enough - 1]), kwh(kinks[enough])
    share = (needed_kwh - low) / (high - low)
    return float(kinks[enough - 1] + min(share, 1.0) * (kinks[enough] - kinks[enough - 1]))


def _by_node(problem: Problem, ev: int, names: list[str], lacking: FloatArray, stay: IntArray) -> list[MorePower]:
    """Lacking kW per row and step of the stay as one raise per node."""
    vehicle, borders = problem.evs[ev], problem.horizon.borders
    found: list[MorePower] = []
    for name in dict.fromkeys(names):
        mine = lacking[[k for k, other in enumerate(names) if other == name]].max(axis=0)
        used = np.flatnonzero(mine > _EPS)
        if not used.size:
            continue
        node, kw = problem.tree.by_name[name], float(mine.max())
        amps = 0.0 if node.limit_a is None else kw * 1000.0 / (vehicle.voltage * vehicle.phases)
        begin, end = borders[stay[used[0]]], borders[stay[used[-1]] + 1]
        found.append(MorePower(name, node.parent is None, begin, end, kw, amps))
    return found
