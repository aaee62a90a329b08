from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.utils import timezone

from depot.models import Depot, Reservation, Vehicle
from scheduling.day_ahead.history import expected_visits
from tests.api.clients import client_with, is_problem, pointers, post
from tests.factories import (
    make_connector,
    make_depot,
    make_load_group,
    make_reservation,
    make_session,
    make_station,
    make_vehicle,
)

pytestmark = pytest.mark.django_db
ADDRESS = "/api/v1/demand-predictions/"
SUNDAY = datetime(2026, 11, 15, 20, tzinfo=UTC)
MONDAY = date(2026, 11, 16)
CSV = (
    "vehicle,powerNom,energyRequired,energyMax,arrivalTime,departureTime,arrivalSOE\n"
    "bus-214,50,120,350,18.5,29.5,105\n"
    "bus-215,50,90,350,19.25,29.0,140\n"
)


def came(
    vehicle: Vehicle, weeks_ago: int, *, hour: float = 18, stay: float = 10, kwh: float = 20, **fields: Any
) -> Any:
    """A finished session that began so many weeks before Monday, at this local hour."""
    depot = vehicle.depot
    midnight = datetime.combine(MONDAY - timedelta(weeks=weeks_ago), time.min, depot.zone)
    begin = midnight + timedelta(hours=hour)
    connector = fields.pop("connector", None) or make_connector(make_station(depot, connectors=0))
    return make_session(
        connector=connector,
        vehicle=vehicle,
        state="ended",
        started_at=begin,
        stopped_at=begin + timedelta(hours=stay),
        energy_kwh=kwh,
        **fields,
    )


def get(depot: Depot, **query: Any) -> Any:
    return client_with("read").get(ADDRESS, {"depot": depot.slug, **query})


def csv(depot: Depot, text: str, **query: str) -> Any:
    address = f"{ADDRESS}?depot={depot.slug}" + "".join(f"&{name}={value}" for name, value in query.items())
    return client_with().generic("POST", address, text, content_type="text/csv")


def test_a_synthetic_prediction_depends_on_the_seed_alone() -> None:
    depot = make_depot()
    query = {"source": "synthetic", "vehicles": 4, "seed": 9, "date": "2026-11-21"}
    first, again, other = (get(depot, **(query | {"seed": seed})).json() for seed in (9, 9, 10))
    assert first == again
    assert first["demand"] != other["demand"]
    assert (first["source"], first["seed"], first["date"], first["time_zone"]) == (
        *("synthetic", 9, "2026-11-21", "Europe/Berlin"),
    )
    assert len(first["demand"]) == 4
    assert first["energy_kwh"] == pytest.approx(sum(row["energyRequired"] for row in first["demand"]))
    assert {row["restsOn"] for row in first["demand"]} == {0}


def test_a_prediction_can_be_planned_as_it_is() -> None:
    depot = make_depot()
    make_load_group(depot)
    rows = get(depot, vehicles=3, date="2026-11-21").json()["demand"]
    body = {"depot": depot.slug, "date": "2026-11-21", "demand": rows, "algorithm": "day-ahead-lp"}
    plan = post(client_with(), "/api/v1/day-ahead-plans/", body).json()
    assert [each["vehicle"] for each in plan["result"]["vehicles"]] == [row["vehicle"] for row in rows]


def test_a_day_of_the_history_is_the_median_of_the_same_weekdays() -> None:
    depot = make_depot(default_target_soc_percent=80)
    vehicle = make_vehicle(depot, external_id="bus", battery_kwh=100, max_ac_kw=11, charging_efficiency=0.9)
    group = make_load_group(depot, slug="yard")
    connector = make_connector(make_station(depot, load_group=group, connectors=0))
    for weeks_ago, hour, kwh in ((1, 18, 20), (2, 19, 30), (3, 17.5, 40)):
        came(vehicle, weeks_ago, hour=hour, kwh=kwh, stay=9 + weeks_ago, connector=connector)
    (expected,) = expected_visits(depot, MONDAY, now=SUNDAY)
    demand = expected.demand
    assert expected.node == "yard"
    assert (demand.vehicle, demand.rests_on) == ("bus", 3)
    assert depot.local(demand.arrival) == datetime.combine(MONDAY, time(18), depot.zone)
    assert demand.parking_hours == 11
    assert demand.energy_kwh == pytest.approx(27)
    assert demand.arrival_soe_kwh == pytest.approx(53)
    assert (demand.power_kw, demand.efficiency) == (11, 0.9)
    assert demand.minimum_power_kw == pytest.approx(6 * 0.69)


def test_other_weekdays_and_rare_guests_do_not_count() -> None:
    depot = make_depot()
    regular, guest, tuesday = (make_vehicle(depot, external_id=name) for name in ("regular", "guest", "tuesday"))
    for weeks_ago in (1, 2, 4):
        came(regular, weeks_ago)
    came(guest, 6)
    came(tuesday, 1, hour=18 + 24)
    assert [each.demand.vehicle for each in expected_visits(depot, MONDAY, now=SUNDAY)] == ["regular"]
    (late,) = expected_visits(depot, MONDAY + timedelta(days=1), now=SUNDAY)
    assert late.demand.vehicle == "tuesday"


def test_several_sessions_of_a_day_are_one_visit_and_an_unused_booking_counts_where_it_was_kept() -> None:
    depot = make_depot()
    twice, booked = make_vehicle(depot, external_id="twice"), make_vehicle(depot, external_id="booked")
    came(twice, 1, hour=8, stay=2, kwh=5)
    came(twice, 1, hour=14, stay=2, kwh=7)
    begin = datetime.combine(MONDAY - timedelta(weeks=1), time(9), depot.zone)
    for state in (Reservation.State.FULFILLED, Reservation.State.NO_SHOW):
        make_reservation(
            depot=depot,
            vehicle=booked if state == Reservation.State.FULFILLED else make_vehicle(depot),
            starts_at=begin,
            ends_at=begin + timedelta(hours=3),
            state=state,
            energy_kwh=15,
        )
    first, second = expected_visits(depot, MONDAY, now=SUNDAY)
    assert (first.demand.vehicle, first.demand.parking_hours) == ("booked", 3)
    assert (second.demand.vehicle, second.demand.parking_hours) == ("twice", 8)
    assert second.demand.energy_kwh == pytest.approx(12 * 0.92)


def test_the_day_itself_never_predicts_itself() -> None:
    depot = make_depot()
    came(make_vehicle(depot), 0)
    assert expected_visits(depot, MONDAY, now=SUNDAY + timedelta(days=9)) == []


def test_the_history_is_asked_over_http() -> None:
    depot = make_depot()
    assert get(depot, source="history").json()["demand"] == []
    vehicle = make_vehicle(depot, external_id="van")
    yesterday = timezone.now() - timedelta(days=1)
    begin = yesterday.replace(hour=10, minute=0, second=0, microsecond=0)
    make_session(
        vehicle=vehicle,
        connector=make_connector(make_station(depot, connectors=0)),
        state="ended",
        started_at=begin,
        stopped_at=begin + timedelta(hours=4),
        energy_kwh=10,
    )
    day = depot.local(begin).date() + timedelta(days=7)
    (row,) = get(depot, source="history", date=day.isoformat()).json()["demand"]
    assert (row["vehicle"], row["restsOn"], row["parkingDuration"]) == ("van", 1, 4)


def test_the_history_is_planned_from_noon_to_noon_over_two_days() -> None:
    depot = make_depot()
    group = make_load_group(depot, slug="yard", limit_kw=100)
    early, late = (make_vehicle(depot, external_id=name, battery_kwh=100) for name in ("early", "late"))
    connector = make_connector(make_station(depot, load_group=group, connectors=0))
    for day in (0, 24):  # Mondays and Tuesdays
        came(early, 1, hour=day + 7, stay=3, connector=connector)
        came(late, 1, hour=day + 18, stay=10, connector=connector)
    noon = datetime.combine(MONDAY, time(12), depot.zone)
    body = {"depot": depot.slug, "start": noon.isoformat(), "demand": "history", "algorithm": "day-ahead-lp"}
    with patch("scheduling.api.day_ahead_plans.timezone.now", return_value=SUNDAY):
        plan = post(client_with(), "/api/v1/day-ahead-plans/", body).json()
        longer = post(client_with(), "/api/v1/day-ahead-plans/", body | {"horizon_hours": 36}).json()
    assert {each["vehicle"] for each in plan["result"]["vehicles"]} == {"late", "early"}
    assert plan["result"]["kpis"]["workload_battery_percent"] == 100
    assert {each["vehicle"] for each in longer["result"]["vehicles"]} == {"late", "early", "late@2026-11-17"}
    assert {each["name"] for each in longer["result"]["vehicles"]} == {"late", "early"}


def test_a_csv_file_is_read_and_checked() -> None:
    depot = make_depot()
    answer = csv(depot, CSV, date="2026-11-21").json()
    assert answer["source"] == "file"
    assert [row["vehicle"] for row in answer["demand"]] == ["bus-214", "bus-215"]
    assert answer["demand"][0]["arrivalTime"] == "2026-11-21T17:30:00Z"
    assert answer["demand"][0]["arrivalSOC"] == 30
    assert answer["energy_kwh"] == 210


def test_rows_as_json_are_read_the_same_way() -> None:
    depot = make_depot()
    row: dict[str, Any] = {"vehicle": 7, "powerNom": 50, "energyRequired": 120, "energyMax": 350, "arrivalSOE": 105}
    row |= {"arrivalTime": 18.5, "departureTime": "2026-11-22T05:30:00+01:00"}
    body = {"depot": depot.slug, "date": "2026-11-21", "rows": [row]}
    (read,) = post(client_with(), ADDRESS, body).json()["demand"]
    assert (read["vehicle"], read["parkingDuration"]) == ("7", 11)
    body["rows"] = [row | {"energyRequired": 300}]
    problem = is_problem(post(client_with(), ADDRESS, body), 422, "validation")
    assert pointers(problem) == {"/rows/0/energyRequired"}


def test_errors_of_a_file_name_its_lines_and_columns() -> None:
    depot = make_depot()
    problem = is_problem(csv(depot, CSV + "bus-216,fast,1,2,3,2,1\n"), 422, "validation")
    assert problem["detail"].endswith("Row 4, powerNom: 'fast' is not a number.")
    missing = is_problem(csv(depot, "vehicle,powerNom\n"), 422, "validation")
    assert "energyRequired: the column is missing" in str(missing["errors"])
    assert "at most 1000" in is_problem(csv(depot, CSV + "a,1,1,2,3,4,1\n" * 1000), 422, "validation")["detail"]


def test_what_is_asked_wrongly_is_said() -> None:
    depot = make_depot()
    is_problem(client_with().get(ADDRESS), 400, "invalid-parameter")
    for query in ({"source": "stars"}, {"vehicles": "many"}, {"seed": -1}, {"date": "today"}, {"date": "0001-01-01"}):
        is_problem(get(depot, **query), 400, "invalid-parameter")
    is_problem(get(depot, colour="red"), 400, "unknown-parameter")
    is_problem(client_with(depots=[make_depot()]).get(ADDRESS, {"depot": depot.slug}), 404, "not-found")
    is_problem(post(client_with("read"), ADDRESS, {"depot": depot.slug, "rows": []}), 403, "scope-missing")
    is_problem(post(client_with(depots=[make_depot()]), ADDRESS, {"depot": depot.slug, "rows": []}), 422, "validation")
    raw = client_with().generic("POST", f"{ADDRESS}?depot={depot.slug}", b"\xff\xfe", content_type="text/csv")  # type: ignore[arg-type]
    is_problem(raw, 400, "malformed")
