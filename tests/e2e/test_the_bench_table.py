"""What `make bench` prints."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks import rows
from benchmarks.rows import Row, Table, figures

pytestmark = pytest.mark.once


def test_a_benchmark_that_fails_does_not_take_the_others_figures(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> list[Table]:
        raise RuntimeError("no server")

    whole = figures("Speeds", [Row("speed", 12345.6, "msg/s", "idle")])
    tables, failed = bench.measure({"broken": broken, "whole": lambda: [whole]})

    assert failed == ["broken"]
    assert tables[0].markdown.splitlines() == [
        "### Speeds",
        "",
        "| what | value | unit | note |",
        "|---|---:|---|---|",
        "| speed | 12,346 | msg/s | idle |",
    ]
    assert "RuntimeError: no server" in capsys.readouterr().err


def test_a_page_is_written_anew_below_its_mark(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("# Performance\n\n## Measured\n\nold figures\n")
    bench.write_below_mark(page, "new figures")
    assert page.read_text() == "# Performance\n\n## Measured\n\nnew figures\n"


def test_a_page_without_the_mark_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "other.md"
    page.write_text("# Other\n")
    with pytest.raises(ValueError, match="has no line '## Measured'"):
        bench.write_below_mark(page, "new figures")
    assert page.read_text() == "# Other\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0"), (0.5, "0.5"), (1.23456, "1.235"), (0.00012, "1.20e-04"), (23000.4, "23,000"), (math.nan, "-")],
)
def test_values_have_four_digits(value: float, shown: str) -> None:
    assert rows.shown(value) == shown


def test_the_machine_is_named() -> None:
    assert "cores" in bench.machine()
    assert "Python 3." in bench.machine()
