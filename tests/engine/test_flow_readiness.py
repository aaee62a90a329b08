"""Compiled code is at hand before a planner relies on it, and its absence never costs a plan."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from shutil import copy

import pytest

from scheduling.engine import flow
from scheduling.engine.flow import readiness
from scheduling.engine.flow.compiled import compiled


def test_after_warming_up_the_flow_is_ready() -> None:
    flow.warm_up()
    assert flow.ready()


def test_what_was_warmed_up_is_ready_for_other_processes_too() -> None:
    flow.warm_up()
    asked = subprocess.run(
        [sys.executable, "-c", "from scheduling.engine.flow import ready; print(ready())"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.strip() == "True"


def test_an_empty_cache_is_not_ready_and_asking_compiles_nothing(tmp_path: Path) -> None:
    question = (
        "import sys; from scheduling.engine.flow import ready; "
        "print(ready(), 'scheduling.engine.flow.kernel' in sys.modules)"
    )
    asked = subprocess.run(
        [sys.executable, "-c", question],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.split() == ["False", "False"]
    assert not list(tmp_path.glob("flow*"))


def test_code_of_another_source_or_machine_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.warm_up()
    folder = readiness.cache_folder()
    assert folder is not None
    (stamp,) = [tmp_path / made.name for made in folder.glob("flow.*.compiled") if copy(made, tmp_path)]
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.delitem(sys.modules, "scheduling.engine.flow.kernel")
    assert flow.ready()
    stamp.write_text("made elsewhere")
    assert not flow.ready()


def test_code_that_cannot_be_kept_is_compiled_all_the_same() -> None:
    # Source without a file has no place beside it: numba then knows no folder to keep the code in.
    scope: dict[str, object] = {}
    exec("def double(x):\n    return 2 * x", scope)
    assert compiled(scope["double"])(21) == 42  # type: ignore[arg-type]


def test_compiled_code_is_kept_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "code"))
    assert readiness.cache_folder() == tmp_path / "code"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    assert readiness.cache_folder() != tmp_path / "code"


def test_a_warm_planner_starts_no_second_process(monkeypatch: pytest.MonkeyPatch) -> None:
    flow.warm_up()
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("A process was started."))
    flow.warm_in_background()


def test_a_cold_planner_starts_one_process_that_warms_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.delitem(sys.modules, "scheduling.engine.flow.kernel", raising=False)
    monkeypatch.setattr(readiness, "_child", None)
    started: list[list[str]] = []

    class Child:
        def __init__(self, command: list[str], **_: object) -> None:
            started.append(command)

        def poll(self) -> None:
            return None

    monkeypatch.setattr(subprocess, "Popen", Child)
    flow.warm_in_background()
    flow.warm_in_background()
    assert started == [[sys.executable, "-m", "scheduling.engine.flow.warm"]]
