"""The depot problem in full written a second time, row by row into HiGHS with a binary for every direction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import highspy
import numpy as np

from scheduling.engine import EV, Problem

_SLACK = 1e-6
"""What an objective may lose to the later ones: HiGHS keeps rows to 1e-9 here."""
Terms = list[tuple[int, float]]


@dataclass
class Judge:
    """Objectives in strict order: `minimise` one and keep its value for the rest."""

    h: Any = field(default_factory=highspy.Highs)

    def __post_init__(self) -> None:
        self.h.setOptionValue("output_flag", False)
        self.h.setOptionValue("mip_rel_gap", 0.0)
        for tolerance in ("mip_abs_gap", "mip_feasibility_tolerance", "primal_feasibility_tolerance"):
            self.h.setOptionValue(tolerance, 1e-9)

    def column(self, upper: float, lower: float = 0.0, *, whole: bool = False) -> int:
        self.h.addCol(0.0, float(lower), float(upper), 0, [], [])
        index = int(self.h.getNumCol()) - 1
        if whole:
            self.h.changeColIntegrality(index, highspy.HighsVarType.kInteger)
        return index

    def row(self, lower: float, upper: float, terms: Terms) -> None:
        self.h.addRow(float(lower), float(upper), len(terms), [c for c, _ in terms], [float(v) for _, v in terms])

    def minimise(self, terms: Terms) -> float:
        for column in range(self.h.getNumCol()):
            self.h.changeColCost(column, 0.0)
        for column, value in terms:
            self.h.changeColCost(column, float(value))
        self.h.run()
        assert self.h.getModelStatus() == highspy.HighsModelStatus.kOptimal
        best = float(self.h.getObjectiveValue())
        self.row(-np.inf, best + _SLACK, terms)
        return best


def judged(problem: Problem) -> tuple[list[float], float]:
    """Missing battery energy by class (minimum needs first, high priorities first), kWh, and the least money."""
    judge, steps = Judge(), problem.horizon.steps
    counted: dict[tuple[int, int], int] = {}  # what nodes count, by vehicle and step
    net: list[Terms] = [[] for _ in range(steps)]
    money: Terms = []
    missing = []
    for i, ev in enumerate(problem.evs):
        missing.append(_vehicle(judge, problem, i, ev, counted, net, money))
    charging = _battery(judge, problem, net, money)
    _nodes(judge, problem, counted, [] if charging is None else charging[0], money)
    constant = _meter(judge, problem, net, money)
    lax = problem.laxity_hours
    order = sorted(range(len(lax)), key=lambda i: (np.inf if lax[i] < -1e-9 else lax[i], i))
    weight = {i: 2.0 - order.index(i) / len(order) for i in order}
    sums = []
    for part in (0, 1):
        for level in sorted(set(problem.priority.tolist()), reverse=True):
            mine = [i for i in order if problem.priority[i] == level]
            sums.append(judge.minimise([(missing[i][part], problem.efficiency[i]) for i in mine]))
            judge.minimise([(missing[i][part], problem.efficiency[i] * weight[i]) for i in mine])
    if charging is not None:
        judge.minimise([(charging[1], 1.0)])
    return sums, judge.minimise(money) + constant


def _vehicle(
    judge: Judge, problem: Problem, i: int, ev: EV, counted: dict[tuple[int, int], int], net: list[Terms], money: Terms
) -> tuple[int, int]:
    need, least = ev.energy / ev.efficiency, (ev.minimum_energy if ev.minimum_energy is not None else ev.energy)
    first = judge.column(least / ev.efficiency)
    rest = judge.column((ev.energy - least) / ev.efficiency)
    served: Terms = []
    stored: Terms = []
    held = (ev.battery_kwh or 0.0) * (ev.soc or 0.0) / 100.0
    floor = (ev.battery_kwh or 0.0) * ev.least_soc / 100.0
    for t, hours in enumerate(problem.hours):
        begin, end = problem.horizon.borders[t], problem.horizon.borders[t + 1]
        if not ((ev.active and t == 0) or begin >= ev.arrival_time) or end > ev.departure_time or ev.hold:
            continue
        free = min(ev.free_power, ev.max_power)
        pair = [judge.column(free), judge.column(ev.max_power - free)]
        counted[i, t] = pair[1]
        net[t] += [(c, 1.0) for c in pair]
        served += [(c, hours) for c in pair]
        if ev.discharge_power:
            give, giving = judge.column(ev.discharge_power), judge.column(1, whole=True)
            judge.row(-np.inf, 0.0, [(give, 1.0), (giving, -ev.discharge_power)])
            judge.row(-np.inf, ev.max_power, [(pair[0], 1.0), (pair[1], 1.0), (giving, ev.max_power)])
            net[t].append((give, -1.0))
            money.append((give, hours * ev.cycle_cost_per_kwh))
            stored += [(c, hours * ev.efficiency) for c in pair] + [(give, -hours / ev.efficiency)]
            judge.row(-held, (ev.battery_kwh or 0.0) - held, stored)
            below = -held - max(floor, held)
            judge.row(floor - held + below, np.inf, [*stored, (giving, below)])
    if ev.discharge_power:
        served = [(c, v / ev.efficiency) for c, v in stored]
    judge.row(need, need, [*served, (first, 1.0), (rest, 1.0)])
    return first, rest


def _battery(judge: Judge, problem: Problem, net: list[Terms], money: Terms) -> tuple[list[int], int] | None:
    battery = problem.site.battery
    if battery is None:
        return None
    charging, stored = [], []
    for t, hours in enumerate(problem.hours):
        take, give, giving = (
            judge.column(battery.charge_kw),
            judge.column(battery.discharge_kw),
            judge.column(1, whole=True),
        )
        judge.row(-np.inf, 0.0, [(give, 1.0), (giving, -battery.discharge_kw)])
        judge.row(-np.inf, battery.charge_kw, [(take, 1.0), (giving, battery.charge_kw)])
        net[t] += [(take, 1.0), (give, -1.0)]
        money.append((give, hours * battery.cycle_cost_per_kwh))
        stored += [(take, hours * battery.efficiency), (give, -hours / battery.efficiency)]
        judge.row(battery.least_soe_kwh - battery.soe_kwh, battery.capacity_kwh - battery.soe_kwh, stored)
        charging.append(take)
    target = battery.soe_kwh if battery.end_soe_kwh is None else battery.end_soe_kwh
    short = judge.column(max(target - battery.soe_kwh, 0.0))
    judge.row(target - battery.soe_kwh, np.inf, [*stored, (short, 1.0)])
    return charging, short


def _nodes(
    judge: Judge, problem: Problem, counted: dict[tuple[int, int], int], charging: list[int], money: Terms
) -> None:
    for node in problem.tree.nodes:
        for t, hours in enumerate(problem.hours):
            below = [(i, c) for (i, step), c in counted.items() if step == t and _under(problem, i, node.name)]
            battery = [(charging[t], 1.0)] if charging and node.parent is None else []
            load = [(c, 1.0) for _, c in below] + battery
            if node.limit_kw is not None:
                judge.row(-np.inf, max(node.limit_kw[t] - node.reserved_kw, 0), load)
            for k, phase in enumerate("123" if node.limit_a is not None else ""):
                evs = [(problem.evs[i], c) for i, c in below]
                amps = [(c, 1000 / (ev.voltage * ev.phases)) for ev, c in evs if phase in ev.phase_map[: ev.phases]]
                amps += [(c, 1000 / 690) for c, _ in battery]
                assert node.limit_a is not None
                judge.row(-np.inf, max(node.limit_a[t] - node.reserved_a[k], 0.0), amps)
            if node.soft_limit_kw is not None and node.soft_price_per_kwh > 0:
                above = judge.column(np.inf)
                judge.row(-np.inf, node.soft_limit_kw[t] - node.reserved_kw, [*load, (above, -1.0)])
                money.append((above, hours * node.soft_price_per_kwh))


def _under(problem: Problem, i: int, name: str) -> bool:
    roots = [node.name for node in problem.tree.nodes if node.parent is None]
    for at in problem.evs[i].nodes or roots:
        above: str | None = at
        while above is not None:
            if above == name:
                return True
            above = problem.tree.by_name[above].parent
    return False


def _meter(judge: Judge, problem: Problem, net: list[Terms], money: Terms) -> float:
    """Buying and selling, and the peaks; what the building alone costs, taken off."""
    site, constant = problem.site, 0.0
    peaks = [judge.column(np.inf) for _ in site.demand_charges]
    money += [(peak, charge.price_per_kw) for peak, charge in zip(peaks, site.demand_charges, strict=True)]
    for t, hours in enumerate(problem.hours):
        building = 0.0 if site.building_kw is None else float(site.building_kw[t])
        load = list(net[t])
        if site.pv_kw is not None:
            load.append((judge.column(site.pv_kw[t]), -1.0))
        most = 300.0
        bought, sold, buying = judge.column(most), judge.column(most), judge.column(1, whole=True)
        judge.row(-np.inf, 0.0, [(bought, 1.0), (buying, -most)])
        judge.row(-np.inf, most, [(sold, 1.0), (buying, most)])
        judge.row(-building, -building, [*load, (bought, -1.0), (sold, 1.0)])
        earned = 0.0 if site.export_price_per_kwh is None else float(site.export_price_per_kwh[t])
        price = float(problem.price_per_kwh[t])
        if site.co2_kg_per_kwh is not None:
            price += site.co2_price_per_kg * float(site.co2_kg_per_kwh[t])
        money += [(bought, hours * price), (sold, -hours * earned)]
        constant -= hours * price * max(building, 0.0)
        for peak, charge in zip(peaks, site.demand_charges, strict=True):
            if charge.steps is None or charge.steps[t]:
                judge.row(-np.inf, charge.peak_so_far_kw, [(bought, 1.0), (sold, -1.0), (peak, -1.0)])
    return constant
