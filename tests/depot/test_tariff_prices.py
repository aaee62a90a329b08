"""Price series: UTC instants priced by the local wall clock, also on the days when clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depot.tariffs.definition import TariffError, parse_elements
from depot.tariffs.prices import TariffHole, Version, price_at, price_per_kwh

BERLIN = ZoneInfo("Europe/Berlin")
LOS_ANGELES = ZoneInfo("America/Los_Angeles")
QUARTER = timedelta(minutes=15)

# SCE TOU-EV-4, 2019: windows that differ by season and day class, one of them past midnight
EV4 = [
    {
        "type": "energy_tou",
        "unit": "USD/kWh",
        "periods": [
            {"months": [6, 7, 8, 9], "days": "weekday", "start": "23:00", "end": "08:00", "price": 0.05623},
            {"months": [6, 7, 8, 9], "days": "weekday", "start": "08:00", "end": "12:00", "price": 0.0925},
            {"months": [6, 7, 8, 9], "days": "weekday", "start": "12:00", "end": "18:00", "price": 0.26668},
            {"months": [6, 7, 8, 9], "days": "weekday", "start": "18:00", "end": "23:00", "price": 0.0925},
            {"months": [6, 7, 8, 9], "days": "weekend_or_holiday", "start": "00:00", "end": "24:00", "price": 0.05623},
            {"months": [*range(1, 6), 10, 11, 12], "start": "00:00", "end": "24:00", "price": 0.07},
        ],
    }
]
TWO_PRICES = [
    {
        "type": "energy_tou",
        "periods": [{"start": "22:00", "end": "06:00", "price": 0.1}, {"otherwise": True, "price": 0.3}],
    }
]


def read_from_the_sheet(local: datetime) -> float:
    """EV4 as a person reads it."""
    if local.month not in (6, 7, 8, 9):
        return 0.07
    if local.weekday() >= 5 or local.hour >= 23 or local.hour < 8:
        return 0.05623
    return 0.26668 if 12 <= local.hour < 18 else 0.0925


def always(elements: Any) -> list[Version]:
    return [(date.min, None, parse_elements(elements))]


def borders_of(day: date, zone: ZoneInfo, step: timedelta = QUARTER) -> list[datetime]:
    """The steps of one local day, midnight to midnight, as UTC."""
    start, end = (datetime.combine(each, datetime.min.time(), zone) for each in (day, day + timedelta(days=1)))
    count = int((end.astimezone(UTC) - start.astimezone(UTC)) / step)
    return [start.astimezone(UTC) + step * k for k in range(count + 1)]


@pytest.mark.parametrize(
    ("day", "zone", "steps"),
    [
        (date(2026, 3, 28), "Europe/Berlin", 96),
        (date(2026, 3, 29), "Europe/Berlin", 92),
        (date(2026, 10, 25), "Europe/Berlin", 100),
        (date(2026, 3, 8), "America/Los_Angeles", 92),
        (date(2026, 11, 1), "America/Los_Angeles", 100),
        (date(2026, 4, 5), "Australia/Sydney", 100),
        (date(2026, 4, 5), "Australia/Lord_Howe", 98),
        (date(2026, 10, 4), "Australia/Lord_Howe", 94),
        (date(2026, 3, 8), "America/Phoenix", 96),
    ],
)
def test_every_step_of_a_local_day_has_the_price_of_its_wall_clock(day: date, zone: str, steps: int) -> None:
    borders = borders_of(day, ZoneInfo(zone))
    prices = price_per_kwh(always(TWO_PRICES), borders, ZoneInfo(zone))
    hours = [border.astimezone(ZoneInfo(zone)).hour for border in borders[:-1]]
    assert prices.tolist() == [0.1 if hour >= 22 or hour < 6 else 0.3 for hour in hours]
    assert len(prices) == steps


@pytest.mark.parametrize(
    ("day", "cost"), [(date(2019, 7, 10), 293.865), (date(2019, 7, 13), 134.952)], ids=["weekday", "weekend"]
)
def test_a_day_at_100_kw_costs_what_the_supplier_says(day: date, cost: float) -> None:
    borders = borders_of(day, LOS_ANGELES)
    prices = price_per_kwh(always(EV4), borders, LOS_ANGELES)
    assert prices.sum() * 25 == pytest.approx(cost, abs=0.01)


def test_a_holiday_is_priced_as_a_weekend() -> None:
    borders = borders_of(date(2019, 7, 4), LOS_ANGELES)
    prices = price_per_kwh(always(EV4), borders, LOS_ANGELES, holidays=[date(2019, 7, 4)])
    assert set(prices) == {0.05623}


def test_a_window_past_midnight_has_the_day_class_of_each_day() -> None:
    friday_night = datetime(2019, 7, 12, 23, 30, tzinfo=LOS_ANGELES)
    assert price_at(always(EV4), friday_night, LOS_ANGELES) == 0.05623
    monday = datetime(2019, 7, 15, 7, 59, tzinfo=LOS_ANGELES)
    assert price_at(always(EV4), monday, LOS_ANGELES) == 0.05623
    assert price_at(always(EV4), monday + timedelta(minutes=1), LOS_ANGELES) == 0.0925


def test_a_step_across_a_window_edge_has_the_weighted_mean() -> None:
    start = datetime(2026, 1, 15, 21, 20, tzinfo=BERLIN)
    (price,) = price_per_kwh(always(TWO_PRICES), [start, start + timedelta(hours=1)], BERLIN)
    assert price == pytest.approx((40 * 0.3 + 20 * 0.1) / 60)


def test_windows_may_begin_at_any_minute() -> None:
    odd = [
        {
            "type": "energy_tou",
            "periods": [{"start": "10:07", "end": "10:52", "price": 1}, {"otherwise": True, "price": 0}],
        }
    ]
    start = datetime(2026, 1, 15, 10, 0, tzinfo=BERLIN)
    (price,) = price_per_kwh(always(odd), [start, start + timedelta(hours=1)], BERLIN)
    assert price == pytest.approx(45 / 60)


def test_energy_elements_add_up() -> None:
    levy = [*TWO_PRICES, {"type": "energy_flat", "price_per_kwh": 0.05}]
    start = datetime(2026, 1, 15, 12, tzinfo=BERLIN)
    assert price_per_kwh(always(levy), [start, start + QUARTER], BERLIN)[0] == pytest.approx(0.35)


def test_negative_prices_stay_negative() -> None:
    start = datetime(2026, 1, 15, 12, tzinfo=BERLIN)
    flat = always([{"type": "energy_flat", "price_per_kwh": -0.04165}])
    assert price_per_kwh(flat, [start, start + QUARTER], BERLIN).tolist() == [-0.04165]


def test_versions_change_at_local_midnight() -> None:
    cheap, dear = (parse_elements([{"type": "energy_flat", "price_per_kwh": price}]) for price in (0.1, 0.3))
    versions: list[Version] = [(date(2026, 1, 1), date(2026, 6, 16), cheap), (date(2026, 6, 16), None, dear)]
    midnight = datetime(2026, 6, 16, tzinfo=BERLIN)
    borders = [midnight - QUARTER, midnight, midnight + QUARTER]
    assert price_per_kwh(versions, borders, BERLIN).tolist() == [0.1, 0.3]


def test_a_hole_in_time_names_the_instant() -> None:
    elements = parse_elements(TWO_PRICES)
    versions: list[Version] = [(date(2026, 1, 1), date(2026, 2, 1), elements), (date(2026, 2, 2), None, elements)]
    start = datetime(2026, 1, 31, 20, tzinfo=BERLIN)
    with pytest.raises(TariffHole, match=r"2026-02-01T00:00:00\+01:00"):
        price_per_kwh(versions, [start, start + timedelta(hours=8)], BERLIN)


def test_two_versions_at_once_are_refused() -> None:
    start = datetime(2026, 1, 31, 20, tzinfo=BERLIN)
    with pytest.raises(TariffError, match="2 versions"):
        price_per_kwh(always(TWO_PRICES) * 2, [start, start + QUARTER], BERLIN)


def test_a_tariff_without_energy_prices_says_so() -> None:
    start = datetime(2026, 1, 31, 20, tzinfo=BERLIN)
    with pytest.raises(TariffError, match="no energy price"):
        price_per_kwh(always([{"type": "fixed_per_month", "amount": 5}]), [start, start + QUARTER], BERLIN)


@pytest.mark.parametrize("borders", [[], [datetime(2026, 1, 1)], [datetime(2026, 1, 1, tzinfo=UTC)] * 2])
def test_bad_borders_are_refused(borders: list[datetime]) -> None:
    with pytest.raises(ValueError):
        price_per_kwh(always(TWO_PRICES), borders, BERLIN)


@settings(deadline=None, max_examples=60)
@given(
    minutes=st.lists(st.integers(0, 3 * 24 * 60), min_size=2, max_size=12, unique=True).map(sorted),
    zone=st.sampled_from(["Europe/Berlin", "America/Los_Angeles", "Asia/Kathmandu", "Australia/Lord_Howe"]),
    first=st.sampled_from(
        [datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC), datetime(2026, 7, 3, tzinfo=UTC)]
    ),
)
def test_the_series_is_the_mean_of_its_minutes(minutes: list[int], zone: str, first: datetime) -> None:
    borders = [first + timedelta(minutes=minute) for minute in minutes]
    prices = price_per_kwh(always(EV4), borders, ZoneInfo(zone))
    for (begin, end), price in zip(pairwise(minutes), prices, strict=True):
        instants = [first + timedelta(minutes=minute) for minute in range(begin, end)]
        assert price == pytest.approx(
            np.mean([read_from_the_sheet(each.astimezone(ZoneInfo(zone))) for each in instants])
        )
