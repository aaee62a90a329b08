"""`python -m scheduling.engine.flow.warm`: compile the engine's hot loops, so that no planner has to wait for them."""

from __future__ import annotations

import os
from importlib import import_module

_COMPILED = ("scheduling.engine.flow", "scheduling.engine.shape", "scheduling.engine.marginal")


def main() -> None:
    """Warm up all modules that have compiled code, without getting in the way of anything else."""
    os.nice(10)
    for name in _COMPILED:
        warm_up = getattr(import_module(name), "warm_up", None)
        if warm_up is not None:
            warm_up()


if __name__ == "__main__":
    main()
