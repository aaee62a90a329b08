"""What an algorithm hands back."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from scheduling.engine.arrays import FloatArray
from scheduling.engine.checker import Violation
from scheduling.engine.marginal import MarginalValues, marginal_values
from scheduling.engine.money import Money
from scheduling.engine.problem import Problem
from scheduling.engine.reasons import Why, explain
from scheduling.engine.shortfall import Shortfall
from scheduling.engine.site import Dispatch
from scheduling.engine.summary import figures_of, sentences_of
from scheduling.engine.wording import Clock, utc_clock


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

    @cached_property
    def summary(self) -> dict[str, float]:
        """Key figures of the run: energy, what is missing, money by component, peaks, periods, changes, laxity."""
        return figures_of(self)

    @cached_property
    def why(self) -> Why:
        """The reason of every vehicle in every step."""
        return explain(self.problem, self.power, self.dispatch)

    @cached_property
    def marginal_values(self) -> MarginalValues:
        """What more room at every node and step would be worth."""
        return marginal_values(self.problem, self.power, self.dispatch)

    def sentences(self, clock: Clock = utc_clock) -> list[str]:
        """The run in three to six sentences; `clock` words instants."""
        return sentences_of(self, clock)
