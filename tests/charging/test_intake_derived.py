"""The latest readings, the watch task and the counters: what is derived from frames that are stored already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone
from prometheus_client import REGISTRY

from charging import links
from charging.handshake import station_ref
from charging.intake.derived import Derivation
from charging.intake.entry import Arrival, SampleRow
from charging.intake.meaning import meaning_of
from charging.models import ConnectorState, Finding, MeterState, Session, StationLink
from charging.tasks import watch_chargers
from charging.wire.errors import Finding as Leniency
from charging.wire.session import IncomingCall
from charging.wire.timestamps import wire_time
from depot.models import Incident, Station, VehicleState
from tests.charging.rig import Server
from tests.factories import make_connector, make_link, make_session, make_station, make_vehicle

pytestmark = pytest.mark.django_db


def arrival(station: Station, at: datetime | None = None) -> Arrival:
    return Arrival(station_ref(station), 1, at or timezone.now())


def row(station: Station, number: int = 1, **fields: Any) -> SampleRow:
    now = timezone.now()
    empty = dict.fromkeys(SampleRow._fields)
    given = {"station_id": station.pk, "number": number, "at": now, "received_at": now, "flags": "", **fields}
    return SampleRow(**{**empty, **given})


def derive(station: Station, rows: Sequence[SampleRow], derivation: Derivation | None = None) -> set[int]:
    derivation = derivation or Derivation()
    derivation.take_samples(arrival(station), rows)
    return derivation.write(derivation.swap(), timezone.now())


def state(station: Station) -> ConnectorState:
    return ConnectorState.objects.get(connector__station=station, connector__number=1)


def with_state(**fields: Any) -> Station:
    station = make_station(**fields)
    for connector in station.connectors.all():
        ConnectorState.objects.create(connector=connector)
    return station


def test_what_a_sample_does_not_say_stays_as_it_was() -> None:
    station = with_state()
    derive(station, [row(station, power_w=5000.0, energy_wh=100.0, current_1_a=7.0, current_2_a=7.5)])
    assert derive(station, [row(station, power_w=6000.0)]) == {station.depot_id}
    found = state(station)
    assert (found.power_kw, found.energy_wh, found.current_a) == (6.0, 100.0, [7.0, 7.5, None])


def test_the_newest_sample_wins_whatever_the_order() -> None:
    station = with_state()
    now = timezone.now()
    older = row(station, power_w=1000.0, at=now - timedelta(seconds=30))
    derive(station, [row(station, power_w=2000.0, at=now), older])
    assert state(station).power_kw == 2.0


def test_a_flagged_number_is_not_shown() -> None:
    station = with_state()
    derive(station, [row(station, power_w=9e6, energy_wh=50.0, soc_percent=255.0, flags="power,soc")])
    found = state(station)
    assert (found.power_kw, found.energy_wh, found.soc_percent) == (None, 50.0, None)


def test_power_above_the_hardware_is_flagged_and_phases_are_rotated() -> None:
    station = make_station(connectors=0)
    make_connector(station, number=1, phase_rotation="231", max_current_a=16)
    values = [
        {"value": "50000", "measurand": "Power.Active.Import"},
        {"value": "10", "measurand": "Current.Import", "phase": "L1"},
    ]
    payload = {"connectorId": 1, "meterValue": [{"timestamp": wire_time(timezone.now()), "sampledValue": values}]}
    call = IncomingCall("m", "MeterValues", payload, b"")
    sample = meaning_of(call, arrival(station), registered=True).samples[0]
    assert (sample.flags, sample.power_w) == ("power", float(Decimal(50000)))
    assert (sample.current_1_a, sample.current_2_a, sample.current_3_a) == (None, 10.0, None)


def test_a_station_of_kind_meter_reports_the_main_meter_on_any_connector() -> None:
    station = make_station(kind="meter", connectors=0)
    derive(station, [row(station, number=1, power_w=42000.0)])
    assert MeterState.objects.get(station=station).power_kw == 42.0


def test_a_session_follows_its_register_and_its_battery() -> None:
    station = with_state()
    vehicle = make_vehicle(station.depot)
    session = make_session(
        connector=station.connectors.get(), vehicle=vehicle, meter_start_wh=1000, last_register_wh=1000
    )
    derivation = Derivation()
    number = session.transaction_id
    derive(station, [row(station, transaction_id=number, energy_wh=1500.0, soc_percent=40.0)], derivation)
    derive(station, [row(station, transaction_id=number, energy_wh=2500.0, soc_percent=41.0)], derivation)
    session.refresh_from_db()
    assert (session.energy_kwh, session.start_soc_percent, session.soc_percent) == (1.5, 40.0, 41.0)
    assert VehicleState.objects.get(vehicle=vehicle, source="charger").soc_percent == 40.0, "at most one a minute"


def test_p46_a_sample_without_a_transaction_belongs_to_the_one_of_its_connector() -> None:
    station = with_state()
    session = make_session(
        connector=station.connectors.get(),
        meter_start_wh=0,
        last_register_wh=0,
        started_at=timezone.now() - timedelta(minutes=1),
    )
    derive(station, [row(station, energy_wh=700.0)])
    session.refresh_from_db()
    assert session.energy_kwh == 0.7


def test_p59_without_a_start_register_energy_counts_from_the_first_reading() -> None:
    station = with_state()
    session = make_session(connector=station.connectors.get(), meter_start_wh=0, last_register_wh=None)
    derivation = Derivation()
    for register in (5_000_000.0, 5_000_800.0):
        derive(station, [row(station, transaction_id=session.transaction_id, energy_wh=register)], derivation)
    session.refresh_from_db()
    assert (session.meter_start_wh, session.energy_kwh) == (5_000_000, 0.8)


def test_a_sample_never_moves_another_stations_or_an_ended_session() -> None:
    station, other = with_state(), with_state()
    foreign = make_session(connector=other.connectors.get(), meter_start_wh=0, last_register_wh=0)
    ended = make_session(connector=station.connectors.get(), state="ended", meter_start_wh=0, last_register_wh=0)
    for session in (foreign, ended):
        derive(station, [row(station, transaction_id=session.transaction_id, energy_wh=900.0)])
        session.refresh_from_db()
        assert session.energy_kwh == 0
    assert Session.objects.count() == 2


def test_findings_are_counted_and_bounded() -> None:
    station = make_station()
    derivation = Derivation()
    ref = station_ref(station)
    for number in range(300):
        derivation.take_findings(ref, [Leniency("P27", f"text {number}"), Leniency("P36", "always the same")])
    derivation.write(derivation.swap(), timezone.now())
    derivation.take_findings(ref, [Leniency("P36", "always the same")])
    derivation.write(derivation.swap(), timezone.now())
    assert Finding.objects.get(text="always the same").count == 301
    assert Finding.objects.count() <= 102


def test_a_deleted_station_spoils_nothing() -> None:
    gone, station = with_state(), with_state()
    derivation = Derivation()
    derivation.take_samples(arrival(gone), [row(gone, number=0, power_w=1.0)])
    derivation.take_findings(station_ref(gone), [Leniency("P27", "x")])
    derivation.take_samples(arrival(station), [row(station, power_w=3000.0)])
    gone.delete()
    derivation.write(derivation.swap(), timezone.now())
    assert state(station).power_kw == 3.0


def test_what_could_not_be_written_is_written_later_unless_newer_came() -> None:
    station = with_state()
    derivation = Derivation()
    derivation.take_samples(arrival(station), [row(station, power_w=1000.0)])
    failed = derivation.swap()
    derivation.take_samples(arrival(station), [row(station, power_w=2000.0)])
    derivation.put_back(failed)
    derivation.write(derivation.swap(), timezone.now())
    assert state(station).power_kw == 2.0


# --- watching --------------------------------------------------------------------------------------------------------


def test_a_link_that_nobody_refreshes_goes_offline_with_an_incident() -> None:
    station, fresh = make_station(), make_station()
    make_link(station, last_seen_at=timezone.now() - timedelta(minutes=5))
    make_link(fresh)
    watch_chargers()
    assert not StationLink.objects.get(station=station).online
    assert StationLink.objects.get(station=fresh).online
    assert Incident.objects.get(type="charger.offline", closed_at=None).subject == station.identity


def test_p17_a_charger_that_does_not_come_back_after_a_restart_is_reported_once() -> None:
    station, recent, never = make_station(), make_station(), make_station()
    make_link(station, online=False, disconnected_at=timezone.now() - timedelta(minutes=5))
    make_link(recent, online=False, disconnected_at=timezone.now())
    make_link(never, online=False, epoch=0)
    watch_chargers()
    watch_chargers()
    incident = Incident.objects.get(type="charger.offline")
    assert (incident.subject, incident.count) == (station.identity, 1)


def test_p14_the_end_of_an_older_connection_changes_nothing() -> None:
    station = make_station()
    first = links.open_link(station.pk, "a", "", timezone.now())
    second = links.open_link(station.pk, "b", "", timezone.now())
    assert not links.close_link(station.pk, first, timezone.now())
    assert StationLink.objects.get(station=station).online
    assert links.lost_sockets("a", {station.pk: first}) == ([station.pk], [])
    assert links.lost_sockets("b", {}) == ([], [(station.pk, second)])
    assert links.close_link(station.pk, second, timezone.now())


def test_the_counters_tell_frames_by_action_and_invent_no_series(server: Server) -> None:
    def heard(action: str) -> float:
        return REGISTRY.get_sample_value("ocpp_frames_total", {"direction": "in", "action": action}) or 0

    station = make_station()
    before = heard("Heartbeat"), heard("other")
    with server.booted(station.identity) as charger:
        charger.call("Heartbeat", {})
        charger.error("MadeUp", {})
        assert (heard("Heartbeat"), heard("other")) == (before[0] + 1, before[1] + 1)
        assert heard("MadeUp") == 0
        assert REGISTRY.get_sample_value("ocpp_sockets") == 1
