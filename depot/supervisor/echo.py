"""Follow the children's log files: warnings and errors appear on the terminal, files stay bounded."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

LARGEST_LOG_BYTES = 20_000_000
LINES_PER_WINDOW = 20
WINDOW_S = 10.0
SERIOUS = {"warning", "error", "critical"}
SERIOUS_TEXT = re.compile(r"\b(WARNING|ERROR|CRITICAL|FATAL|\w*Error:)")
# the broker warns about saving to disk, which it does not do here
IRRELEVANT = ("Memory overcommit must be enabled", "TCP backlog setting", "Transparent Huge Pages")
NOT_WORDS = {"event", "level", "logger", "timestamp", "exception"}


def summary_of(line: str) -> str | None:
    """The line as a person wants to see it, or None when it is not serious."""
    try:
        entry = json.loads(line)
    except ValueError:
        serious = SERIOUS_TEXT.search(line) and not any(words in line for words in IRRELEVANT)
        return line if serious else None
    if not isinstance(entry, dict) or entry.get("level") not in SERIOUS:
        return None
    words = [f"{key}={value}" for key, value in entry.items() if key not in NOT_WORDS]
    if isinstance(entry.get("exception"), str):
        words.append(entry["exception"].strip().rsplit("\n", 1)[-1])
    event = (str(entry.get("event", "")).splitlines() or [""])[0]
    return " ".join([f"{entry['level']}: {event}", *words])


def last_lines(path: Path, count: int = 12) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 16_384))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return []


@dataclass
class LogFollower:
    """Reads what `name` appended since the last look and says the serious part, at most 20 lines per 10 s."""

    name: str
    path: Path
    say: Callable[[str], None]
    clock: Callable[[], float]
    position: int = 0
    rest: bytes = b""
    window_started: float = 0.0
    said: int = 0
    unsaid: int = 0

    def begin_at_end(self) -> None:
        self.position = self.path.stat().st_size if self.path.exists() else 0

    def look(self) -> None:
        self._close_window()
        try:
            size = self.path.stat().st_size
            if size <= self.position:
                self.position = min(self.position, size)
                return
            with self.path.open("rb") as file:
                file.seek(self.position)
                chunk = file.read(1_000_000)
        except OSError:
            return
        self.position += len(chunk)
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        for line in lines:
            if summary := summary_of(line.decode(errors="replace")):
                self._say(summary)
        if self.position > LARGEST_LOG_BYTES:
            self._rotate()

    def _say(self, summary: str) -> None:
        if self.said >= LINES_PER_WINDOW:
            self.unsaid += 1
            return
        self.said += 1
        self.say(f"{self.name:<9} {summary[:400]}")

    def _close_window(self) -> None:
        if self.clock() - self.window_started < WINDOW_S:
            return
        if self.unsaid:
            self.say(f"{self.name:<9} ... {self.unsaid} more in {self.path}")
        self.window_started, self.said, self.unsaid = self.clock(), 0, 0

    def _rotate(self) -> None:
        """Children append (O_APPEND), so the file may be emptied under them."""
        shutil.copyfile(self.path, self.path.with_suffix(".log.1"))
        with self.path.open("r+b") as file:
            file.truncate(0)
        self.position = 0
