"""The loop of `manage.py up`: single-threaded, woken by signals, in charge of all children.

No threads, because PR_SET_PDEATHSIG follows the thread that forked, and because a fork beside threads is fragile.
"""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from depot.supervisor.child import Child, ChildSpec
from depot.supervisor.echo import LogFollower, last_lines
from depot.supervisor.errors import StartRefused, StopRequested

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Children are stopped in reverse order of `start`."""

    def __init__(
        self, *, log_folder: Path, cwd: Path, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.log_folder = log_folder
        self.cwd = cwd
        self.say = say
        self.clock = clock
        self.children: list[Child] = []
        self.followers: dict[str, LogFollower] = {}
        self.started = False
        self.stop_requested = False
        self._interruptible = False

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Own the process's signals: stop requests and children's deaths wake the loop at once."""
        self._wake_r, self._wake_w = socket.socketpair()
        self._wake_r.setblocking(False)
        self._wake_w.setblocking(False)
        before = {number: signal.getsignal(number) for number in (*STOP_SIGNALS, signal.SIGCHLD)}
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_stop_signal)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        old_fd = signal.set_wakeup_fd(self._wake_w.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(old_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._wake_r.close()
            self._wake_w.close()

    def _on_stop_signal(self, number: int, frame: FrameType | None) -> None:
        self.stop_requested = True
        if self._interruptible:
            self._interruptible = False
            raise StopRequested

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """For work in this process that does not come by the loop (migrations): a stop request raises inside it."""
        self._raise_if_stopped()
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    def _raise_if_stopped(self) -> None:
        if self.stop_requested:
            raise StopRequested

    def start(self, spec: ChildSpec) -> Child:
        path = self.log_folder / f"{spec.name}.log"
        child = Child(spec=spec, log_path=path, cwd=self.cwd, clock=self.clock)
        follower = LogFollower(spec.name, path, self.say, self.clock)
        follower.begin_at_end()
        self.children.append(child)
        self.followers[spec.name] = follower
        child.start()
        return child

    def tick(self, seconds: float) -> None:
        """Wait up to `seconds` for something to happen, then look after every child."""
        self._raise_if_stopped()
        with contextlib.suppress(InterruptedError):
            select.select([self._wake_r], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            while self._wake_r.recv(4096):
                pass
        self._raise_if_stopped()
        for child in self.children:
            if (code := child.step()) is not None:
                self._on_exit(child, code)
        for follower in self.followers.values():
            follower.look()

    def _on_exit(self, child: Child, code: int) -> None:
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        if not self.started:
            lines = "\n".join(f"  {line}" for line in last_lines(child.log_path))
            raise StartRefused(f"{child.spec.name} {how} during the start; end of {child.log_path}:\n{lines}")
        delay = max(0.0, (child.restart_at or 0.0) - self.clock())
        self.say(f"{child.spec.name:<9} {how}; starting it again in {delay:.1f} s (log: {child.log_path})")

    def wait_until(self, check: Callable[[], bool], *, what: str, within_s: float) -> None:
        deadline = self.clock() + within_s
        while not check():
            if self.clock() > deadline:
                raise StartRefused(f"{what} did not become ready within {within_s:.0f} s; see {self.log_folder}.")
            self.tick(0.1)

    def run(self, watch: Callable[[], None] = lambda: None) -> None:
        """Until a stop is requested."""
        self.started = True
        while True:
            self.tick(0.5)
            watch()

    def stop(self) -> None:
        """Stage by stage, last started first: all are asked at once, each has its grace, then SIGKILL for its group."""
        for stage in sorted({child.spec.stop_stage for child in self.children}):
            leaving = [child for child in reversed(self.children) if child.spec.stop_stage == stage]
            asked_at = self.clock()
            for child in leaving:
                child.terminate()
            for child in leaving:
                while child.running and self.clock() - asked_at < child.spec.grace_s:
                    time.sleep(0.01)
                child.kill_group()
                if child.process is not None:
                    child.process.wait()
        self.children.clear()
