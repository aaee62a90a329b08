"""Prices of a depot from its tariff in the database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from depot.models import Depot, Tariff
from depot.tariffs.definition import Demand, TariffError, parse_elements
from depot.tariffs.prices import TariffHole, Version, price_per_kwh, version_at

ESTIMATED_PRICE_PER_KWH = 0.25


def versions_of(tariff: Tariff) -> list[Version]:
    """The tariff's versions as the pure price functions read them, in order."""
    return [
        (version.valid_from, version.valid_to, parse_elements(version.elements))
        for version in tariff.versions.order_by("valid_from")
    ]


def prices_for(depot: Depot, borders: Sequence[datetime]) -> tuple[NDArray[np.float64], bool]:
    """Price per step, currency/kWh, shape (len(borders) - 1,), and whether any of it is only estimated (O20).

    A hole is bridged with the version before it; without any usable version the price is flat.
    """
    flat = np.full(len(borders) - 1, ESTIMATED_PRICE_PER_KWH)
    if depot.tariff is None:
        return flat, True
    try:
        versions = versions_of(depot.tariff)
        return price_per_kwh(versions, borders, depot.zone), False
    except TariffHole:
        return (price_per_kwh(bridged(versions), borders, depot.zone), True) if versions else (flat, True)
    except TariffError:
        return flat, True


def demand_charges_at(depot: Depot, instant: datetime) -> tuple[Demand, ...]:
    """What the tariff asks for the month's peak at this instant; nothing without a usable tariff."""
    if depot.tariff is None:
        return ()
    try:
        versions = bridged(versions_of(depot.tariff))
        return version_at(versions, depot.local(instant)).demand if versions else ()
    except TariffError:
        return ()


def bridged(versions: Sequence[Version]) -> list[Version]:
    """The same versions without holes: each lasts until the next begins, the first and the last for ever."""
    ordered = sorted(versions, key=lambda version: version[0])
    begins = [date.min, *(version[0] for version in ordered[1:])]
    ends: list[date | None] = [*(version[0] for version in ordered[1:]), None]
    return [(begin, end, version[2]) for begin, end, version in zip(begins, ends, ordered, strict=True)]
