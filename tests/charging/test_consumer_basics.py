"""From the first frame to a finished session, and commands the other way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from charging.commands import queue_command
from charging.models import Command, ConnectorState, Frame, MeterSample, Session, StationLink
from charging.wire.timestamps import wire_time
from depot.models import Incident, VehicleState
from tests.charging.rig import Charger, Server, until
from tests.factories import make_reservation, make_station, make_vehicle


def sampled(wh: float, w: float, soc: float | None = None, at: datetime | None = None) -> dict[str, Any]:
    values = [
        {"value": str(wh), "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
        {"value": str(w), "measurand": "Power.Active.Import", "unit": "W"},
    ]
    if soc is not None:
        values.append({"value": str(soc), "measurand": "SoC", "unit": "Percent"})
    return {"timestamp": wire_time(at or datetime.now(UTC)), "sampledValue": values}


def start(charger: Charger, tag: str = "TAG1", wh: int = 1000, connector: int = 1) -> int:
    payload = {"connectorId": connector, "idTag": tag, "meterStart": wh, "timestamp": wire_time(timezone.now())}
    number: int = charger.call("StartTransaction", payload)["transactionId"]
    return number


def test_boot_is_accepted_and_what_the_charger_says_of_itself_is_kept(server: Server) -> None:
    station = make_station()
    with server.connect(station.identity) as charger:
        answer = charger.boot()
        assert answer["status"] == "Accepted"
        assert answer["interval"] == 300
        assert answer["currentTime"].endswith("Z")
        station.refresh_from_db()
        assert (station.vendor, station.model) == ("Ford", "T")
        link = StationLink.objects.get(station=station)
        assert (link.online, link.registration, link.epoch) == (True, "Accepted", 1)


def test_a_session_from_start_to_stop(server: Server) -> None:
    station = make_station()
    connector = station.connectors.get()
    vehicle = make_vehicle(station.depot, id_tag="TAG1")
    booking = make_reservation(connector=connector, vehicle=vehicle)
    with server.booted(station.identity) as charger:
        charger.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Preparing"})
        assert charger.call("Authorize", {"idTag": "tag1"})["idTagInfo"]["status"] == "Accepted"
        number = start(charger)
        charger.call("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Charging"})
        session = Session.objects.get(transaction_id=number)
        assert session.vehicle == vehicle
        assert session.reservation == booking
        charger.call(
            "MeterValues", {"connectorId": 1, "transactionId": number, "meterValue": [sampled(3500, 11000, 42)]}
        )
        until(lambda: Session.objects.get(pk=session.pk).energy_kwh == 2.5)
        state = ConnectorState.objects.get(connector=connector)
        assert (state.status, state.power_kw, state.energy_wh, state.soc_percent) == ("Charging", 11.0, 3500.0, 42.0)
        assert VehicleState.objects.get(vehicle=vehicle, source="charger").soc_percent == 42
        stop = {"transactionId": number, "meterStop": 6000, "timestamp": wire_time(timezone.now()), "idTag": "TAG1"}
        assert charger.call("StopTransaction", stop)["idTagInfo"]["status"] == "Accepted"
        session.refresh_from_db()
        assert (session.state, session.energy_kwh, session.stop_reason) == ("ended", 5.0, "Local")


def test_every_frame_of_both_directions_is_in_the_journal_byte_for_byte(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        raw = '[2, "odd-spacing",  "Heartbeat", {}]'
        charger.say(raw)
        charger.answer("odd-spacing")
        frame = Frame.objects.get(message_id="odd-spacing", direction="in")
        assert (bytes(frame.raw), frame.action, frame.epoch) == (raw.encode(), "Heartbeat", 1)
        until(lambda: Frame.objects.filter(message_id="odd-spacing", direction="out").exists())


def test_meter_values_of_connector_0_are_the_main_meter(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        charger.call("MeterValues", {"connectorId": 0, "meterValue": [sampled(100, 5500)]})
        until(lambda: hasattr(type(station).objects.get(pk=station.pk), "meter_state"))
        assert type(station).objects.get(pk=station.pk).meter_state.power_kw == 5.5


def test_repeated_meter_values_are_stored_once(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        payload = {"connectorId": 1, "meterValue": [sampled(100, 5500)]}
        charger.call("MeterValues", payload)
        charger.call("MeterValues", payload)
        assert MeterSample.objects.count() == 1
        assert Frame.objects.filter(action="MeterValues", direction="in").count() == 2


def test_a_command_travels_and_its_answer_is_recorded(server: Server) -> None:
    station = make_station(manual=True)
    with server.booted(station.identity) as charger:
        command = queue_command(station=station, action="Reset", payload={"type": "Soft"}, cause="test")
        call = charger.next_command("Reset")
        assert call[3] == {"type": "Soft"}
        assert Command.objects.get(pk=command.pk).state == "sent"
        charger.say([3, call[1], {"status": "Accepted"}])
        until(lambda: Command.objects.get(pk=command.pk).state == "accepted")


def test_an_error_answer_is_recorded_with_its_words(server: Server) -> None:
    station = make_station(manual=True)
    with server.booted(station.identity) as charger:
        command = queue_command(station=station, action="ClearCache", payload={}, cause="test")
        call = charger.next_command("ClearCache")
        charger.say([4, call[1], "NotSupported", "no cache here", {}])
        until(lambda: Command.objects.get(pk=command.pk).state == "error")
        assert Command.objects.get(pk=command.pk).error_description == "no cache here"


def test_p31_a_reconnect_without_boot_goes_on_where_it_was(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity):
        pass
    until(lambda: not StationLink.objects.get(station=station).online)
    assert Incident.objects.filter(type="charger.offline", subject=station.identity, closed_at=None).exists()
    with server.connect(station.identity) as charger:
        charger.call("Heartbeat", {})
        assert StationLink.objects.get(station=station).epoch == 2
        until(lambda: not Incident.objects.filter(type="charger.offline", closed_at=None).exists())


def test_p33_nothing_but_a_boot_before_the_boot(server: Server) -> None:
    station = make_station()
    with server.connect(station.identity) as charger:
        assert charger.error("Heartbeat", {})[2] == "SecurityError"
        charger.boot()
        charger.call("Heartbeat", {})


def test_samples_of_long_ago_change_nothing_live(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        old = sampled(100, 5500, at=timezone.now() - timedelta(hours=1))
        charger.call("MeterValues", {"connectorId": 1, "meterValue": [old]})
        charger.call("MeterValues", {"connectorId": 1, "meterValue": [sampled(200, 1000)]})
        until(lambda: ConnectorState.objects.get(connector__station=station).energy_wh == 200)
        assert MeterSample.objects.count() == 2
