"""What a tariff version may say, and what is refused with the place of the fault."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from depot.tariffs.definition import EnergyTou, KeptElement, TariffError, parse_elements


def tou(*periods: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "energy_tou", "unit": "EUR/kWh", "periods": list(periods)}]


def period(start: str, end: str, price: float = 0.2, **fields: Any) -> dict[str, Any]:
    return {"start": start, "end": end, "price": price, **fields}


def test_prices_stay_decimal() -> None:
    (element,) = parse_elements(tou(period("00:00", "24:00", 0.1))).all
    assert isinstance(element, EnergyTou)
    assert element.periods[0].price == Decimal("0.1")


def test_fixed_amounts_add_up() -> None:
    elements = parse_elements([{"type": "fixed_per_month", "amount": 10}, {"type": "fixed_per_month", "amount": 0.5}])
    assert elements.fixed_per_month == Decimal("10.5")


def test_otherwise_takes_what_is_left() -> None:
    elements = parse_elements(tou(period("16:00", "21:00"), {"otherwise": True, "price": 0.1}))
    (element,) = elements.energy
    assert isinstance(element, EnergyTou)
    assert (element.table == 1).sum() == 12 * 2 * 19 * 60


KEPT: list[dict[str, Any]] = [
    {"type": "energy_hours_use", "blocks": [{"up_to_kwh_per_kw": None, "price": 0.05}]},
    {"type": "minimum_bill", "per_kw": 3.7},
    {"type": "alternative_lower_of", "price_per_kwh": 0.25, "replaces": ["demand"]},
    {"type": "subscription_blocks", "block_kw": 50, "price_per_block_month": 95.56, "overage_per_kw": 3.82},
    {"type": "annual_demand_usage_hours", "threshold_hours": 2500},
    {"type": "monthly_demand_alternative", "eur_per_kw_month": 19.85, "ct_per_kwh": 1.09},
    {"type": "reactive", "ct_per_kvarh": 1.1, "above_percent_of_active": 40},
    {"type": "surcharge_percent", "percent": 5},
    {"type": "booked_capacity", "price_per_kw": 2},
    {"type": "coincident_peak", "price_per_kw": 19.34},
    {"type": "spot", "resolution_minutes": 15},
    {"type": "grid_dimming_floor", "base_kw": 4.2, "per_point_kw": 4.2},
    {"type": "reduction_module", "module": 1},
]


@pytest.mark.parametrize("element", KEPT, ids=lambda element: element["type"])
def test_elements_without_a_price_by_time_are_kept(element: dict[str, Any]) -> None:
    (kept,) = parse_elements([element]).all
    assert isinstance(kept, KeptElement)
    assert kept.fields == element


@pytest.mark.parametrize("element", KEPT, ids=lambda element: element["type"])
def test_a_missing_number_is_refused_by_name(element: dict[str, Any]) -> None:
    if numbers := [name for name, value in element.items() if isinstance(value, int | float)]:
        with pytest.raises(TariffError, match=numbers[0]):
            parse_elements([{**element, numbers[0]: None}])


def test_a_demand_charge_is_parsed_with_its_ratchet() -> None:
    ratchet = {"percent": 75, "of": "billed_demand", "lookback_months": 11}
    elements = parse_elements([{"type": "demand", "price_per_kw": 11.25, "window_minutes": 30, "ratchet": ratchet}])
    (demand,) = elements.demand
    assert (demand.price_per_kw, demand.window_minutes, demand.fields["ratchet"]) == (Decimal("11.25"), 30, ratchet)


REFUSED: list[tuple[Any, str]] = [
    ([], "at least one element"),
    ({"type": "energy_flat"}, "at least one element"),
    ([7], "Element 1 is not an object"),
    ([{"type": "magic"}], "'magic' is unknown; known are energy_tou"),
    ([{"type": "energy_flat", "price_per_kwh": None}], "price_per_kwh is missing or null"),
    ([{"type": "energy_flat", "price_per_kwh": "cheap"}], "'cheap', not a number"),
    ([{"type": "energy_flat", "price_per_kwh": True}], "True, not a number"),
    ([{"type": "energy_flat", "price_per_kwh": float("nan")}], "not a finite number"),
    ([{"type": "demand", "price_per_kw": 1, "window_minutes": 7}], "window_minutes is 7"),
    ([{"type": "demand", "tiers": [{"price": None}]}], "price is null"),
    ([{"type": "energy_hours_use", "blocks": [{"price": None}]}], "price is null"),
    (tou(), "needs a list of periods"),
    (tou(period("25:00", "26:00")), "start is '25:00'"),
    (tou(period("8:00", "24:00")), "write a local time as HH:MM"),
    (tou(period("08:00", "08:00")), "is empty"),
    (tou(period("00:00", "24:00", months=[13])), "13 is not a month"),
    (tou(period("00:00", "24:00", months=[])), "months is"),
    (tou(period("00:00", "24:00", days="sundays")), "days is 'sundays'"),
    ([{**tou(period("00:00", "24:00"))[0], "unit": "EUR/MWh"}], "prices are per kWh"),
    (tou(period("06:00", "22:00")), "no period covers 00:00 on a weekday in January"),
    (tou(period("00:00", "24:00", months=[*range(1, 12)])), "no period covers 00:00 on a weekday in December"),
    (tou(period("00:00", "24:00", days="weekday")), "no period covers 00:00 on a weekend or holiday in January"),
    (tou(period("00:00", "12:30"), period("13:00", "24:00")), "no period covers 12:30"),
    (tou(period("00:00", "24:00", name="a"), period("22:00", "06:00", name="b")), "'a' and 'b' both cover 00:00"),
]


@pytest.mark.parametrize(("elements", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_a_faulty_definition_is_refused_with_its_place(elements: Any, said: str) -> None:
    with pytest.raises(TariffError) as refusal:
        parse_elements(elements)
    assert said in str(refusal.value)
