"""Sampled values to numbers (P57-P63 and the meter interpretation)."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from charging.wire.metering import MeterTraits, Sample, mislabel_factor, number_of, phases_in_use, samples_of
from charging.wire.v16.core import MeterValue, MeterValues, SampledValue

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TIME = "2026-03-01T12:00:00Z"


def value(text: str, measurand: str | None = None, **other: str) -> SampledValue:
    return SampledValue(value=text, measurand=measurand, **other)


def samples(*values: SampledValue, traits: MeterTraits | None = None, time: str = TIME) -> list[Any]:
    """Untyped, since plain numbers are what a Decimal is compared with here."""
    element = MeterValue(timestamp=time, sampled_value=values)
    return samples_of(MeterValues(connector_id=1, meter_value=(element,)), NOW, traits or MeterTraits())


def sample(*values: SampledValue, traits: MeterTraits | None = None) -> Any:
    (only,) = samples(*values, traits=traits)
    return only


def test_p57_a_bare_value_is_the_import_register_in_wh() -> None:
    read = sample(value("1234"))
    assert (read.energy_wh, read.context, read.sampled_at, read.flags) == (
        Decimal(1234),
        "Sample.Periodic",
        NOW,
        frozenset(),
    )


@pytest.mark.parametrize(
    ("measurand", "attribute"),
    [
        ("Power.Active.Import", "power_w"),
        ("Current.Import", "current_total_a"),
        ("Voltage", "voltage_v"),
        ("SoC", "soc_percent"),
        ("Power.Offered", "power_offered_w"),
        ("Current.Offered", "current_offered_a"),
    ],
)
def test_p57_a_missing_unit_is_the_natural_one(measurand: str, attribute: str) -> None:
    assert getattr(sample(value("90", measurand)), attribute) == 90


@pytest.mark.parametrize(
    ("measurand", "unit", "attribute", "expected"),
    [
        (None, "kWh", "energy_wh", Decimal("12345.6")),
        ("Power.Active.Import", "kW", "power_w", Decimal("12345.6")),
        ("Power.Active.Import", "kw", "power_w", Decimal("12345.6")),
        ("Power.Offered", "kW", "power_offered_w", Decimal("12345.6")),
    ],
)
def test_units_are_normalised_exactly(measurand: str | None, unit: str, attribute: str, expected: Decimal) -> None:
    assert getattr(sample(value("12.3456", measurand, unit=unit)), attribute) == expected


def test_a_unit_of_another_quantity_is_not_believed() -> None:
    read = sample(value("230", "Voltage", unit="Wh"))
    assert (read.voltage_v, read.flags) == (None, {"unit"})


def test_p58_a_scale_set_by_the_operator_corrects_labels() -> None:
    traits = MeterTraits(energy_scale=Decimal(1000), power_scale=Decimal("0.001"))
    read = sample(value("12"), value("7000000", "Power.Active.Import"), traits=traits)
    assert (read.energy_wh, read.power_w) == (12000, 7000)


@pytest.mark.parametrize(("moved_wh", "factor"), [("5000", None), ("5", 1000), ("5000000", -1000), ("0", None)])
def test_p58_a_mislabelled_register_is_suspected(moved_wh: str, factor: int | None) -> None:
    before = Sample(NOW, "Sample.Periodic", energy_wh=Decimal(0), power_w=Decimal(10_000))
    after = Sample(NOW + timedelta(minutes=30), "", energy_wh=Decimal(moved_wh), power_w=Decimal(10_000))
    assert mislabel_factor(before, after) == factor


def test_p60_a_phase_less_total_wins_over_the_phases() -> None:
    read = sample(value("9000", "Power.Active.Import"), value("1", "Power.Active.Import", phase="L1"))
    assert read.power_w == 9000


@pytest.mark.parametrize("suffix", ["", "-N"])
def test_p60_phases_are_summed_without_n(suffix: str) -> None:
    phases = [value("100", "Power.Active.Import", phase=f"L{n}{suffix}") for n in (1, 2, 3)]
    assert sample(*phases, value("7", "Power.Active.Import", phase="N")).power_w == 300


def test_p60_currents_are_kept_per_phase() -> None:
    read = sample(
        *(value(str(n), "Current.Import", phase=f"L{n}") for n in (1, 2, 3)), value("9", "Current.Import", phase="N")
    )
    assert read.current_a == (1, 2, 3)
    assert read.current_total_a == 6


def test_p60_a_one_phase_charger_leaves_the_others_unknown() -> None:
    assert sample(value("16", "Current.Import", phase="L1")).current_a == (16, None, None)


@pytest.mark.parametrize(
    ("rotation", "grid"), [("RST", (1, 2, 3)), ("STR", (3, 1, 2)), ("RTS", (1, 3, 2)), ("?", (1, 2, 3))]
)
def test_p60_the_rotation_of_the_connector_is_applied(rotation: str, grid: tuple[int, int, int]) -> None:
    currents = [value(str(n), "Current.Import", phase=f"L{n}") for n in (1, 2, 3)]
    assert sample(*currents, traits=MeterTraits(phase_rotation=rotation)).current_a == grid


def test_p60_voltage_is_the_mean_to_neutral() -> None:
    assert sample(*(value(v, "Voltage", phase=p) for v, p in (("229", "L1-N"), ("231", "L2-N")))).voltage_v == 230


def test_p60_voltage_between_phases_is_divided_by_the_root_of_three() -> None:
    read = sample(*(value("400", "Voltage", phase=phase) for phase in ("L1-L2", "L2-L3", "L3-L1")))
    assert read.voltage_v is not None
    assert round(read.voltage_v, 2) == Decimal("230.94")


def test_p60_missing_phases_do_not_lower_the_voltage() -> None:
    read = sample(*(value(v, "Voltage", phase=p) for v, p in (("230", "L1"), ("0", "L2"), ("0", "L3"))))
    assert (read.voltage_v, read.flags) == (230, frozenset())


def test_p60_a_one_phase_vehicle_is_recognised() -> None:
    one = sample(*(value(a, "Current.Import", phase=p) for a, p in (("16", "L1"), ("0.4", "L2"), ("0", "L3"))))
    three = sample(*(value("10", "Current.Import", phase=p) for p in ("L1", "L2", "L3")))
    assert phases_in_use([one] * 3) == 1
    assert phases_in_use([three] * 3) == 3
    assert phases_in_use([one, three, three]) == 1
    assert phases_in_use([one] * 2) is None


def test_power_is_taken_from_current_and_voltage_when_nothing_else_is_known() -> None:
    read = sample(
        *(value("10", "Current.Import", phase=p) for p in ("L1", "L2")),
        *(value(v, "Voltage", phase=p) for v, p in (("229", "L1-N"), ("231", "L2-N"))),
    )
    assert (read.power_w, read.flags) == (4600, {"power_from_current"})


def test_power_without_current_or_voltage_is_unknown() -> None:
    assert sample(value("10", "Current.Import")).power_w is None


@pytest.mark.parametrize("text", ["", "abc", "1,5", "NaN", "Infinity", "0x10", "1_000", "１２", "1e99", "9" * 50, "--"])
def test_p61_what_is_no_number_is_dropped_and_flagged(text: str) -> None:
    read = sample(value(text), value("7", "Power.Active.Import"))
    assert (read.energy_wh, read.power_w, read.flags) == (None, 7, {"unreadable"})
    assert len(read.raw) == 2


@pytest.mark.parametrize(("text", "number"), [(" 12.50 ", "12.50"), ("-3", "-3"), ("+3", "3"), ("1.2e3", "1200")])
def test_p61_usual_spellings_are_numbers(text: str, number: str) -> None:
    assert number_of(text) == Decimal(number)


def test_p61_signed_data_is_kept_but_not_counted() -> None:
    signed = value("T0NNRnwx", format="SignedData")
    read = sample(signed, value("7"))
    assert (read.energy_wh, read.flags, read.raw[0]) == (7, frozenset(), signed)


def test_p61_a_frequency_in_hz_does_not_disturb() -> None:
    assert sample(value("50", "Frequency", unit="Hz"), value("7")).flags == frozenset()


def test_p62_several_unsorted_elements_come_in_order_of_time() -> None:
    elements = tuple(
        MeterValue(timestamp=f"2026-03-01T11:{minute}:00Z", sampled_value=(value(minute),)) for minute in ("30", "10")
    )
    read = samples_of(MeterValues(connector_id=1, meter_value=elements), NOW)
    assert [each.energy_wh for each in read] == [10, 30]


def test_p62_contexts_of_one_moment_stay_apart() -> None:
    read = samples(value("1", context="Transaction.Begin"), value("2", context="Sample.Clock"))
    assert {each.context: each.energy_wh for each in read} == {"Transaction.Begin": 1, "Sample.Clock": 2}


def test_transaction_data_of_a_stop_is_read_the_same_way() -> None:
    element = MeterValue(timestamp=TIME, sampled_value=(value("9", context="Transaction.End"),))
    assert [each.energy_wh for each in samples_of([element], NOW)] == [9]


def test_p63_offered_values_are_no_measurements() -> None:
    read = sample(value("16", "Current.Offered", phase="L1"), value("15", "Current.Offered", phase="L2"))
    assert (read.current_offered_a, read.current_a, read.power_w) == (16, None, None)


@pytest.mark.parametrize("soc", ["0", "255", "-1", "101"])
def test_p63_an_impossible_soc_is_flagged(soc: str) -> None:
    read = sample(value(soc, "SoC"))
    assert (read.soc_percent, read.flags) == (Decimal(soc), {"soc"})


@pytest.mark.parametrize(
    ("text", "measurand", "flag"),
    [
        ("-1", "Power.Active.Import", "power"),
        ("12200", "Power.Active.Import", "power"),
        ("60", "Voltage", "voltage"),
        ("700", "Voltage", "voltage"),
        ("-1", "Energy.Active.Import.Register", "energy"),
    ],
)
def test_implausible_numbers_are_kept_and_flagged(text: str, measurand: str, flag: str) -> None:
    assert sample(value(text, measurand), traits=MeterTraits(max_power_w=Decimal(11_000))).flags == {flag}


def test_the_outlet_is_trusted_before_the_vehicle() -> None:
    read = sample(
        value("5", "Power.Active.Import", location="EV"), value("7", "Power.Active.Import", location="Outlet")
    )
    assert read.power_w == 7
    assert sample(value("80", "SoC", location="EV")).soc_percent == 80


def test_p36_samples_of_an_absurd_clock_are_flagged() -> None:
    (read,) = samples(value("1"), time="1970-01-01T00:00:00Z")
    assert (read.sampled_at, read.flags) == (NOW, {"clock"})


def test_an_unknown_measurand_stays_in_raw() -> None:
    odd = value("1", "Power.Magic")
    assert sample(odd).raw == (odd,)
