"""What `make bench` prints."""

from __future__ import annotations

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


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (0.5, "0.5"), (1.23456, "1.235"), (0.00012, "1.20e-04"), (23000.4, "23,000")]
)
def test_values_have_four_digits(value: float, shown: str) -> None:
    assert rows.shown(value) == shown


def test_the_machine_is_named() -> None:
    assert "cores" in bench.machine()
    assert "Python 3." in bench.machine()
