"""Frames over a real socket: order, crossing calls, late answers, broken input (P18-P29)."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
from django.conf import settings

from charging.commands import queue_command
from charging.consumers import ChargerConsumer
from charging.models import Command, Finding, Frame, Session, StationLink
from charging.process import ChargerProcess
from tests.charging.rig import Server, until
from tests.factories import make_station


def test_p21_crossing_calls_are_answered_at_once(server: Server) -> None:
    station = make_station(manual=True)
    with server.booted(station.identity) as charger:
        command = queue_command(station=station, action="ClearCache", payload={}, cause="test")
        call = charger.next_command("ClearCache")
        charger.call("Heartbeat", {})
        charger.call("MeterValues", {"connectorId": 1, "meterValue": []})
        assert Command.objects.get(pk=command.pk).state == "sent"
        charger.say([3, call[1], {"status": "Accepted"}])
        until(lambda: Command.objects.get(pk=command.pk).state == "accepted")


def test_p21_a_second_command_waits_for_the_first_ones_answer(server: Server) -> None:
    station = make_station(manual=True)
    with server.booted(station.identity) as charger:
        queue_command(station=station, action="ClearCache", payload={}, cause="test")
        first = charger.next_command("ClearCache")
        queue_command(station=station, action="Reset", payload={"type": "Soft"}, cause="test")
        charger.call("Heartbeat", {})
        assert charger.calls == []
        charger.say([3, first[1], {"status": "Accepted"}])
        assert charger.next_call()[2] == "Reset"


def test_p22_pipelined_calls_are_answered_in_order(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        for number in range(200):
            action = ("Heartbeat", "MeterValues", "Authorize", "Nonsense")[number % 4]
            payload = {"Authorize": {"idTag": "X"}, "MeterValues": {"connectorId": 1, "meterValue": []}}.get(action, {})
            charger.ask(action, payload, f"n{number}")
        answers: list[str] = []
        while len(answers) < 200:
            frame = charger.frame()
            if frame[0] != 2:
                answers.append(frame[1])
        assert answers == [f"n{number}" for number in range(200)]


def test_p23_the_same_message_again_gets_the_same_answer_and_has_one_effect(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        payload = {"connectorId": 1, "idTag": "T", "meterStart": 5, "timestamp": "2026-01-01T00:00:00Z"}
        first = charger.answer(charger.ask("StartTransaction", payload, "same"))
        again = charger.answer(charger.ask("StartTransaction", payload, "same"))
        assert first == again
        assert Session.objects.count() == 1


def test_p24_an_answer_after_the_timeout_still_counts(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "OCPP_CALL_TIMEOUT_S", 0.05)
    station = make_station(manual=True)
    with server.booted(station.identity) as charger:
        command = queue_command(station=station, action="ClearCache", payload={}, cause="test")
        call = charger.next_command("ClearCache")
        until(lambda: Command.objects.get(pk=command.pk).state == "unknown")
        charger.say([3, call[1], {"status": "Accepted"}])
        until(lambda: Command.objects.get(pk=command.pk).state == "accepted")
        assert Command.objects.get(pk=command.pk).late


def test_a_command_without_an_answer_is_unknown_when_the_socket_closes(server: Server) -> None:
    station = make_station(manual=True)
    with server.booted(station.identity) as charger:
        command = queue_command(station=station, action="ClearCache", payload={}, cause="test")
        charger.next_command("ClearCache")
    until(lambda: Command.objects.get(pk=command.pk).state == "unknown")


def test_p14_a_command_claimed_before_its_socket_is_ready_is_sent_over_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = make_station(manual=True)
    with server.booted(station.identity):
        pass
    until(lambda: not StationLink.objects.get(station=station).online)
    real = ChargerProcess.enter
    sent = threading.Event()

    def slow(self: ChargerProcess, consumer: ChargerConsumer) -> None:
        """The link is open in the database, the socket is not known to the process yet."""
        if consumer.station.identity != station.identity:
            real(self, consumer)
            return
        loop = asyncio.get_running_loop()
        loop.run_in_executor(None, sent.wait, 20).add_done_callback(lambda _: real(self, consumer))

    monkeypatch.setattr(ChargerProcess, "enter", slow)
    with server.connect(make_station().identity), server.connect(station.identity) as charger:
        command = queue_command(station=station, action="ClearCache", payload={}, cause="test")
        until(lambda: Command.objects.get(pk=command.pk).state == "sent")
        sent.set()
        call = charger.next_call()
        charger.say([3, call[1], {"status": "Accepted"}])
        until(lambda: Command.objects.get(pk=command.pk).state == "accepted")


def test_p34_a_second_boot_gives_up_the_command_under_way(server: Server) -> None:
    station = make_station(manual=True)
    with server.booted(station.identity) as charger:
        command = queue_command(station=station, action="ClearCache", payload={}, cause="test")
        charger.next_command("ClearCache")
        charger.boot()
        until(lambda: Command.objects.get(pk=command.pk).state == "unknown")


WRONG_CALLS: list[tuple[str, object, str]] = [
    ("Nonsense", {}, "NotImplemented"),
    ("heartbeat", {}, "NotImplemented"),
    ("RemoteStartTransaction", {"idTag": "X"}, "NotSupported"),
    ("Authorize", {}, "OccurenceConstraintViolation"),
    ("Authorize", {"idTag": ["X"]}, "TypeConstraintViolation"),
]


def test_p26_a_wrong_call_gets_its_code_and_stays_in_the_journal(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        for action, payload, code in WRONG_CALLS:
            message_id = charger.ask(action, payload)
            frame = charger.answer(message_id)
            assert (frame[0], frame[2], frame[4]) == (4, code, {})
            assert Frame.objects.get(direction="in", message_id=message_id).error


JUNK: list[str | bytes] = [
    "",
    "not json",
    "[]",
    "{}",
    "[2]",
    "[9, 1, 2]",
    '[3,"never-sent",{}]',
    b"\xff\xfe",
    "[" * 20_000,
    '["\\ud800\\u0000"]',
    json.dumps([2, "x" * 5000, "Heartbeat", {}]),
]
TEXTS = ["\u0000", "\ud83d", "💥", "<script>alert(1)</script>", "x" * 300, "'; DROP TABLE"]


def test_p28_junk_costs_nothing_but_a_row_in_the_journal(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        for junk in JUNK:
            charger.say(junk)
            charger.call("Heartbeat", {})
    stored = {bytes(frame.raw): frame.error for frame in Frame.objects.filter(direction="in", action="")}
    for junk in JUNK:
        raw = junk if isinstance(junk, bytes) else junk.encode()
        assert stored[raw], f"{raw[:50]!r} was taken without a word"


@pytest.mark.parametrize("number", ["1e400", "NaN", '"a\\u0000b"', '"\\ud800"'])
def test_p28_an_answer_with_an_odd_value_is_recorded_and_the_socket_stays(server: Server, number: str) -> None:
    station = make_station(manual=True)
    with server.booted(station.identity) as charger:
        command = queue_command(station=station, action="ClearCache", payload={}, cause="test")
        call = charger.next_command("ClearCache")
        charger.say(f'[3, "{call[1]}", {{"status": "Accepted", "odd": {number}}}]')
        until(lambda: Command.objects.get(pk=command.pk).state == "accepted")
        assert "currentTime" in charger.call("Heartbeat", {})


def test_p28_any_text_survives_in_a_transaction(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        for text in TEXTS:
            start = {"connectorId": 1, "idTag": text, "meterStart": 5, "timestamp": text}
            answer = charger.call("StartTransaction", start)
            number = answer["transactionId"]
            assert answer["idTagInfo"]["status"] == "Invalid"
            status = {"connectorId": 1, "errorCode": text, "status": text, "info": text, "vendorErrorCode": text}
            charger.call("StatusNotification", status)
            charger.call("StopTransaction", {"transactionId": number, "meterStop": 9, "timestamp": text})
            assert Session.objects.get(transaction_id=number).state == "ended"


def test_p28_a_binary_frame_that_holds_json_is_read(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        charger.say(b'[2,"bin","Heartbeat",{}]')
        assert charger.answer("bin")[0] == 3


def test_p27_a_leniency_is_counted_as_a_finding(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        for _ in range(3):
            charger.call("Heartbeat", {"surplus": 1})
        until(lambda: sum(Finding.objects.filter(station=station).values_list("count", flat=True)) == 3)


def test_p25_a_null_payload_is_an_empty_one(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        charger.say([2, "n", "Heartbeat", None])
        assert charger.answer("n")[0] == 3


def test_p81_an_unknown_vendor_is_answered_by_status(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        answer = charger.call("DataTransfer", {"vendorId": "ACME", "data": {"any": "thing"}})
        assert answer == {"status": "UnknownVendorId"}


REPORTS: dict[str, dict[str, str]] = {
    "FirmwareStatusNotification": {"status": "Downloaded"},
    "DiagnosticsStatusNotification": {"status": "Idle"},
    "SecurityEventNotification": {"type": "TamperDetectionActivated", "timestamp": "2026-01-01T00:00:00Z"},
    "LogStatusNotification": {"status": "Idle"},
    "SignedFirmwareStatusNotification": {"status": "Idle"},
}


def test_p82_p83_reports_without_a_job_are_confirmed(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        for action, payload in REPORTS.items():
            assert charger.call(action, payload) == {}
