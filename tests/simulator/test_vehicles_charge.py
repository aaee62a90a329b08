"""Constant current up to 80 %, taper to 100 %, minimum current, phases; and how a connector integrates them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.simulator.battery import Vehicle, accepted_current_a, charged, drawn_current_a, taper
from charging.simulator.config import ConnectorConfig
from charging.simulator.connector import Connector, Status, Transaction
from charging.simulator.schedule import Limit

T0 = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)


def vehicle(soc: float = 0.5, *, battery_kwh: float = 50.0, max_power_kw: float = 11.0, **more: Any) -> Vehicle:
    return Vehicle("V", battery_kwh, soc, max_power_kw, **more)


@pytest.mark.parametrize(("soc", "share"), [(0.0, 1.0), (0.8, 1.0), (0.9, 0.5), (0.95, 0.25), (1.0, 0.0)])
def test_the_taper(soc: float, share: float) -> None:
    assert taper(soc) == pytest.approx(share)


def test_the_taper_ends_at_the_minimum_current_and_a_full_battery_takes_nothing() -> None:
    assert accepted_current_a(vehicle(0.999), voltage_v=230.0, phases=3) == 6.0
    assert accepted_current_a(vehicle(1.0), voltage_v=230.0, phases=3) == 0.0


@pytest.mark.parametrize(
    ("offered_a", "drawn_a"), [(0.0, 0.0), (5.9, 0.0), (6.0, 6.0), (10.0, 10.0), (32.0, 11e3 / 690)]
)
def test_an_offer_below_the_minimum_is_not_taken(offered_a: float, drawn_a: float) -> None:
    assert drawn_current_a(vehicle(), offered_a, voltage_v=230.0, phases=3) == pytest.approx(drawn_a)


def test_energy_from_the_grid_reaches_the_battery_with_its_efficiency() -> None:
    after = charged(vehicle(0.5), 5.0)
    assert after.soc == pytest.approx(0.5 + 5.0 * 0.92 / 50.0)
    assert after.energy_taken_kwh == 5.0


def test_a_vehicle_stops_when_it_has_what_was_wanted() -> None:
    wanting = Vehicle("V", 50.0, 0.5, 11.0, energy_wanted_kwh=5.0)
    assert wanting.room_kwh == 5.0
    assert charged(wanting, 5.0).full


def plugged(car: Vehicle, limit_a: float = 32.0, **config: Any) -> Connector:
    connector = Connector(
        ConnectorConfig(number=1, **config),
        T0,
        lambda place, at: Limit(limit_a, place.config.phases),
    )
    connector.plug_in(car, T0)
    connector.begin(Transaction("V", T0, 0), T0)
    return connector


def hours(count: float) -> datetime:
    return T0 + timedelta(hours=count)


def test_power_energy_and_soc_agree_in_the_constant_part() -> None:
    connector = plugged(vehicle(0.2))
    connector.advance(hours(1))
    assert connector.energy_wh == pytest.approx(11_000)
    assert connector.vehicle is not None
    assert connector.vehicle.soc == pytest.approx(0.2 + 11.0 * 0.92 / 50.0)
    assert connector.status is Status.CHARGING


def test_a_battery_becomes_full_and_suspends() -> None:
    connector = plugged(vehicle(0.7))
    connector.advance(hours(12))
    assert connector.vehicle is not None
    assert connector.vehicle.full
    assert connector.power_w == 0.0
    assert connector.status is Status.SUSPENDED_EV
    assert connector.energy_wh == pytest.approx(0.3 * 50_000 / 0.92, rel=1e-3)


def test_a_one_phase_vehicle_uses_one_phase_of_three() -> None:
    connector = plugged(vehicle(max_power_kw=7.0, phases=1))
    assert connector.phases_in_use == 1
    assert connector.power_w == pytest.approx(7_000)


def test_the_connector_bounds_the_current() -> None:
    assert plugged(vehicle(max_power_kw=22.0), max_current_a=16.0).power_w == pytest.approx(16 * 690)


def test_a_limit_below_the_minimum_suspends_the_charger() -> None:
    connector = plugged(vehicle(), limit_a=4.0)
    connector.advance(hours(1))
    assert connector.energy_wh == 0.0
    assert connector.status is Status.SUSPENDED_EVSE


def test_nothing_flows_without_a_transaction() -> None:
    connector = plugged(vehicle())
    connector.end(hours(1))
    connector.advance(hours(2))
    assert connector.energy_wh == pytest.approx(11_000, rel=1e-2)
    statuses = [connector.status]
    connector.plug_out(hours(2))
    statuses.append(connector.status)
    assert statuses == [Status.FINISHING, Status.AVAILABLE]


def test_two_vehicles_do_not_fit() -> None:
    with pytest.raises(ValueError, match="taken by V"):
        plugged(vehicle()).plug_in(vehicle(), T0)


@given(
    soc=st.floats(0.0, 1.0),
    limit_a=st.floats(0.0, 80.0),
    max_power_kw=st.floats(3.0, 22.0),
    phases=st.sampled_from([1, 2, 3]),
    steps=st.lists(st.integers(1, 7200), min_size=1, max_size=6),
)
def test_it_never_draws_more_than_the_limit_and_only_what_the_battery_can_hold(
    soc: float, limit_a: float, max_power_kw: float, phases: int, steps: list[int]
) -> None:
    car = vehicle(soc, max_power_kw=max_power_kw, phases=phases)
    connector = plugged(car, limit_a)
    at = T0
    for seconds in steps:
        at += timedelta(seconds=seconds)
        connector.advance(at)
        assert 0.0 <= connector.current_a <= min(limit_a, 32.0) + 1e-9
        assert connector.power_w <= max_power_kw * 1000 + 1e-6
    assert connector.vehicle is not None
    gained_kwh = (connector.vehicle.soc - soc) * car.battery_kwh
    assert gained_kwh == pytest.approx(connector.energy_wh / 1000 * 0.92, abs=1e-6)
