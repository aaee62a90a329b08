"""Configuration values are text with habits of their own (P64, P70, P86)."""

import pytest

from charging.wire.v16.configuration import allowed_rate_units, clamped_number, is_same_setting


@pytest.mark.parametrize(
    ("text", "number"), [("4", 4), (" 4 ", 4), ("4.0", 4), ("1634030126", 16), ("-3", 0), ("x", 1)]
)
def test_p64_absurd_counts_are_clamped(text: str, number: int) -> None:
    assert clamped_number(text, low=0, high=16, default=1) == number


def test_p64_an_absent_count_is_the_default() -> None:
    assert clamped_number(None, low=0, high=16, default=1) == 1


@pytest.mark.parametrize(
    ("text", "units"),
    [("Current", "A"), ("Power", "W"), ("Current,Power", "AW"), ("a", "A"), ("Amps; w", "AW"), ("", ""), ("kWh", "")],
)
def test_p70_the_allowed_unit_has_many_names(text: str, units: str) -> None:
    assert allowed_rate_units(text) == set(units)


def test_p86_case_and_list_spacing_do_not_matter() -> None:
    assert is_same_setting("Voltage, SoC", "voltage,SoC ")
    assert not is_same_setting("Voltage", "Voltage,SoC")
