"""The last shape of a plan: minimum powers, shortest runs, few periods, and close to the plan in force.

`shaped` takes a linear optimum and gives a plan that the checker passes, at no or hardly any money. The compiler is
loaded with the first plan, so that processes which never plan go without it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scheduling.engine.shape.board import missing_by_class
    from scheduling.engine.shape.milp import full_milp
    from scheduling.engine.shape.plan import periods, shaped
    from scheduling.engine.shape.promises import kept_promises
    from scheduling.engine.shape.readiness import ready, warm_up

__all__ = ["full_milp", "kept_promises", "missing_by_class", "periods", "ready", "shaped", "warm_up"]

_ROOMS = {
    "full_milp": "milp",
    "kept_promises": "promises",
    "missing_by_class": "board",
    "periods": "plan",
    "ready": "readiness",
    "shaped": "plan",
    "warm_up": "readiness",
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
