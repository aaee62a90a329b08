"""Who goes short when not everything can be served: the most served energy, class by class."""

from __future__ import annotations

import numpy as np

from scheduling.engine.arrays import BoolArray, IntArray
from scheduling.engine.flow.depot import DepotFlow, Filled, Order
from scheduling.engine.network import Network, kwh_in_quanta

_EFFICIENCY_DIGITS = 2


def unmet_by_class(depot: DepotFlow, filled: Filled) -> IntArray:
    """Unmet need of every vehicle, quanta, shape (n,), when each class gets the most that those above it leave.

    Sets of needs that can be served are a matroid's independent sets, so a class that is placed onto the flow of those
    above takes nothing from them, and the most by classes is the most of all. Hence vehicles that do not compete for
    what is short in `filled` are served in any case: only the others are taken out and placed anew, class by class.
    """
    network, flow = depot.network, filled.flow
    depot.take_back(flow, filled.contested)
    need = np.where(filled.contested, network.need, 0)
    minimum = np.minimum(kwh_in_quanta(network.problem.minimum_kwh[network.ev]), need)
    unmet, order = np.zeros_like(need), Order.by_time(network)
    for part in (minimum, need - minimum):
        for members in _classes(network, part):
            unmet += depot.fill_strictly(np.where(members, part, 0), order, flow).flow.rest
    return unmet


def _classes(network: Network, part: IntArray) -> list[BoolArray]:
    """Vehicles with the part, first the important, then the efficient; last in each class who is short in any case.

    Inside a class nobody's order changes what is served in all, but who cannot be ready anyway should not take the
    energy that makes another one ready.
    """
    problem, ev = network.problem, network.ev
    keys = np.column_stack([
        -problem.priority[ev],
        -np.round(problem.efficiency[ev], _EFFICIENCY_DIGITS),
        part > _deliverable(network),
    ])  # fmt: skip
    wanting = part > 0
    classes = np.unique(keys[wanting], axis=0)
    return [wanting & (keys == key).all(axis=1) for key in classes]


def _deliverable(network: Network) -> IntArray:
    """What every vehicle could take if it were alone, quanta, shape (n,)."""
    result: IntArray = np.add.reduceat(network.whole, network.start[:-1])
    return result
