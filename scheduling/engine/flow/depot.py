"""A network as the compiled code reads it, and runs of that code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scheduling.engine.arrays import POWER_TOLERANCE_KW, BoolArray, FloatArray, IntArray
from scheduling.engine.network import QUANTA_PER_KWH, Network, quanta_of

if TYPE_CHECKING:
    from scheduling.engine.flow.kernel import Flow, Graph

_LEAST_KW = 1e-6
_STRICTLY = 1000.0
"""Weight of the laxity before the run against all that changes in it."""


@dataclass(frozen=True, eq=False)
class Order:
    """Entries to fill one after the other: a step, at a price, from one total at the top to another; cheapest first."""

    step: IntArray  # (n_entries,)
    price: FloatArray  # (n_entries,) per kWh
    floor: IntArray  # (n_entries,) quanta
    ceiling: IntArray  # (n_entries,) quanta

    @staticmethod
    def by_price(network: Network) -> Order:
        """Cheapest steps first, then early ones. A soft limit makes each step come twice: below it and above."""
        problem, top = network.problem, network.room[0]
        step, price, floor, ceiling = np.arange(len(top)), problem.steering_price, np.zeros_like(top), top
        for node, _ in problem.soft_nodes:
            assert node.soft_limit_kw is not None
            soft = np.minimum(quanta_of(node.soft_limit_kw - node.reserved_kw, problem.hours), top)
            step = np.concatenate([step, step])
            price = np.concatenate([price, price + node.soft_price_per_kwh])
            floor, ceiling = np.concatenate([floor, soft]), np.concatenate([soft, top])
        by_price = np.lexsort((step, price))
        return Order(step[by_price], price[by_price], floor[by_price], ceiling[by_price])

    @staticmethod
    def by_time(network: Network) -> Order:
        """Early steps first, at no price: for the question what can be served at all."""
        top = network.room[0]
        return Order(np.arange(len(top)), np.zeros(len(top)), np.zeros_like(top), top)

    def under(self, cap: IntArray) -> Order:
        """The same below a lower total per step, quanta, shape (steps,)."""
        ceiling = np.minimum(self.ceiling, cap[self.step])
        return Order(self.step, self.price, np.minimum(self.floor, ceiling), ceiling)

    def cost(self, load: IntArray) -> float:
        """Money for a load of the top, quanta, shape (steps,)."""
        placed = np.clip(load[self.step], self.floor, self.ceiling) - self.floor
        return float(self.price @ (placed / QUANTA_PER_KWH))


@dataclass(frozen=True, eq=False)
class Filled:
    """A flow, and at which entry of its order every step was closed: when more room in it could help no more."""

    flow: Flow
    closed_at: IntArray  # (steps,) entry, -1 for a step whose room was wanted until the end
    contested: BoolArray  # (n,) if something is left: vehicles that compete for what is short, all others are served
    last_entry: int
    """The entry at which everything had its place, or the number of entries if something is left."""

    @property
    def missing(self) -> int:
        """Need without a place, quanta."""
        return int(self.flow.rest.sum())


class DepotFlow:
    """One network, prepared for any number of runs."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._graph = _graph_of(network)

    def fill(self, rest: IntArray, order: Order, onto: Flow | None = None) -> Filled:
        """Place `rest`, quanta, shape (n,), in this order; onto what another run has placed, which is changed.

        Where a step is scarce the vehicle with the least laxity goes first.
        """
        return self._run(self._graph, rest, order, onto)

    def fill_strictly(self, rest: IntArray, order: Order, onto: Flow) -> Filled:
        """The same for rests that do not all fit: who has the least laxity now stays first to the end.

        Else the laxities of all would meet on the way, and all would miss a part. What has direct room goes first, so
        that few searches are left.
        """
        laxity = self.network.problem.laxity_hours[self.network.ev]
        graph = self._graph._replace(head_start=-_STRICTLY * laxity)
        direct = self._run(graph, rest, order, onto, reroutes=False)
        return self._run(graph, direct.flow.rest, order, direct.flow)

    def _run(self, graph: Graph, rest: IntArray, order: Order, onto: Flow | None, *, reroutes: bool = True) -> Filled:
        from scheduling.engine.flow import kernel

        network = self.network
        flow = onto or kernel.Flow(
            rest=rest,
            counted=np.zeros(len(network.most), np.int64),
            passed=np.zeros(len(network.free), np.int64),
            load=np.zeros(network.room.shape, np.int64),
        )
        flow = flow._replace(rest=rest.copy())
        closed_at = np.full(network.room.shape[1], -1)
        contested = np.ones(len(rest), np.bool_)
        last = kernel.fill(graph, flow, network.room, order.step, order.ceiling, reroutes, closed_at, contested)
        return Filled(flow, closed_at, contested, last)

    def take_back(self, flow: Flow, members: BoolArray) -> None:
        """Remove all that these vehicles, shape (n,), have in the flow."""
        network = self.network
        arcs = np.flatnonzero(members[network.arc_ev])
        step, node, energy = network.arc_step[arcs], network.leaf[network.arc_ev[arcs]], flow.counted[arcs]
        while len(node):
            np.subtract.at(flow.load, (node, step), energy)
            node = network.parent[node]
            step, node, energy = step[node >= 0], node[node >= 0], energy[node >= 0]
        flow.counted[arcs] = 0
        if len(flow.passed):
            np.subtract.at(flow.load[0], network.arc_step[arcs], flow.passed[arcs])
            flow.passed[arcs] = 0


def _graph_of(network: Network) -> Graph:
    from scheduling.engine.flow.kernel import Graph

    nodes, n = len(network.parent), len(network.ev)
    children = np.argsort(network.parent, kind="stable")[1:]
    hanging = np.bincount(network.leaf, minlength=nodes)
    word_at = np.concatenate([[0], np.cumsum((hanging + 63) // 64)])
    first_of_node = np.cumsum(hanging) - hanging
    place = np.arange(n) - first_of_node[network.leaf] + 64 * word_at[network.leaf]
    vehicle = np.zeros(64 * word_at[-1], np.int64)
    vehicle[place] = np.arange(n)
    return Graph(
        leaf=network.leaf,
        first=network.first,
        start=network.start,
        most=network.most,
        free=network.free,
        parent=network.parent,
        child_at=np.searchsorted(network.parent[children], np.arange(nodes + 1)),
        child=children,
        word_at=word_at,
        place=place,
        vehicle=vehicle,
        hours_per_quantum=_hours_per_quantum(network),
        head_start=np.zeros(n),
        scarcity=_scarcity(network),
        in_force=_in_force(network),
    )


def _hours_per_quantum(network: Network) -> FloatArray:
    """Time at full power that a quantum takes, h, shape (n,)."""
    result: FloatArray = 1.0 / (np.maximum(network.problem.max_power[network.ev], _LEAST_KW) * QUANTA_PER_KWH)
    return result


def _scarcity(network: Network) -> FloatArray:
    """Hours per step, fewer where the crowd is larger than the top: a vehicle will get a part of them only."""
    hours = network.problem.hours
    crowd = np.bincount(network.arc_step, weights=network.whole, minlength=len(hours))
    served: FloatArray = np.sqrt(np.minimum(network.room[0] / np.maximum(crowd, 1.0), 1.0))
    return hours * served


def _in_force(network: Network) -> BoolArray:
    """Arcs that the plan in force uses, shape (n_arcs,); empty if there is none."""
    problem, steps = network.problem, network.problem.horizon.steps
    promised = {row: ev.in_force for row, ev in enumerate(problem.evs) if ev.in_force is not None}
    if not promised:
        return np.zeros(0, np.bool_)
    on = np.zeros(problem.shape, np.bool_)
    for row, power in promised.items():
        if len(power) == steps:
            on[row] = power > POWER_TOLERANCE_KW
    return on[network.ev[network.arc_ev], network.arc_step]
