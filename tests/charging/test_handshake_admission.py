"""Who may upgrade, and what the others hear (P01-P07, P10, P14)."""

from __future__ import annotations

import base64
import secrets

import pytest
from django.utils import timezone
from websockets.exceptions import InvalidStatus

from charging import handshake
from charging.handshake import Refusal, basic_credentials, identity_of, key_matches
from charging.models import StationLink, UnknownStation
from charging.nudges import COMMANDS, nudge
from depot.credentials import hash_station_key
from depot.models import Incident
from tests.charging.rig import Server, until
from tests.factories import make_depot, make_station


def refused_with(server: Server, identity: str, **options: object) -> int:
    with pytest.raises(InvalidStatus) as caught:
        server.connect(identity, **options)  # type: ignore[arg-type]
    return caught.value.response.status_code


@pytest.mark.parametrize(
    ("path", "identity"),
    [
        (b"/ocpp/CP1", "CP1"),
        (b"/ocpp/CP1/", "CP1"),
        (b"/ocpp/tenant/CP1", "CP1"),
        (b"/ocpp/CP%201", "CP 1"),
        (b"/ocpp/CP%252F1", "CP%2F1"),
        ("/ocpp/Säule%C3%A4".encode(), "Säuleä"),
    ],
)
def test_p01_the_last_segment_is_decoded_exactly_once(path: bytes, identity: str) -> None:
    assert identity_of(path) == identity


@pytest.mark.parametrize("path", [b"/ocpp", b"/ocpp/", b"/ocpp/CP%2F1", b"/ocpp/%FF", b"/ocpp/%00", b"/ocpp/%20"])
def test_p01_a_path_that_names_nobody_is_refused(path: bytes) -> None:
    with pytest.raises(Refusal) as caught:
        identity_of(path)
    assert caught.value.status == 404


def test_p02_a_trailing_slash_a_query_and_more_segments_are_tolerated(server: Server) -> None:
    identity = make_station().identity
    for path in (f"/ocpp/{identity}/", f"/ocpp/yard/{identity}?version=1.6"):
        with server.connect(identity, path=path) as charger:
            charger.boot()


def test_p03_identities_compare_without_case_and_the_stored_spelling_stays(server: Server) -> None:
    station = make_station(identity="Wallbox-7")
    with server.connect("WALLBOX-7") as charger:
        charger.boot()
    station.refresh_from_db()
    assert station.identity == "Wallbox-7"


def test_p04_an_unknown_identity_gets_404_and_is_shown_to_the_operator(server: Server) -> None:
    assert refused_with(server, "STRANGER") == 404
    until(lambda: UnknownStation.objects.filter(identity="STRANGER").exists())
    row = UnknownStation.objects.get()
    assert (row.attempts, row.subprotocols, row.remote_address) == (1, "ocpp1.6", "127.0.0.1")


def test_p04_a_flood_of_attempts_costs_few_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 0.0
    monkeypatch.setattr("charging.handshake.time.monotonic", lambda: clock)
    knocks = handshake.UnknownKnocks()
    assert [knocks.count("X") for _ in range(50)] == [1] + [0] * 49
    clock = 11.0
    assert knocks.count("X") == 50
    assert knocks.count("x" * 300) == 0


@pytest.mark.django_db
def test_p04_attempts_add_up_in_one_row() -> None:
    now = timezone.now()
    handshake.record_unknown("X", "10.0.0.1", ["ocpp2.0.1"], 1, now)
    handshake.record_unknown("X", "10.0.0.2", [], 7, now)
    assert UnknownStation.objects.values_list("attempts", "remote_address").get() == (8, "10.0.0.2")


def test_p05_the_first_subprotocol_of_the_client_that_we_speak_is_chosen(server: Server) -> None:
    identity = make_station().identity
    with server.connect(identity, subprotocols=["ocpp2.0.1", "ocpp1.6", "ocpp1.5"]) as charger:
        assert charger.socket.subprotocol == "ocpp1.6"


def test_p06_without_a_common_subprotocol_the_socket_opens_and_closes_at_once(server: Server) -> None:
    station = make_station()
    with server.connect(station.identity, subprotocols=["ocpp2.0.1"]) as charger:
        assert charger.socket.subprotocol is None
        assert charger.closed_with() == 1002
    assert not StationLink.objects.filter(station=station).exists()


def test_p07_without_any_subprotocol_the_depot_decides(server: Server) -> None:
    tolerant = make_station(make_depot(assume_ocpp16=True))
    with server.connect(tolerant.identity, subprotocols=[]) as charger:
        assert charger.boot()["status"] == "Accepted"
    strict = make_station(make_depot(assume_ocpp16=False))
    with server.connect(strict.identity, subprotocols=[]) as charger:
        assert charger.closed_with() == 1002


def test_p10_without_the_right_key_nobody_gets_in(server: Server) -> None:
    station = make_station()
    assert refused_with(server, station.identity, key=None) == 401
    assert refused_with(server, station.identity, key="wrong") == 401
    assert refused_with(server, station.identity, key="") == 401
    assert refused_with(server, station.identity, user="somebody-else") == 401
    assert refused_with(server, station.identity, headers={"Authorization": "Basic %%%"}, key=None) == 401
    assert not StationLink.objects.exists()


def test_p10_a_station_without_a_key_admits_nobody(server: Server) -> None:
    station = make_station()
    type(station).objects.update(key_hash="")
    assert refused_with(server, station.identity, key="") == 401


def test_p10_a_key_of_bytes_that_are_no_text_works_over_the_socket(server: Server) -> None:
    raw = bytes(range(236, 256))
    station = make_station()
    type(station).objects.update(key_hash=hash_station_key(raw.hex()))
    with server.connect(station.identity, key=raw) as charger:
        charger.boot()


def test_p10_a_key_counts_as_bytes_and_as_hex_digits() -> None:
    raw = secrets.token_bytes(20)
    for stored in (raw, raw.hex(), raw.hex().upper()):
        for sent in (raw, raw.hex().encode(), raw.hex().upper().encode()):
            assert key_matches(sent, hash_station_key(stored))
    assert not key_matches(raw, hash_station_key(secrets.token_bytes(20)))


def test_p10_a_password_may_hold_colons_and_any_byte() -> None:
    header = b"Basic " + base64.b64encode(b"CP1:a:\xff\x00")
    assert basic_credentials([(b"authorization", header)]) == ("CP1", b"a:\xff\x00")


def test_a_browser_is_refused(server: Server) -> None:
    station = make_station()
    assert refused_with(server, station.identity, headers={"Origin": "https://depot.example"}) == 403


def test_p14_the_newest_connection_wins_and_the_older_ones_end_changes_nothing(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as older, server.connect(station.identity) as newer:
        assert older.closed_with() == 1008
        newer.call("Heartbeat", {})
        until(lambda: older.socket.protocol.close_code == 1008)
        link = StationLink.objects.get(station=station)
        assert (link.epoch, link.online) == (2, True)
        newer.call("Heartbeat", {})
        assert StationLink.objects.get(station=station).online
        assert not Incident.objects.filter(type="charger.offline").exists()


def test_p14_a_guessed_identity_without_the_key_throws_nobody_out(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        assert refused_with(server, station.identity, key="guess") == 401
        charger.call("Heartbeat", {})
        assert StationLink.objects.get(station=station).epoch == 1


def test_p14_a_socket_whose_charger_moved_to_another_process_closes(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        StationLink.objects.update(epoch=7, owner="another process")
        nudge(COMMANDS, stations=[station.pk], moved=True)
        assert charger.closed_with() == 1008
    link = StationLink.objects.get(station=station)
    assert (link.online, link.epoch) == (True, 7)


def test_p17_a_restart_closes_with_1012_and_alarms_nobody(server: Server) -> None:
    station = make_station()
    with server.booted(station.identity) as charger:
        server.stop()
        assert charger.closed_with() == 1012
    link = StationLink.objects.get(station=station)
    assert (link.online, link.epoch) == (False, 1)
    assert not Incident.objects.filter(type="charger.offline").exists()
