"""`manage.py up` as a user starts it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from depot.supervisor.place import broker_socket

pytestmark = [pytest.mark.once, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
MANAGE = str(ROOT / "manage.py")
LONG_S = 120.0


def environment(var: Path, **more: str) -> dict[str, str]:
    left_out = {"DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "FLEET_DEPOT_LOG_LEVEL", "SECRET_KEY"}
    kept = {name: value for name, value in os.environ.items() if name not in left_out}
    return {**kept, "FLEET_DEPOT_VAR": str(var), "FLEET_DEPOT_DEMO": "1", "PYTHONUNBUFFERED": "1", **more}


def manage(*words: str, var: Path, **more: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, MANAGE, *words]
    return subprocess.run(
        argv, env=environment(var, **more), capture_output=True, text=True, timeout=LONG_S, check=False
    )


def processes_of(supervisor: int) -> dict[int, str]:
    """Pid and command line of everything below `supervisor`."""
    parents, commands = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            commands[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    below = {supervisor}
    while found := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= found
    return {pid: commands[pid] for pid in below - {supervisor}}


class Up:
    """A running `manage.py up`."""

    def __init__(self, var: Path, port: int, *words: str) -> None:
        self.var = var
        self.port = port
        self.process = subprocess.Popen(
            [sys.executable, MANAGE, "up", "--port", str(port), *words],
            env=environment(var),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read_until(self, words: str) -> str:
        """Output up to the line that contains `words`."""
        assert self.process.stdout is not None
        text = ""
        for line in self.process.stdout:
            text += line
            if words in line:
                return text
        pytest.fail(f"`up` ended before it said {words!r}:\n{text}")

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def ready(self) -> bool:
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False

    def children(self) -> dict[str, int]:
        marks = {
            "valkey-server": "broker",
            "uvicorn": "web",
            " worker ": "worker",
            " beat ": "beat",
            "charging.simulator": "simulator",
        }
        found: dict[str, int] = {}
        for pid, command in sorted(processes_of(self.process.pid).items()):
            for mark, name in marks.items():
                if mark in command:
                    found.setdefault(name, pid)
        return found


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    var = tmp_path_factory.mktemp("up") / "var"
    var.mkdir()
    done = manage("migrate", "-v0", var=var)
    assert done.returncode == 0, done.stderr
    return var


@contextlib.contextmanager
def running(var: Path, port: int) -> Iterator[Up]:
    up = Up(var, port)
    try:
        up.read_until("is ready on")
        yield up
    finally:
        up.process.kill()
        up.process.communicate()


@pytest.fixture
def up(migrated: Path, free_port: int) -> Iterator[Up]:
    with running(migrated, free_port) as up:
        yield up


@pytest.fixture(scope="module")
def lasting(migrated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One for the tests that leave it running."""
    var = tmp_path_factory.mktemp("lasting")
    shutil.copy(migrated / "depot.sqlite3", var)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with running(var, port) as up:
        yield up


def wait_for_end_of(pids: set[int], handles: dict[int, int]) -> set[int]:
    """Those still there after a long time; pidfds, so that no process id is mistaken for another."""
    open_fds = {handles[pid]: pid for pid in pids}
    while open_fds:
        ended, _, _ = select.select(list(open_fds), [], [], LONG_S)
        if not ended:
            break
        for fd in ended:
            del open_fds[fd]
            os.close(fd)
    return set(open_fds.values())


def test_the_demo_introduces_itself_and_leaves_nothing(tmp_path: Path, free_port: int) -> None:
    up = Up(tmp_path / "var", free_port, "--demo", "--api-key", "a-key-of-my-own-for-this-test")
    try:
        shown = up.read_until("Ctrl-C")
        login = json.loads((up.var / "demo-credentials.json").read_text())
        assert f"Depot     http://127.0.0.1:{free_port}/" in shown
        assert f"Sign in   {login['username']} / {login['password']}" in shown
        assert "Authorization: Api-Key a-key-of-my-own-for-this-test" in shown
        assert up.get("/login/")[0] == 200
        assert "simulator" in up.children()
        everything = processes_of(up.process.pid)
        handles = {pid: os.pidfd_open(pid) for pid in everything}
    finally:
        up.process.send_signal(signal.SIGINT)
        output, _ = up.process.communicate(timeout=LONG_S)
    assert up.process.returncode == 0, output
    assert wait_for_end_of(set(everything), handles) == set()


def test_it_serves_and_control_c_leaves_nothing(up: Up) -> None:
    assert up.get("/healthz")[0] == 200
    status, body = up.get("/readyz")
    assert status == 200
    assert json.loads(body) == {"status": "ready", "database": True, "broker": True, "worker": True, "beat": True}
    assert set(up.children()) == {"broker", "web", "worker", "beat"}
    everything = processes_of(up.process.pid)
    handles = {pid: os.pidfd_open(pid) for pid in everything}
    up.process.send_signal(signal.SIGINT)
    output, _ = up.process.communicate(timeout=LONG_S)
    assert up.process.returncode == 0, output
    assert "Traceback" not in output
    assert wait_for_end_of(set(everything), handles) == set()
    assert not (up.var / "valkey.sock").exists()


def test_kill_of_the_supervisor_leaves_nothing(up: Up) -> None:
    everything = processes_of(up.process.pid)
    assert len(everything) > 4  # with the worker's pool
    handles = {pid: os.pidfd_open(pid) for pid in everything}
    up.process.kill()
    assert wait_for_end_of(set(everything), handles) == set()


@pytest.mark.parametrize("name", ["broker", "web", "worker", "beat"])
def test_a_killed_process_comes_back(lasting: Up, name: str) -> None:
    before = lasting.children()[name]
    os.kill(before, signal.SIGKILL)
    lasting.read_until(f"{name:<9} was killed by SIGKILL; starting it again")
    while lasting.children().get(name) in {None, before} or not lasting.ready():
        assert lasting.process.poll() is None


def test_a_second_copy_is_refused_in_one_sentence(lasting: Up, free_port: int) -> None:
    second = manage("up", "--port", str(free_port), var=lasting.var)
    assert second.returncode == 1
    assert f"already running from {lasting.var} (process {lasting.process.pid})" in second.stderr
    assert second.stderr.count("\n") == 1


def test_a_taken_port_is_refused_in_one_sentence(migrated: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        refused = manage("up", "--port", str(port), var=migrated)
    assert refused.returncode == 1
    assert f"Port {port} on 127.0.0.1 is taken" in refused.stderr
    assert "PORT=" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_an_unwritable_folder_is_refused_in_one_sentence(tmp_path: Path, free_port: int) -> None:
    (tmp_path / "file").write_text("")
    refused = manage("up", "--port", str(free_port), var=tmp_path / "file" / "var")
    assert refused.returncode == 1
    assert "Cannot write to" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_an_open_demo_with_the_public_key_is_refused_in_one_sentence(migrated: Path, free_port: int) -> None:
    refused = manage("up", "--demo", "--host", "0.0.0.0", "--port", str(free_port), var=migrated)
    assert refused.returncode == 1
    assert "set SECRET_KEY to a random text" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_an_absent_database_is_refused_in_one_sentence(tmp_path: Path, free_port: int) -> None:
    url = "postgres://nobody@127.0.0.1:1/none"
    refused = manage("up", "--port", str(free_port), var=tmp_path, DATABASE_URL=url)
    assert refused.returncode == 1
    assert "The database does not answer, check DATABASE_URL" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_database_without_tables_is_refused_in_one_sentence(tmp_path: Path, free_port: int) -> None:
    refused = manage("up", "--port", str(free_port), var=tmp_path)
    assert refused.returncode == 1
    assert "run `manage.py migrate` first" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_very_deep_folder_works(migrated: Path, tmp_path: Path, free_port: int) -> None:
    """Longer than the path of a Unix socket may be."""
    var = tmp_path / ("a-long-name-" * 8) / ("another-one-" * 8)
    var.mkdir(parents=True)
    shutil.copy(migrated / "depot.sqlite3", var)
    up = Up(var, free_port)
    try:
        up.read_until("is ready on")
        assert up.get("/readyz")[0] == 200
        socket_path = broker_socket(var)
        assert socket_path.is_socket()
    finally:
        up.process.send_signal(signal.SIGTERM)
        up.process.communicate(timeout=LONG_S)
    assert not socket_path.parent.exists()
