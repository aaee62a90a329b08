"""The planning problem as arrays: what an algorithm sees, in kW, kWh and steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from scheduling.engine.arrays import BoolArray, FloatArray, IntArray
from scheduling.engine.ev import EV
from scheduling.engine.headroom import Headroom
from scheduling.engine.horizon import Horizon
from scheduling.engine.money import Money, money_of
from scheduling.engine.site import Dispatch, Site
from scheduling.engine.tree import Node, PowerTree, Rows


@dataclass(frozen=True, eq=False)
class Problem:
    """Vehicles, time grid, limits and prices of one run. Arrays are (n_ev,), (steps,) or (n_ev, steps)."""

    evs: tuple[EV, ...]
    horizon: Horizon
    tree: PowerTree
    price_per_kwh: FloatArray  # (steps,)
    first_step: IntArray  # (n_ev,) first usable step
    last_step: IntArray  # (n_ev,) first step after the usable ones
    min_power: FloatArray  # (n_ev,) kW
    max_power: FloatArray  # (n_ev,) kW
    need_kwh: FloatArray  # (n_ev,) at the meter
    priority: IntArray  # (n_ev,) higher is more important
    free_power: FloatArray  # (n_ev,) kW that no node counts
    efficiency: FloatArray  # (n_ev,) kWh in the battery per kWh at the meter
    minimum_kwh: FloatArray  # (n_ev,) at the meter: the part of the need that comes before anyone's desired rest
    discharge_power: FloatArray  # (n_ev,) kW it may give back
    cycle_cost_per_kwh: FloatArray  # (n_ev,) money per kWh given back
    site: Site = field(default_factory=Site)
    top_power: FloatArray | None = None  # (n_ev, steps) kW: a lower maximum per step, such as of a taper; None: none

    @staticmethod
    def of(
        evs: Sequence[EV],
        horizon: Horizon,
        tree: PowerTree,
        price_per_kwh: Sequence[float] | FloatArray | None = None,
        site: Site | None = None,
    ) -> Problem:
        """Build the problem; ValueError if vehicles, load groups, limits and prices do not fit together."""
        _refuse_duplicates(evs)
        tree.refuse_misfits(evs, horizon.steps)
        (site or Site()).refuse_misfits(horizon.steps)
        price = np.zeros(horizon.steps) if price_per_kwh is None else np.asarray(price_per_kwh, dtype=np.float64)
        if price.shape != (horizon.steps,):
            raise ValueError(f"{price.size} prices do not fit a horizon of {horizon.steps} steps.")
        if not np.isfinite(price).all():
            raise ValueError("A price is not a finite number.")
        kw = np.array([ev.kw_per_unit for ev in evs], dtype=np.float64)
        efficiency = np.array([ev.efficiency for ev in evs], dtype=np.float64)
        energy = np.array([ev.energy for ev in evs], dtype=np.float64)
        minimum = [ev.energy if ev.minimum_energy is None else ev.minimum_energy for ev in evs]
        return Problem(
            evs=tuple(evs),
            horizon=horizon,
            tree=tree,
            price_per_kwh=price,
            first_step=np.array([ev.arrival_index(horizon=horizon) for ev in evs], dtype=np.int64),
            last_step=np.array([ev.departure_index(horizon=horizon) for ev in evs], dtype=np.int64),
            min_power=kw * np.array([ev.min_power for ev in evs], dtype=np.float64),
            max_power=kw * np.array([ev.max_power for ev in evs], dtype=np.float64),
            need_kwh=kw * energy / efficiency,
            priority=np.array([ev.priority for ev in evs], dtype=np.int64),
            free_power=np.array([ev.free_power for ev in evs], dtype=np.float64),
            efficiency=efficiency,
            minimum_kwh=kw * np.array(minimum, dtype=np.float64) / efficiency,
            discharge_power=np.array([ev.discharge_power for ev in evs], dtype=np.float64),
            cycle_cost_per_kwh=np.array([ev.cycle_cost_per_kwh for ev in evs], dtype=np.float64),
            site=site or Site(),
        )

    def rearranged(self, order: IntArray) -> Problem:
        """The same problem with vehicle `order[k]` in row k."""
        return replace(
            self,
            evs=tuple(self.evs[k] for k in order),
            first_step=self.first_step[order],
            last_step=self.last_step[order],
            min_power=self.min_power[order],
            max_power=self.max_power[order],
            need_kwh=self.need_kwh[order],
            priority=self.priority[order],
            free_power=self.free_power[order],
            efficiency=self.efficiency[order],
            minimum_kwh=self.minimum_kwh[order],
            discharge_power=self.discharge_power[order],
            cycle_cost_per_kwh=self.cycle_cost_per_kwh[order],
            top_power=None if self.top_power is None else self.top_power[order],
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(n_ev, steps)."""
        return len(self.evs), self.horizon.steps

    @property
    def hours(self) -> FloatArray:
        """Length of each step, h, shape (steps,)."""
        return self.horizon.hours

    @property
    def departure_step(self) -> IntArray:
        """Another name of `last_step`, as algorithms speak."""
        return self.last_step

    def zeros(self) -> FloatArray:
        """A plan in which nobody charges, kW, shape (n_ev, steps)."""
        return np.zeros(self.shape)

    @cached_property
    def present(self) -> BoolArray:
        """Where a vehicle may charge, shape (n_ev, steps)."""
        step = np.arange(self.horizon.steps)
        result: BoolArray = (step >= self.first_step[:, None]) & (step < self.last_step[:, None])
        return result & ~self.held[:, None]

    @cached_property
    def held(self) -> BoolArray:
        """Vehicles that are not to be planned (fault, override), shape (n_ev,)."""
        return np.array([bool(ev.hold) for ev in self.evs], dtype=np.bool_)

    @cached_property
    def steering_price(self) -> FloatArray:
        """Money per kWh with the weight of emissions, what planners minimise, shape (steps,)."""
        if self.site.co2_kg_per_kwh is None:
            return self.price_per_kwh
        return self.price_per_kwh + self.site.co2_price_per_kg * self.site.co2_kg_per_kwh

    @cached_property
    def soft_nodes(self) -> list[tuple[Node, IntArray]]:
        """Nodes with a soft limit that costs, and the rows of the vehicles below."""
        priced = [k for k, n in enumerate(self.tree.nodes) if n.soft_limit_kw is not None and n.soft_price_per_kwh > 0]
        if not priced:
            return []
        below = self.tree.membership(self.evs)
        return [(self.tree.nodes[k], np.flatnonzero(below[k])) for k in priced]

    @cached_property
    def most_power(self) -> FloatArray:
        """Maximum of each vehicle in each step, 0 while it is away, kW, shape (n_ev, steps)."""
        top = self.max_power[:, None] if self.top_power is None else np.minimum(self.max_power[:, None], self.top_power)
        return np.where(self.present, top, 0.0)

    @cached_property
    def rows(self) -> Rows:
        """The tree's limits as linear rows."""
        return self.tree.rows(self)

    @cached_property
    def deliverable_kwh(self) -> FloatArray:
        """What each vehicle could take if it were alone and no limit held, kWh, shape (n_ev,)."""
        result: FloatArray = self.most_power @ self.hours
        return result

    @cached_property
    def laxity_hours(self) -> FloatArray:
        """Hours of its stay a vehicle can spare; negative if full power all the time is too little, shape (n_ev,)."""
        stay = (self.present * self.hours).sum(axis=1)
        never = np.full(len(self.evs), np.inf)
        charging = np.divide(self.need_kwh, self.max_power, out=never, where=self.max_power > 0)
        laxity: FloatArray = stay - charging
        return laxity

    def excess_power(self, power: FloatArray, rows: IntArray | None = None) -> FloatArray:
        """The part of each power (of the vehicles `rows`, by default all) that the nodes count, kW, same shape.

        What a vehicle gives back makes no room for others: it may stop at any moment.
        """
        free = self.free_power if rows is None else self.free_power[rows]
        excess: FloatArray = power - free[:, None]
        return np.maximum(excess, 0.0, out=excess)

    def energy(self, power: FloatArray) -> FloatArray:
        """Energy per vehicle at the meter, kWh, shape (n_ev,)."""
        result: FloatArray = power @ self.hours
        return result

    def served(self, power: FloatArray) -> FloatArray:
        """What stays in the battery, kWh as charged at the meter, shape (n_ev,).

        The energy, less what giving back took out of the battery: 1 kWh given costs 1 / efficiency kWh inside, which
        1 / efficiency^2 kWh at the meter put there.
        """
        if not self.discharge_power.any():
            return self.energy(power)
        given = np.maximum(-power, 0.0) @ self.hours
        served: FloatArray = np.maximum(power, 0.0) @ self.hours - given / self.efficiency**2
        return served

    def unmet(self, power: FloatArray) -> FloatArray:
        """Need that the plan leaves, kWh at the meter, shape (n_ev,)."""
        return np.maximum(self.need_kwh - self.served(power), 0.0)

    def cost(self, power: FloatArray) -> float:
        """Money for the energy of the vehicles alone, without sun and battery."""
        return float(power.sum(axis=0) @ (self.hours * self.price_per_kwh))

    def money(self, power: FloatArray, dispatch: Dispatch | None = None) -> Money:
        """Cost of the plan by component."""
        return money_of(self, power, dispatch)

    def headroom(self, power: FloatArray | None = None) -> Headroom:
        """What the tree still allows beside `power` (nothing, by default)."""
        return Headroom(self, self.zeros() if power is None else power)


def _refuse_duplicates(evs: Sequence[EV]) -> None:
    rows: dict[int | str, int] = {}
    for row, ev in enumerate(evs):
        if ev.ev_id in rows:
            raise ValueError(f"Vehicle id {ev.ev_id!r} comes twice, in rows {rows[ev.ev_id]} and {row}.")
        rows[ev.ev_id] = row
