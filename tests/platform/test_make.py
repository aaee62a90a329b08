"""What `make` says where something is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("Makefile", "requirements.txt", "requirements-dev.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    return subprocess.run(
        ["make", *words], cwd=folder, env=kept, capture_output=True, text=True, timeout=60, check=False
    )


def stand_in(folder: Path, body: str) -> str:
    """An interpreter that behaves as `body` says."""
    path = folder / "python-stand-in"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_help_is_the_default(checkout: Path) -> None:
    shown = make(checkout).stdout
    for target in ("demo", "test", "lint", "format", "bench", "lock", "clean", "venv", "venv-dev"):
        assert f"make {target} " in shown


def test_a_missing_interpreter_is_named(checkout: Path) -> None:
    refused = make(checkout, "demo", "PYTHON=/nonexistent/python3.11")
    assert refused.returncode != 0
    assert "Python 3.11 or newer was not found" in refused.stderr


def test_an_old_interpreter_is_named(checkout: Path) -> None:
    old = stand_in(checkout, 'case "$*" in -V) echo "Python 3.9.2";; *version_info*) exit 1;; esac')
    refused = make(checkout, "venv", f"PYTHON={old}")
    assert f"{old} is Python 3.9.2: Fleet Depot needs Python 3.11 or newer" in refused.stderr


def test_a_missing_venv_module_is_named(checkout: Path) -> None:
    bare = stand_in(checkout, 'case "$*" in *ensurepip*) exit 1;; esac')
    refused = make(checkout, "venv", f"PYTHON={bare}")
    assert "has no venv module: install it (Debian, Ubuntu: apt-get install python3-venv)" in refused.stderr


def test_nothing_is_done_when_the_lock_has_not_changed(checkout: Path) -> None:
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / ".runtime").touch()
    done = make(checkout, "venv", "PYTHON=/nonexistent/python3.11")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-bench.txt"])
def test_the_lock_is_hashed_and_names_no_index(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    requirements = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert len(requirements) > 30
    assert all("==" in line and line.endswith("\\") for line in requirements)
    assert not [line for line in lines if "://" in line or line.startswith("-")]
