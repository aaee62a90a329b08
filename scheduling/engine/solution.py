"""What an algorithm hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from scheduling.engine.arrays import FloatArray
from scheduling.engine.checker import Violation
from scheduling.engine.money import Money
from scheduling.engine.problem import Problem
from scheduling.engine.shortfall import Shortfall
from scheduling.engine.site import Dispatch


@dataclass(frozen=True, eq=False)
class Solution:
    """A plan in kW, shape (n_ev, steps), with what it leaves open and how it came about."""

    problem: Problem
    power: FloatArray
    status: str
    """optimal, heuristic, empty (no vehicles), or "fallback: " and what failed."""
    shortfalls: tuple[Shortfall, ...] = ()
    deferred: tuple[int | str, ...] = ()
    violations: tuple[Violation, ...] = ()
    seconds: dict[str, float] = field(default_factory=dict)
    """Time per stage: build, solve, repair, check."""
    dispatch: Dispatch | None = None
    """What battery and sun do meanwhile; None: the battery rests, the sun is taken."""

    @property
    def ok(self) -> bool:
        """True if the checker found nothing; a plan that is not ok must not be sent."""
        return not self.violations

    @cached_property
    def money(self) -> Money:
        """Cost of the plan by component."""
        return self.problem.money(self.power, self.dispatch)

    @property
    def summary(self) -> dict[str, float]:
        """Key figures: energy, unmet energy, cost, peak and vehicles with a shortfall."""
        total = self.power.sum(axis=0)
        return {
            "vehicles": float(len(self.problem.evs)),
            "energy_kwh": float(self.problem.energy(self.power).sum()),
            "unmet_kwh": sum(shortfall.kwh for shortfall in self.shortfalls),
            "short_vehicles": float(len(self.shortfalls)),
            "cost": self.money.bill,
            "peak_kw": float(total.max(initial=0.0)),
        }
