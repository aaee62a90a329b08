"""The last shape of a plan: minimum powers, shortest runs, few periods, and close to the plan in force.

`shaped` takes a linear optimum and gives a plan that the checker passes, at no or hardly any money.
"""

from scheduling.engine.shape.board import missing_by_class
from scheduling.engine.shape.milp import full_milp
from scheduling.engine.shape.plan import periods, shaped
from scheduling.engine.shape.promises import kept_promises
from scheduling.engine.shape.readiness import ready, warm_up

__all__ = ["full_milp", "kept_promises", "missing_by_class", "periods", "ready", "shaped", "warm_up"]
