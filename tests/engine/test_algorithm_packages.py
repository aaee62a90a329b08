"""Algorithms of other packages are found by entry point."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from scheduling.engine import algorithm, algorithm_names
from tests.engine.depots import random_problem
from tests.engine.test_every_algorithm import planned

SOURCE = """
from scheduling.engine import Algorithm

class Nobody(Algorithm):
    def allocate(self, problem):
        return problem.zeros()
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed distribution that brings an algorithm, a thing that is none, and one that cannot be imported."""
    (tmp_path / "nobody_planner.py").write_text(SOURCE)
    info = tmp_path / "nobody_planner-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nobody-planner\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[fleet_depot.algorithms]\n"
        "nobody = nobody_planner:Nobody\n"
        "number = nobody_planner:__name__\n"
        "broken = nobody_planner_gone:Nobody\n"
        "edf = nobody_planner:Nobody\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "nobody_planner", raising=False)


@pytest.mark.usefixtures("package")
def test_an_installed_package_adds_an_algorithm() -> None:
    assert "nobody" in algorithm_names()
    assert not planned("nobody", random_problem(1)).result.power.any()


@pytest.mark.usefixtures("package")
def test_a_package_cannot_replace_one_of_ours() -> None:
    assert algorithm("edf").__module__ == "scheduling.engine.earliest_deadline"
    assert algorithm_names().count("edf") == 1


@pytest.mark.usefixtures("package")
def test_a_broken_package_is_named() -> None:
    with pytest.raises(ValueError, match="'broken' of 'nobody_planner_gone:Nobody' cannot be loaded"):
        algorithm("broken")
    with pytest.raises(ValueError, match="'number' of 'nobody_planner:__name__' is no subclass"):
        algorithm("number")
