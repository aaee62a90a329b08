"""Max-min fairness as a linear programme through PuLP: the rule of the reference system without its traps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from scheduling.engine.algorithm import Algorithm
from scheduling.engine.along_tapers import along_tapers
from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.first_come import serve_one_by_one
from scheduling.engine.least_laxity import plan_that_serves_all
from scheduling.engine.problem import Problem
from scheduling.engine.pulp_highs import SolverFailed, solve
from scheduling.engine.sharing import missing_kwh

_EPS = 1e-9
_SOLVER_KWH = 1e-6  # what a solver's tolerances may leave open in a sum of energies
_EARLY = 1e-5  # worth of a kW in the first step over one in the last, where the objective is the same
_DECIMALS = 7  # of a power, kW: what is beyond is the solver's rounding
_WORTH_OF_THE_FRACTION = 100.0  # per step and vehicle


class PulpNumericalAlgorithm(Algorithm):
    """As much energy as limits allow; of such plans the largest fraction q that everybody gets; then the steadiest.

    The steadiest is the reference system's objective: each step's power over the most it allows, less every change of
    power. A vehicle that cannot reach q even if it were alone gets what it can and holds nobody back, nobody gets more
    than the need, and powers are 0 or at least the minimum.
    """

    percentage: float | None = None
    """q of the last run: the fraction of its need that every vehicle gets which could get it alone."""
    objective: float | None = None
    """The reference's objective, 100 T n q + use - changes, at the last run's optimum without minimum powers."""

    def allocate(self, problem: Problem) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps)."""
        self.percentage = self.objective = None
        until = perf_counter() + self.options.time_limit_s
        return along_tapers(problem, lambda capped: self._planned(capped, until))

    def _planned(self, problem: Problem, until: float) -> FloatArray:
        power: FloatArray | None = None
        try:
            with self.stage("solve"):
                for better in self._better_and_better(problem, until):
                    power = better
            self.status = "optimal"
        except SolverFailed as error:
            self.status = f"fallback: {error}"
        if power is None:
            return serve_one_by_one(problem, problem.laxity_hours)
        too_low = (power > 0) & (power < problem.min_power[:, None] - _EPS)
        if not too_low.any():
            return power
        from scheduling.engine.shape import shaped  # compiled code, loaded where a plan needs it

        with self.stage("shape"):
            usable = shaped(problem, power, deadline_s=max(until - perf_counter(), 0.0))
            if not missing_kwh(problem, usable).any():
                return usable
            complete = plan_that_serves_all(problem)  # steady powers are often low: hard to make usable
            return usable if complete is None else complete

    def _better_and_better(self, problem: Problem, until: float) -> Iterator[FloatArray]:
        """A plan after every objective of the order, kW, shape (n_ev, steps); SolverFailed where one is not proven."""
        fair = _FairProgramme(problem, self.options.solver, until)
        served, power = fair.serve_most()
        yield power
        self.percentage, least, power = fair.largest_fraction(served, power)
        yield power
        steadiness, power = fair.steadiest(served, least)
        yield power
        steps, vehicles = problem.horizon.steps, len(problem.evs)
        self.objective = _WORTH_OF_THE_FRACTION * steps * vehicles * self.percentage + steadiness


@dataclass(frozen=True)
class _Row:
    """Column and coefficient pairs, then their bound."""

    terms: list[tuple[int, float]]
    sense: int
    right: float


_MOST, _LEAST = -1, 1


class _FairProgramme:
    """Columns: the powers, what nodes count of powers above a fallback, the fraction, the changes of power."""

    def __init__(self, problem: Problem, solver: str, until: float) -> None:
        self.problem, self.solver, self.until = problem, solver, until
        self.alone = reachable_alone(problem)
        self.ev, self.step = np.nonzero((problem.most_power > _EPS) & (problem.need_kwh > _EPS)[:, None])
        self.upper: list[float | None] = problem.most_power[self.ev, self.step].tolist()
        self.column = np.full(problem.shape, -1, dtype=np.int64)
        self.column[self.ev, self.step] = np.arange(len(self.ev))
        self.rows: list[_Row] = []
        counted = self._count_above_fallbacks()
        self._keep_limits(counted)
        kwh = problem.hours[self.step].tolist()
        self.energy = [[(int(k), kwh[k]) for k in row if k >= 0] for row in self.column]
        self.rows += [
            _Row(energy, _MOST, need)
            for energy, need in zip(self.energy, problem.need_kwh.tolist(), strict=True)
            if energy
        ]
        weight = (problem.efficiency[self.ev] * problem.hours[self.step]).tolist()
        self.battery_energy = list(enumerate(weight))
        self.fraction = self._new_column(1.0)

    def serve_most(self) -> tuple[float, FloatArray]:
        """The most energy in batteries, kWh, and a plan that brings it."""
        power = self._power_of(self._values(self.battery_energy))
        return float(self.problem.efficiency @ self.problem.energy(power)), power

    def largest_fraction(self, served: float, power: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """The largest fraction that all get who could, the fraction of each vehicle (n_ev,), and a plan for them.

        Who cannot reach the fraction alone keeps what it can get alone. How many those are is searched by halving.
        """
        problem, alone = self.problem, self.alone
        if served >= float((problem.efficiency * problem.need_kwh) @ alone) - _SOLVER_KWH:
            return 1.0, alone, power
        levels = [0.0, *np.unique(alone).tolist()]
        reached, highest = 0, len(levels) - 2  # that not everybody gets the last one is known already
        while reached < highest:
            middle = (reached + highest + 1) // 2
            share, _ = self._fraction_of(np.zeros_like(alone), np.minimum(alone, levels[middle]), 1.0, served)
            reached, highest = (middle, highest) if share > 1.0 - 1e-9 else (reached, middle - 1)
        behind = alone <= levels[reached]
        fraction, power = self._fraction_of(
            np.where(behind, alone, 0.0), np.where(behind, 0.0, 1.0), levels[reached + 1], served
        )
        return fraction, np.minimum(alone, fraction), power

    def _fraction_of(
        self, kept: FloatArray, scaled: FloatArray, most: float, served: float
    ) -> tuple[float, FloatArray]:
        """The largest q up to `most` at which each vehicle gets the part `kept + q scaled` of its need, and a plan."""
        rows = [_Row(self.battery_energy, _LEAST, served), _Row([(self.fraction, 1.0)], _MOST, most)]
        parts = zip(self.energy, self.problem.need_kwh.tolist(), kept.tolist(), scaled.tolist(), strict=True)
        for energy, need, part, slope in parts:
            if energy:
                rows.append(_Row([*energy, (self.fraction, -slope * need)], _LEAST, part * need))
        values = self._values([(self.fraction, 1.0)], rows)
        return float(values[self.fraction]), self._power_of(values)

    def steadiest(self, served: float, least: FloatArray) -> tuple[float, FloatArray]:
        """Use of the site less changes of power at its best, and that plan; everybody keeps `least` of its need."""
        rows = [_Row(self.battery_energy, _LEAST, served)]
        rows += [
            _Row(energy, _LEAST, part * need)
            for energy, part, need in zip(self.energy, least.tolist(), self.problem.need_kwh.tolist(), strict=True)
            if energy
        ]
        use = 1.0 / self._most_of_steps()[self.step]
        early = use + _EARLY * (1.0 - self.step / self.problem.horizon.steps)
        changes, change_rows = self._changes()
        values = self._values([*enumerate(early.tolist()), *((k, -1.0) for k in changes)], [*rows, *change_rows])
        power = self._power_of(values)
        total_change = float(np.abs(np.diff(power, axis=1)).sum())
        return float(use @ power[self.ev, self.step]) - total_change, power

    def _changes(self) -> tuple[list[int], list[_Row]]:
        """A column for every change of power between two steps, and the rows that hold it above both differences."""
        before, after = self.column[:, :-1], self.column[:, 1:]
        ev, step = np.nonzero((before >= 0) | (after >= 0))
        first = len(self.upper)
        rows = []
        pairs = zip(before[ev, step].tolist(), after[ev, step].tolist(), strict=True)
        for k, (left, right) in enumerate(pairs, start=first):
            rise = [(c, sign) for c, sign in ((right, 1.0), (left, -1.0)) if c >= 0]
            rows.append(_Row([*rise, (k, -1.0)], _MOST, 0.0))
            rows.append(_Row([*((c, -sign) for c, sign in rise), (k, -1.0)], _MOST, 0.0))
        return list(range(first, first + len(ev))), rows

    def _most_of_steps(self) -> FloatArray:
        """What the whole site may draw in each step at most, kW, above zero, shape (steps,)."""
        rows = self.problem.rows
        together = rows.coefficients @ self.problem.max_power
        most = np.minimum(rows.limits, together[:, None])[rows.is_root]
        least: FloatArray = most.min(axis=0, initial=max(float(self.problem.max_power.sum()), _EPS))
        return np.maximum(least, _EPS)

    def _count_above_fallbacks(self) -> IntArray:
        """The column that nodes count for each power column: itself, or what it has above a fallback."""
        counted = np.arange(len(self.ev))
        for k in np.flatnonzero(self.problem.free_power[self.ev] > 0).tolist():
            counted[k] = self._new_column(None)
            free = float(self.problem.free_power[self.ev[k]])
            self.rows.append(_Row([(k, 1.0), (int(counted[k]), -1.0)], _MOST, free))
        return counted

    def _keep_limits(self, counted: IntArray) -> None:
        """Rows for the limits of the tree that could bind."""
        tree, problem = self.problem.rows, self.problem
        load = tree.coefficients @ problem.excess_power(problem.most_power)
        for row, step in zip(*np.nonzero(load > tree.limits), strict=True):
            columns = self.column[:, step]
            below = np.flatnonzero((tree.coefficients[row] > 0) & (columns >= 0))
            terms = zip(counted[columns[below]].tolist(), tree.coefficients[row, below].tolist(), strict=True)
            self.rows.append(_Row(list(terms), _MOST, float(tree.limits[row, step])))

    def _new_column(self, upper: float | None) -> int:
        self.upper.append(upper)
        return len(self.upper) - 1

    def _power_of(self, values: FloatArray) -> FloatArray:
        """The plan without what the solver's tolerances leave above maxima and below zero, kW, (n_ev, steps)."""
        power = self.problem.zeros()
        power[self.ev, self.step] = np.round(np.maximum(values[: len(self.ev)], 0.0), _DECIMALS)
        return np.minimum(power, self.problem.most_power)

    def _values(self, objective: Iterable[tuple[int, float]], more_rows: Iterable[_Row] = ()) -> FloatArray:
        """Values of all columns where the objective is largest, or SolverFailed."""
        import pulp

        gains = dict(objective)
        count = max([len(self.upper), *(k + 1 for k in gains)])
        bounds = [*self.upper, *[None] * (count - len(self.upper))]
        lp = pulp.LpProblem("fair", pulp.LpMaximize)
        columns = [lp.add_variable(f"x{k:07d}", 0.0, bound) for k, bound in enumerate(bounds)]
        # PuLP knows only columns that occur somewhere: all of them occur in the objective.
        lp.setObjective(pulp.LpAffineExpression([(column, gains.get(k, 0.0)) for k, column in enumerate(columns)]))
        for number, row in enumerate([*self.rows, *more_rows]):
            expression = pulp.LpAffineExpression([(columns[k], value) for k, value in row.terms])
            lp.addConstraint(pulp.LpConstraint(expression, row.sense, f"r{number:07d}", row.right))
        if (left := self.until - perf_counter()) <= 0:
            raise SolverFailed("the time limit was reached")
        return solve(lp, columns, self.solver, left)


def reachable_alone(problem: Problem) -> FloatArray:
    """Fraction of its need that each vehicle could get under all limits if it were alone, shape (n_ev,)."""
    headroom = problem.headroom()
    most = np.array([headroom.ceiling(ev) @ problem.hours for ev in range(len(problem.evs))])
    fraction = np.divide(most, problem.need_kwh, out=np.ones_like(most), where=problem.need_kwh > 0)
    result: FloatArray = np.minimum(fraction, 1.0)
    return result
