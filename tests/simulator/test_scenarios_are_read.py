"""A scenario file is read as written, or refused with the field that is wrong."""

from __future__ import annotations

import copy
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from charging.simulator.config import (
    ConfigError,
    RateUnit,
    StationKind,
    generated_scenario,
    load_scenario,
    parse_scenario,
)
from charging.simulator.defects import Defect
from charging.simulator.garage import PORT_KW, garage_sessions

SCENARIO: dict[str, Any] = {
    "format": "fleet-depot-scenario/1",
    "seed": 7,
    "stations": [
        {
            "identity": "FD-01",
            "password": "secret",
            "vendor": "FleetDepot",
            "model": "Sim-22",
            "kind": "charger",
            "profile_unit": "W",
            "meter_interval_s": 5,
            "connectors": [
                {
                    "number": 1,
                    "phases": 3,
                    "max_current_a": 32,
                    "voltage_v": 230,
                    "register_wh": 123456,
                    "fallback_a": 6.0,
                    "preloaded_fallback": True,
                }
            ],
            "defects": ["ignore_limit"],
        },
        {
            "identity": "FD-OFFICE",
            "password": "secret",
            "kind": "meter",
            "meter_interval_s": 5,
            "load_kw_by_hour": [12.5] * 24,
            "noise_kw": 0.8,
            "time_zone": "Europe/Berlin",
        },
    ],
    "visits": [
        {
            "station": "FD-01",
            "connector": 1,
            "id_tag": "VEH01",
            "plug_in_at": "2026-03-02T18:00:00Z",
            "plug_out_at": "2026-03-03T06:00:00+01:00",
            "battery_kwh": 52.0,
            "soc_percent": 35.0,
            "max_power_kw": 11.0,
            "phases": 3,
            "min_current_a": 6.0,
        }
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The scenario with one field replaced; `...` removes it."""
    content = copy.deepcopy(SCENARIO)
    *way, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    place: Any = content
    for step in way:
        place = place[step]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return content


def test_everything_is_read() -> None:
    scenario = parse_scenario(SCENARIO)
    charger, office = scenario.stations
    assert scenario.seed == 7
    assert charger.profile_unit is RateUnit.W
    assert charger.defects == {Defect.IGNORE_LIMIT}
    assert charger.connectors[0].fallback_a == 6.0
    assert charger.connectors[0].preloaded_fallback
    assert office.kind is StationKind.METER
    assert office.load_kw_by_hour == (12.5,) * 24
    visit = scenario.visits_of("FD-01")[0]
    assert visit.plug_out_at == datetime(2026, 3, 3, 5, tzinfo=UTC)
    assert visit.vehicle.soc == pytest.approx(0.35)


def test_a_password_is_not_shown() -> None:
    assert "secret" not in repr(parse_scenario(SCENARIO))


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("format", "other/1", r'format: expected "fleet-depot-scenario/1", got "other/1"'),
        ("format", ..., "format: missing"),
        ("stations", {}, "stations: expected a list"),
        ("stations.0.identity", ..., r"stations\[0\].identity: missing, expected a text"),
        ("stations.0.identity", 5, r"stations\[0\].identity: expected a text .* got 5"),
        ("stations.1.identity", "fd-01", r"stations\[1\].identity: fd-01 is there twice"),
        ("stations.0.kind", "heater", r"stations\[0\].kind: expected one of charger, meter"),
        ("stations.0.profile_unit", "kW", r"stations\[0\].profile_unit"),
        ("stations.0.meter_interval_s", 2.5, r"stations\[0\].meter_interval_s: expected a whole number"),
        ("stations.0.connectors", [], r"stations\[0\].connectors: a charger needs at least one"),
        ("stations.0.connectors.0.number", 2, r"stations\[0\].connectors: numbers must be 1, 2"),
        (
            "stations.0.connectors.0.phases",
            "x",
            r'connectors\[0\].phases: expected a whole number from 1 to 3, got "x"',
        ),
        ("stations.0.connectors.0.max_current_a", float("nan"), r"max_current_a: expected a number"),
        ("stations.0.connectors.0.preloaded_fallback", 1, "preloaded_fallback: expected true or false"),
        ("stations.0.defects", ["sleepy"], r'defects\[0\]: "sleepy" is none of ignore_limit'),
        ("stations.0.colour", "red", r"stations\[0\].colour: unknown field"),
        ("stations.1.load_kw_by_hour", [1.0] * 23, r"load_kw_by_hour: expected a list of 24 numbers"),
        ("stations.1.time_zone", "Mars/Base", r"time_zone: expected an IANA time zone"),
        ("visits.0.connector", 2, r"visits\[0\].connector: station FD-01 has no connector 2"),
        ("visits.0.soc_percent", 101, r"visits\[0\].soc_percent: expected a number from 0 to 100, got 101"),
        ("visits.0.plug_in_at", "yesterday", r"visits\[0\].plug_in_at: expected an RFC 3339 time"),
        ("visits.0.plug_in_at", "2026-03-02T18:00:00", "with its zone"),
        ("visits.0.plug_out_at", "2026-03-02T18:00:00Z", "a time after plug_in_at"),
        ("visits.0.id_tag", "X" * 21, r"visits\[0\].id_tag: expected a text of 1 to 20 characters"),
    ],
)
def test_what_is_wrong_is_named(path: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_scenario(changed(path, value))


def test_two_vehicles_at_one_connector_are_refused() -> None:
    content = copy.deepcopy(SCENARIO)
    content["visits"].append(copy.deepcopy(content["visits"][0]))
    with pytest.raises(ConfigError, match=r"visits\[1\].plug_in_at: connector FD-01/1 is still taken"):
        parse_scenario(content)


def test_a_file_names_itself_in_its_errors(tmp_path: Path) -> None:
    file = tmp_path / "scenario.json"
    with pytest.raises(ConfigError, match=r"scenario.json: cannot be read: No such file"):
        load_scenario(file)
    file.write_text("{")
    with pytest.raises(ConfigError, match=r"scenario.json: is not JSON"):
        load_scenario(file)
    file.write_text(json.dumps(changed("seed", -1)))
    with pytest.raises(ConfigError, match=r"scenario.json: seed: expected a whole number"):
        load_scenario(file)
    file.write_text(json.dumps(SCENARIO))
    assert load_scenario(file) == parse_scenario(SCENARIO)


def test_generated_stations_all_have_a_vehicle_and_depend_on_the_seed_alone() -> None:
    now = datetime(2026, 3, 2, 18, tzinfo=UTC)
    made = [generated_scenario(5, prefix="T", password="p", seed=seed, now=now) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    assert [each.identity for each in made[0].stations] == ["T-0001", "T-0002", "T-0003", "T-0004", "T-0005"]
    assert {visit.station for visit in made[0].visits} == {each.identity for each in made[0].stations}


class TestGarage:
    def test_the_day_keeps_its_times_on_the_wall_clock(self) -> None:
        sessions = garage_sessions(date(2026, 3, 2), "Europe/Berlin")
        assert len(sessions) == 46
        first = sessions[0].arrival.astimezone(ZoneInfo("Europe/Berlin"))
        assert first.date() == date(2026, 3, 2)
        assert (first.hour, first.minute) == (6, 31)
        assert all(each.arrival.tzinfo is UTC for each in sessions)
        assert sessions == sorted(sessions, key=lambda each: each.arrival)

    @pytest.mark.parametrize("day", [date(2026, 3, 28), date(2026, 3, 29), date(2026, 10, 24), date(2026, 10, 25)])
    def test_every_stay_is_possible_also_at_a_clock_change(self, day: date) -> None:
        free_from: dict[str, datetime] = {}
        for each in garage_sessions(day, "Europe/Berlin"):
            stay_h = (each.departure - each.arrival) / timedelta(hours=1)
            assert 0 < each.energy_kwh <= PORT_KW * stay_h + 1e-9
            assert each.arrival >= free_from.get(each.station_id, each.arrival)
            free_from[each.station_id] = each.departure
