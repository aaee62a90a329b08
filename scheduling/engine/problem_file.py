"""Planning problems and plans as JSON: what `manage.py plan` reads and writes, usable without a database.

Powers and limits are grid side, in kW or, for a vehicle in A, in A per phase. Energy and unmet energy are in the
battery: kWh, where a vehicle in A asks for Ah per phase, which count with voltage and phases. Whole steps inside
[arrival, departure) are usable, power is 0 or at least `min_power`, and nobody gets more than asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType

from scheduling.engine.algorithm import Algorithm, Options
from scheduling.engine.arrays import FloatArray
from scheduling.engine.ev import EV
from scheduling.engine.horizon import Horizon
from scheduling.engine.site import Battery, DemandCharge, Site
from scheduling.engine.solution import Solution
from scheduling.engine.tree import THREE_PHASE_KV, Node, PowerTree
from scheduling.engine.units import ChargingRateUnit

ROOT = "root"

Number = Annotated[float, Meta(ge=-1e9, le=1e9)]
Positive = Annotated[float, Meta(ge=0, le=1e9)]
AboveZero = Annotated[float, Meta(gt=0, le=1e9)]
Series = list[Number] | Number
PositiveSeries = list[Positive] | Positive
Instant = Annotated[datetime, Meta(tz=True)]
Id = str | int


class FileError(ValueError):
    """The file is malformed; the message names the field and what it should be."""


class DemandChargeEntry(Struct, forbid_unknown_fields=True):
    """Money for the highest load of the root, building included, above the peak that is paid for already."""

    price_per_kw: Positive
    peak_so_far_kw: Positive = 0.0


class BatteryEntry(Struct, forbid_unknown_fields=True):
    """A stationary battery at the root."""

    capacity_kwh: AboveZero
    soe_kwh: Positive
    charge_kw: Positive
    discharge_kw: Positive
    efficiency: Annotated[float, Meta(gt=0, le=1)] = 0.95
    cycle_cost_per_kwh: Positive = 0.0
    least_soe_kwh: Positive = 0.0
    end_soe_kwh: Positive | None = None


class GroupEntry(Struct, forbid_unknown_fields=True):
    """A node of the power tree; limits are for everything below it, the root's for the building too."""

    id: Annotated[str, Meta(min_length=1)]
    parent: str | None = None
    limit_kw: PositiveSeries | None = None
    limit_a: PositiveSeries | None = None
    """A on each of the three phases."""
    soft_limit_kw: PositiveSeries | None = None
    soft_price_per_kwh: Positive = 0.0


class EvEntry(Struct, forbid_unknown_fields=True):
    """A vehicle with its need."""

    ev_id: Id
    max_power: Positive
    arrival_time: Instant
    departure_time: Instant
    energy: Positive
    active: bool = True
    station_id: Id = ""
    connector_id: Id = 1
    group: str = ROOT
    min_power: Positive = 0.0
    unit: Literal["W", "A"] = "W"
    voltage: AboveZero = 230.0
    phases: Literal[1, 2, 3] = 3
    priority: Annotated[int, Meta(ge=0, le=1000)] = 1
    efficiency: Annotated[float, Meta(gt=0, le=1)] = 1.0
    minimum_energy: Positive | None = None
    arrival_latest: Instant | None = None
    departure_margin_s: Positive = 0.0
    min_on_s: Positive = 0.0
    min_off_s: Positive = 0.0
    phase_map: Annotated[str, Meta(pattern="^[123]{1,3}$")] = "123"
    fallback_kw: Positive = 0.0
    soc: Annotated[float, Meta(ge=0, le=100)] | None = None
    battery_kwh: AboveZero | None = None
    taper: list[tuple[Positive, Positive]] = []
    """(SoC %, kW), rising SoC."""
    discharge_power: Positive = 0.0
    least_soc: Annotated[float, Meta(ge=0, le=100)] = 0.0
    cycle_cost_per_kwh: Positive = 0.0
    in_force: list[Number] | None = None
    """kW per step of the plan that is kept to where that costs nothing."""


class ProblemFile(Struct, forbid_unknown_fields=True):
    """A depot to plan. A series is one value per step, or one number for all steps."""

    start: Instant
    resolution_s: Annotated[float, Meta(gt=0, le=86_400)]
    steps: Annotated[int, Meta(ge=1, le=100_000)]
    evs: list[EvEntry]
    currency: str = "EUR"
    prices_per_kwh: Series = 0.0
    demand_charge: DemandChargeEntry | None = None
    building_load_kw: Series = 0.0
    groups: list[GroupEntry] = []
    step_lengths_s: list[Annotated[float, Meta(gt=0, le=86_400)]] = []
    """Lengths of the steps where they differ; empty: each is `resolution_s`."""
    pv_kw: PositiveSeries | None = None
    feed_in_per_kwh: Series | None = None
    battery: BatteryEntry | None = None
    co2_kg_per_kwh: Series | None = None
    co2_price_per_kg: Positive = 0.0


class ShortfallEntry(Struct):
    """Why a vehicle misses energy, and what would help."""

    reason: str
    remedy: str


class PlanEntry(Struct):
    """Power per step in kW or A per phase, energy and unmet energy in the battery in kWh, a reason per step."""

    ev_id: Id
    power: list[float]
    energy: float
    unmet: float
    reasons: list[str]
    deferred: bool = False
    shortfall: ShortfallEntry | UnsetType = UNSET


class GroupResult(Struct):
    """What the vehicles below a group draw, kW per step, and what one more kWh of room there would save."""

    id: str
    power_kw: list[float]
    marginal_value_per_kwh: list[float]
    serves_more: list[bool]


class ResultFile(Struct):
    """The plan. `peak_kw` is the root's with building load, `demand_cost` its increment over the peak paid for."""

    algorithm: str
    status: str
    seconds: float
    currency: str
    energy_cost: float
    demand_cost: float
    soft_cost: float
    peak_kw: float
    unmet_kwh: float
    co2_kg: float
    plans: list[PlanEntry]
    groups: list[GroupResult]
    violations: list[str]
    """Rules that the plan breaks: only that of `uncontrolled` ever does."""
    summary: list[str]
    battery_kw: list[float] | UnsetType = UNSET
    pv_used_kw: list[float] | UnsetType = UNSET


def read_problem(raw: bytes) -> ProblemFile:
    """Decode and check a problem; FileError names the field."""
    try:
        return msgspec.json.decode(raw, type=ProblemFile)
    except msgspec.ValidationError as error:
        what, _, where = str(error).rpartition(" - at `$")
        field = where.rstrip("`").lstrip(".")
        raise FileError(f"{field or 'the file'}: {what or error}.") from None
    except msgspec.DecodeError as error:
        raise FileError(f"the file is not JSON: {error}.") from None


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schemas of the problem and of the result."""
    return {"problem": msgspec.json.schema(ProblemFile), "result": msgspec.json.schema(ResultFile)}


def algorithm_for(file: ProblemFile, algorithm: type[Algorithm], options: Options | None = None) -> Algorithm:
    """The algorithm set up with the file's problem; FileError names what does not fit together."""
    horizon = _horizon(file)
    try:
        site = _site(file, horizon)
        tree = _tree(file, horizon)
        evs = [_ev(file, k, horizon) for k in range(len(file.evs))]
        return algorithm(
            evs,
            now=horizon.start,
            horizon=horizon,
            tree=tree,
            price_per_kwh=_series(file.prices_per_kwh, horizon, "prices_per_kwh"),
            site=site,
            options=options,
        )
    except FileError:
        raise
    except ValueError as error:
        raise FileError(str(error)) from error


def result_of(name: str, planned: Algorithm, file: ProblemFile) -> ResultFile:
    """What a calculated algorithm says about the file's problem."""
    solution = planned.result
    money, problem = solution.money, solution.problem
    plans = _plans(solution)
    below = problem.tree.membership(problem.evs)
    marginal = solution.marginal_values
    value = dict(zip(marginal.nodes, zip(marginal.saved_per_kwh, marginal.serves_more, strict=True), strict=True))
    nothing = (np.zeros(problem.horizon.steps), np.zeros(problem.horizon.steps, dtype=np.bool_))
    groups = []
    for row, node in enumerate(problem.tree.nodes):
        saved, more = value.get(node.name, nothing)
        drawn = solution.power[below[row]].sum(axis=0)
        groups.append(GroupResult(node.name, _rounded(drawn), _rounded(saved), more.tolist()))
    result = ResultFile(
        algorithm=name,
        status=solution.status,
        seconds=round(solution.seconds.get("total", 0.0), 6),
        currency=file.currency,
        energy_cost=round(money.energy, 6),
        demand_cost=round(money.demand, 6),
        soft_cost=round(money.soft, 6),
        peak_kw=round(_peak(solution), 6),
        unmet_kwh=round(sum(plan.unmet for plan in plans), 6),
        co2_kg=round(money.co2_kg, 6),
        plans=plans,
        groups=groups,
        violations=[violation.message for violation in solution.violations],
        summary=solution.sentences(),
    )
    if solution.dispatch is not None:
        result.battery_kw = _rounded(solution.dispatch.battery_kw)
        result.pv_used_kw = _rounded(solution.dispatch.pv_used_kw)
    return result


def _horizon(file: ProblemFile) -> Horizon:
    lengths = file.step_lengths_s or [file.resolution_s] * file.steps
    if len(lengths) != file.steps:
        raise FileError(f"step_lengths_s: has {len(lengths)} values where steps is {file.steps}.")
    ends = np.cumsum(lengths).tolist()
    borders = [file.start, *(file.start + timedelta(seconds=end) for end in ends)]
    return Horizon.between(borders, timedelta(seconds=file.resolution_s))


def _series(value: Sequence[float] | float, horizon: Horizon, field: str) -> FloatArray:
    if isinstance(value, int | float):
        return np.full(horizon.steps, float(value))
    if len(value) != horizon.steps:
        raise FileError(f"{field}: has {len(value)} values where steps is {horizon.steps}.")
    return np.array(value, dtype=np.float64)


def _site(file: ProblemFile, horizon: Horizon) -> Site:
    def maybe(value: Sequence[float] | float | None, field: str) -> FloatArray | None:
        return None if value is None else _series(value, horizon, field)

    charge = file.demand_charge
    try:
        battery = None if file.battery is None else Battery(**msgspec.structs.asdict(file.battery))
    except ValueError as error:
        raise FileError(f"battery: {error}") from error
    return Site(
        building_kw=_series(file.building_load_kw, horizon, "building_load_kw"),
        pv_kw=maybe(file.pv_kw, "pv_kw"),
        export_price_per_kwh=maybe(file.feed_in_per_kwh, "feed_in_per_kwh"),
        battery=battery,
        demand_charges=() if charge is None else (DemandCharge(charge.price_per_kw, charge.peak_so_far_kw),),
        co2_kg_per_kwh=maybe(file.co2_kg_per_kwh, "co2_kg_per_kwh"),
        co2_price_per_kg=file.co2_price_per_kg,
    )


def _tree(file: ProblemFile, horizon: Horizon) -> PowerTree:
    """The groups with what the building and the fallbacks leave; without groups one root without a limit."""
    groups = file.groups or [GroupEntry(ROOT)]
    known = [group.id for group in groups]
    for k, group in enumerate(groups):
        if group.parent is not None and group.parent not in known:
            raise FileError(f"groups[{k}].parent: there is no group {group.parent!r}; the file has {', '.join(known)}.")
        if known.index(group.id) != k:
            raise FileError(f"groups[{k}].id: {group.id!r} comes twice.")
    tree = PowerTree(tuple(_node(file, group, k, horizon) for k, group in enumerate(groups)))
    if not any(ev.fallback_kw for ev in file.evs):
        return tree
    evs = [_ev(file, k, horizon) for k in range(len(file.evs))]
    below = tree.membership(evs)
    return PowerTree(tuple(_reserving(node, evs, mine) for node, mine in zip(tree.nodes, below, strict=True)))


def _node(file: ProblemFile, group: GroupEntry, k: int, horizon: Horizon) -> Node:
    building = np.zeros(horizon.steps)
    if group.parent is None:
        building = np.maximum(_series(file.building_load_kw, horizon, "building_load_kw"), 0.0)

    def room(value: Sequence[float] | float | None, field: str, per_kw: float = 1.0) -> FloatArray | None:
        if value is None:
            return None
        return np.maximum(_series(value, horizon, f"groups[{k}].{field}") - building * per_kw, 0.0)

    return Node(
        group.id,
        group.parent,
        room(group.limit_kw, "limit_kw"),
        room(group.limit_a, "limit_a", 1.0 / THREE_PHASE_KV),
        soft_limit_kw=room(group.soft_limit_kw, "soft_limit_kw"),
        soft_price_per_kwh=group.soft_price_per_kwh,
    )


def _reserving(node: Node, evs: Sequence[EV], mine: Sequence[bool]) -> Node:
    """The node with the fallbacks of the vehicles below reserved."""
    amps = [0.0, 0.0, 0.0]
    kw = 0.0
    for ev, is_below in zip(evs, mine, strict=True):
        if is_below:
            kw += ev.free_power
            for phase in ev.phase_map[: ev.phases]:
                amps[int(phase) - 1] += ev.free_power * 1000.0 / (ev.voltage * ev.phases)
    return replace(node, reserved_kw=kw, reserved_a=(amps[0], amps[1], amps[2]))


def _ev(file: ProblemFile, k: int, horizon: Horizon) -> EV:
    entry = file.evs[k]
    in_force = entry.in_force
    if in_force is not None and len(in_force) != horizon.steps:
        raise FileError(f"evs[{k}].in_force: has {len(in_force)} values where steps is {horizon.steps}.")
    try:
        return EV(
            entry.ev_id,
            entry.active and entry.arrival_time <= horizon.start,
            entry.station_id,
            entry.connector_id,
            entry.min_power,
            entry.max_power,
            entry.arrival_time,
            entry.departure_time,
            entry.energy,
            ChargingRateUnit(entry.unit),
            entry.voltage,
            phases=entry.phases,
            priority=entry.priority,
            free_power=entry.fallback_kw,
            nodes=_nodes_of(file, k),
            phase_map=entry.phase_map,
            soc=entry.soc,
            battery_kwh=entry.battery_kwh,
            efficiency=entry.efficiency,
            in_force=None if in_force is None else np.array(in_force),
            minimum_energy=entry.minimum_energy,
            arrival_latest=entry.arrival_latest,
            departure_margin=timedelta(seconds=entry.departure_margin_s),
            min_on=timedelta(seconds=entry.min_on_s),
            min_off=timedelta(seconds=entry.min_off_s),
            taper=tuple(entry.taper),
            discharge_power=entry.discharge_power,
            least_soc=entry.least_soc,
            cycle_cost_per_kwh=entry.cycle_cost_per_kwh,
        )
    except ValueError as error:
        raise FileError(f"evs[{k}]: {error}") from error


def _nodes_of(file: ProblemFile, k: int) -> tuple[str, ...]:
    group, known = file.evs[k].group, [group.id for group in file.groups]
    if group in known:
        return (group,)
    if group != ROOT:
        raise FileError(f"evs[{k}].group: there is no group {group!r}; the file has {', '.join(known) or 'none'}.")
    roots = [entry.id for entry in file.groups if entry.parent is None]
    if len(roots) > 1:
        raise FileError(f"evs[{k}].group: the file has several roots, say which: {', '.join(roots)}.")
    return ()


def _plans(solution: Solution) -> list[PlanEntry]:
    problem = solution.problem
    shortfalls = {shortfall.ev_id: shortfall for shortfall in solution.shortfalls}
    delivered = problem.energy(solution.power) * problem.efficiency
    missing = problem.unmet(solution.power) * problem.efficiency
    plans = []
    for row, (ev, codes) in enumerate(zip(problem.evs, solution.why, strict=True)):
        deferred = ev.ev_id in solution.deferred
        plan = PlanEntry(
            ev_id=ev.ev_id,
            power=_rounded(solution.power[row] / ev.kw_per_unit),
            energy=round(float(delivered[row]), 6),
            unmet=0.0 if deferred else round(float(missing[row]), 6),
            reasons=list(codes),
            deferred=deferred,
        )
        if (shortfall := shortfalls.get(ev.ev_id)) is not None:
            plan.shortfall = ShortfallEntry(shortfall.reason, shortfall.remedy)
        plans.append(plan)
    return plans


def _peak(solution: Solution) -> float:
    """Highest load of the root, building, battery and sun included, kW."""
    site, load = solution.problem.site, solution.power.sum(axis=0)
    if site.building_kw is not None:
        load = load + site.building_kw
    if solution.dispatch is not None:
        load = load + solution.dispatch.battery_kw - solution.dispatch.pv_used_kw
    elif site.pv_kw is not None:
        load = load - site.pv_kw
    return float(load.max(initial=0.0))


def _rounded(values: FloatArray) -> list[float]:
    return [round(value, 9) + 0.0 for value in values.tolist()]
