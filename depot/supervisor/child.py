"""One child process: started in a session of its own, bound to our life, restarted with back-off."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 10.0
HEALTHY_AFTER_S = 30.0

# looked up before any fork: between fork and exec only the call itself may happen
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


@dataclass(frozen=True)
class ChildSpec:
    """What to run and how long a polite stop may take [s] before SIGKILL; a lower stage stops earlier."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    grace_s: float = 0.5
    stop_stage: int = 0


def restart_delay_s(failures: int) -> float:
    """Wait before restart number `failures` (from 0) [s]: 0.2, 0.4, ... 10."""
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(failures, 16))


@dataclass
class Child:
    """The life of one spec. `step` is to be called often; it never waits."""

    spec: ChildSpec
    log_path: Path
    cwd: Path
    clock: Callable[[], float]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float | None = None
    failures: int = 0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        """Logs are appended by the child itself: a stalled terminal or supervisor never blocks it."""
        supervisor = os.getpid()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                self.spec.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.cwd,
                env={**os.environ, **self.spec.env},
                start_new_session=True,  # Ctrl-C in the terminal reaches the supervisor only
                preexec_fn=lambda: _die_with(supervisor),  # sound: this process has no threads
            )
        self.started_at = self.clock()
        self.restart_at = None

    def step(self) -> int | None:
        """Notice an exit (returned once, negative for a signal) and restart when its delay is over."""
        now = self.clock()
        if self.process is not None and (code := self.process.poll()) is not None:
            self.kill_group()
            self.process = None
            self.failures = 0 if now - self.started_at >= HEALTHY_AFTER_S else self.failures
            self.restart_at = now + restart_delay_s(self.failures)
            self.failures += 1
            return code
        if self.restart_at is not None and now >= self.restart_at:
            self.start()
        return None

    def kill_group(self) -> None:
        """SIGKILL for the child and for what it left behind, such as a pool process in the middle of a task."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the leader to end; it knows how to end its own pool."""
        self.restart_at = None
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)


def _die_with(supervisor: int) -> None:
    """Runs in the child between fork and exec: SIGKILL when the supervisor is gone, however it went."""
    if _prctl is not None:
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != supervisor:
            os._exit(1)
