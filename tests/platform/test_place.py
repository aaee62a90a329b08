"""Folder, lock, port and socket: what stops a start says so in one sentence."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from depot.supervisor.errors import StartRefused
from depot.supervisor.place import (
    LONGEST_SOCKET_PATH,
    UpLock,
    broker_socket,
    check_port,
    prepare_folder,
    private_folder,
)

pytestmark = pytest.mark.once


def test_the_folder_is_created_for_this_user_alone(tmp_path: Path) -> None:
    folder = prepare_folder(tmp_path / "deep" / "var")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / "log").is_dir()


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with pytest.raises(StartRefused, match=r"Cannot write to .*file/var: .*FLEET_DEPOT_VAR"):
        prepare_folder(in_the_way / "var")


def test_a_second_copy_is_told_who_holds_the_lock(tmp_path: Path) -> None:
    first = UpLock.take(tmp_path)
    with pytest.raises(StartRefused, match=rf"already running from .* \(process {os.getpid()}\)"):
        UpLock.take(tmp_path)
    first.release()
    UpLock.take(tmp_path).release()


def test_a_lock_of_a_dead_holder_is_free(tmp_path: Path) -> None:
    (tmp_path / "up.lock").write_text("999999\n")
    lock = UpLock.take(tmp_path)
    assert (tmp_path / "up.lock").read_text() == f"{os.getpid()}\n"
    lock.release()


def test_a_taken_port_is_named_with_the_remedy() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(StartRefused, match=rf"Port {port} on 127.0.0.1 is taken .* PORT="):
            check_port("127.0.0.1", port)


def test_a_free_port_passes(free_port: int) -> None:
    check_port("127.0.0.1", free_port)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_an_impossible_port_is_refused(port: int) -> None:
    with pytest.raises(StartRefused, match="does not exist"):
        check_port("127.0.0.1", port)


def test_the_socket_lies_in_the_folder(tmp_path: Path) -> None:
    assert broker_socket(tmp_path) == tmp_path / "valkey.sock"


def test_a_deep_folder_moves_the_socket_to_a_private_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    found = broker_socket(deep)
    assert len(os.fsencode(found)) <= max(LONGEST_SOCKET_PATH, len(os.fsencode(tmp_path)) + 45)
    assert stat.S_IMODE(found.parent.stat().st_mode) == 0o700
    assert broker_socket(deep) == found
    assert broker_socket(deep / "f") != found


def test_a_place_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    (tmp_path / "open").chmod(0o755)
    with pytest.raises(StartRefused, match="belongs to somebody else"):
        private_folder(tmp_path / "open")
