"""The semi-continuous problem as a mixed-integer programme in HiGHS: reference for small depots and their last resort.

Power is 0 or at least the minimum (one binary per vehicle and step), shortest runs hold, and the objectives are solved
one after the other, each with the earlier ones held: served energy class by class, then money.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.problem import Problem
from scheduling.engine.shape.board import need_classes
from scheduling.engine.shape.runs import WAS_OFF, WAS_ON, shortest_runs

_INF = float("inf")
_HELD_KWH = 1e-5
_NO_RUN_BELOW = 0.02
"""Share of full power that a vehicle without a minimum has at least in every step of a run."""
_EPS = 1e-9


def full_milp(problem: Problem, time_limit_s: float) -> FloatArray | None:
    """The optimal plan, kW, (n_ev, steps), in the strict order; None if the time was too short to prove it.

    Sun and battery behind the meter are not in it. Meant for small depots: 25 vehicles x 96 steps take about a second.
    """
    every = np.arange(len(problem.evs))
    unlimited = np.full(problem.horizon.steps, _INF)
    programme = SemiContinuous(problem, problem.zeros(), every, unlimited, gap=1e-5)
    plan, proven = programme.best(np.full(programme.classes, _INF), time_limit_s)
    return plan if proven else None


class SemiContinuous:
    """The programme of some vehicles (`group`) beside the plan of the others; the site's load stays below `highest`."""

    def __init__(
        self, problem: Problem, power: FloatArray, group: IntArray, highest: FloatArray, *, gap: float
    ) -> None:
        self._problem, self._power, self._group = problem, power, group
        self._others = power.copy()
        self._others[group] = 0.0
        self._gap = gap
        self._draft = _Draft()
        chargeable = problem.most_power[group] > np.maximum(problem.min_power[group, None] - _EPS, _EPS)
        member, self._step = np.nonzero(chargeable & (problem.need_kwh[group] > 0)[:, None])
        self._ev = group[member]
        self._most = problem.most_power[self._ev, self._step]
        self._columns_of_power()
        self._served_by_class(member)
        self._limits(highest)
        self._shortest_runs(member)
        self._money = self._costs()

    @property
    def classes(self) -> int:
        """Number of classes of need."""
        return len(self._class_rows)

    def best(self, enough: FloatArray, time_limit_s: float) -> tuple[FloatArray, bool]:
        """The best plan found, kW, (n_ev, steps), and whether it is proven to be the optimum.

        `enough` (classes,): battery kWh of a class, served by the group, with which to be content.
        """
        until = perf_counter() + time_limit_s
        solver = self._draft.solver(self._gap)
        self._begin_with = self._on_values()
        values = self._serving(solver, enough, until) if np.isfinite(enough).all() else None
        if values is None:
            values, proven = self._most_by_class(solver, enough, until)
            if not proven:
                return self._plan(values), False
        values, proven = self._solved(solver, self._money, until, values)
        return self._plan(values), proven

    def _serving(self, solver: Any, enough: FloatArray, until: float) -> FloatArray | None:
        """Any plan that serves enough in every class; None if there is none or it takes too long.

        The question whether is answered several times as fast as the question how much.
        """
        rows, unlimited = self._class_rows.astype(np.int32), np.full(self.classes, _INF)
        solver.changeRowsBounds(len(rows), rows, enough, unlimited)
        half = perf_counter() + 0.5 * (until - perf_counter())
        values, proven = self._solved(solver, np.zeros(self._draft.width), half, None)
        if not proven:
            solver.changeRowsBounds(len(rows), rows, -unlimited, unlimited)
        return values if proven else None

    def _most_by_class(self, solver: Any, enough: FloatArray, until: float) -> tuple[FloatArray | None, bool]:
        """The most served energy, class by class, each held for the next; the values, and whether all are proven."""
        served = self.served_in(self._power)
        values: FloatArray | None = None
        reached = True  # where a class gets less than enough, the ones behind it may get more
        for rank, row in enumerate(self._class_rows):
            wanted = min(enough[rank] if reached else _INF, self._most_served[rank] - _HELD_KWH)
            if served[rank] < wanted:
                values, proven = self._solved(solver, -self._class_costs(rank), until, values)
                if not proven or values is None:
                    return values, False
                served = np.array([weights @ values for weights in self._class_weights])
            reached = reached and bool(served[rank] >= enough[rank])
            solver.changeRowBounds(int(row), float(served[rank] - _HELD_KWH), _INF)
        return values, True

    def _solved(
        self, solver: Any, costs: FloatArray, until: float, before: FloatArray | None
    ) -> tuple[FloatArray | None, bool]:
        """Values at the least costs, or the best that the time allows, and whether they are proven."""
        import highspy

        left = until - perf_counter()
        if left <= 0.0:
            return before, False
        solver.setOptionValue("time_limit", float(solver.getRunTime() + left))
        columns = np.arange(len(costs), dtype=np.int32)
        solver.changeColsCost(len(costs), columns, costs)
        # A change of costs makes HiGHS forget where to begin.
        solver.setSolution(len(self._on), self._on.astype(np.int32), self._begin_with)
        solver.run()
        proven = solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
        if solver.getInfo().primal_solution_status != int(highspy.SolutionStatus.kSolutionStatusFeasible):
            return before, False
        values = np.array(solver.getSolution().col_value)
        self._begin_with = np.round(values[self._on])
        return values, proven

    def _plan(self, values: FloatArray | None) -> FloatArray:
        """The plan of everybody, kW, (n_ev, steps), tidied to what the vehicles can do exactly."""
        if values is None:
            return self._power
        plan = self._others.copy()
        drawn = np.clip(values[self._p], 0.0, self._most)
        least = self._problem.min_power[self._ev]
        on = drawn > np.maximum(0.5 * least, 1e-6)
        plan[self._ev, self._step] = np.where(on, np.maximum(drawn, least), 0.0)
        return plan

    def _columns_of_power(self) -> None:
        draft, problem, ev = self._draft, self._problem, self._ev
        least = problem.min_power[ev]
        self._p = draft.columns(np.zeros(len(ev)), self._most)
        runs_on, runs_off, _ = shortest_runs(problem)
        switched = np.flatnonzero((least > 0) | (runs_on[ev] > 0) | (runs_off[ev] > 0))
        self._on = draft.columns(np.zeros(len(switched)), np.ones(len(switched)), whole=True)
        self._on_of = np.full(len(ev), -1)
        self._on_of[switched] = self._on
        self._switched = switched
        floor = np.maximum(least[switched], _NO_RUN_BELOW * self._most[switched] * (least[switched] <= 0))
        rows = draft.rows(np.full(len(switched), -_INF), np.zeros(len(switched)))
        draft.put(rows, self._p[switched], 1.0)
        draft.put(rows, self._on, -self._most[switched])
        rows = draft.rows(np.zeros(len(switched)), np.full(len(switched), _INF))
        draft.put(rows, self._p[switched], 1.0)
        draft.put(rows, self._on, -floor)
        # What rows count of a power with a fallback: a column that is at least the excess.
        self._counted = self._p.copy()
        passed = np.flatnonzero(problem.free_power[ev] > 0)
        self._counted[passed] = draft.columns(np.zeros(len(passed)), self._most[passed])
        rows = draft.rows(np.full(len(passed), -_INF), problem.free_power[ev[passed]])
        draft.put(rows, self._p[passed], 1.0)
        draft.put(rows, self._counted[passed], -1.0)

    def _served_by_class(self, member: IntArray) -> None:
        draft, problem, group = self._draft, self._problem, self._group
        first = draft.columns(np.zeros(len(group)), problem.minimum_kwh[group])
        rest = draft.columns(np.zeros(len(group)), problem.need_kwh[group] - problem.minimum_kwh[group])
        balance = draft.rows(np.zeros(len(group)), np.zeros(len(group)))
        draft.put(balance, first, -1.0)
        draft.put(balance, rest, -1.0)
        draft.put(balance[member], self._p, problem.hours[self._step])
        minimum_class, desired_class = need_classes(problem)
        count = int(desired_class.max(initial=0)) + 1
        self._class_rows = draft.rows(np.full(count, -_INF), np.full(count, _INF))
        efficiency = problem.efficiency[group]
        self._parts = [(first, minimum_class[group], efficiency), (rest, desired_class[group], efficiency)]
        for columns, ranks, weight in self._parts:
            draft.put(self._class_rows[ranks], columns, weight)
        self._most_served = np.zeros(count)
        np.add.at(self._most_served, minimum_class[group], problem.minimum_kwh[group] * efficiency)
        desired = (problem.need_kwh - problem.minimum_kwh)[group] * efficiency
        np.add.at(self._most_served, desired_class[group], desired)

    @property
    def _class_weights(self) -> list[FloatArray]:
        return [self._class_costs(rank) for rank in range(self.classes)]

    def _class_costs(self, rank: int) -> FloatArray:
        costs = np.zeros(self._draft.width)
        for columns, ranks, weight in self._parts:
            costs[columns[ranks == rank]] = weight[ranks == rank]
        return costs

    def served_in(self, power: FloatArray) -> FloatArray:
        """Battery kWh of the group by class in a plan."""
        problem, group = self._problem, self._group
        energy = problem.energy(power)[group]
        first = np.minimum(energy, problem.minimum_kwh[group])
        served = np.zeros(self.classes)
        for kwh, (_, ranks, efficiency) in zip((first, energy - first), self._parts, strict=True):
            np.add.at(served, ranks, kwh * efficiency)
        return served

    def _limits(self, highest: FloatArray) -> None:
        """The tree's rows and the site's highest load, less what the other vehicles take."""
        problem = self._problem
        coefficients, limits = problem.rows.coefficients, problem.rows.limits
        room = np.maximum(limits - coefficients @ problem.excess_power(self._others), 0.0)
        counted = np.maximum(self._most - problem.free_power[self._ev], 0.0)
        for row, limit in zip(coefficients, room, strict=True):
            mine = np.flatnonzero(row[self._ev] > 0)
            weight = row[self._ev[mine]]
            busiest = np.bincount(self._step[mine], weights=weight * counted[mine], minlength=len(limit))
            self._per_step(busiest > limit, limit, mine, self._counted[mine], weight)
        above = highest - self._others.sum(axis=0)
        every = np.arange(len(self._p))
        draw = np.bincount(self._step, weights=self._most, minlength=len(above))
        self._per_step(draw > above, above, every, self._p, np.ones(len(every)))

    def _per_step(
        self, used: Any, limit: FloatArray, mine: IntArray, columns: IntArray, weight: FloatArray, slack: int = -1
    ) -> None:
        """One row for each used step: weighted columns of `mine`, less `slack` if given, stay below the limit."""
        number = np.full(len(limit), -1)
        number[used] = self._draft.rows(np.full(int(used.sum()), -_INF), limit[used])
        kept = used[self._step[mine]]
        self._draft.put(number[self._step[mine[kept]]], columns[kept], weight[kept])
        if slack >= 0:
            self._draft.put(number[used], np.full(int(used.sum()), slack), -1.0)

    def _shortest_runs(self, member: IntArray) -> None:
        """After a start the vehicle stays on, after a stop it stays off, each for its shortest time."""
        problem = self._problem
        shortest_on, shortest_off, before = shortest_runs(problem)
        borders = problem.horizon.border_seconds / 3600.0
        for k, i in enumerate(self._group):
            mine = np.flatnonzero((member == k) & (self._on_of >= 0))
            if not len(mine) or (shortest_on[i] <= 0 and shortest_off[i] <= 0):
                continue
            on = {int(self._step[m]): int(self._on_of[m]) for m in mine}
            for t in range(int(problem.first_step[i]), int(problem.last_step[i])):
                known = t > 0 or before[i] in (WAS_OFF, WAS_ON)
                was = 1.0 if t == 0 and before[i] == WAS_ON else 0.0
                for u in range(t + 1, int(problem.last_step[i])):
                    since = borders[u] - borders[t]
                    # start in t: on[t] - on[t - 1] <= on[u]; stop in t: on[t - 1] - on[t] <= 1 - on[u]
                    if known and since < shortest_on[i] - _EPS:
                        self._chain(on, ((t, 1.0), (t - 1, -1.0), (u, -1.0)), was)
                    if known and since < shortest_off[i] - _EPS and (t > int(problem.first_step[i]) or was):
                        self._chain(on, ((t - 1, 1.0), (t, -1.0), (u, 1.0)), 1.0 - was)
                stays = borders[int(problem.last_step[i])] - borders[t]
                leaves = problem.last_step[i] < problem.horizon.steps
                if known and leaves and stays < shortest_on[i] - _EPS:
                    self._chain(on, ((t, 1.0), (t - 1, -1.0)), was)

    def _chain(self, on: dict[int, int], terms: tuple[tuple[int, float], ...], upper: float) -> None:
        row = self._draft.rows(np.array([-_INF]), np.array([upper]))
        for step, value in terms:
            if step in on:
                self._draft.put(row, np.array([on[step]]), value)

    def _costs(self) -> FloatArray:
        """Money by column: energy, peaks above what is paid for, energy above soft limits."""
        problem, draft = self._problem, self._draft
        money = [(self._p, problem.hours[self._step] * problem.steering_price[self._step])]
        every, steps = np.arange(len(self._p)), problem.horizon.steps
        others = self._others.sum(axis=0)
        building = np.zeros(steps) if problem.site.building_kw is None else problem.site.building_kw
        for charge in problem.site.demand_charges:
            peak = draft.columns(np.zeros(1), np.array([_INF]))
            money.append((peak, np.array([charge.price_per_kw])))
            counts = np.ones(steps, dtype=np.bool_) if charge.steps is None else charge.steps
            room = charge.peak_so_far_kw - building - others
            self._per_step(counts, room, every, self._p, np.ones(len(every)), int(peak[0]))
        for node, members in problem.soft_nodes:
            assert node.soft_limit_kw is not None
            below = problem.excess_power(self._others[members], members).sum(axis=0)
            over = draft.columns(np.zeros(steps), np.full(steps, _INF))
            money.append((over, node.soft_price_per_kwh * problem.hours))
            mine = np.flatnonzero(np.isin(self._ev, members))
            row = draft.rows(np.full(steps, -_INF), node.soft_limit_kw - node.reserved_kw - below)
            draft.put(row[self._step[mine]], self._counted[mine], 1.0)
            draft.put(row, over, -1.0)
        costs = np.zeros(draft.width)
        for columns, price in money:
            costs[columns] = price
        return costs

    def _on_values(self) -> FloatArray:
        charging: FloatArray = (self._power[self._ev, self._step] > 0)[self._switched].astype(np.float64)
        return charging


class _Draft:
    """Columns and rows as they come, until HiGHS takes them."""

    def __init__(self) -> None:
        self.width = self.height = 0
        self._lower: list[FloatArray] = []
        self._upper: list[FloatArray] = []
        self._whole: list[FloatArray] = []
        self._row_lower: list[FloatArray] = []
        self._row_upper: list[FloatArray] = []
        self._entries: list[tuple[IntArray, IntArray, FloatArray]] = []

    def columns(self, lower: FloatArray, upper: FloatArray, *, whole: bool = False) -> IntArray:
        """Numbers of new columns."""
        self._lower.append(lower)
        self._upper.append(upper)
        self._whole.append(np.full(len(lower), float(whole)))
        self.width += len(lower)
        return np.arange(self.width - len(lower), self.width)

    def rows(self, lower: FloatArray, upper: FloatArray) -> IntArray:
        """Numbers of new rows."""
        self._row_lower.append(lower)
        self._row_upper.append(upper)
        self.height += len(lower)
        return np.arange(self.height - len(lower), self.height)

    def put(self, rows: IntArray, columns: IntArray, values: FloatArray | float) -> None:
        """Coefficients, one for each pair of row and column."""
        self._entries.append((rows, columns, np.broadcast_to(np.asarray(values, dtype=np.float64), rows.shape)))

    def solver(self, gap: float) -> Any:
        """HiGHS with the programme in it."""
        import highspy

        rows, columns, values = (np.concatenate(parts) for parts in zip(*self._entries, strict=True))
        order = np.lexsort((rows, columns))
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self.width, self.height
        lp.col_cost_ = np.zeros(self.width)
        lp.col_lower_, lp.col_upper_ = np.concatenate(self._lower), np.concatenate(self._upper)
        lp.row_lower_, lp.row_upper_ = np.concatenate(self._row_lower), np.concatenate(self._row_upper)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_ = np.searchsorted(columns[order], np.arange(self.width + 1)).astype(np.int32)
        lp.a_matrix_.index_ = rows[order].astype(np.int32)
        lp.a_matrix_.value_ = values[order]
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        lp.integrality_ = [kinds[int(whole)] for whole in np.concatenate(self._whole)]
        solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, value in (("output_flag", False), ("threads", 1), ("mip_rel_gap", gap), ("random_seed", 0)):
            solver.setOptionValue(option, value)
        solver.passModel(lp)
        return solver
