"""What `make bench` prints."""

from __future__ import annotations

import pytest

from benchmarks import __main__ as bench
from benchmarks.rows import Row

pytestmark = pytest.mark.once


def test_a_benchmark_that_fails_does_not_take_the_others_figures(capsys: pytest.CaptureFixture[str]) -> None:
    def broken() -> list[Row]:
        raise RuntimeError("no server")

    rows, failed = bench.measure({"broken": broken, "whole": lambda: [Row("speed", 12345.6, "msg/s", "idle")]})

    assert failed == ["broken"]
    assert bench.table(rows).splitlines()[-1] == "| speed | 12,346 | msg/s | idle |"
    assert "RuntimeError: no server" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (0.5, "0.5"), (1.23456, "1.235"), (0.00012, "1.20e-04"), (23000.4, "23,000")]
)
def test_values_have_four_digits(value: float, shown: str) -> None:
    assert bench.shown(value) == shown


def test_the_machine_is_named() -> None:
    assert "cores" in bench.machine()
    assert "Python 3." in bench.machine()
