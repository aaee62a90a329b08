"""What people may say about how a depot is planned: settings, curves, minimums, prices of soft limits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from depot.booking.services import InvalidBooking, Need, book, change
from depot.models import Reservation
from depot.tariffs.definition import Demand, TariffError, parse_elements
from tests.api.clients import client_with, is_problem, pointers
from tests.factories import make_connector, make_depot, make_limit, make_load_group, make_reservation, make_vehicle

pytestmark = pytest.mark.django_db


def refused(row: Any, **fields: Any) -> dict[str, list[str]]:
    for name, value in fields.items():
        setattr(row, name, value)
    with pytest.raises(ValidationError) as error:
        row.full_clean()
    return error.value.message_dict


@pytest.mark.parametrize("curve", [[], [[100, 11]], [[0, 50], [80, 50.5], [100, 0]]])
def test_a_charging_curve_is_a_list_of_soc_and_power(curve: Any) -> None:
    vehicle = make_vehicle()
    vehicle.charging_curve = curve
    vehicle.full_clean()


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ({"80": 50}, r"Give a list of \[SoC %, kW\]"),
        ([[80]], "Point 1"),
        ([[80, "50"]], "not a pair"),
        ([[80, 50], [120, 10]], "Point 2: 120 is not a SoC"),
        ([[80, 50], [80, 10]], "is not above the one before it, 80 %"),
        ([[80, -1]], "-1 is not a power"),
        ([[80, float("nan")]], "not a pair"),
        ([[80, True]], "not a pair"),
    ],
)
def test_a_senseless_curve_is_refused_with_its_point(curve: Any, words: str) -> None:
    vehicle = make_vehicle()
    vehicle.charging_curve = curve
    with pytest.raises(ValidationError, match=words):
        vehicle.full_clean()


@pytest.mark.parametrize("factors", [[], [0.35], [0.1] * 24])
def test_emissions_are_one_factor_or_one_for_each_hour(factors: list[float]) -> None:
    depot = make_depot()
    depot.co2_kg_per_kwh = factors
    depot.full_clean()


@pytest.mark.parametrize("factors", [0.35, [0.1] * 23, [0.1] * 23 + [-1], [99], ["0.1"]])
def test_other_emissions_are_refused(factors: Any) -> None:
    assert "co2_kg_per_kwh" in refused(make_depot(), co2_kg_per_kwh=factors)


def test_a_soft_limit_may_have_a_price_and_a_hard_one_not() -> None:
    limit = make_limit(make_load_group(), hard=False, price_per_kwh=0.5)
    limit.full_clean()
    assert "has no price" in refused(limit, hard=True)["price_per_kwh"][0]
    with pytest.raises(IntegrityError), transaction.atomic():
        make_limit(make_load_group(), hard=False, price_per_kwh=-1)


def wanted(**need: float) -> Reservation:
    connector = make_connector()
    depot = connector.station.depot
    starts_at = timezone.now() + timedelta(hours=1)
    return book(
        depot=depot,
        vehicle=make_vehicle(depot),
        connector=connector,
        starts_at=starts_at,
        ends_at=starts_at + timedelta(hours=2),
        need=Need(**need),
        by="test",
    )


@pytest.mark.parametrize(
    "need",
    [
        {"energy_kwh": 20, "minimum_energy_kwh": 20},
        {"required_soc_percent": 80, "minimum_soc_percent": 50},
        {"required_soc_percent": 80, "minimum_energy_kwh": 10},
        {"minimum_soc_percent": 50},
    ],
)
def test_a_booking_says_which_part_of_its_need_must_be_there(need: dict[str, float]) -> None:
    stored = Reservation.objects.get(pk=wanted(**need).pk)
    assert {name: getattr(stored, name) for name in need} == need


@pytest.mark.parametrize(
    ("need", "field"),
    [
        ({"energy_kwh": 20, "minimum_energy_kwh": 21}, "minimum_energy_kwh"),
        ({"required_soc_percent": 80, "minimum_soc_percent": 81}, "minimum_soc_percent"),
        ({"minimum_energy_kwh": 5, "minimum_soc_percent": 50}, "minimum_energy_kwh"),
        ({"minimum_energy_kwh": -1}, "minimum_energy_kwh"),
        ({"minimum_energy_kwh": float("nan")}, "minimum_energy_kwh"),
        ({"minimum_soc_percent": 101}, "minimum_soc_percent"),
    ],
)
def test_a_senseless_minimum_is_refused_in_words(need: dict[str, float], field: str) -> None:
    with pytest.raises(InvalidBooking) as refusal:
        wanted(**need)
    assert set(refusal.value.errors) == {field}


def test_a_minimum_can_be_changed() -> None:
    reservation = wanted(energy_kwh=20)
    change(reservation, by="test", minimum_energy_kwh=8)
    assert Reservation.objects.get().minimum_energy_kwh == 8


def test_the_api_takes_a_minimum_and_answers_it() -> None:
    reservation = wanted(energy_kwh=20)
    client, address = client_with(), f"/api/v1/reservations/{reservation.pk}/"
    assert client.patch(address, {"minimum_energy_kwh": 8}, format="json").json()["minimum_energy_kwh"] == 8
    answer = is_problem(client.patch(address, {"minimum_energy_kwh": 30}, format="json"), 422, "validation")
    assert pointers(answer) == {"/minimum_energy_kwh"}


def test_the_api_changes_the_new_settings() -> None:
    depot = make_depot()
    settings = {
        "arrival_uncertainty_minutes": 20,
        "min_on_minutes": 15,
        "min_off_minutes": 5,
        "co2_price_per_kg": 0.1,
        "co2_kg_per_kwh": [0.4],
    }
    answer = client_with().patch(f"/api/v1/depots/{depot.slug}/", settings, format="json").json()
    assert {name: answer[name] for name in settings} == settings
    refusal = client_with().patch(f"/api/v1/depots/{depot.slug}/", {"co2_kg_per_kwh": [1, 2]}, format="json")
    assert pointers(is_problem(refusal, 422, "validation")) == {"/co2_kg_per_kwh"}


def test_the_api_takes_a_charging_curve() -> None:
    vehicle = make_vehicle()
    client, address = client_with(), f"/api/v1/vehicles/{vehicle.pk}/"
    curve = [[80, 11], [100, 3]]
    assert client.patch(address, {"charging_curve": curve}, format="json").json()["charging_curve"] == curve
    refusal = client.patch(address, {"charging_curve": [[80, 11], [70, 3]]}, format="json")
    assert pointers(is_problem(refusal, 422, "validation")) == {"/charging_curve"}


def test_new_columns_have_left_the_guard_against_overlaps_in_place() -> None:
    connector, starts_at = make_connector(), timezone.now()
    make_reservation(connector=connector, starts_at=starts_at, minimum_energy_kwh=5)
    with pytest.raises(IntegrityError, match="reservation_no_overlap"), transaction.atomic():
        make_reservation(connector=connector, starts_at=starts_at + timedelta(hours=1))
    assert connection.vendor in ("sqlite", "postgresql")


def demand(**fields: Any) -> Demand:
    (found,) = parse_elements([{"type": "demand", "price_per_kw": 10, **fields}]).demand
    return found


def test_a_demand_charge_counts_at_its_hours_days_and_months() -> None:
    charge = demand(months=[1, 2], days="weekday", start="08:00", end="20:00")
    thursday, saturday = datetime(2026, 1, 1, 8, 0, tzinfo=UTC), datetime(2026, 1, 3, 8, 0, tzinfo=UTC)
    assert charge.counts_at(thursday)
    assert not charge.counts_at(thursday - timedelta(minutes=15))
    assert not charge.counts_at(saturday)
    assert not charge.counts_at(thursday.replace(month=4))
    assert demand().counts_at(saturday)


def test_a_demand_charge_with_a_senseless_filter_is_refused() -> None:
    with pytest.raises(TariffError, match="write a local time as HH:MM"):
        demand(start="8", end="20:00")
