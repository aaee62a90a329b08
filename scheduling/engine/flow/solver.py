"""The linear depot problem, exactly: unmet energy by class, then money, by a few runs of the compiled flow."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.flow.classes import unmet_by_class
from scheduling.engine.flow.demand import Tariff, cheapest_peak
from scheduling.engine.flow.depot import DepotFlow, Filled, Order
from scheduling.engine.network import QUANTA_PER_KWH, Network
from scheduling.engine.problem import Problem


@dataclass(frozen=True, eq=False)
class FlowPlan:
    """The linear optimum, without minimum powers."""

    power: FloatArray  # (n_ev, steps) kW
    unmet_kwh: FloatArray  # (n_ev,) at the meter
    peak_kw: float | None
    """Highest load that the demand charge counts, building included; None without one."""
    status: Literal["optimal", "feasible"]
    """feasible: the time ran out before the best peak was proven; what is served is the most that can be."""


def solve(problem: Problem, *, deadline_s: float | None = None) -> FlowPlan:
    """The optimal plan of a problem for which `not_a_flow` has no objection (else ValueError).

    Most served energy first: minimum needs before desired ones, by priority, then by efficiency; then least
    `money.steering`; then early. After `deadline_s` seconds the search for a better peak ends.
    """
    until = np.inf if deadline_s is None else perf_counter() + deadline_s
    network = Network.of(problem)
    depot, by_price = DepotFlow(network), Order.by_price(network)
    filled = depot.fill(network.need, by_price)
    unmet = np.zeros_like(network.need)
    if filled.missing:
        unmet = unmet_by_class(depot, filled)
        filled = depot.fill(network.need - unmet, by_price)
    tariff = Tariff.of(network)
    if tariff is None:
        return _plan(network, filled, unmet, None, proven=True)
    filled, proven = cheapest_peak(depot, tariff, network.need - unmet, by_price, filled, until)
    return _plan(network, filled, unmet, tariff.peak_kw(filled.flow.load[0]), proven=proven)


def _plan(network: Network, filled: Filled, unmet: IntArray, peak_kw: float | None, *, proven: bool) -> FlowPlan:
    problem, flow = network.problem, filled.flow
    power = network.power_of(flow.counted + flow.passed if len(flow.passed) else flow.counted)
    unmet_kwh = problem.need_kwh.copy()
    unmet_kwh[network.ev] = unmet / QUANTA_PER_KWH
    return FlowPlan(power, unmet_kwh, peak_kw, "optimal" if proven else "feasible")
