"""What one more kWh of room at a node in a step would be worth.

Exactly that node gets more room in exactly that step; everybody else's limit, and the peak that a demand charge is
paid for, stay. On a flow the answer is exact for a linear optimum: a chain of exchanges that ends in a dear step (or at
a vehicle that misses energy) brings a unit up to the full node, another takes it on to a cheap step. For a plan with
minimum powers it is the value in the linear problem at this plan. Where limits are no tree of equal weights, or
vehicles give back, only the exchange inside one vehicle is looked at: a lower bound. Room in A counts as a kW of the
vehicle with the most A per kW.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scheduling.engine.arrays import ENERGY_TOLERANCE_KWH, POWER_TOLERANCE_KW, BoolArray, FloatArray, IntArray
from scheduling.engine.binding import peaks_of, row_load
from scheduling.engine.money import net_load
from scheduling.engine.network import Network, not_a_flow
from scheduling.engine.problem import Problem
from scheduling.engine.site import Dispatch
from scheduling.engine.tree import PowerTree

Labels = NDArray[np.int32]
_EPS_KWH = 1e-5
_BATTERY_A_PER_KW = 1000.0 / (3 * 230.0)


@dataclass(frozen=True, eq=False)
class MarginalValues:
    """Per node of the tree and step."""

    nodes: tuple[str, ...]
    saved_per_kwh: FloatArray  # (n_nodes, steps) money; 0 where it would serve more, for serving comes before money
    serves_more: BoolArray  # (n_nodes, steps) whether it would serve energy that is missing, or more important energy


def marginal_values(problem: Problem, power: FloatArray, dispatch: Dispatch | None = None) -> MarginalValues:
    """The value of room at every node for a plan (kW, shape (n_ev, steps)); battery and sun stay as planned."""
    nodes = {node.name: k for k, node in enumerate(problem.tree.nodes)}
    saved = np.zeros((len(nodes), problem.horizon.steps))
    serves = np.zeros(saved.shape, dtype=np.bool_)
    if problem.evs:
        take, give = _prices(problem, power, dispatch)
        beside = _beside_the_meter(problem, dispatch)
        search = _exchanges if not not_a_flow(beside) else _single_exchanges
        for name, money, served in search(beside, power, take, give):
            np.maximum(saved[nodes[name]], money, out=saved[nodes[name]])
            serves[nodes[name]] |= served
        saved[serves] = 0.0
    return MarginalValues(tuple(nodes), saved, serves)


Found = list[tuple[str, FloatArray, BoolArray]]


def _beside_the_meter(problem: Problem, dispatch: Dispatch | None) -> Problem:
    """The problem of the vehicles alone: sun and peaks are in the prices, a charging battery is in the limits."""
    if problem.site.has_storage or problem.site.demand_charges:
        problem = replace(problem, site=replace(problem.site, battery=None, pv_kw=None, demand_charges=()))
    if dispatch is None or not (dispatch.battery_kw > 0).any():
        return problem
    taken = np.maximum(dispatch.battery_kw, 0.0)
    nodes = tuple(
        replace(
            node,
            limit_kw=None if node.limit_kw is None else node.limit_kw - taken,
            limit_a=None if node.limit_a is None else node.limit_a - taken * _BATTERY_A_PER_KW,
        )
        if node.parent is None
        else node
        for node in problem.tree.nodes
    )
    return replace(problem, tree=PowerTree(nodes))


def _prices(problem: Problem, power: FloatArray, dispatch: Dispatch | None) -> tuple[FloatArray, FloatArray]:
    """Money per kWh that one more costs and one less saves in each step, both (steps,); infinite: the peak is held."""
    site, load = problem.site, net_load(problem, power, dispatch)
    buy = problem.steering_price
    sell = np.zeros(load.shape) if site.export_price_per_kwh is None else site.export_price_per_kwh
    take = np.where(load < -POWER_TOLERANCE_KW, sell, buy)
    give = np.where(load > POWER_TOLERANCE_KW, buy, sell)
    for node, members in problem.soft_nodes:
        if node.parent is None and node.soft_limit_kw is not None:
            above = problem.excess_power(power[members], members).sum(axis=0) + node.reserved_kw - node.soft_limit_kw
            take = take + node.soft_price_per_kwh * (above > -POWER_TOLERANCE_KW)
            give = give + node.soft_price_per_kwh * (above > POWER_TOLERANCE_KW)
    for peak in peaks_of(problem, power, dispatch):
        take = np.where(peak.full, np.inf, take)
    return take, give


def _exchanges(problem: Problem, power: FloatArray, take: FloatArray, give: FloatArray) -> Found:
    """Values of all full rows by two searches through the exchanges that the plan still allows."""
    residual = _Residual.of(problem, power)
    rank = _classes(problem, residual.ev, residual.served)
    dearest, at_dear = np.unique(give, return_inverse=True)
    cheapest, at_cheap = np.unique(-np.where(np.isfinite(take), take, 0.0), return_inverse=True)
    n_classes = 1 + max(int(r.max(initial=-1)) for r in rank)
    missing = problem.need_kwh[residual.ev] - residual.served > ENERGY_TOLERANCE_KWH
    # Higher labels are better: to come from, dear steps and then missing energy, the most important last.
    sources = residual.spread(
        np.where(residual.top_load > _EPS_KWH, at_dear, -1),
        np.where(missing, len(dearest) + n_classes - 1 - rank[0], -1),
    )
    # To go to: energy that may be given up, the least important last, and then cheap steps.
    open_step = np.where(np.isfinite(take), n_classes + at_cheap, -1)
    sinks = residual.spread(
        np.where(residual.up[0], open_step, -1), np.where(residual.served > _EPS_KWH, rank[1], -1), backwards=True
    )
    found: Found = []
    for v in np.flatnonzero(residual.row >= 0):
        source, sink = sources[v], open_step if v == 0 else sinks[residual.parent[v]]
        usable = ~residual.up[v] & (source >= 0) & (sink >= 0)
        from_missing, to_step = source >= len(dearest), sink >= n_classes
        dear = dearest[np.clip(source, 0, len(dearest) - 1)]
        cheap = -cheapest[np.clip(sink - n_classes, 0, len(cheapest) - 1)]
        money = np.where(usable & ~from_missing & to_step, np.maximum(dear - cheap, 0.0), 0.0)
        serves = usable & from_missing & (to_step | (sink > len(dearest) + n_classes - 1 - source))
        found.append((problem.rows.names[residual.row[v]], money, serves))
    return found


def _classes(problem: Problem, ev: IntArray, served: FloatArray) -> tuple[IntArray, IntArray]:
    """Importance of the next kWh and of the last one of each vehicle, 0 first, as planners serve; both (n,)."""
    minimum = problem.minimum_kwh[ev]
    keys = [
        np.stack([desired, -problem.priority[ev], -np.round(problem.efficiency[ev], 9)], axis=1)
        for desired in (served > minimum - ENERGY_TOLERANCE_KWH, served > minimum + _EPS_KWH)
    ]
    _, rank = np.unique(np.concatenate(keys), axis=0, return_inverse=True)
    return rank[: len(ev)], rank[len(ev) :]


@dataclass(frozen=True, eq=False)
class _Residual:
    """Where a plan on a network can still change: a vehicle takes more or less in a step, a node carries more or less.

    A label at a vehicle or at (node, step) says how good the best end is that a unit there can come from (or go to).
    """

    ev: IntArray  # (n,) rows of the problem, sorted by node
    leaf: IntArray  # (n,)
    parent: IntArray  # (n_nodes,)
    row: IntArray  # (n_nodes,)
    takes: BoolArray  # (n, steps) above the fallback
    gives: BoolArray
    takes_free: BoolArray  # (n, steps) up to the fallback, which only the top sees; (0, 0) if nobody has one
    gives_free: BoolArray
    up: BoolArray  # (n_nodes, steps) whether the node has room
    down: BoolArray  # (n_nodes, steps) whether vehicles load it
    top_load: FloatArray  # (steps,) kWh, fallbacks included
    served: FloatArray  # (n,) kWh

    @staticmethod
    def of(problem: Problem, power: FloatArray) -> _Residual:
        network, hours = Network.of(problem), problem.hours
        ev, parent, row = network.ev, network.parent, network.row
        energy, most = power[ev] * hours, problem.most_power[ev] * hours
        fallback = np.minimum(problem.free_power[ev, None] * hours, most)
        counted = np.maximum(energy - fallback, 0.0)
        load = _node_load(network, counted)
        room = np.full(load.shape, np.inf)
        real = row >= 0
        room[real] = (problem.rows.limits - row_load(problem, power))[row[real]] * hours
        by_pass = fallback if (problem.free_power[ev] > 0).any() else np.zeros((0, 0))
        free = np.minimum(energy, fallback) if by_pass.size else by_pass
        return _Residual(
            ev=ev,
            leaf=network.leaf,
            parent=parent,
            row=row,
            takes=most - fallback - counted > _EPS_KWH,
            gives=counted > _EPS_KWH,
            takes_free=by_pass - free > _EPS_KWH,
            gives_free=free > _EPS_KWH,
            up=room > _EPS_KWH,
            down=load > _EPS_KWH,
            top_load=energy.sum(axis=0),
            served=energy.sum(axis=1),
        )

    def spread(self, of_step: IntArray, of_vehicle: IntArray, *, backwards: bool = False) -> Labels:
        """Best label that reaches each (node, step), from the top's steps and the vehicles; -1: none.

        Each round carries all labels through all vehicles once, up the tree and down again, until nothing improves.
        """
        into, out = (self.gives, self.takes) if backwards else (self.takes, self.gives)
        into_free, out_free = (self.gives_free, self.takes_free) if backwards else (self.takes_free, self.gives_free)
        rising, falling = (self.down, self.up) if backwards else (self.up, self.down)
        first = np.flatnonzero(np.diff(self.leaf, prepend=-1))
        at = np.full(self.up.shape, -1, dtype=np.int32)
        at[0] = of_step
        vehicle: Labels = of_vehicle.astype(np.int32)
        while True:
            if first.size:
                offered = np.maximum.reduceat(np.where(into, vehicle[:, None], -1), first, axis=0)
                at[self.leaf[first]] = np.maximum(at[self.leaf[first]], offered)
            if into_free.size:
                np.maximum(at[0], np.where(into_free, vehicle[:, None], -1).max(axis=0), out=at[0])
            self._rise_and_sink(at, rising, falling)
            reached = np.maximum(vehicle, np.where(out, at[self.leaf], -1).max(axis=1))
            if out_free.size:
                reached = np.maximum(reached, np.where(out_free, at[0], -1).max(axis=1))
            if np.array_equal(reached, vehicle):
                return at
            vehicle = reached

    def _rise_and_sink(self, at: Labels, rising: BoolArray, falling: BoolArray) -> None:
        """Carry labels up to the top and down again; nodes are numbered from the top."""
        for v in range(len(self.parent) - 1, 0, -1):
            above = at[self.parent[v]]
            np.maximum(above, np.where(rising[v], at[v], -1), out=above)
        for v in range(1, len(self.parent)):
            np.maximum(at[v], np.where(falling[v], at[self.parent[v]], -1), out=at[v])


def _node_load(network: Network, counted: FloatArray) -> FloatArray:
    """Energy through every node, kWh, shape (n_nodes, steps)."""
    load = np.zeros((len(network.parent), counted.shape[1]))
    np.add.at(load, network.leaf, counted)
    for v in range(len(network.parent) - 1, 0, -1):
        load[network.parent[v]] += load[v]
    return load


def _single_exchanges(problem: Problem, power: FloatArray, take: FloatArray, give: FloatArray) -> Found:
    """Values of all full rows from one vehicle taking the room and leaving its dearest step: a lower bound."""
    rows, hours = problem.rows, problem.hours
    full = (rows.limits - row_load(problem, power)) * hours <= _EPS_KWH
    below = rows.coefficients > 0
    missing = problem.unmet(power) > ENERGY_TOLERANCE_KWH
    dearest = np.where(power * hours > _EPS_KWH, give, -np.inf).max(axis=1, initial=-np.inf)
    # A vehicle below two full nodes gains nothing from room at one of them.
    single = below.T.astype(np.float64) @ full.astype(np.float64) == 1.0
    eager = single & ((problem.most_power - power) * hours > _EPS_KWH) & np.isfinite(take)
    found: Found = []
    for r in np.flatnonzero(full.any(axis=1)):
        members = np.flatnonzero(below[r])
        here = eager[members] & full[r]
        gain = (dearest[members, None] - take) / rows.coefficients[r, members, None]
        money = np.where(here & ~missing[members, None], gain, 0.0).max(axis=0, initial=0.0)
        found.append((rows.names[r], money, (here & missing[members, None]).any(axis=0)))
    return found
