"""Elements of a supply tariff, read from JSON and checked: nothing unknown, no null price, every hour priced once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

MONTHS = 12
MINUTES_OF_DAY = 24 * 60
WEEKDAY, WEEKEND_OR_HOLIDAY = 0, 1
SATURDAY = 5
DAY_CLASSES = {
    "weekday": (WEEKDAY,),
    "weekend_or_holiday": (WEEKEND_OR_HOLIDAY,),
    "all": (WEEKDAY, WEEKEND_OR_HOLIDAY),
}
DAY_NAMES = ("weekday", "weekend or holiday")
MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

# What the bill engine reads from elements that have no price by time: numbers that must be there, and lists.
KEPT_NUMBERS: dict[str, tuple[str, ...]] = {
    "energy_hours_use": (),
    "minimum_bill": ("per_kw",),
    "alternative_lower_of": ("price_per_kwh",),
    "subscription_blocks": ("block_kw", "price_per_block_month", "overage_per_kw"),
    "annual_demand_usage_hours": ("threshold_hours",),
    "monthly_demand_alternative": ("eur_per_kw_month", "ct_per_kwh"),
    "reactive": ("ct_per_kvarh", "above_percent_of_active"),
    "surcharge_percent": ("percent",),
    "booked_capacity": ("price_per_kw",),
    "coincident_peak": ("price_per_kw",),
    "spot": ("resolution_minutes",),
    "grid_dimming_floor": ("base_kw", "per_point_kw"),
    "reduction_module": ("module",),
}
PRICE_NAMES = ("price", "amount", "eur_per_", "ct_per_")


class TariffError(ValueError):
    """What is wrong with a tariff, and where."""


@dataclass(frozen=True)
class Period:
    """A price in a local window of minutes from midnight; an end before the start wraps. Months are 1 to 12."""

    name: str
    price: Decimal
    months: tuple[int, ...]
    day_classes: tuple[int, ...]
    start_minute: int
    end_minute: int
    otherwise: bool = False

    def minutes(self) -> NDArray[np.bool_]:
        """Which minutes of a local day the window covers, shape (1440,)."""
        covered = np.zeros(MINUTES_OF_DAY, dtype=bool)
        if self.start_minute < self.end_minute:
            covered[self.start_minute : self.end_minute] = True
        else:
            covered[self.start_minute :] = covered[: self.end_minute] = True
        return covered


@dataclass(frozen=True)
class EnergyTou:
    """Energy priced by month, day class and local time; every minute belongs to exactly one period."""

    periods: tuple[Period, ...]

    @cached_property
    def table(self) -> NDArray[np.int16]:
        """Index of the period in force, shape (12 months, 2 day classes, 1440 local minutes)."""
        return _table_of(self.periods)

    @cached_property
    def prices(self) -> NDArray[np.float64]:
        return np.array([float(period.price) for period in self.periods])

    @property
    def boundary_minutes(self) -> set[int]:
        ends = {period.end_minute % MINUTES_OF_DAY for period in self.periods if not period.otherwise}
        return ends | {period.start_minute for period in self.periods if not period.otherwise}


@dataclass(frozen=True)
class EnergyFlat:
    price_per_kwh: Decimal


@dataclass(frozen=True)
class FixedPerMonth:
    amount: Decimal


@dataclass(frozen=True)
class FixedPerDay:
    amount: Decimal


@dataclass(frozen=True)
class Demand:
    """A price on the highest metered window of a month, of those that `counted` covers.

    Ratchet, floor and tiers stay as they were written.
    """

    price_per_kw: Decimal
    window_minutes: int
    statistic: str
    fields: Mapping[str, Any]
    counted: Period

    def counts_at(self, local: datetime) -> bool:
        """Whether a window that begins at this local time is one of those that are charged for."""
        counted = self.counted
        day = WEEKEND_OR_HOLIDAY if local.weekday() >= SATURDAY else WEEKDAY
        in_season = local.month in counted.months and day in counted.day_classes
        return in_season and bool(counted.minutes()[local.hour * 60 + local.minute])

    @property
    def label(self) -> str:
        """Names the windows that count, such as `15 min` or `15 min, weekday, 08:00 to 20:00`."""
        parts = [f"{self.window_minutes} min"]
        if days := str(self.fields.get("days", "")):
            parts.append(days)
        if "start" in self.fields:
            parts.append(f"{self.fields['start']} to {self.fields['end']}")
        return ", ".join(parts)


@dataclass(frozen=True)
class KeptElement:
    """An element without a price by time: checked for its numbers and kept for the bill."""

    type: str
    fields: Mapping[str, Any]


Element = EnergyTou | EnergyFlat | FixedPerMonth | FixedPerDay | Demand | KeptElement


@dataclass(frozen=True)
class Elements:
    """All elements of one tariff version."""

    all: tuple[Element, ...]

    @property
    def energy(self) -> tuple[EnergyTou | EnergyFlat, ...]:
        """The elements that give every instant a price per kWh; their prices add up."""
        return tuple(element for element in self.all if isinstance(element, EnergyTou | EnergyFlat))

    @property
    def demand(self) -> tuple[Demand, ...]:
        return tuple(element for element in self.all if isinstance(element, Demand))

    @property
    def fixed_per_month(self) -> Decimal:
        return sum((each.amount for each in self.all if isinstance(each, FixedPerMonth)), Decimal(0))

    @property
    def fixed_per_day(self) -> Decimal:
        return sum((each.amount for each in self.all if isinstance(each, FixedPerDay)), Decimal(0))


def parse_elements(elements: object) -> Elements:
    """Read the elements of a tariff version; TariffError names the element, the field and the value."""
    if not isinstance(elements, list) or not elements:
        raise TariffError("A tariff version needs a list with at least one element.")
    return Elements(tuple(_element(item, f"Element {number}") for number, item in enumerate(elements, start=1)))


def _element(item: object, where: str) -> Element:
    if not isinstance(item, Mapping):
        raise TariffError(f"{where} is not an object with a type: {item!r}.")
    kind = item.get("type")
    where = f"{where} ({kind})"
    match kind:
        case "energy_tou":
            return _energy_tou(item, where)
        case "energy_flat":
            return EnergyFlat(_price(item, "price_per_kwh", where))
        case "fixed_per_month":
            return FixedPerMonth(_price(item, "amount", where))
        case "fixed_per_day":
            return FixedPerDay(_price(item, "amount", where))
        case "demand":
            return _demand(item, where)
    if not isinstance(kind, str) or kind not in KEPT_NUMBERS:
        known = ["energy_tou", "energy_flat", "fixed_per_month", "fixed_per_day", "demand", *KEPT_NUMBERS]
        raise TariffError(f"{where.split(' (')[0]}: the type {kind!r} is unknown; known are {', '.join(known)}.")
    for name in KEPT_NUMBERS[kind]:
        _price(item, name, where)
    _refuse_null_prices(item, where)
    return KeptElement(kind, dict(item))


def _demand(item: Mapping[str, Any], where: str) -> Demand:
    window = item.get("window_minutes", 15)
    if window not in (15, 30, 60):
        raise TariffError(f"{where}: window_minutes is {window!r}; use 15, 30 or 60.")
    statistic = item.get("statistic", "max")
    if statistic not in ("max", "mean_top_n"):
        raise TariffError(f"{where}: statistic is {statistic!r}; use max or mean_top_n.")
    _refuse_null_prices(item, where)
    price = Decimal(0) if "tiers" in item else _price(item, "price_per_kw", where)
    whole_day = {"start": "00:00", "end": "24:00"}
    return Demand(price, window, statistic, dict(item), _period({**whole_day, **item, "price": price}, where))


def _energy_tou(item: Mapping[str, Any], where: str) -> EnergyTou:
    unit = item.get("unit", "/kWh")
    if not isinstance(unit, str) or not unit.endswith("/kWh"):
        raise TariffError(f"{where}: the unit is {unit!r}; prices are per kWh, for example EUR/kWh.")
    periods = item.get("periods")
    if not isinstance(periods, list) or not periods:
        raise TariffError(f"{where}: needs a list of periods.")
    tou = EnergyTou(tuple(_period(each, f"{where}, period {number}") for number, each in enumerate(periods, start=1)))
    try:
        _ = tou.table
    except TariffError as error:
        raise TariffError(f"{where}: {error}") from None
    return tou


def _period(item: object, where: str) -> Period:
    if not isinstance(item, Mapping):
        raise TariffError(f"{where} is not an object: {item!r}.")
    name = str(item.get("name") or where)
    where = f"{where} ({item['name']})" if item.get("name") else where
    days = item.get("days", "all")
    if not isinstance(days, str) or days not in DAY_CLASSES:
        raise TariffError(f"{where}: days is {days!r}; use {', '.join(DAY_CLASSES)}.")
    price, months, day_classes = _price(item, "price", where), _months(item, where), DAY_CLASSES[days]
    if item.get("otherwise") is True:
        return Period(name, price, months, day_classes, 0, MINUTES_OF_DAY, otherwise=True)
    start, end = _minute(item, "start", where), _minute(item, "end", where)
    if start in (end, MINUTES_OF_DAY):
        raise TariffError(
            f"{where}: the window {item['start']} to {item['end']} is empty; a whole day is 00:00 to 24:00."
        )
    return Period(name, price, months, day_classes, start, end)


def _months(item: Mapping[str, Any], where: str) -> tuple[int, ...]:
    months = item.get("months", list(range(1, MONTHS + 1)))
    if not isinstance(months, list) or not months:
        raise TariffError(f"{where}: months is {months!r}; give a list of 1 to 12.")
    for month in months:
        if isinstance(month, bool) or not isinstance(month, int) or not 1 <= month <= MONTHS:
            raise TariffError(f"{where}: {month!r} is not a month from 1 to 12.")
    return tuple(months)


def _minute(item: Mapping[str, Any], name: str, where: str) -> int:
    text = item.get(name)
    parts = text.split(":") if isinstance(text, str) else []
    if len(parts) == 2 and all(len(part) == 2 and part.isascii() and part.isdigit() for part in parts):
        hour, minute = int(parts[0]), int(parts[1])
        if minute < 60 and hour * 60 + minute <= MINUTES_OF_DAY:
            return hour * 60 + minute
    raise TariffError(f"{where}: {name} is {text!r}; write a local time as HH:MM, from 00:00 to 24:00.")


def _price(item: Mapping[str, Any], name: str, where: str) -> Decimal:
    value = item.get(name)
    if value is None:
        raise TariffError(f"{where}: {name} is missing or null; a version without it cannot be published.")
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise TariffError(f"{where}: {name} is {value!r}, not a number.")
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise TariffError(f"{where}: {name} is {value!r}, not a number.") from None
    if not number.is_finite():
        raise TariffError(f"{where}: {name} is {value!r}, not a finite number.")
    return number


def _refuse_null_prices(value: object, where: str, name: str = "") -> None:
    """A price that nobody knows yet must not be published, however deep it lies."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _refuse_null_prices(inner, where, str(key))
    elif isinstance(value, list):
        for inner in value:
            _refuse_null_prices(inner, where, name)
    elif value is None and name.startswith(PRICE_NAMES):
        raise TariffError(f"{where}: {name} is null; a version with an unknown price cannot be published.")


def _table_of(periods: Sequence[Period]) -> NDArray[np.int16]:
    """Lay the windows side by side; TariffError names the first month, day and time that is free or taken twice."""
    table = np.full((MONTHS, 2, MINUTES_OF_DAY), -1, dtype=np.int16)
    for index, period in enumerate(periods):
        if not period.otherwise:
            _lay(table, index, period, periods)
    for index, period in enumerate(periods):
        if period.otherwise:
            for month in period.months:
                for day in period.day_classes:
                    row = table[month - 1, day]
                    row[row < 0] = index
    if (table < 0).any():
        month, day, minute = (int(each) for each in np.argwhere(table < 0)[0])
        raise TariffError(
            f"no period covers {_clock(minute)} on a {DAY_NAMES[day]} in {MONTH_NAMES[month]}; "
            "every local hour needs exactly one price."
        )
    return table


def _lay(table: NDArray[np.int16], index: int, period: Period, periods: Sequence[Period]) -> None:
    minutes = period.minutes()
    for month in period.months:
        for day in period.day_classes:
            row = table[month - 1, day]
            if (taken := minutes & (row >= 0)).any():
                minute = int(np.argmax(taken))
                other = periods[int(row[minute])].name
                raise TariffError(
                    f"{other!r} and {period.name!r} both cover {_clock(minute)} on a {DAY_NAMES[day]} "
                    f"in {MONTH_NAMES[month - 1]}; every local hour needs exactly one price."
                )
            row[minutes] = index


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
