from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.api.clients import client_with, names
from tests.factories import (
    make_connector,
    make_depot,
    make_incident,
    make_limit,
    make_load_group,
    make_reservation,
    make_session,
    make_station,
    make_vehicle,
)

pytestmark = pytest.mark.django_db


def follow(client: Any, path: str, field: str) -> list[Any]:
    """All values of a field, page by page."""
    found: list[Any] = []
    url: str | None = path
    while url:
        response = client.get(url)
        found += names(response, field)
        url = response.json()["next"]
        assert (f'<{url}>; rel="next"' in response.get("Link", "")) == (url is not None)
    return found


def test_pages_give_every_row_once_also_when_values_are_equal() -> None:
    depot = make_depot()
    expected = {make_vehicle(depot, name="Same name").external_id for _ in range(7)}
    found = follow(client_with(), "/api/v1/vehicles/?limit=2", "external_id")
    assert len(found) == 7
    assert set(found) == expected


def test_a_row_that_comes_in_front_does_not_shift_the_next_page() -> None:
    depot = make_depot()
    for name in "cdef":
        make_vehicle(depot, name=name)
    client = client_with()
    first = client.get("/api/v1/vehicles/?limit=2").json()
    make_vehicle(depot, name="a")
    assert names(client.get(first["next"]), "name") == ["e", "f"]


def test_a_list_is_ordered_as_asked() -> None:
    depot = make_depot()
    for name in "bca":
        make_vehicle(depot, name=name)
    client = client_with()
    assert names(client.get("/api/v1/vehicles/"), "name") == ["a", "b", "c"]
    assert follow(client, "/api/v1/vehicles/?ordering=-name&limit=1", "name") == ["c", "b", "a"]


def test_a_repeated_parameter_means_any_of_them() -> None:
    depot = make_depot()
    connector = make_connector(make_station(depot, connectors=0))
    for state in ("CANCELED", "NO_SHOW", "RESERVED"):
        make_reservation(connector=connector, state=state)
    response = client_with().get("/api/v1/reservations/?state=CANCELED&state=NO_SHOW")
    assert sorted(names(response, "state")) == ["CANCELED", "NO_SHOW"]
    assert client_with().get("/api/v1/reservations/?state=ASLEEP").status_code == 400


def test_a_period_is_half_open() -> None:
    limit = make_limit(make_load_group())
    client = client_with()
    start, end, second = limit.starts_at, limit.ends_at, timedelta(seconds=1)

    def found(since: Any, until: Any) -> int:
        query = {"from": since.isoformat(), "to": until.isoformat()}
        return len(names(client.get("/api/v1/limits/", query), "id"))

    assert found(start, end) == 1
    assert found(start - second, start) == 0
    assert found(end, end + second) == 0
    assert found(end - second, end + second) == 1


def test_a_plus_that_arrived_as_a_blank_is_still_an_offset() -> None:
    make_limit(make_load_group())
    assert client_with().get("/api/v1/limits/?from=2020-01-01T00:00:00+01:00").status_code == 200


@pytest.mark.parametrize(
    "path", ["stations", "connectors", "vehicles", "reservations", "sessions", "limits", "incidents"]
)
def test_lists_are_filtered_by_depot(path: str) -> None:
    for _ in range(2):
        depot = make_depot()
        connector = make_connector(make_station(depot, connectors=0))
        vehicle = make_vehicle(depot)
        make_reservation(connector=connector, vehicle=vehicle)
        make_session(connector=connector, vehicle=vehicle)
        make_limit(connector.station.load_group)
        make_incident(depot=depot)
    client = client_with()
    assert len(client.get(f"/api/v1/{path}/").json()["results"]) == 2
    assert len(client.get(f"/api/v1/{path}/", {"depot": depot.slug}).json()["results"]) == 1
    assert client.get(f"/api/v1/{path}/", {"depot": "nowhere"}).json()["results"] == []
    assert len(client_with(depots=[depot]).get(f"/api/v1/{path}/").json()["results"]) == 1


def test_a_station_is_found_whatever_the_case() -> None:
    station = make_station(identity="Yard-01", online=True)
    client = client_with()
    body = client.get("/api/v1/stations/yARD-01").json()
    assert body["identity"] == "Yard-01"
    assert body["link"]["online"] is True
    assert body["connectors"] == [connector.pk for connector in station.connectors.all()]
    assert len(client.get("/api/v1/connectors/?station=YARD-01").json()["results"]) == 1
    assert len(client.get("/api/v1/stations/?online=true").json()["results"]) == 1
    assert client.get("/api/v1/stations/?online=false").json()["results"] == []


def test_reservations_changed_since_an_instant() -> None:
    reservation = make_reservation()
    client = client_with()
    for shift, count in ((timedelta(0), 1), (timedelta(seconds=1), 0)):
        since = (reservation.updated_at + shift).isoformat()
        assert len(client.get("/api/v1/reservations/", {"updated_since": since}).json()["results"]) == count


def test_times_are_answered_in_utc_with_z() -> None:
    reservation = make_reservation()
    body = client_with().get(f"/api/v1/reservations/{reservation.pk}").json()
    assert body["starts_at"].endswith("Z")
    assert body["time_zone"] == "Europe/Berlin"


def test_the_meter_values_of_a_session_are_its_own(django_assert_max_num_queries: Any) -> None:
    from charging.models import MeterSample

    mine, other = make_session(), make_session()
    for session, power_w in ((mine, 7000), (other, 3000)):
        MeterSample.objects.create(
            station=session.station,
            number=1,
            transaction_id=session.transaction_id,
            at=session.started_at,
            received_at=session.started_at,
            content_hash="x",
            power_w=power_w,
        )
    client = client_with()
    assert names(client.get(f"/api/v1/sessions/{mine.pk}/meter-values"), "power_w") == [7000]
    foreign = client_with(depots=[other.station.depot])
    assert foreign.get(f"/api/v1/sessions/{mine.pk}/meter-values/").status_code == 404


def test_a_list_costs_the_same_queries_however_long_it_is(django_assert_max_num_queries: Any) -> None:
    depot = make_depot()
    for _ in range(8):
        connector = make_connector(make_station(depot, connectors=0, online=True))
        make_reservation(connector=connector)
        make_session(connector=connector)
    client = client_with()
    for path in ("stations", "connectors", "reservations", "sessions", "vehicles", "depots", "load-groups"):
        client.get(f"/api/v1/{path}/")
        with django_assert_max_num_queries(8):
            client.get(f"/api/v1/{path}/")
