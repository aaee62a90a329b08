"""`manage.py plan`: a problem from a file, without a database or settings of a depot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engine.test_problem_file import MINIMAL

ROOT = Path(__file__).resolve().parents[2]


def manage(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "NUMBA_CACHE_DIR")}
    return subprocess.run(
        [sys.executable, "manage.py", "plan", *arguments],
        cwd=ROOT,
        env=kept,
        input=stdin,
        text=True,
        capture_output=True,
        timeout=100,
        check=False,
    )


@pytest.mark.once
def test_it_prints_the_plan_of_a_file_on_a_machine_without_settings(tmp_path: Path) -> None:
    file = tmp_path / "problem.json"
    file.write_text(json.dumps(MINIMAL))
    done = manage(str(file))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["algorithm"] == "optimal"
    assert result["unmet_kwh"] == 0
    assert sum(result["plans"][0]["power"]) == pytest.approx(40)


@pytest.mark.once
def test_it_writes_the_plan_of_another_algorithm_into_a_file(tmp_path: Path) -> None:
    output = tmp_path / "plan.json"
    done = manage("-", "--algorithm", "edf", "--output", str(output), stdin=json.dumps(MINIMAL))
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads(output.read_text())["algorithm"] == "edf"


@pytest.mark.once
def test_what_is_wrong_is_told_in_one_sentence(tmp_path: Path) -> None:
    broken = manage("-", stdin=json.dumps(MINIMAL | {"steps": "many"}))
    assert broken.returncode == 1
    assert broken.stderr.strip() == "CommandError: -: steps: Expected `int`, got `str`."
    missing = manage(str(tmp_path / "none.json"))
    assert missing.stderr.strip() == f"CommandError: Cannot read {tmp_path / 'none.json'}: No such file or directory."
    unknown = manage("-", "--algorithm", "simplex", stdin="{}")
    assert "Unknown algorithm 'simplex': choose one of " in unknown.stderr
