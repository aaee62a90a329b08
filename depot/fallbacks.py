"""Permanent fallbacks: what all chargers may draw together when nobody tells them anything must fit (safety §4.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar

from django.utils import timezone

from depot.models import Connector, Depot, Limit, LoadGroup, Station
from depot.models.equipment import MINIMUM_CURRENT_A
from depot.models.site import HOURS_OF_DAY

TOLERANCE = 1e-6
NOMINAL_V = 230.0
PHASES = (1, 2, 3)
ALL_HOURS = frozenset(range(HOURS_OF_DAY))
Row = TypeVar("Row", Connector, LoadGroup, Limit)


@dataclass(frozen=True)
class Misfit:
    """A node whose fallbacks do not fit beside its building, at the worst hour. With `phase` the values are A there."""

    node: str
    limit_kw: float
    building_kw: float
    fallback_kw: float
    phase: int | None = None

    def __str__(self) -> str:
        unit = "kW" if self.phase is None else "A"
        where = self.node if self.phase is None else f"phase L{self.phase} of {self.node}"
        return (
            f"{where}: fallbacks of {self.fallback_kw:.1f} {unit} and a building of up to "
            f"{self.building_kw:.1f} {unit} exceed the limit of {self.limit_kw:.1f} {unit}"
        )


@dataclass(eq=False)
class Node:
    """A load group with the connectors of its whole subtree and the worst building load of that subtree."""

    group: LoadGroup
    loads: list[Connector] = field(default_factory=list)
    building_kw: list[float] = field(default_factory=lambda: [0.0] * HOURS_OF_DAY)  # per local hour
    limits: list[Limit] = field(default_factory=list)

    def worst_building_kw(self, hours: Iterable[int] = ALL_HOURS) -> float:
        return max(self.building_kw[hour] for hour in hours)

    def worst_building_a(self) -> float:
        """Per phase, taken as balanced over three of them, A."""
        voltage_v = self.loads[0].voltage_v if self.loads else NOMINAL_V
        return self.worst_building_kw() * 1000 / (len(PHASES) * voltage_v)


def check_fallbacks(depot: Depot, *, instead: Iterable[Connector | LoadGroup | Limit] = ()) -> list[Misfit]:
    """Nodes, and phases of nodes, whose limit all fallbacks and the worst building together exceed in some hour.

    Rows of `instead`, saved or not, stand in for the stored ones: what would be if they were saved.
    """
    misfits: list[Misfit] = []
    for node in tree_of(depot, instead=instead):
        misfits += _power_misfits(node) + _phase_misfits(node)
    return misfits


def propose_fallbacks(depot: Depot) -> dict[int, float]:
    """A per phase for every connector: its minimum (6 A) for as many as the share of each node carries, 0 for the rest.

    Dealt out in turn over the feeders, so that no feeder gets all of them.
    """
    nodes = tree_of(depot)
    proposal = {load.pk: 0.0 for node in nodes for load in node.loads}
    above: dict[int, list[Node]] = {pk: [] for pk in proposal}
    for node in nodes:
        for load in node.loads:
            above[load.pk].append(node)
    room_kw = {id(node): _room_kw(node, depot.fallback_share) for node in nodes}
    room_a = {(id(node), phase): _room_a(node, depot.fallback_share) for node in nodes for phase in PHASES}
    for load in _in_turn(nodes):
        current_a = max(MINIMUM_CURRENT_A, load.min_current_a)
        power_kw = current_a * load.kw_per_ampere
        cells = [(id(node), phase) for node in above[load.pk] for phase in phases_of(load)]
        if any(room_kw[id(node)] < power_kw - TOLERANCE for node in above[load.pk]):
            continue
        if any(room_a[cell] < current_a - TOLERANCE for cell in cells):
            continue
        proposal[load.pk] = current_a
        for node in above[load.pk]:
            room_kw[id(node)] -= power_kw
        for cell in cells:
            room_a[cell] -= current_a
    return proposal


def store_fallbacks(fallbacks: Mapping[int, float]) -> None:
    """Write {connector id: A per phase}; whoever talks to the chargers has to tell them."""
    connectors = list(Connector.objects.filter(pk__in=fallbacks))
    for connector in connectors:
        connector.fallback_a = fallbacks[connector.pk]
    Connector.objects.bulk_update(connectors, ["fallback_a"])


def misfits_made_by(depot: Depot, rows: Iterable[Connector | LoadGroup | Limit]) -> list[Misfit]:
    """What would not fit if `rows` were saved; empty where that makes nothing worse than it is."""
    after = check_fallbacks(depot, instead=rows)
    return after if excess(after) > excess(check_fallbacks(depot)) + TOLERANCE else []


def excess(misfits: Iterable[Misfit]) -> float:
    """How far all misfits together go beyond their limits, kW or A."""
    return sum(each.fallback_kw + each.building_kw - each.limit_kw for each in misfits)


def fallbacks_moved_by(station: Station) -> list[Connector]:
    """The connectors of a changed station as they would count on its node: they take their fallbacks along."""
    if station.pk is None or station.kind != Station.Kind.CHARGER:
        return []
    connectors = list(station.connectors.all())
    for connector in connectors:
        connector.station = station
    return connectors


def refusal(depot: Depot, misfits: Iterable[Misfit]) -> str:
    """Why a configuration is refused, with a proposal that fits."""
    proposal = propose_fallbacks(depot)
    granted = sum(1 for current_a in proposal.values() if current_a)
    return (
        f"The fallbacks do not fit: {'; '.join(str(misfit) for misfit in misfits)}. "
        f"A share of {depot.fallback_share:.0%} of each node carries 6 A on {granted} of {len(proposal)} connectors, "
        "with 0 A on the rest."
    )


def phases_of(connector: Connector) -> tuple[int, ...]:
    """Phases of the site that the outlet uses."""
    return tuple(int(digit) for digit in connector.phase_rotation[: connector.phases])


def tree_of(depot: Depot, *, instead: Iterable[Connector | LoadGroup | Limit] = ()) -> list[Node]:
    """The depot's nodes, each with everything below it; rows of `instead` replace the stored ones."""
    instead = list(instead)
    groups = _replaced(list(depot.load_groups.all()), [row for row in instead if isinstance(row, LoadGroup)])
    chargers = Connector.objects.filter(station__depot=depot, station__kind=Station.Kind.CHARGER)
    stored = list(chargers.select_related("station").order_by("station__identity", "number"))
    loads = _replaced(stored, [row for row in instead if isinstance(row, Connector)])
    coming = list(Limit.objects.filter(load_group__depot=depot, hard=True, ends_at__gt=timezone.now()))
    limits = _replaced(coming, [row for row in instead if isinstance(row, Limit)])

    nodes = {group.pk: Node(group) for group in groups}
    for node in nodes.values():
        for above in _path(nodes, node.group.pk):
            for hour in range(HOURS_OF_DAY):
                above.building_kw[hour] += _building_kw(node.group, hour)
    for load in loads:
        for above in _path(nodes, load.station.load_group_id):
            above.loads.append(load)
    for limit in limits:
        if limit.hard and limit.load_group_id in nodes:
            nodes[limit.load_group_id].limits.append(limit)
    return list(nodes.values())


def _replaced(stored: list[Row], instead: list[Row]) -> list[Row]:
    replaced = {row.pk for row in instead}
    return [row for row in stored if row.pk not in replaced] + instead


def _path(nodes: Mapping[int, Node], pk: int | None) -> list[Node]:
    """The node and its ancestors."""
    found: list[Node] = []
    while pk is not None and pk in nodes and nodes[pk] not in found:
        found.append(nodes[pk])
        pk = nodes[pk].group.parent_id
    return found


def _building_kw(group: LoadGroup, hour: int) -> float:
    return float(group.building_load_kw[hour] if group.building_load_kw else 0) + group.building_reserve_kw


def _power_misfits(node: Node) -> list[Misfit]:
    fallback_kw = sum(load.fallback_kw for load in node.loads)
    caps = [(node.group.limit_kw, ALL_HOURS)]
    caps += [(limit.limit_kw, _hours_of(limit, node.group)) for limit in node.limits]
    found: list[Misfit] = []
    for limit_kw, hours in caps:
        building_kw = node.worst_building_kw(hours)
        if fallback_kw and fallback_kw + building_kw > limit_kw + TOLERANCE:
            found.append(Misfit(node.group.name, limit_kw, building_kw, fallback_kw))
    return found


def _hours_of(limit: Limit, group: LoadGroup) -> frozenset[int]:
    """Local hours of the day that a time-bounded limit touches."""
    if limit.ends_at - limit.starts_at >= timedelta(days=1):
        return ALL_HOURS
    minutes = int((limit.ends_at - limit.starts_at).total_seconds() // 60)
    local = group.depot.local
    hours = {local(limit.starts_at + timedelta(minutes=minute)).hour for minute in range(0, minutes, 15)}
    return frozenset(hours | {local(limit.starts_at).hour, local(limit.ends_at - timedelta(seconds=1)).hour})


def _phase_misfits(node: Node) -> list[Misfit]:
    limit_a = node.group.limit_a
    if limit_a is None:
        return []
    building_a = node.worst_building_a()
    found: list[Misfit] = []
    for phase in PHASES:
        fallback_a = sum(load.fallback_a for load in node.loads if phase in phases_of(load))
        if fallback_a and fallback_a + building_a > limit_a + TOLERANCE:
            found.append(Misfit(node.group.name, limit_a, building_a, fallback_a, phase))
    return found


def _room_kw(node: Node, share: float) -> float:
    return min(share * node.group.limit_kw, node.group.limit_kw - node.worst_building_kw())


def _room_a(node: Node, share: float) -> float:
    if node.group.limit_a is None:
        return float("inf")
    return min(share * node.group.limit_a, node.group.limit_a - node.worst_building_a())


def _in_turn(nodes: list[Node]) -> list[Connector]:
    """Connectors dealt out over the groups that they hang on: the first of each, the second of each, ..."""
    hands: dict[int, list[Connector]] = {}
    for node in nodes:
        for load in node.loads:
            if load.station.load_group_id == node.group.pk:
                hands.setdefault(node.group.pk, []).append(load)
    order = [(place, hand, load) for hand, loads in enumerate(hands.values()) for place, load in enumerate(loads)]
    return [load for _, _, load in sorted(order, key=lambda each: each[:2])]
