"""One direction at a time where both at once would pay: a few binaries, only where the linear optimum cheats."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from scheduling.engine.arrays import BoolArray, FloatArray, IntArray
from scheduling.engine.programme.highs import Programme
from scheduling.engine.programme.matrix import Draft
from scheduling.engine.programme.model import Model

_EPS_KW = 1e-7


@dataclass(eq=False)
class Directions:
    """Steps of stores and of the meter that must choose a direction.

    The linear programme may burn energy by charging and giving at once where a price is negative, give what the vehicle
    has not got yet, or buy and sell at once where selling pays more. A binary per such step forbids it: 1 means giving,
    or buying.
    """

    model: Model
    stores: list[BoolArray] = field(init=False)
    meter: BoolArray = field(init=False)
    _binaries: list[IntArray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stores = [np.zeros(len(store.steps), dtype=np.bool_) for store in self.model.stores]
        self.meter = np.zeros(len(self.model.grid.steps), dtype=np.bool_)

    @property
    def binaries(self) -> IntArray:
        """Columns of the choices made so far."""
        return np.concatenate([np.zeros(0, dtype=np.int64), *self._binaries])

    def demand(self, programme: Programme, x: FloatArray) -> bool:
        """Ask for a choice wherever `x` cheats and had none yet; False if it is honest everywhere."""
        asked = False
        for k, store in enumerate(self.model.stores):
            new = store.dishonest(x) & ~self.stores[k]
            if new.any():
                self.stores[k] |= new
                self._choose_store(programme, k, np.flatnonzero(new))
                asked = True
        grid = self.model.grid
        new = (np.minimum(x[grid.bought], x[grid.sold]) > _EPS_KW) & self._selling_pays & ~self.meter
        if new.any():
            self.meter |= new
            self._choose_meter(programme, np.flatnonzero(new))
            asked = True
        return asked

    @property
    def _selling_pays(self) -> BoolArray:
        money, grid = self.model.money, self.model.grid
        result: BoolArray = money[grid.bought] + money[grid.sold] < 0
        return result

    def _choose_store(self, programme: Programme, k: int, at: IntArray) -> None:
        """charge + most x y <= most, discharge <= most x y, energy >= low + (least - low) x y."""
        store, count = self.model.stores[k], len(at)
        y = programme.add_binaries(count)
        low = min(store.least_kwh, store.start_kwh)
        rows = Draft()
        one_way, other_way = rows.rows(-np.inf, store.charge_kw[at]), rows.rows(-np.inf, np.zeros(count))
        number = np.full(len(store.steps), -1, dtype=np.int64)
        number[at] = one_way
        mine = number[store.charge_at] >= 0
        rows.enter(number[store.charge_at[mine]], store.charge[mine], 1.0)
        rows.enter(one_way, y, store.charge_kw[at])
        rows.enter(other_way, store.discharge[at], 1.0)
        rows.enter(other_way, y, -store.discharge_kw)
        floor = rows.rows(low, np.full(count, np.inf))
        rows.enter(floor, store.soe[at], 1.0)
        rows.enter(floor, y, low - store.least_kwh)
        programme.add_rows(rows)
        self._binaries.append(y)

    def _choose_meter(self, programme: Programme, at: IntArray) -> None:
        """bought <= most x y, sold + most x y <= most."""
        grid, count = self.model.grid, len(at)
        y = programme.add_binaries(count)
        rows = Draft()
        buying, selling = rows.rows(-np.inf, np.zeros(count)), rows.rows(-np.inf, grid.most_sold[at])
        rows.enter(buying, grid.bought[at], 1.0)
        rows.enter(buying, y, -grid.most_bought[at])
        rows.enter(selling, grid.sold[at], 1.0)
        rows.enter(selling, y, grid.most_sold[at])
        programme.add_rows(rows)
        self._binaries.append(y)

    def settle(self, programme: Programme, x: FloatArray) -> None:
        """Keep the meter to the directions of `x` where both at once would pay."""
        grid = self.model.grid
        buying = x[grid.bought] >= x[grid.sold]
        idle = np.where(buying, grid.sold, grid.bought)[self._selling_pays]
        programme.bound(idle, np.zeros(len(idle)), np.zeros(len(idle)))

    def rest(self, programme: Programme) -> None:
        """Without time to choose no store gives; what is bought and sold at once is netted by the meter anyway."""
        for store in self.model.stores:
            nothing = np.zeros(len(store.steps))
            programme.bound(store.discharge, nothing, nothing)
        chosen = np.zeros(len(self.binaries))
        programme.bound(self.binaries, chosen, chosen + 1.0)
