"""What of the children's logs a person sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from depot.supervisor import echo
from depot.supervisor.echo import LogFollower, last_lines, summary_of

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"level": "error", "event": "no answer", "command": 7}', "error: no answer command=7"),
        (
            '{"level": "error", "event": "a\\nb", "exception": "Traceback\\n  x\\nValueError: bad"}',
            "error: a ValueError: bad",
        ),
        ('{"level": "info", "event": "error: not one"}', None),
        ("ModuleNotFoundError: No module named 'x'", "ModuleNotFoundError: No module named 'x'"),
        ("14:M # WARNING Memory overcommit must be enabled!", None),
        ("14:M * Ready to accept connections unix", None),
        ("[1, 2]", None),
        ("", None),
    ],
)
def test_summary(line: str, expected: str | None) -> None:
    assert summary_of(line) == expected


class Followed:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self.now = 0.0
        self.follower = LogFollower("web", path, self.said.append, lambda: self.now)

    def write(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)
        self.follower.look()


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(tmp_path / "web.log")


def test_a_missing_log_is_no_problem(followed: Followed) -> None:
    followed.follower.look()
    assert followed.said == []


def test_a_line_in_two_pieces_is_said_once(followed: Followed) -> None:
    followed.write("ERROR one")
    assert followed.said == []
    followed.write(" piece\n")
    assert followed.said == ["web       ERROR one piece"]


def test_a_flood_is_counted_instead_of_said(followed: Followed) -> None:
    followed.write("ERROR again\n" * 50)
    assert len(followed.said) == 20
    followed.now = 11.0
    followed.write("")
    assert followed.said[-1] == f"web       ... 30 more in {followed.path}"


def test_what_was_there_before_is_not_said(followed: Followed) -> None:
    followed.path.write_text("ERROR of yesterday\n")
    followed.follower.begin_at_end()
    followed.write("ERROR of today\n")
    assert followed.said == ["web       ERROR of today"]


def test_a_large_log_is_put_aside_and_goes_on(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "LARGEST_LOG_BYTES", 10)
    followed.write("a long line of information\n")
    assert followed.path.stat().st_size == 0
    assert followed.path.with_suffix(".log.1").read_text() == "a long line of information\n"
    followed.write("ERROR after\n")
    assert followed.said == ["web       ERROR after"]


def test_last_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    assert last_lines(path) == []
    path.write_text("\n".join(str(n) for n in range(100)))
    assert last_lines(path, 2) == ["98", "99"]
