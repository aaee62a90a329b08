"""Acknowledged means stored: what the journal promises under locks, failures and outages (D1, P38)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.utils import timezone
from websockets.exceptions import InvalidStatus

from charging.intake import journal, meaning, statuses, storage
from charging.intake.entry import Arrival, Entry, FrameRow, Meaning, Outcome, SampleRow, StationRef
from charging.models import Frame, MeterSample, Session, TransactionNumber
from charging.wire.timestamps import wire_time
from depot.models import Station
from tests.charging.rig import Server, until
from tests.factories import make_station

METER_VALUES = {"connectorId": 1, "meterValue": []}


def start_payload(wh: int = 5) -> dict[str, Any]:
    return {"connectorId": 1, "idTag": "T", "meterStart": wh, "timestamp": wire_time(timezone.now())}


class Gate:
    """Holds every commit of the journal until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.batches: list[int] = []
        real = journal.store

        def held(batch: Sequence[Entry], outgoing: Sequence[FrameRow]) -> None:
            self.batches.append(len(batch))
            self.reached.set()
            assert self.opened.wait(20)
            real(batch, outgoing)

        monkeypatch.setattr(journal, "store", held)


def test_d1_no_answer_before_commit(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    station = make_station(manual=True)
    with server.booted(station.identity) as charger:
        gate = Gate(monkeypatch)
        charger.ask("MeterValues", METER_VALUES, "first")
        assert gate.reached.wait(20)
        for number in range(50):
            charger.ask("Heartbeat", {}, f"n{number}")
        assert charger.socket.ping().wait(20), "the server lives and reads"
        with pytest.raises(TimeoutError):
            charger.frame(timeout=0)
        assert not Frame.objects.filter(message_id="first").exists()
        gate.opened.set()
        charger.answer("first")
        assert Frame.objects.filter(message_id="first", direction="in").exists()
        charger.answer("n49")
        assert len(gate.batches) < 20, "what came during a commit shares the next one"


def test_d1_what_was_answered_survives_although_the_process_says_nothing_more(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        for number in range(100):
            charger.ask("MeterValues", METER_VALUES, f"n{number}")
        answered = [charger.answer(f"n{number}")[1] for number in range(100)]
    stored = set(Frame.objects.filter(direction="in").values_list("message_id", flat=True))
    assert set(answered) <= stored


def broken(*_: object, **__: object) -> Outcome:
    raise ValueError("a defect of ours")


@pytest.mark.parametrize(
    ("action", "payload", "effect"),
    [
        ("StopTransaction", {"transactionId": 5, "meterStop": 1, "timestamp": "x"}, "stop_transaction"),
        ("StartTransaction", start_payload(), "start_transaction"),
    ],
)
def test_p38_a_transaction_message_is_confirmed_although_its_effect_failed(
    server: Server, monkeypatch: pytest.MonkeyPatch, action: str, payload: dict[str, Any], effect: str
) -> None:
    monkeypatch.setattr(meaning, effect, broken)
    station = make_station()
    with server.booted(station.identity) as charger:
        answer = charger.call(action, payload)
        assert answer == {} or answer["transactionId"] > 0
        assert "a defect of ours" in Frame.objects.get(action=action, direction="in").error
        charger.call("Heartbeat", {})


def test_an_effect_that_fails_is_an_internal_error_and_spoils_nobody_elses_frame(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statuses, "authorize", broken)
    station = make_station()
    with server.booted(station.identity) as charger:
        gate = Gate(monkeypatch)
        charger.ask("Heartbeat", {}, "held")
        assert gate.reached.wait(20)
        charger.ask("StartTransaction", start_payload(), "good")
        charger.ask("Authorize", {"idTag": "X"}, "bad")
        gate.opened.set()
        assert charger.answer("good")[2]["transactionId"] > 0
        assert charger.answer("bad")[2] == "InternalError"
        assert Session.objects.count() == 1


def test_a_lost_database_closes_with_1013_and_refuses_with_503_until_it_is_back(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    station, other = make_station(), make_station()
    gone = threading.Event()
    real_store, real_probe = journal.store, journal.DATABASE_GONE
    assert OperationalError in real_probe

    def store(batch: Sequence[Entry], outgoing: Sequence[FrameRow]) -> None:
        if gone.is_set():
            raise OperationalError("server closed the connection unexpectedly")
        real_store(batch, outgoing)

    def probe() -> None:
        if gone.is_set():
            raise OperationalError("connection refused")

    monkeypatch.setattr(journal, "store", store)
    monkeypatch.setattr("charging.process._probe", probe)
    with server.booted(station.identity) as charger, server.booted(other.identity) as bystander:
        gone.set()
        charger.ask("MeterValues", METER_VALUES, "never-answered")
        assert charger.closed_with() == 1013
        assert bystander.closed_with() == 1013
        assert "never-answered" not in charger.answers
        with pytest.raises(InvalidStatus) as caught:
            server.connect(station.identity)
        assert caught.value.response.status_code == 503
        gone.clear()
        until(lambda: admitted(server, station))


def admitted(server: Server, station: Station) -> bool:
    try:
        with server.connect(station.identity) as charger:
            return bool(charger.call("Heartbeat", {}))
    except InvalidStatus:
        return False


def test_a_handshake_that_meets_no_database_is_refused_with_503(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = make_station()

    def admit(*_: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr("charging.consumers.admit", admit)
    with pytest.raises(InvalidStatus) as caught:
        server.connect(station.identity)
    assert caught.value.response.status_code == 503


def test_too_much_waiting_for_the_database_sheds_load(server: Server, settings: Any) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        settings.OCPP_SHED_LOAD_AFTER = 0
        charger.ask("Heartbeat", {})
        assert charger.closed_with() == 1013


def test_a_charger_that_does_not_wait_for_answers_is_slowed_down_not_dropped(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        gate = Gate(monkeypatch)
        for number in range(300):
            charger.ask("Heartbeat", {}, f"n{number}")
        assert gate.reached.wait(20)
        gate.opened.set()
        for number in range(300):
            charger.answer(f"n{number}")
        assert max(gate.batches) <= 64


def entry(station: Station, message_id: str, effect: Callable[[Arrival], Outcome] | None = None) -> Entry:
    arrival = Arrival(StationRef(station.pk, station.identity, station.depot_id), 1, timezone.now())
    return Entry(Silent(), arrival, message_id, b"{}", Meaning("Test", effect=effect))


class Silent:
    def deliver(self, entry: Entry) -> None: ...


@pytest.mark.django_db(transaction=True)
def test_a_row_that_the_database_refuses_is_isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    station = make_station()
    real = storage.write_samples

    def picky(rows: Sequence[SampleRow]) -> None:
        if any(row.context == "poison" for row in rows):
            raise IntegrityError("refused")
        real(rows)

    monkeypatch.setattr(storage, "write_samples", picky)
    batch = [entry(station, name) for name in ("a", "b", "c")]
    batch[1].meaning.samples = [sample(station, "poison")]
    batch[2].meaning.samples = [sample(station, "fine")]
    journal.store(batch, [])
    assert dict(Frame.objects.values_list("message_id", "error")) == {
        "a": "",
        "b": "kept without effect: refused",
        "c": "",
    }
    assert MeterSample.objects.get().context == "fine"


@pytest.mark.django_db(transaction=True)
def test_a_deadlock_is_tried_again_and_leaves_one_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    station = make_station()
    real = storage.write_frames
    attempts: list[int] = []

    def unlucky(rows: Sequence[FrameRow]) -> None:
        attempts.append(len(rows))
        if len(attempts) < 3:
            raise OperationalError("deadlock detected")
        real(rows)

    def effect(arrival: Arrival) -> Outcome:
        TransactionNumber.objects.create()
        return Outcome()

    monkeypatch.setattr(storage, "write_frames", unlucky)
    journal.store([entry(station, "a", effect)], [])
    assert (len(attempts), Frame.objects.count(), TransactionNumber.objects.count()) == (3, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_rows_come_back_from_the_database_as_they_went_in() -> None:
    station = make_station()
    raw = bytes(range(256))
    now = timezone.now()
    row = FrameRow(station.pk, 3, "out", now, "id", "Reset", raw, "")
    samples = [
        sample(station, "Sample.Periodic"),
        sample(station, "Sample.Periodic")._replace(at=now, soc_percent=55.5),
    ]
    storage.write_frames([row])
    storage.write_samples(samples)
    storage.write_samples(samples)
    frame = Frame.objects.get()
    assert (bytes(frame.raw), frame.at, frame.epoch, frame.action) == (raw, now, 3, "Reset")
    assert MeterSample.objects.count() == 2
    stored = MeterSample.objects.get(at=now)
    assert (stored.soc_percent, stored.power_w, stored.current_2_a) == (55.5, 11000.0, None)


def sample(station: Station, context: str) -> SampleRow:
    at = timezone.now()
    return SampleRow(
        station.pk, 1, None, at, at, context, "0" * 16, 1.0, 11000.0, 16.0, None, None, 230.0, 16.0, None, ""
    )


def test_the_thread_of_the_journal_leaves_no_open_transaction(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        charger.call("Heartbeat", {})
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            assert cursor.fetchone() == (1,)


def test_the_answer_of_a_command_is_in_the_journal(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        charger.say('[3,"unasked",{"status":"Accepted"}]')
        charger.call("Heartbeat", {})
        assert Frame.objects.get(raw=b'[3,"unasked",{"status":"Accepted"}]').action == ""
