"""Clocks of chargers, and ours (P35, P36)."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.wire.timestamps import parse_exact, parse_time, wire_time

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.000Z",
        "2026-03-01T12:00:00.0000000Z",
        "2026-03-01T14:00:00+02:00",
        "2026-03-01T14:00:00+0200",
        "2026-03-01T14:00:00+02",
        "2026-03-01t12:00:00z",
    ],
)
def test_p36_offsets_and_fractions_are_read(text: str) -> None:
    parsed = parse_time(text, NOW)
    assert (parsed.instant, parsed.raw, parsed.absurd) == (NOON, text, False)


@pytest.mark.parametrize("text", ["2026-03-01T12:00:00", "2026-03-01 12:00:00", "2026-03-01 12:00", "2026-3-1 12:00:0"])
def test_p36_a_missing_zone_is_utc_and_noted(text: str) -> None:
    parsed = parse_time(text, NOW)
    assert parsed.instant == NOON
    assert [finding.rule for finding in parsed.findings] == ["P36"]


def test_p36_a_missing_zone_may_be_the_sites() -> None:
    assert parse_time("2026-03-01T13:00:00", NOW, zone=ZoneInfo("Europe/Berlin")).instant == NOON


@pytest.mark.parametrize("text", ["1970-01-01T00:00:07Z", "2000-01-01T00:00:00Z", "2099-01-01T00:00:00Z"])
def test_p36_an_absurd_stamp_becomes_the_time_of_receipt(text: str) -> None:
    parsed = parse_time(text, NOW)
    assert (parsed.instant, parsed.raw, parsed.absurd) == (NOW, text, True)
    assert parsed.findings


@pytest.mark.parametrize("text", ["", "soon", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59-14:00", "٢٠٢٦-03-01"])
def test_p36_an_unreadable_stamp_becomes_the_time_of_receipt(text: str) -> None:
    parsed = parse_time(text, NOW)
    assert (parsed.instant, parsed.raw, parsed.absurd) == (NOW, text, True)


def test_p36_local_time_labelled_z_is_flagged_as_skew() -> None:
    parsed = parse_time("2026-03-01T13:00:00Z", NOW)
    assert parsed.instant == NOON + timedelta(hours=1)
    assert "3600 s in the future" in parsed.findings[0].text


def test_p43_queued_history_keeps_its_time() -> None:
    parsed = parse_time("2026-02-20T12:00:00Z", NOW)
    assert (parsed.instant, parsed.findings) == (NOON - timedelta(days=9), ())


def test_p35_our_times_are_utc_with_three_digits() -> None:
    berlin = datetime(2026, 3, 1, 13, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    assert wire_time(berlin) == "2026-03-01T12:00:00.123Z"


def test_a_naive_time_is_never_sent() -> None:
    with pytest.raises(ValueError, match="naive"):
        wire_time(datetime(2026, 3, 1))


@given(st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC)))
def test_what_we_write_we_read(time: datetime) -> None:
    assert abs(parse_exact(wire_time(time)) - time) < timedelta(milliseconds=1)


@given(st.text() | st.from_regex(r"\d{1,5}-\d{1,3}-\d{1,3}T\d\d:\d\d:\d\d([+-]\d\d:?\d\d|Z)?"))
def test_any_text_yields_an_aware_instant(text: str) -> None:
    assert parse_time(text, NOW).instant.utcoffset() == timedelta(0)
