"""The planning problem as a linear programme in sparse arrays, independent of any solver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduling.engine.arrays import FloatArray, IntArray
from scheduling.engine.problem import Problem

SLACK_PRICE = 1000.0
"""Money per kWh unmet in the lowest priority: far above any energy price."""
_MOST_SLACK_PRICE = 1e6
_LAXITY_SHARE = 0.02
_TIE_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class LinearModel:
    """min cost @ x, 0 <= x <= upper, rows (CSR) == or <= right-hand side.

    Columns: first power (kW) by vehicle and step, split into the part up to the fallback and the part the nodes count,
    then one slack (kWh) per vehicle. Rows: first one energy balance per vehicle (==), then the limits (<=).
    """

    problem: Problem
    cost: FloatArray  # (n_cols,)
    upper: FloatArray  # (n_cols,)
    column_ev: IntArray  # (n_power_cols,)
    column_step: IntArray  # (n_power_cols,)
    row_start: IntArray  # (n_rows + 1,)
    row_column: IntArray  # (n_entries,)
    row_value: FloatArray  # (n_entries,)
    right: FloatArray  # (n_rows,)
    equal_rows: int

    @property
    def row_names(self) -> list[str]:
        """Unique names, energy balances first."""
        limits = len(self.right) - self.equal_rows
        return [f"e{k:07d}" for k in range(self.equal_rows)] + [f"l{k:07d}" for k in range(limits)]

    def power_of(self, values: FloatArray) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps), from the values of all columns."""
        power = self.problem.zeros()
        np.add.at(power, (self.column_ev, self.column_step), values[: len(self.column_ev)])
        return power


def linear_model(problem: Problem) -> LinearModel:
    """Deadlines first (slack priced by priority), then money, then earliness, within windows, limits and maxima."""
    n_ev, _ = problem.shape
    ev, step, counted, upper = _power_columns(problem)
    n_power = len(ev)
    slack = n_power + np.arange(n_ev)
    cost = np.concatenate(
        [
            problem.hours[step] * (problem.price_per_kwh[step] + _tie_break(problem)[ev, step]),
            slack_prices(problem),
        ]
    )
    balance_row = np.concatenate([ev, np.arange(n_ev)])
    balance_column = np.concatenate([np.arange(n_power), slack])
    balance_value = np.concatenate([problem.hours[step], np.ones(n_ev)])
    limit_row, limit_column, limit_value, limits = _limit_rows(problem, ev, step, counted, upper)
    row = np.concatenate([balance_row, n_ev + limit_row])
    order = np.argsort(row, kind="stable")
    n_rows = n_ev + len(limits)
    return LinearModel(
        problem=problem,
        cost=cost,
        upper=np.concatenate([upper, problem.need_kwh]),
        column_ev=ev,
        column_step=step,
        row_start=np.searchsorted(row[order], np.arange(n_rows + 1)),
        row_column=np.concatenate([balance_column, limit_column])[order],
        row_value=np.concatenate([balance_value, limit_value])[order],
        right=np.concatenate([problem.need_kwh, limits]),
        equal_rows=n_ev,
    )


def _power_columns(problem: Problem) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Vehicle, step, share that nodes count, and upper bound of every power column.

    Up to its fallback a vehicle is free of the nodes: a column of its own. A fallback below the minimum cannot be used
    alone, so there the whole power counts by the share it has at full power, which is never less than the true one.
    """
    ev, step = np.nonzero(problem.present & (problem.need_kwh > 0)[:, None] & (problem.max_power > 0)[:, None])
    most = problem.max_power[ev]
    free = np.minimum(problem.free_power, problem.max_power)[ev]
    usable = np.where(free < problem.min_power[ev] - 1e-9, 0.0, free)
    share = np.where(usable > 0, 1.0, 1.0 - free / most)
    parts = [(usable > 0, np.zeros_like(share), usable), (most > usable, share, most - usable)]
    columns = [(ev[some], step[some], counts[some], bound[some]) for some, counts, bound in parts]
    all_ev, all_step, counted, upper = (np.concatenate(arrays) for arrays in zip(*columns, strict=True))
    order = np.lexsort((counted, all_step, all_ev))
    return all_ev[order], all_step[order], counted[order], upper[order]


def _limit_rows(
    problem: Problem, ev: IntArray, step: IntArray, counted: FloatArray, upper: FloatArray
) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Row, column and value of every entry and the limits; rows that can never bind are left out."""
    rows, steps = problem.rows, problem.horizon.steps
    columns = np.flatnonzero(counted)
    row_of: list[IntArray] = []
    column_of: list[IntArray] = []
    value_of: list[FloatArray] = []
    limits: list[FloatArray] = []
    n_rows = 0
    for coefficients, limit in zip(rows.coefficients, rows.limits, strict=True):
        mine = columns[coefficients[ev[columns]] > 0]
        value = coefficients[ev[mine]] * counted[mine]
        most = np.bincount(step[mine], weights=value * upper[mine], minlength=steps)
        binding = most > limit
        number = np.cumsum(binding) - 1 + n_rows
        kept = binding[step[mine]]
        row_of.append(number[step[mine[kept]]])
        column_of.append(mine[kept])
        value_of.append(value[kept])
        limits.append(limit[binding])
        n_rows += int(binding.sum())
    if not limits:
        none = np.zeros(0, dtype=np.int64)
        return none, none, np.zeros(0), np.zeros(0)
    return np.concatenate(row_of), np.concatenate(column_of), np.concatenate(value_of), np.concatenate(limits)


def slack_prices(problem: Problem) -> FloatArray:
    """Money per kWh unmet, (n_ev,): by priority, and within a class by lack of laxity, those beyond help last."""
    if not problem.evs:
        return np.zeros(0)
    classes, rank = np.unique(problem.priority, return_inverse=True)
    ratio = min(10.0, (_MOST_SLACK_PRICE / SLACK_PRICE) ** (1.0 / max(len(classes) - 1, 1)))
    scale = max(1.0, float(np.abs(problem.price_per_kwh).max()) * 10.0 / SLACK_PRICE)
    laxity = np.where(problem.laxity_hours < -1e-9, np.inf, problem.laxity_hours)
    urgency = 1.0 - np.searchsorted(np.unique(laxity), laxity) / len(problem.evs)
    price: FloatArray = SLACK_PRICE * scale * ratio**rank * (1.0 + _LAXITY_SHARE * urgency)
    return price


def _tie_break(problem: Problem) -> FloatArray:
    """Money per kWh, (n_ev, steps), below a quarter of the least price difference: early, and as the plan in force."""
    prices = np.unique(np.round(problem.price_per_kwh, 9))
    gap = min(float(np.diff(prices).min(initial=np.inf)), 0.01)
    steps = problem.horizon.steps
    late = np.broadcast_to(np.arange(steps, dtype=np.float64), problem.shape).copy()
    for i, ev in enumerate(problem.evs):
        if ev.in_force is not None and len(ev.in_force) == steps:
            late[i] += 0.5 * (ev.in_force <= 0.0)
    return late * (_TIE_SHARE * gap / (steps + 1))
