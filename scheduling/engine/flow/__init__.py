"""The exact, compiled solver of the linear depot problem where it is a flow (`network.not_a_flow` has no objection)."""

from scheduling.engine.flow.readiness import ready, warm_in_background, warm_up
from scheduling.engine.flow.solver import FlowPlan, solve

__all__ = ["FlowPlan", "ready", "solve", "warm_in_background", "warm_up"]
