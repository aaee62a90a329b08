"""How the engine's hot loops are compiled: once, kept on disk wherever a folder can be written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any]) -> Any:
    """The function as machine code, cached beside its source, in NUMBA_CACHE_DIR or in the user's cache folder.

    Where none of them can be written the code is compiled anew in every process: slower, but a plan comes out.
    """
    try:
        return njit(cache=True)(function)
    except RuntimeError:
        return njit(function)


def inner(function: Callable[..., Any]) -> Any:
    """A part of a compiled function, kept on disk with the function that calls it; it stands in the same file."""
    return njit(function)
