"""Sampled values to numbers: defaults, units, phases and plausibility (P57-P63, meter interpretation)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

from charging.wire.errors import Finding
from charging.wire.timestamps import parse_time
from charging.wire.v16.core import MeterValue, MeterValues, SampledValue

ENERGY: Final = "Energy.Active.Import.Register"
POWER: Final = "Power.Active.Import"
CURRENT: Final = "Current.Import"
VOLTAGE: Final = "Voltage"
SOC: Final = "SoC"
POWER_OFFERED: Final = "Power.Offered"
CURRENT_OFFERED: Final = "Current.Offered"
WANTED: Final = frozenset({ENERGY, POWER, CURRENT, VOLTAGE, SOC, POWER_OFFERED, CURRENT_OFFERED})

DEFAULT_CONTEXT: Final = "Sample.Periodic"
LOCATIONS_BY_TRUST: Final = ("Outlet", "Inlet", "Cable", "EV", "Body")
ROOT_OF_THREE: Final = Decimal("1.7320508075688772")
PLAUSIBLE_VOLTAGE: Final = (Decimal(80), Decimal(600))
PLAUSIBLE_SOC: Final = (Decimal(1), Decimal(100))
POWER_TOLERANCE: Final = Decimal("1.1")
MAX_NUMBER_LENGTH: Final = 32
MAX_EXPONENT: Final = 15
SAMPLES_TO_TELL_PHASES: Final = 3
LEAST_CURRENT_A: Final = 1

ONE: Final = Decimal(1)
# Factor to Wh, W, A, V or percent, by unit in lower case. A unit of another kind of quantity is not listed.
_ENERGY_UNITS: Final = MappingProxyType({"wh": ONE, "kwh": Decimal(1000), "mwh": Decimal(1_000_000)})
_POWER_UNITS: Final = MappingProxyType({"w": ONE, "kw": Decimal(1000), "va": ONE, "kva": Decimal(1000)})
_CURRENT_UNITS: Final = MappingProxyType({"a": ONE, "ma": Decimal("0.001")})
_VOLTAGE_UNITS: Final = MappingProxyType({"v": ONE, "kv": Decimal(1000), "mv": Decimal("0.001")})
_PERCENT_UNITS: Final = MappingProxyType({"percent": ONE, "%": ONE})
UNITS: Final[Mapping[str, Mapping[str, Decimal]]] = {
    ENERGY: _ENERGY_UNITS,
    POWER: _POWER_UNITS,
    POWER_OFFERED: _POWER_UNITS,
    CURRENT: _CURRENT_UNITS,
    CURRENT_OFFERED: _CURRENT_UNITS,
    VOLTAGE: _VOLTAGE_UNITS,
    SOC: _PERCENT_UNITS,
}

_PHASE_TO_NEUTRAL: Final = {"L1": 0, "L2": 1, "L3": 2, "L1-N": 0, "L2-N": 1, "L3-N": 2}
_PHASE_TO_PHASE: Final = frozenset({"L1-L2", "L2-L3", "L3-L1"})
_ROTATION_LETTERS: Final = {"R": 0, "S": 1, "T": 2}

Phases = tuple[Decimal | None, Decimal | None, Decimal | None]


@dataclass(frozen=True, slots=True)
class MeterTraits:
    """What is known of a charger's meter. Scales correct mislabelled units, and only an operator sets them (P58)."""

    energy_scale: Decimal = Decimal(1)
    power_scale: Decimal = Decimal(1)
    max_power_w: Decimal | None = None
    phase_rotation: str = "RST"
    zone: tzinfo = UTC


@dataclass(frozen=True, slots=True)
class Sample:
    """Everything one meter said about one moment, in Wh, W, A per phase, V line-to-neutral and percent.

    Currents are in grid phase order. Offered values are set-points, for verification only (P63). `flags` name what
    control must not believe; the number itself stays. `raw` holds the sampled values as they came.
    """

    sampled_at: datetime
    context: str
    energy_wh: Decimal | None = None
    power_w: Decimal | None = None
    current_a: Phases | None = None
    current_total_a: Decimal | None = None
    voltage_v: Decimal | None = None
    soc_percent: Decimal | None = None
    power_offered_w: Decimal | None = None
    current_offered_a: Decimal | None = None
    flags: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()
    raw: tuple[SampledValue, ...] = ()


class _Reading(NamedTuple):
    """One number in its natural unit, and the phase it belongs to."""

    value: Decimal
    phase: str | None
    location: str


Readings = dict[str, list[_Reading]]
DEFAULT_TRAITS: Final = MeterTraits()


def samples_of(
    message: MeterValues | Iterable[MeterValue], received_at: datetime, traits: MeterTraits = DEFAULT_TRAITS
) -> list[Sample]:
    """Samples in order of time, one per moment and context; also for `transaction_data` of a StopTransaction."""
    elements = message.meter_value if isinstance(message, MeterValues) else message
    samples = [sample for element in elements for sample in _samples_of_element(element, received_at, traits)]
    samples.sort(key=lambda sample: sample.sampled_at)
    return samples


def _samples_of_element(element: MeterValue, received_at: datetime, traits: MeterTraits) -> Iterator[Sample]:
    time = parse_time(element.timestamp, received_at, zone=traits.zone)
    for context, values in _by_context(element.sampled_value).items():
        flags = {"clock"} if time.absurd else set()
        readings = _readings(values, flags)
        current = readings.get(CURRENT, [])
        voltage_v = _voltage(readings.get(VOLTAGE, []))
        power_w = _scaled(_total(readings.get(POWER, [])), traits.power_scale)
        if power_w is None and (power_w := _power_from_current(current, readings.get(VOLTAGE, []))) is not None:
            flags.add("power_from_current")
        sample = Sample(
            sampled_at=time.instant,
            context=context,
            energy_wh=_scaled(_total(readings.get(ENERGY, [])), traits.energy_scale),
            power_w=power_w,
            current_a=_per_phase(current, traits.phase_rotation),
            current_total_a=_total(current),
            voltage_v=voltage_v,
            soc_percent=_total(readings.get(SOC, [])),
            power_offered_w=_scaled(_total(readings.get(POWER_OFFERED, [])), traits.power_scale),
            current_offered_a=_offered(readings.get(CURRENT_OFFERED, [])),
            findings=time.findings,
            raw=tuple(values),
        )
        flags |= _implausible(sample, traits.max_power_w)
        yield replace(sample, flags=frozenset(flags)) if flags else sample


def _by_context(values: Iterable[SampledValue]) -> dict[str, list[SampledValue]]:
    contexts: dict[str, list[SampledValue]] = {}
    for value in values:
        contexts.setdefault(value.context or DEFAULT_CONTEXT, []).append(value)
    return contexts


def _readings(values: Iterable[SampledValue], flags: set[str]) -> Readings:
    """Numbers by measurand, each measurand at its most trusted location only."""
    readings: Readings = {}
    for value in values:
        measurand = value.measurand or ENERGY
        if measurand not in WANTED or value.format == "SignedData":
            continue
        factor = _factor(measurand, value.unit)
        number = number_of(value.value)
        if number is None or factor is None:
            flags.add("unreadable" if number is None else "unit")
            continue
        in_base_unit = number if factor is ONE else number * factor
        readings.setdefault(measurand, []).append(_Reading(in_base_unit, value.phase, value.location or "Outlet"))
    return {measurand: _most_trusted(found) for measurand, found in readings.items()}


@lru_cache(maxsize=256)
def _factor(measurand: str, unit: str | None) -> Decimal | None:
    """From the unit to Wh, W, A, V or percent; None where the unit belongs to another kind of quantity."""
    return UNITS[measurand].get(unit.strip().lower()) if unit else ONE


def number_of(text: str) -> Decimal | None:
    """A finite decimal of sane size, or None for words, comma decimals, NaN and the like (P61)."""
    if len(text) > MAX_NUMBER_LENGTH or not text.isascii() or "_" in text:
        return None
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) <= MAX_EXPONENT else None


def _most_trusted(readings: list[_Reading]) -> list[_Reading]:
    if len(readings) == 1:
        return readings
    locations = {reading.location for reading in readings}
    if len(locations) == 1:
        return readings
    best = min(locations, key=lambda place: LOCATIONS_BY_TRUST.index(place) if place in LOCATIONS_BY_TRUST else 99)
    return [reading for reading in readings if reading.location == best]


def _total(readings: list[_Reading]) -> Decimal | None:
    """The phase-less value, else the sum over the phases without N."""
    if not readings:
        return None
    if len(readings) == 1 and readings[0].phase is None:
        return readings[0].value
    phases: dict[int, Decimal] = {}
    total = None
    for reading in readings:
        if reading.phase is None:
            total = reading.value
        elif (index := _PHASE_TO_NEUTRAL.get(reading.phase)) is not None:
            phases[index] = reading.value
    if total is None and phases:
        total = sum(phases.values(), Decimal(0))
    return total


def _voltage(readings: list[_Reading]) -> Decimal | None:
    """Line to neutral: the phase-less value, else the mean of L-N, else of L-L by the root of three."""
    if not readings:
        return None
    total = [reading.value for reading in readings if reading.phase is None]
    if total:
        return total[-1]
    to_neutral = [reading.value for reading in readings if reading.phase in _PHASE_TO_NEUTRAL]
    to_phase = [reading.value / ROOT_OF_THREE for reading in readings if reading.phase in _PHASE_TO_PHASE]
    values = to_neutral or to_phase
    # A one-phase charger may report its missing phases as 0 V: they are no part of the mean.
    values = [value for value in values if _within(value, PLAUSIBLE_VOLTAGE)] or values
    return sum(values, Decimal(0)) / len(values) if values else None


def _per_phase(readings: list[_Reading], rotation: str) -> Phases | None:
    if not readings:
        return None
    phases: list[Decimal | None] = [None, None, None]
    order = _grid_order(rotation)
    found = False
    for reading in readings:
        if reading.phase is not None and (index := _PHASE_TO_NEUTRAL.get(reading.phase)) is not None:
            phases[order[index]] = reading.value
            found = True
    return (phases[0], phases[1], phases[2]) if found else None


@lru_cache(maxsize=64)
def _grid_order(rotation: str) -> tuple[int, int, int]:
    """Grid phase of the charger's L1, L2, L3 by ConnectorPhaseRotation; unknown rotations count as none."""
    if sorted(rotation) != ["R", "S", "T"]:
        return 0, 1, 2
    first, second, third = (_ROTATION_LETTERS[letter] for letter in rotation)
    return first, second, third


def _offered(readings: list[_Reading]) -> Decimal | None:
    """A per phase: the phase-less set-point, else the highest of the phases."""
    total = [reading.value for reading in readings if reading.phase is None]
    phases = [reading.value for reading in readings if reading.phase in _PHASE_TO_NEUTRAL]
    return total[-1] if total else max(phases, default=None)


def _power_from_current(currents: list[_Reading], voltages: list[_Reading]) -> Decimal | None:
    """Sum of U times I, phase by phase where both are known, when the charger measures no power."""
    mean = _voltage(voltages) if currents else None
    if mean is None or not _within(mean, PLAUSIBLE_VOLTAGE):
        return None
    total = _total(currents)
    if total is None or any(reading.phase is None for reading in currents):
        return None if total is None else mean * total
    voltage_of = {_PHASE_TO_NEUTRAL[r.phase]: r.value for r in voltages if r.phase in _PHASE_TO_NEUTRAL}
    current_of = {_PHASE_TO_NEUTRAL[r.phase]: r.value for r in currents if r.phase in _PHASE_TO_NEUTRAL}
    return sum((voltage_of.get(index, mean) * current for index, current in current_of.items()), Decimal(0))


def _implausible(sample: Sample, max_power_w: Decimal | None) -> set[str]:
    """Names of quantities that control must not believe; the energy step needs history and is judged elsewhere."""
    flags = set()
    if sample.power_w is not None and sample.power_w < 0:
        flags.add("power")
    if sample.power_w is not None and max_power_w is not None and sample.power_w > max_power_w * POWER_TOLERANCE:
        flags.add("power")
    if sample.voltage_v is not None and not _within(sample.voltage_v, PLAUSIBLE_VOLTAGE):
        flags.add("voltage")
    if sample.soc_percent is not None and not _within(sample.soc_percent, PLAUSIBLE_SOC):
        flags.add("soc")
    if sample.energy_wh is not None and sample.energy_wh < 0:
        flags.add("energy")
    return flags


def mislabel_factor(before: Sample, after: Sample) -> int | None:
    """1000 when the register moves a thousandth of power times time, -1000 for the reverse, None in order (P58).

    Only a hint for the operator: the correction is `MeterTraits.energy_scale` or `power_scale`.
    """
    hours = Decimal((after.sampled_at - before.sampled_at).total_seconds()) / 3600
    if before.energy_wh is None or after.energy_wh is None or before.power_w is None or after.power_w is None:
        return None
    expected_wh = (before.power_w + after.power_w) / 2 * hours
    counted_wh = after.energy_wh - before.energy_wh
    if expected_wh <= 0 or counted_wh <= 0:
        return None
    if 500 < expected_wh / counted_wh < 2000:
        return 1000
    return -1000 if 500 < counted_wh / expected_wh < 2000 else None


def phases_in_use(samples: Sequence[Sample]) -> int | None:
    """How many phases carried more than 1 A in each of the last three samples, None when that cannot be told (P60)."""
    currents = [sample.current_a for sample in samples[-SAMPLES_TO_TELL_PHASES:] if sample.current_a is not None]
    if len(currents) < SAMPLES_TO_TELL_PHASES:
        return None
    used = sum(all((phases[index] or 0) > LEAST_CURRENT_A for phases in currents) for index in range(3))
    return used or None


def _within(value: Decimal, bounds: tuple[Decimal, Decimal]) -> bool:
    return bounds[0] <= value <= bounds[1]


def _scaled(value: Decimal | None, factor: Decimal) -> Decimal | None:
    return None if value is None else value * factor
