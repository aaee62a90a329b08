"""Prices of a depot from the database: exact where the tariff says so, marked as estimated where it does not."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from depot.models import Depot, Tariff, TariffVersion
from depot.pricing import ESTIMATED_PRICE_PER_KWH, prices_for
from tests.factories import make_depot, make_tariff

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 7, 1, 10, tzinfo=UTC)
HOURS = [NOON + timedelta(hours=k) for k in range(4)]


def depot_with(tariff: Tariff | None) -> Depot:
    return make_depot(tariff=tariff, time_zone="Europe/Berlin")


def flat(price: float) -> list[dict[str, Any]]:
    return [{"type": "energy_flat", "price_per_kwh": price}]


def test_a_tariff_in_force_is_exact() -> None:
    prices, estimated = prices_for(depot_with(make_tariff(elements=flat(0.31))), HOURS)
    assert (prices.tolist(), estimated) == ([0.31] * 3, False)


def test_without_a_tariff_the_price_is_flat_and_estimated() -> None:
    prices, estimated = prices_for(depot_with(None), HOURS)
    assert (prices.tolist(), estimated) == ([ESTIMATED_PRICE_PER_KWH] * 3, True)


def test_a_hole_is_bridged_with_the_version_before_and_estimated() -> None:
    tariff = make_tariff(elements=flat(0.2), valid_from=date(2024, 1, 1))
    tariff.versions.update(valid_to=date(2026, 6, 1))
    TariffVersion.objects.create(tariff=tariff, valid_from=date(2026, 8, 1), elements=flat(0.9))
    prices, estimated = prices_for(depot_with(tariff), HOURS)
    assert (prices.tolist(), estimated) == ([0.2] * 3, True)


def test_before_the_first_version_its_prices_are_the_estimate() -> None:
    tariff = make_tariff(elements=flat(0.2), valid_from=date(2027, 1, 1))
    assert prices_for(depot_with(tariff), HOURS)[0].tolist() == [0.2] * 3


def test_a_broken_stored_version_does_not_stop_planning() -> None:
    tariff = make_tariff(elements=[{"type": "magic"}])
    assert prices_for(depot_with(tariff), HOURS)[1] is True


def test_a_version_that_overlaps_another_is_refused() -> None:
    tariff = make_tariff(valid_from=date(2024, 1, 1))
    version = TariffVersion(tariff=tariff, valid_from=date(2025, 1, 1), elements=flat(0.2))
    with pytest.raises(ValidationError, match="in force too"):
        version.full_clean()
