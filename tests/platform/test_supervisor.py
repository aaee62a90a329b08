"""The supervisor on plain commands: order, restarts, signals, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from depot.supervisor.child import Child, ChildSpec, restart_delay_s
from depot.supervisor.errors import StartRefused, StopRequested
from depot.supervisor.supervisor import Supervisor

pytestmark = pytest.mark.once

FOREVER = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {FOREVER}"
LONG_S = 60.0


def python(name: str, code: str, *, stage: int = 0, grace_s: float = 5.0) -> ChildSpec:
    return ChildSpec(name, (sys.executable, "-S", "-c", code), stop_stage=stage, grace_s=grace_s)


class World:
    """A supervisor and what it said."""

    def __init__(self, folder: Path) -> None:
        self.said: list[str] = []
        self.folder = folder
        self.supervisor = Supervisor(log_folder=folder, cwd=folder, say=self.said.append)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def until(self, check: Callable[[], bool]) -> None:
        self.supervisor.wait_until(check, what="The test", within_s=LONG_S)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    with world.supervisor.signals():
        yield world
        world.supervisor.stop()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_delays_double_up_to_ten_seconds() -> None:
    assert [restart_delay_s(n) for n in (0, 1, 2, 5, 6, 1000)] == [0.2, 0.4, 0.8, 6.4, 10.0, 10.0]


def test_a_child_has_a_session_of_its_own(world: World) -> None:
    child = world.supervisor.start(python("one", FOREVER))
    assert child.process is not None
    assert os.getsid(child.process.pid) == child.process.pid


def test_output_goes_to_the_log(world: World) -> None:
    world.supervisor.start(python("one", FOREVER))
    world.until(lambda: world.log("one") == "up\n")


def test_a_death_during_the_start_ends_it_with_the_reason(world: World) -> None:
    world.supervisor.start(python("one", "raise SystemExit('no such table')"))
    with pytest.raises(StartRefused, match=r"one ended with code 1 during the start(.|\n)*no such table"):
        world.until(lambda: False)


def test_a_killed_child_is_started_again(world: World) -> None:
    child = world.supervisor.start(python("one", FOREVER))
    world.supervisor.started = True
    assert child.process is not None
    first = child.process.pid
    os.kill(first, signal.SIGKILL)
    world.until(lambda: child.running and child.process is not None and child.process.pid != first)
    assert "was killed by SIGKILL; starting it again in" in world.said[0]


def test_the_delay_grows_while_it_fails_and_falls_after_thirty_good_seconds(tmp_path: Path) -> None:
    now = 0.0
    child = Child(python("one", "raise SystemExit(3)"), tmp_path / "one.log", tmp_path, clock=lambda: now)
    delays = []
    for good_for_s in (0.0, 0.0, 0.0, 31.0, 0.0):
        child.start()
        assert child.process is not None
        child.process.wait()
        now += good_for_s
        assert child.step() == 3
        assert child.restart_at is not None
        delays.append(round(child.restart_at - now, 3))
    assert delays == [0.2, 0.4, 0.8, 0.2, 0.4]


def test_what_a_dead_child_left_behind_is_killed(world: World) -> None:
    code = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-S', '-c', %r]); print(p.pid, flush=True); %s"
    )
    child = world.supervisor.start(python("one", code % (FOREVER, FOREVER)))
    world.supervisor.started = True
    world.until(lambda: "up" in world.log("one"))
    grandchild = int(next(line for line in world.log("one").splitlines() if line.isdigit()))
    assert child.process is not None
    os.kill(child.process.pid, signal.SIGKILL)
    world.until(lambda: not alive(grandchild))


def test_later_stages_stop_after_earlier_ones(world: World) -> None:
    on_term = "lambda *_: (open('order', 'a').write('{0} '), sys.exit())"
    note = f"import signal, sys; signal.signal(signal.SIGTERM, {on_term}); {{1}}"
    for name, stage in (("broker", 2), ("web", 1), ("worker", 0)):
        world.supervisor.start(python(name, note.format(name, FOREVER), stage=stage))
    world.until(lambda: all("up" in world.log(name) for name in ("broker", "web", "worker")))
    world.supervisor.stop()
    assert (world.folder / "order").read_text().split() == ["worker", "web", "broker"]


def test_a_stubborn_child_is_killed(world: World) -> None:
    child = world.supervisor.start(python("one", STUBBORN, grace_s=0.1))
    world.until(lambda: "up" in world.log("one"))
    process = child.process
    assert process is not None
    world.supervisor.stop()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_loop(world: World, number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    with pytest.raises(StopRequested):
        world.supervisor.run()


def test_a_signal_interrupts_work_in_this_process(world: World) -> None:
    def work() -> None:
        with world.supervisor.interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()

    with pytest.raises(StopRequested):
        work()


def test_a_warning_in_a_log_reaches_the_terminal_and_information_does_not(world: World) -> None:
    lines = [
        '{"level": "info", "event": "quiet"}',
        '{"level": "warning", "event": "charger lost", "identity": "FD-01", "logger": "x"}',
    ]
    world.supervisor.start(python("one", f"print({chr(10).join(lines)!r}, flush=True); {FOREVER}"))
    world.until(lambda: bool(world.said))
    assert world.said == ["one       warning: charger lost identity=FD-01"]


def test_kill_of_the_supervisor_leaves_nothing(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from depot.supervisor.child import ChildSpec
from depot.supervisor.supervisor import Supervisor
supervisor = Supervisor(log_folder=Path('.'), cwd=Path('.'), say=print)
with supervisor.signals():
    child = supervisor.start(ChildSpec('one', (sys.executable, '-S', '-c', {STUBBORN!r})))
    supervisor.wait_until(lambda: 'up' in Path('one.log').read_text(), what='it', within_s=60)
    print(child.process.pid, flush=True)
    supervisor.run()
"""
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}
    ) as supervisor:
        assert supervisor.stdout is not None
        pid = int(supervisor.stdout.readline())
        watched = os.pidfd_open(pid)
        supervisor.kill()
    with os.fdopen(watched) as ended:
        import select

        assert select.select([ended], [], [], LONG_S)[0], "the child outlived its supervisor"
