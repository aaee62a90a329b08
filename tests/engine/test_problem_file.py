"""Problems and plans as JSON files: what each field means, and what a wrong one is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scheduling.engine import algorithm
from scheduling.engine.problem_file import FileError, ResultFile, algorithm_for, read_problem, result_of, schemas

MINIMAL: dict[str, Any] = {
    "start": "2026-03-02T18:00:00Z",
    "resolution_s": 900,
    "steps": 8,
    "evs": [
        {
            "ev_id": "bus-1",
            "max_power": 20,
            "arrival_time": "2026-03-02T18:00:00Z",
            "departure_time": "2026-03-02T20:00:00Z",
            "energy": 10,
        }
    ],
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The minimal problem with one value set; the path is dotted, numbers are positions."""
    problem: Any = json.loads(json.dumps(MINIMAL))
    at: Any = problem
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in way:
        at = at[part]
    at[last] = value
    result: dict[str, Any] = problem
    return result


def planned(problem: dict[str, Any], name: str = "optimal") -> ResultFile:
    file = read_problem(json.dumps(problem).encode())
    run = algorithm_for(file, algorithm(name))
    run.calculate()
    return result_of(name, run, file)


def energy_kwh(result: ResultFile, hours: float = 0.25) -> float:
    return sum(result.plans[0].power) * hours


def test_only_what_cannot_be_guessed_is_required() -> None:
    result = planned(MINIMAL)
    assert result.status == "optimal"
    assert energy_kwh(result) == pytest.approx(10)
    assert result.unmet_kwh == 0
    assert len(result.plans[0].power) == len(result.plans[0].reasons) == 8


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("steps", 0, "steps: Expected `int` >= 1"),
        ("resolution_s", -5, "resolution_s: Expected `float` > 0"),
        ("start", "2026-03-02T18:00:00", "start: Expected `datetime` with a timezone"),
        ("evs.0.energy", "ten", r"evs\[0\].energy: Expected `float`, got `str`"),
        ("evs.0.energy", -1, r"evs\[0\].energy: Expected `float` >= 0"),
        ("evs.0.unit", "kW", r"evs\[0\].unit: Invalid enum value 'kW'"),
        ("evs.0.phases", 4, r"evs\[0\].phases: Invalid enum value 4"),
        ("evs.0.efficiency", 0, r"evs\[0\].efficiency: Expected `float` > 0"),
        ("evs.0.min_power", 30, r"evs\[0\]: Vehicle bus-1: minimum power 30.0 is above maximum 20.0"),
        ("evs.0.departure_time", "2026-03-02T18:00:00Z", r"evs\[0\]: Vehicle bus-1: departure .* is not after"),
        ("evs.0.group", "north", r"evs\[0\].group: there is no group 'north'; the file has none"),
        ("evs.0.colour", "red", r"evs\[0\]: Object contains unknown field `colour`"),
        ("prices_per_kwh", [0.1, 0.2], "prices_per_kwh: has 2 values where steps is 8"),
        ("building_load_kw", [1.0], "building_load_kw: has 1 values where steps is 8"),
        ("step_lengths_s", [900], "step_lengths_s: has 1 values where steps is 8"),
        ("groups", [{"id": "a", "parent": "b"}], r"groups\[0\].parent: there is no group 'b'; the file has a"),
        ("groups", [{"id": "a"}, {"id": "a"}], r"groups\[1\].id: 'a' comes twice"),
        ("groups", [{"id": "a", "limit_kw": [1]}], r"groups\[0\].limit_kw: has 1 values where steps is 8"),
        ("groups", [{"id": "a", "parent": "a"}], "'a' stands under itself"),
        ("groups", [{"id": "a"}, {"id": "b"}], r"evs\[0\].group: the file has several roots, say which: a, b"),
        ("demand_charge", {"price_per_kw": -1}, "demand_charge.price_per_kw: Expected `float` >= 0"),
        ("battery", {"capacity_kwh": 1, "soe_kwh": 2, "charge_kw": 1, "discharge_kw": 1}, "battery: .* 2.0 kWh held"),
        ("evs.0.in_force", [1.0], r"evs\[0\].in_force: has 1 values where steps is 8"),
    ],
)
def test_malformed_input_names_the_field(path: str, value: Any, told: str) -> None:
    with pytest.raises(FileError, match=told):
        planned(changed(path, value))


def test_a_missing_field_is_named() -> None:
    problem = json.loads(json.dumps(MINIMAL))
    del problem["evs"][0]["energy"]
    with pytest.raises(FileError, match=r"evs\[0\]: Object missing required field `energy`"):
        planned(problem)


def test_what_is_no_json_is_told_so() -> None:
    with pytest.raises(FileError, match="the file is not JSON"):
        read_problem(b"{")


def test_the_same_id_twice_is_refused() -> None:
    with pytest.raises(FileError, match="'bus-1' comes twice"):
        planned(MINIMAL | {"evs": MINIMAL["evs"] * 2})


def test_minimum_power_is_zero_or_at_least_it() -> None:
    problem = changed("evs.0.min_power", 6)
    problem["groups"] = [{"id": "site", "limit_kw": [7, 5, 5, 5, 5, 7, 7, 20]}]
    result = planned(problem)
    assert all(kw == 0 or kw >= 6 for kw in result.plans[0].power)
    assert result.plans[0].power[1:5] == [0, 0, 0, 0]


def test_energy_and_unmet_are_in_the_battery() -> None:
    result = planned(changed("evs.0.efficiency", 0.8))
    assert energy_kwh(result) == pytest.approx(12.5)
    assert result.plans[0].energy == pytest.approx(10)
    too_much = changed("evs.0.efficiency", 0.8)
    too_much["evs"][0]["energy"] = 50
    result = planned(too_much)
    assert energy_kwh(result) == pytest.approx(40)
    assert result.plans[0].energy == pytest.approx(32)
    assert result.plans[0].unmet == result.unmet_kwh == pytest.approx(18)


def test_amps_count_per_phase_with_voltage_and_phases() -> None:
    problem = changed("evs.0.unit", "A")
    problem["evs"][0] |= {"max_power": 16, "energy": 8}
    result = planned(problem)
    assert energy_kwh(result) == pytest.approx(8)  # Ah per phase
    assert max(result.plans[0].power) <= 16
    assert result.plans[0].energy == pytest.approx(8 * 0.69)
    assert sum(result.groups[0].power_kw) * 0.25 == pytest.approx(8 * 0.69)


def test_whole_steps_inside_the_stay_are_usable() -> None:
    problem = changed("evs.0.arrival_time", "2026-03-02T18:10:00Z")
    problem["evs"][0] |= {"departure_time": "2026-03-02T19:50:00Z", "energy": 100}
    power = planned(problem).plans[0].power
    assert power == [0, 20, 20, 20, 20, 20, 20, 0]


def test_steps_begin_at_the_start_whatever_the_clock_says() -> None:
    problem = changed("start", "2026-03-02T18:07:00Z")
    problem["evs"][0] |= {"energy": 100}
    power = planned(problem).plans[0].power
    assert power == [20, 20, 20, 20, 20, 20, 20, 0]


def test_steps_may_have_different_lengths() -> None:
    problem = changed("step_lengths_s", [300, 300, 300, 900, 900, 900, 900, 3600])
    problem["evs"][0]["energy"] = 100
    result = planned(problem)
    assert result.plans[0].energy == pytest.approx(20 * 1.25)
    assert result.plans[0].power == [20] * 7 + [0]


def test_a_vehicle_beyond_the_horizon_is_deferred_and_not_unmet() -> None:
    problem = changed("evs.0.arrival_time", "2026-03-03T18:00:00Z")
    problem["evs"][0]["departure_time"] = "2026-03-03T20:00:00Z"
    result = planned(problem)
    assert result.plans[0].deferred
    assert (result.plans[0].unmet, result.unmet_kwh) == (0, 0)


def test_higher_priority_is_more_important() -> None:
    problem = changed("groups", [{"id": "site", "limit_kw": 5}])
    second = problem["evs"][0] | {"ev_id": "bus-2", "priority": 2}
    problem["evs"].append(second)
    result = planned(problem)
    assert [plan.unmet for plan in result.plans] == [pytest.approx(10), 0]
    assert result.plans[0].shortfall.reason == "limit"  # type: ignore[union-attr]


def test_the_peak_is_the_roots_with_the_building_and_only_its_increment_costs() -> None:
    problem = MINIMAL | {
        "building_load_kw": [30, 10, 10, 10, 10, 10, 10, 10],
        "demand_charge": {"price_per_kw": 8, "peak_so_far_kw": 12},
        "groups": [{"id": "site", "limit_kw": 40}],
    }
    result = planned(problem)
    assert result.peak_kw == pytest.approx(30)
    assert result.demand_cost == pytest.approx(18 * 8)
    flat = problem | {"building_load_kw": 10}
    result = planned(flat)
    assert result.peak_kw == pytest.approx(15)
    assert result.demand_cost == pytest.approx(3 * 8)


def test_the_building_takes_from_the_roots_limit() -> None:
    problem = MINIMAL | {"building_load_kw": 37, "groups": [{"id": "site", "limit_kw": 40}]}
    result = planned(problem)
    assert max(result.groups[0].power_kw) <= 3 + 1e-6
    assert result.plans[0].unmet == pytest.approx(4)


def test_groups_show_what_the_vehicles_below_draw_and_what_more_room_would_save() -> None:
    problem = changed("evs.0.group", "feeder")
    problem["groups"] = [{"id": "site", "limit_kw": 40}, {"id": "feeder", "parent": "site", "limit_kw": 10}]
    problem["prices_per_kwh"] = [0.4, 0.4, 0.4, 0.4, 0.1, 0.1, 0.3, 0.4]
    result = planned(problem)
    assert [group.id for group in result.groups] == ["site", "feeder"]
    assert result.groups[0].power_kw == result.groups[1].power_kw
    assert result.energy_cost == pytest.approx(2.5 * 0.1 * 2 + 2.5 * 0.3 + 2.5 * 0.4)
    assert result.groups[1].marginal_value_per_kwh[4] == pytest.approx(0.3)
    assert result.groups[0].marginal_value_per_kwh[4] == 0


def test_a_fallback_is_reserved_at_every_node_and_free_for_its_vehicle() -> None:
    problem = changed("evs.0.fallback_kw", 4)
    problem["groups"] = [{"id": "site", "limit_kw": 5}]
    result = planned(problem)
    assert max(result.plans[0].power) == pytest.approx(5)
    assert result.plans[0].unmet == 0


def test_sun_battery_and_giving_back_are_parts_of_the_same_problem() -> None:
    sun = planned(MINIMAL | {"prices_per_kwh": 0.3, "pv_kw": [0, 0, 0, 0, 20, 20, 0, 0]})
    assert sun.energy_cost == pytest.approx(0)
    battery = planned(
        MINIMAL
        | {
            "prices_per_kwh": [0.1] * 4 + [0.5] * 4,
            "building_load_kw": 4,
            "battery": {"capacity_kwh": 10, "soe_kwh": 0, "charge_kw": 10, "discharge_kw": 10, "efficiency": 1},
        }
    )
    assert battery.battery_kw
    assert min(battery.battery_kw) < 0 < max(battery.battery_kw)
    giving = changed("prices_per_kwh", [0.5] * 4 + [0.1] * 4)
    giving["evs"][0] |= {"soc": 50, "battery_kwh": 40, "discharge_power": 10, "energy": 0}
    giving["building_load_kw"] = 10
    assert min(planned(giving).plans[0].power) < 0


def test_uncontrolled_says_which_limits_it_breaks() -> None:
    result = planned(MINIMAL | {"groups": [{"id": "site", "limit_kw": 10}]}, "uncontrolled")
    assert any("site" in sentence for sentence in result.violations)


def test_both_schemas_describe_every_field() -> None:
    shown = schemas()
    fields = shown["problem"]["$defs"]["ProblemFile"]["properties"]
    assert {"start", "resolution_s", "steps", "evs", "groups", "demand_charge"} <= set(fields)
    assert shown["problem"]["$defs"]["EvEntry"]["required"] == [
        "ev_id",
        "max_power",
        "arrival_time",
        "departure_time",
        "energy",
    ]
    assert {"plans", "groups", "unmet_kwh", "peak_kw"} <= set(shown["result"]["$defs"]["ResultFile"]["properties"])
