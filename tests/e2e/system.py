"""A running `manage.py up` with its processes, logs and REST, seen from outside."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

DEAD = {"", "Z", "X"}  # an orphan's last trace waits for init
ROOT = Path(__file__).parents[2]
READY_WITHIN_S = 120.0
STOPPED_WITHIN_S = 60.0
LOOK_EVERY_S = 0.1
GIVEN_BY_WHOEVER_TESTS = {
    *("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE", "FLEET_DEPOT_LOG_LEVEL", "SECRET_KEY"),
    *("FLEET_DEPOT_VAR", "FLEET_DEPOT_TEST_ON", "API_KEY"),
}
MARKS = {
    "valkey-server": "broker",
    "uvicorn": "web",
    " worker ": "worker",
    " beat ": "beat",
    "charging.simulator": "simulator",
}
SERIOUS_LEVELS = {"warning", "error", "critical"}
SERIOUS_TEXT = re.compile(r"Traceback|\b(WARNING|ERROR|CRITICAL|FATAL|\w+(Error|Exception|Warning):)|\berror action=")
ABOUT_THE_MACHINE = (
    "Memory overcommit must be enabled",
    "Transparent Huge Pages",
    "TCP backlog",
    "superuser privileges",
)

Found = TypeVar("Found")


def eventually(condition: Callable[[], Found | None], what: str, within_s: float = 60.0) -> Found:
    """The first true value of `condition`; a refused connection or an unwanted answer only means: not yet."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    last: object = None
    while True:
        try:
            last = found = condition()
            if found:
                return found
        except OSError as error:
            last = error
        if time.monotonic() > deadline:
            pytest.fail(f"Within {within_s:.0f} s it did not come true that {what}; last seen: {last!r:.2000}")
        pause.wait(LOOK_EVERY_S)


class Unanswered(OSError):
    """An answer other than the one that was needed."""


@dataclass(frozen=True)
class Client:
    """REST with an API key."""

    base: str
    api_key: str = ""

    def request(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and content of any answer."""
        headers = {"Authorization": f"Api-Key {self.api_key}"} if self.api_key else {}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = "application/json"
        url = path if path.startswith("http") else f"{self.base}{path}"
        request = urllib.request.Request(url, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, content_of(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, content_of(error.read())

    def get(self, path: str) -> Any:
        """Content of a 200; Unanswered otherwise."""
        status, content = self.request("GET", path)
        if status != 200:
            raise Unanswered(f"GET {path} was answered with {status}: {content}")
        return content

    def rows(self, path: str) -> list[dict[str, Any]]:
        """A list with all its pages."""
        rows: list[dict[str, Any]] = []
        following: str | None = f"/api/v1/{path}"
        while following:
            page = self.get(following)
            rows += page["results"]
            following = page["next"]
        return rows

    def post(self, path: str, body: object, *, status: int = 201) -> Any:
        got, content = self.request("POST", f"/api/v1/{path}", body)
        assert got == status, f"POST {path} was answered with {got}: {content}"
        return content


def content_of(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")


class System:
    """`manage.py up` in a folder of its own. `stop` is the user's Ctrl-C and checks what it leaves behind."""

    def __init__(self, var: Path, port: int, environment: Mapping[str, str]) -> None:
        self.var = var
        self.port = port
        self.base = f"http://127.0.0.1:{port}"
        self.output_path = var.parent / f"{var.name}.out"
        self.environment = environment_of(var, environment)
        self.process: subprocess.Popen[bytes] | None = None

    def manage(self, *words: str) -> str:
        """Another command of the same installation; its output."""
        return self.python("manage.py", *words)

    def python(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{words} failed:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, *words: str) -> None:
        with self.output_path.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--port", str(self.port), *words],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        eventually(lambda: self.ended() or "is ready" in self.output(), "`up` says it is ready", READY_WITHIN_S)
        assert not self.ended(), f"`up` ended by itself:\n{self.output()}"
        eventually(self.ready, "/readyz answers 200")

    def output(self) -> str:
        return self.output_path.read_text(errors="replace")

    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def client(self, api_key: str) -> Client:
        return Client(self.base, api_key)

    def ready(self) -> bool:
        return Client(self.base).request("GET", "/readyz")[0] == 200

    def children(self) -> dict[str, int]:
        """Process ids of what the supervisor itself started, by name."""
        assert self.process is not None
        found: dict[str, int] = {}
        for pid in sorted(below(self.process.pid)):
            if parent_of(pid) == self.process.pid:
                command = command_of(pid)
                found.update({name: pid for mark, name in MARKS.items() if mark in command})
        return found

    def processes(self) -> set[int]:
        """Every process on the machine that belongs to this folder: below `up`, or started with it and let alone."""
        assert self.process is not None
        mark = f"FLEET_DEPOT_VAR={self.var}\0".encode()
        left_alone = {
            pid for pid in all_processes() if mark in environment_bytes(pid) or str(self.var) in command_of(pid)
        }
        return left_alone | below(self.process.pid)

    def kill(self, name: str) -> int:
        """SIGKILL to one child; the killed process id."""
        pid = self.children()[name]
        os.kill(pid, signal.SIGKILL)
        return pid

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Ctrl-C: everything ends, nothing stays."""
        assert self.process is not None
        before = {pid: birth_of(pid) for pid in self.processes()}
        self.process.send_signal(number)
        code = self.process.wait(STOPPED_WITHIN_S)
        survivors = {pid for pid, birth in before.items() if birth and birth_of(pid) == birth}
        left = {pid: command_of(pid) for pid in survivors | self.processes() if birth_of(pid)}
        assert not left, f"processes outlived `up`: {left}"
        assert code == 0, f"`up` ended with {code}:\n{self.output()}"

    def end_by_force(self) -> None:
        """For a test that failed: leave nothing behind."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def complaints(self, *allowed: str) -> list[str]:
        """Serious lines of all logs, but for those that contain one of `allowed`."""
        return [line for line in self._serious_lines() if not any(words in line for words in allowed)]

    def _serious_lines(self) -> Iterator[str]:
        for path in sorted((self.var / "log").iterdir()):
            for line in path.read_text(errors="replace").splitlines():
                if serious(line) and not any(words in line for words in ABOUT_THE_MACHINE):
                    yield f"{path.name}: {line}"


def serious(line: str) -> bool:
    """A line that an operator would have to look at."""
    try:
        entry = json.loads(line)
    except ValueError:
        return SERIOUS_TEXT.search(line) is not None
    return isinstance(entry, dict) and (entry.get("level") in SERIOUS_LEVELS or "exception" in entry)


def environment_of(var: Path, more: Mapping[str, str]) -> dict[str, str]:
    """What a user's shell holds, without what the test run itself was given."""
    kept = {name: value for name, value in os.environ.items() if name not in GIVEN_BY_WHOEVER_TESTS}
    return {**kept, "FLEET_DEPOT_VAR": str(var), "FLEET_DEPOT_DEMO": "1", **more}


def all_processes() -> list[int]:
    return sorted(int(folder.name) for folder in Path("/proc").glob("[0-9]*"))


def environment_bytes(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes() + b"\0"
    except OSError:  # gone, or another user's
        return b""


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def below(ancestor: int) -> set[int]:
    """Children, grandchildren and so on, alive at this moment."""
    parents = {pid: parent_of(pid) for pid in all_processes()}
    family = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return family - {ancestor}


def parent_of(pid: int) -> int:
    return int(stat_of(pid)[1] or 0)


def birth_of(pid: int) -> str:
    """Start time in clock ticks: tells a process from a later one with its number. Empty when it is dead."""
    fields = stat_of(pid)
    return "" if fields[0] in DEAD else fields[19]


def stat_of(pid: int) -> list[str]:
    """Fields of /proc/<pid>/stat from the state on; empty words for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return [""] * 50
