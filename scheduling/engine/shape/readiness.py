"""Whether the compiled code of this room is at hand, and making it so."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from scheduling.engine.arrays import FloatArray
from scheduling.engine.ev import EV
from scheduling.engine.flow.readiness import cache_folder
from scheduling.engine.horizon import Horizon
from scheduling.engine.problem import Problem
from scheduling.engine.shape import blocks, exchanges, runs, service
from scheduling.engine.shape.board import Board, board_of, by_urgency
from scheduling.engine.tree import PowerTree

_KERNELS = (
    blocks.calm_blocks,
    exchanges.calm,
    runs.plan_runs,
    service.settle_low_powers,
    service.serve_in_order,
    service.make_way,
    service.shuffle,
    service.cheapen,
    service.adopt,
)
_COMPILED_ROOMS = ("blocks", "board", "exchanges", "moves", "runs", "service")
_STAMP = f"shape.{sys.implementation.cache_tag}.compiled"


def ready() -> bool:
    """Whether `shaped` runs compiled at once: its code is in memory, or on disk as these sources and numba made it."""
    return all(kernel.signatures for kernel in _KERNELS) or _on_disk()


def warm_up() -> None:
    """Compile what is not compiled yet and keep it on disk if a folder can be written; seconds, once per machine."""
    folder = cache_folder()
    if folder is not None and not _on_disk():
        for kernel in _KERNELS:  # numba does not see that a file has changed from which it compiled a part
            kernel.recompile()
    problem, power = _smallest_problem()
    _use_every_kernel(problem, board_of(problem, power, np.full(2, np.inf)))
    if folder is not None and not _on_disk():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _STAMP).write_text(_fingerprint())


def _use_every_kernel(problem: Problem, board: Board) -> None:
    order, wish = by_urgency(problem), np.full(problem.shape, np.nan)
    exchanges.calm(board, wish, 0, 0, 1, np.ones(1), True, exchanges.LOW_ONLY)
    blocks.calm_blocks(board, wish, 0, 0, 1, True)
    service.settle_low_powers(board)
    service.serve_in_order(board, order)
    service.make_way(board, order, 1, 1)
    service.shuffle(board, 1, 1)
    service.cheapen(board, 0)
    service.adopt(board, wish, order)
    runs.plan_runs(board, order, *runs.shortest_runs(problem))


def _on_disk() -> bool:
    folder = cache_folder()
    try:
        return folder is not None and (folder / _STAMP).read_text() == _fingerprint()
    except OSError:
        return False


@cache
def _fingerprint() -> str:
    folder = Path(__file__).parent
    sources = [(folder / f"{room}.py").stat() for room in _COMPILED_ROOMS]
    files = " ".join(f"{source.st_mtime_ns}.{source.st_size}" for source in sources)
    return f"{files} {version('numba')} {version('numpy')}"


def _smallest_problem() -> tuple[Problem, FloatArray]:
    begin = datetime(2000, 1, 1, tzinfo=UTC)
    horizon = Horizon(begin, timedelta(hours=1), 2)
    ev = EV(1, True, 1, 1, 1.0, 2.0, begin, horizon.end, 2.0)
    return Problem.of([ev], horizon, PowerTree.single([2.0, 1.0])), np.array([[1.5, 0.5]])
