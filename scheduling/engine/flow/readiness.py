"""Whether the compiled code is at hand, and making it so: at installation, or beside a planner that works without."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version
from pathlib import Path

from scheduling.engine.ev import EV
from scheduling.engine.horizon import Horizon
from scheduling.engine.problem import Problem
from scheduling.engine.tree import PowerTree

_HERE = Path(__file__).parent
_KERNEL = "scheduling.engine.flow.kernel"
_PROJECT = _HERE.parents[2]
_STAMP = f"flow.{sys.implementation.cache_tag}.compiled"
_child: subprocess.Popen[bytes] | None = None


def ready() -> bool:
    """Whether the flow plans at once: its code is in memory, or on disk as this source, machine and numba made it."""
    if _child is not None:
        _child.poll()
    kernel = sys.modules.get(_KERNEL)
    return (kernel is not None and bool(kernel.fill.signatures)) or _on_disk()


def warm_up() -> None:
    """Compile what is not compiled yet and keep it on disk if a folder can be written; seconds, once per machine."""
    from scheduling.engine.flow.kernel import fill
    from scheduling.engine.flow.solver import solve

    solve(_smallest_problem())
    folder, kept = cache_folder(), fill.stats.cache_path
    if folder is not None and kept is not None and folder in (Path(kept), *Path(kept).parents):
        (folder / _STAMP).write_text(_fingerprint())


def warm_in_background() -> None:
    """Start one child process of low priority that fills the engine's caches; nothing if they are full or not kept."""
    from scheduling.engine import shape

    global _child
    if _child is None and cache_folder() is not None and not (ready() and shape.ready()):
        path = os.pathsep.join(filter(None, [str(_PROJECT), os.environ.get("PYTHONPATH")]))
        _child = subprocess.Popen(
            [sys.executable, "-m", "scheduling.engine.flow.warm"],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def cache_folder() -> Path | None:
    """Where compiled code is kept, in numba's order of search; None if nothing can be written anywhere."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba"
    folders = [*([Path(given)] if given else []), _HERE / "__pycache__", user]
    return next((folder for folder in folders if _can_write(folder)), None)


def _can_write(folder: Path) -> bool:
    existing = next(place for place in (folder, *folder.parents) if place.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _on_disk() -> bool:
    folder = cache_folder()
    if folder is None:
        return False
    try:
        return (folder / _STAMP).read_text() == _fingerprint()
    except OSError:
        return False


@cache
def _fingerprint() -> str:
    """What numba looks at before it takes code from its cache: the source file, itself and the processor."""
    source = (_HERE / "kernel.py").stat()
    return f"{source.st_mtime_ns} {source.st_size} {version('numba')} {version('numpy')} {_processor()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.platform()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.machine())


def _smallest_problem() -> Problem:
    begin = datetime(2000, 1, 1, tzinfo=UTC)
    horizon = Horizon(begin, timedelta(hours=1), 2)
    return Problem.of([EV(1, True, 1, 1, 0.0, 1.0, begin, horizon.end, 1.0)], horizon, PowerTree.single([1.0, 1.0]))
