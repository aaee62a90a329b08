"""Which vehicles are expected: invented from a seed, or read from the rows of a file."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.engine import Horizon
from scheduling.engine.demand_prediction import (
    BATTERIES_KWH,
    POWERS_KW,
    Demand,
    DemandRefused,
    demand_of,
    read_csv,
    synthetic_demand,
)

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 1, 12, tzinfo=BERLIN)
HEADER = "vehicle,powerNom,energyRequired,energyMax,arrivalTime,departureTime,arrivalSOE"


def row(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "vehicle": "bus-1",
        "powerNom": 50,
        "energyRequired": 120,
        "energyMax": 350,
        "arrivalTime": 18.5,
        "departureTime": 29.5,
        "arrivalSOE": 105,
    }
    return fields | changes


def refused(*rows: dict[str, Any]) -> list[tuple[int, str, str]]:
    with pytest.raises(DemandRefused) as caught:
        demand_of(enumerate(rows, start=1), midnight=MONDAY)
    return [(error.row, error.column, error.detail) for error in caught.value.errors]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    hours=st.floats(8, 72),
    minutes=st.sampled_from([1, 5, 10, 15, 30, 60]),
    efficiency=st.floats(0.5, 1.0),
)
def test_what_is_invented_is_possible(seed: int, hours: float, minutes: int, efficiency: float) -> None:
    step = timedelta(minutes=minutes)
    for demand in synthetic_demand(6, start=MONDAY, seed=seed, hours=hours, resolution=step, efficiency=efficiency):
        arrival, departure = (moment - MONDAY for moment in (demand.arrival, demand.departure))
        assert arrival % step == departure % step == timedelta(0)
        assert timedelta(hours=5) - step < arrival % timedelta(days=1) <= timedelta(hours=16)
        assert departure % timedelta(days=1) <= timedelta(hours=23)
        assert arrival < departure <= timedelta(hours=hours)
        assert departure - arrival <= timedelta(hours=5) + step
        assert demand.power_kw in POWERS_KW
        assert demand.battery_kwh in BATTERIES_KWH
        assert demand.energy_kwh <= demand.battery_kwh - demand.arrival_soe_kwh + 1e-3
        assert demand.energy_kwh <= demand.power_kw * demand.parking_hours * efficiency + 1e-9
        assert demand.charging_hours <= demand.parking_hours + 1e-9


def test_the_same_seed_invents_the_same_vehicles_and_more_of_them_leave_the_first_alone() -> None:
    ten = synthetic_demand(10, start=MONDAY, seed=3)
    assert ten == synthetic_demand(10, start=MONDAY, seed=3)
    assert ten == synthetic_demand(25, start=MONDAY, seed=3)[:10]


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"hours": 72.0},
        {"hours": 12.0},
        {"resolution": timedelta(hours=1)},
        {"efficiency": 0.8},
        {"start": MONDAY + timedelta(days=1)},
        {"vehicles": 21},
    ],
)
def test_wb12_every_parameter_has_an_effect(change: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"vehicles": 20, "start": MONDAY, "seed": 3}
    assert synthetic_demand(**(usual | change)) != synthetic_demand(**usual)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"vehicles": -1}, "-1 vehicles"),
        ({"hours": 5}, "5 h is too short"),
        ({"resolution": timedelta(0)}, "not above zero"),
        ({"efficiency": 1.2}, "Efficiency 1.2"),
        ({"start": datetime(2026, 1, 12)}, "naive"),  # the point is the missing zone
    ],
)
def test_senseless_parameters_are_refused(change: dict[str, Any], sentence: str) -> None:
    usual: dict[str, Any] = {"vehicles": 5, "start": MONDAY, "seed": 0}
    with pytest.raises(ValueError, match=sentence):
        synthetic_demand(**(usual | change))


def test_b06_rows_become_vehicles() -> None:
    (demand,) = demand_of([(1, row(powerMin=6, priority=3, efficiency=0.9))], midnight=MONDAY)
    assert demand == Demand(
        vehicle="bus-1",
        power_kw=50,
        energy_kwh=120,
        battery_kwh=350,
        arrival=datetime(2026, 1, 12, 17, 30, tzinfo=UTC),
        departure=datetime(2026, 1, 13, 4, 30, tzinfo=UTC),
        arrival_soe_kwh=105,
        minimum_power_kw=6,
        priority=3,
        efficiency=0.9,
    )
    vehicle = demand.ev(("yard",))
    assert (vehicle.ev_id, vehicle.nodes, vehicle.soc, vehicle.min_power) == ("bus-1", ("yard",), 30.0, 6)
    assert (vehicle.energy, vehicle.efficiency, vehicle.priority) == (120, 0.9, 3)
    assert demand.arrival_soc_percent == 30.0
    assert demand.parking_hours == 11.0
    assert demand.charging_hours == pytest.approx(120 / 0.9 / 50)


def test_b08_times_are_local_hours_or_timestamps_with_an_offset() -> None:
    by_hours, by_stamp = demand_of(
        [
            (1, row(arrivalTime=8.25, departureTime=17)),
            (2, row(vehicle=7, arrivalTime="2026-01-12T08:15:00+01:00", departureTime="2026-01-12T16:00:00Z")),
        ],
        midnight=MONDAY,
    )
    assert (by_hours.arrival, by_hours.departure) == (by_stamp.arrival, by_stamp.departure)
    assert by_stamp.vehicle == "7"


def test_hours_are_those_of_the_clock_on_the_day_it_is_put_forward() -> None:
    sunday = datetime(2026, 3, 29, tzinfo=BERLIN)
    (demand,) = demand_of([(1, row(arrivalTime=1.0, departureTime=8.0))], midnight=sunday)
    assert demand.departure.astimezone(BERLIN).hour == 8
    assert demand.parking_hours == 6.0


@pytest.mark.parametrize(
    ("arrival", "departure", "steps"),
    [("11:59:53", "16:46:38", (47, 67)), ("08:18:18", "10:49:46", (33, 43))],
)
def test_b23_the_quarter_hours_that_hold_arrival_and_departure(
    arrival: str, departure: str, steps: tuple[int, int]
) -> None:
    stamps = {"arrivalTime": f"2026-01-12T{arrival}Z", "departureTime": f"2026-01-12T{departure}Z"}
    (demand,) = demand_of([(1, row(**stamps))], midnight=datetime(2026, 1, 12, tzinfo=UTC))
    day = Horizon(datetime(2026, 1, 12, tzinfo=UTC), timedelta(seconds=900), 96)
    assert (day.step_at(demand.arrival), day.step_at(demand.departure)) == steps


@pytest.mark.parametrize(
    ("change", "column", "sentence"),
    [
        ({"powerNom": "fast"}, "powerNom", "'fast' is not a number"),
        ({"powerNom": 0}, "powerNom", "0 is not above 0"),
        ({"powerNom": True}, "powerNom", "True is not a number"),
        ({"powerNom": float("nan")}, "powerNom", "nan is not a number"),
        ({"energyRequired": -1}, "energyRequired", "-1 is not at least 0"),
        ({"energyRequired": None}, "energyRequired", "is missing"),
        ({"energyMax": 1e9}, "energyMax", "at most 1e+06"),
        ({"energyRequired": 300}, "energyRequired", "more than the 245 that the battery has free"),
        ({"arrivalSOE": 400}, "arrivalSOE", "400 kWh is more than the battery's 350"),
        ({"departureTime": 18.5}, "departureTime", "is not after arrivalTime"),
        ({"departureTime": 3}, "departureTime", "is not after arrivalTime"),
        ({"arrivalTime": "2026-01-12T18:30:00"}, "arrivalTime", "has no offset"),
        ({"arrivalTime": "soon"}, "arrivalTime", "neither hours of the day nor a date and time"),
        ({"arrivalTime": "0001-01-01T00:00:00+05:00"}, "arrivalTime", "out of range"),
        ({"vehicle": " "}, "vehicle", "give a name or number"),
        ({"vehicle": None}, "vehicle", "give a name or number"),
        ({"powerMin": 60}, "powerMin", "60 kW is above powerNom 50"),
        ({"priority": 1.5}, "priority", "1.5 is not a whole number"),
        ({"efficiency": 0}, "efficiency", "0 is not above 0"),
        ({"colour": "red"}, "colour", "there is no such column"),
    ],
)
def test_wb08_each_value_is_checked_and_its_row_named(change: dict[str, Any], column: str, sentence: str) -> None:
    ((number, name, detail),) = refused(row(vehicle="good"), row(**change))
    assert (number, name) == (2, column)
    assert sentence in detail


def test_all_that_is_wrong_is_told_at_once() -> None:
    errors = refused(row(powerNom=-1, energyMax="big"), row(vehicle="b"), row(vehicle="c", departureTime=1))
    assert [(number, column) for number, column, _ in errors] == [
        (1, "powerNom"),
        (1, "energyMax"),
        (3, "departureTime"),
    ]


def test_wa14_a_vehicle_that_comes_twice_is_refused_with_both_rows() -> None:
    ((number, column, detail),) = refused(row(), row(vehicle="x"), row())
    assert (number, column) == (3, "vehicle")
    assert "row 1" in detail


def test_a_csv_file_is_read() -> None:
    text = f"{HEADER}\nbus-1,50,120,350,18.5,29.5,105\nbus-2,11,20,60,2026-01-12T18:00:00+01:00,29,10\n"
    first, second = demand_of(read_csv(text), midnight=MONDAY)
    assert (first.vehicle, first.power_kw, first.parking_hours) == ("bus-1", 50, 11)
    assert second.arrival == datetime(2026, 1, 12, 17, tzinfo=UTC)


def test_a_spreadsheets_csv_with_semicolons_decimal_commas_and_a_byte_order_mark_is_read() -> None:
    text = "\ufeff" + f"{HEADER};parkingDuration\r\n007;7,4;20;60;18,5;29,5;10,25;11\r\n".replace(
        HEADER, HEADER.replace(",", ";")
    )
    (demand,) = demand_of(read_csv(text), midnight=MONDAY)
    assert (demand.vehicle, demand.power_kw, demand.arrival_soe_kwh) == ("007", 7.4, 10.25)


def test_errors_of_a_csv_file_name_its_lines() -> None:
    text = f"{HEADER}\n\nbus-1,50,120,350,18.5,29.5,105\nbus-2,50,,350,18.5,29.5,105\nbus-3,50,1,350,18.5,29.5,105,9\n"
    with pytest.raises(DemandRefused, match=r"Row 4, energyRequired: is missing\. Row 5: has more values"):
        demand_of(read_csv(text), midnight=MONDAY)
    with pytest.raises(DemandRefused, match=r"Row 1, arrivalSOE: the column is missing"):
        read_csv(HEADER.replace(",arrivalSOE", "") + "\n")
    with pytest.raises(DemandRefused, match=r"Row 1, powerNom: the column comes twice"):
        read_csv(HEADER + ",powerNom\n")
    with pytest.raises(DemandRefused, match="Row 1, vehicle: the column is missing"):
        read_csv("")


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for body in (text, f"{HEADER}\n{text}"):
        with suppress(DemandRefused):
            assert all(demand.departure > demand.arrival for demand in demand_of(read_csv(body), midnight=MONDAY))
