"""What stands at a depot's grid connection beside the vehicles, as the engine sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta

import numpy as np

from depot.models import Depot, LoadGroup
from depot.pricing import demand_charges_at
from scheduling.engine import DemandCharge, Horizon, Site
from scheduling.engine.arrays import FloatArray
from scheduling.peaks import paid_for_kw

QUARTER = timedelta(minutes=15)  # local hours begin at quarters of UTC hours everywhere


def site_of(depot: Depot, horizon: Horizon, now: datetime) -> Site:
    """Expected building load, demand charges above what is paid for already, and emissions."""
    groups = LoadGroup.objects.filter(depot=depot).select_related("depot")
    return Site(
        building_kw=building_kw(groups, horizon),
        demand_charges=demand_charges(depot, horizon, now),
        co2_kg_per_kwh=co2_kg_per_kwh(depot, horizon),
        co2_price_per_kg=depot.co2_price_per_kg,
    )


def building_kw(groups: Iterable[LoadGroup], horizon: Horizon) -> FloatArray:
    """Expected load of the buildings on these nodes, mean kW per step."""
    loaded = [group for group in groups if group.building_load_kw]
    return by_quarter(horizon, lambda instant: sum(group.building_load_at(instant) for group in loaded))


def worst_building_kw(groups: Iterable[LoadGroup], horizon: Horizon) -> FloatArray:
    """The most that the buildings on these nodes are configured to take, kW per step."""
    nodes = list(groups)
    return by_quarter(horizon, lambda instant: sum(group.building_worst_at(instant) for group in nodes))


def by_quarter(horizon: Horizon, value_at: Callable[[datetime], float]) -> FloatArray:
    """Mean per step of what changes at local hours, shape (steps,)."""
    first = horizon.start.replace(minute=horizon.start.minute // 15 * 15, second=0, microsecond=0)
    quarters = int((horizon.end - first) / QUARTER) + 1
    instants = (first + k * QUARTER for k in range(quarters))
    return horizon.sample([(instant, value_at(instant)) for instant in instants])


def co2_kg_per_kwh(depot: Depot, horizon: Horizon) -> FloatArray | None:
    """Emissions of the grid's energy per step; None where the depot does not say."""
    factors = depot.co2_kg_per_kwh
    if not factors:
        return None
    return by_quarter(horizon, lambda instant: float(factors[depot.local(instant).hour % len(factors)]))


def demand_charges(depot: Depot, horizon: Horizon, now: datetime) -> tuple[DemandCharge, ...]:
    """One charge per demand element and billing month of the horizon."""
    locals_ = [depot.local(border) for border in horizon.borders[:-1]]
    months = [date(local.year, local.month, 1) for local in locals_]
    found = []
    for month in sorted(set(months)):
        here = np.array([each == month for each in months])
        for demand in demand_charges_at(depot, horizon.borders[int(np.argmax(here))]):
            steps = here & np.array([demand.counts_at(local) for local in locals_])
            if demand.price_per_kw > 0 and steps.any():
                paid = paid_for_kw(depot, demand, month, now)
                found.append(DemandCharge(float(demand.price_per_kw), paid, None if steps.all() else steps))
    return tuple(found)
