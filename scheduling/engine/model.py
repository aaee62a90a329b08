"""The planning problem as one weighted linear or mixed-integer programme in sparse arrays, whatever solves it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduling.engine.arrays import BoolArray, FloatArray, IntArray
from scheduling.engine.problem import Problem

SLACK_PRICE = 1000.0
"""Money per kWh unmet in the lowest class: far above any energy price."""
_MOST_SLACK_PRICE = 1e6
_DEARER_THAN_ENERGY = 10.0
_LAXITY_SHARE = 0.02
_TIE_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class LinearModel:
    """min cost @ x, 0 <= x <= upper, rows (CSR) == or <= right-hand side; the first `equal_rows` rows are equations.

    Columns: first power (kW) by vehicle and step, split into the part up to the fallback and the part the nodes count,
    then the energy in the battery after each step (kWh gained) and what is unmet (kWh in the battery, minimum part and
    desired rest), then peaks above what is paid for, energy above soft limits, and whether a vehicle charges (0 or 1).
    """

    problem: Problem
    cost: FloatArray  # (n_cols,)
    upper: FloatArray  # (n_cols,)
    whole: BoolArray  # (n_cols,) columns that must be 0 or 1
    column_ev: IntArray  # (n_power_cols,)
    column_step: IntArray  # (n_power_cols,)
    on_ev: IntArray  # (n_whole,) vehicle and step of the 0/1 columns, in their order
    on_step: IntArray  # (n_whole,)
    row_start: IntArray  # (n_rows + 1,)
    row_column: IntArray  # (n_entries,)
    row_value: FloatArray  # (n_entries,)
    right: FloatArray  # (n_rows,)
    equal_rows: int

    @property
    def row_names(self) -> list[str]:
        """Unique names, equations first."""
        limits = len(self.right) - self.equal_rows
        return [f"e{k:07d}" for k in range(self.equal_rows)] + [f"l{k:07d}" for k in range(limits)]

    def power_of(self, values: FloatArray) -> FloatArray:
        """Power per EV and step, kW, shape (n_ev, steps), from the values of all columns."""
        power = self.problem.zeros()
        np.add.at(power, (self.column_ev, self.column_step), values[: len(self.column_ev)])
        return power

    def switched_on(self, power: FloatArray) -> FloatArray:
        """Values of the 0/1 columns in a plan, kW, shape (n_ev, steps)."""
        return (power[self.on_ev, self.on_step] > 0.0).astype(np.float64)


class _Draft:
    """Columns and rows as they are added, numbered in that order."""

    def __init__(self) -> None:
        self._cost: list[FloatArray] = []
        self._upper: list[FloatArray] = []
        self._entries: list[tuple[IntArray, IntArray, FloatArray]] = []
        self._right: list[FloatArray] = []
        self._equal: list[BoolArray] = []
        self.columns = self.rows = 0

    def add_columns(self, cost: FloatArray, upper: FloatArray) -> IntArray:
        """Numbers of new columns with these costs and upper bounds."""
        numbers = self.columns + np.arange(len(upper))
        self._cost.append(np.broadcast_to(cost, upper.shape))
        self._upper.append(upper)
        self.columns += len(upper)
        return numbers

    def add_rows(self, right: FloatArray, *, equal: bool = False) -> IntArray:
        """Numbers of new rows with these right-hand sides."""
        numbers = self.rows + np.arange(len(right))
        self._right.append(right)
        self._equal.append(np.full(len(right), equal))
        self.rows += len(right)
        return numbers

    def put(self, row: IntArray, column: IntArray, value: FloatArray | float) -> None:
        """Coefficients of rows and columns (both of one length)."""
        self._entries.append((row, column, np.broadcast_to(np.asarray(value, dtype=np.float64), row.shape)))

    def finished(
        self, problem: Problem, of_power: tuple[IntArray, IntArray], of_on: tuple[IntArray, IntArray]
    ) -> LinearModel:
        """The model: the 0/1 columns were added last."""
        equal = np.concatenate(self._equal)
        place = np.empty(self.rows, dtype=np.int64)
        place[np.argsort(~equal, kind="stable")] = np.arange(self.rows)  # equations first
        right = np.empty(self.rows)
        right[place] = np.concatenate(self._right)
        row = place[np.concatenate([row for row, _, _ in self._entries])]
        order = np.argsort(row, kind="stable")
        return LinearModel(
            problem=problem,
            cost=np.concatenate(self._cost),
            upper=np.concatenate(self._upper),
            whole=np.arange(self.columns) >= self.columns - len(of_on[0]),
            column_ev=of_power[0],
            column_step=of_power[1],
            on_ev=of_on[0],
            on_step=of_on[1],
            row_start=np.searchsorted(row[order], np.arange(self.rows + 1)),
            row_column=np.concatenate([column for _, column, _ in self._entries])[order],
            row_value=np.concatenate([value for _, _, value in self._entries])[order],
            right=right,
            equal_rows=int(equal.sum()),
        )


def linear_model(problem: Problem, *, minimum_power: bool = False) -> LinearModel:
    """Unmet energy first (priced by class), then money, then earliness, within windows, limits and maxima.

    With `minimum_power` every power is 0 or at least its minimum, by 0/1 columns. Sun, battery and giving back are not
    in it: the battery rests and all sun is taken.
    """
    draft = _Draft()
    ev, step, counted, upper = _power_columns(problem, exact=minimum_power)
    price = problem.hours[step] * (problem.steering_price[step] + _tie_break(problem)[ev, step])
    power = draft.add_columns(price, upper)
    _add_state_of_energy(draft, problem, ev, step, power)
    counting = _add_limits(draft, problem, ev, step, counted, upper)
    _add_demand_charges(draft, problem, step, power)
    counting += _add_soft_limits(draft, problem, ev, step, counted, power)
    none = np.zeros(0, dtype=np.int64)
    on = _add_minimum_power(draft, problem, ev, step, power, counting) if minimum_power else (none, none)
    return draft.finished(problem, (ev, step), on)


_Counting = list[tuple[FloatArray, IntArray]]
"""Rows that count power: the weight of each vehicle (n_ev,), and the row of each step, -1 where there is none."""


def low_fallbacks(problem: Problem) -> BoolArray:
    """Vehicles with a fallback below their minimum power, shape (n_ev,)."""
    low: BoolArray = (problem.free_power > 0) & (problem.free_power < problem.min_power - 1e-9)
    return low


def _power_columns(problem: Problem, *, exact: bool) -> tuple[IntArray, IntArray, FloatArray, FloatArray]:
    """Vehicle, step, share that nodes count, and upper bound of every power column.

    Up to its fallback a vehicle is free of the nodes: a column of its own. A fallback below the minimum cannot be used
    alone: there the whole power counts, and the 0/1 column takes the fallback off (`exact`), or it counts by the share
    it has at full power, which is never less than the true one.
    """
    ev, step = np.nonzero((problem.most_power > 0) & (problem.need_kwh > 0)[:, None])
    most = problem.most_power[ev, step]
    free = np.minimum(problem.free_power[ev], most)
    usable = np.where(low_fallbacks(problem)[ev], 0.0, free)
    share = np.where((usable > 0) | exact, 1.0, 1.0 - free / most)
    parts = [(usable > 0, np.zeros_like(share), usable), (most > usable, share, most - usable)]
    columns = [(ev[some], step[some], counts[some], bound[some]) for some, counts, bound in parts]
    all_ev, all_step, counted, upper = (np.concatenate(arrays) for arrays in zip(*columns, strict=True))
    order = np.lexsort((counted, all_step, all_ev))
    return all_ev[order], all_step[order], counted[order], upper[order]


def _visits(ev: IntArray, step: IntArray) -> tuple[IntArray, BoolArray]:
    """For each power column the number of its (vehicle, step) pair, and where such a pair begins."""
    begins = np.ones(len(ev), dtype=np.bool_)
    begins[1:] = (ev[1:] != ev[:-1]) | (step[1:] != step[:-1])
    return np.cumsum(begins) - 1, begins


def _add_state_of_energy(draft: _Draft, problem: Problem, ev: IntArray, step: IntArray, power: IntArray) -> None:
    """after[t] - after[t - 1] = efficiency * hours * power; after the last step, what is unmet fills up to the need."""
    need = problem.need_kwh * problem.efficiency
    minimum = problem.minimum_kwh * problem.efficiency
    pair, begins = _visits(ev, step)
    owner = ev[begins]
    after = draft.add_columns(np.zeros(1), need[owner])
    row = draft.add_rows(np.zeros(len(owner)), equal=True)
    draft.put(row, after, 1.0)
    same = np.flatnonzero(owner[1:] == owner[:-1]) + 1
    draft.put(row[same], after[same - 1], -1.0)
    draft.put(row[pair], power, -problem.efficiency[ev] * problem.hours[step])
    prices = unmet_prices(problem)
    unmet = [draft.add_columns(price, kwh) for price, kwh in zip(prices, (minimum, need - minimum), strict=True)]
    balance = draft.add_rows(need, equal=True)
    for part in unmet:
        draft.put(balance, part, 1.0)
    last = np.flatnonzero(np.append(owner[1:] != owner[:-1], True)) if len(owner) else np.zeros(0, dtype=np.int64)
    draft.put(balance[owner[last]], after[last], 1.0)


def _add_limits(
    draft: _Draft, problem: Problem, ev: IntArray, step: IntArray, counted: FloatArray, upper: FloatArray
) -> _Counting:
    """The tree's rows; those that can never bind are left out."""
    rows, steps = problem.rows, problem.horizon.steps
    counting: _Counting = []
    columns = np.flatnonzero(counted)
    for coefficients, limit in zip(rows.coefficients, rows.limits, strict=True):
        mine = columns[coefficients[ev[columns]] > 0]
        value = coefficients[ev[mine]] * counted[mine]
        most = np.bincount(step[mine], weights=value * upper[mine], minlength=steps)
        binding = most > limit
        number = np.full(steps, -1, dtype=np.int64)
        number[binding] = draft.add_rows(limit[binding])
        kept = binding[step[mine]]
        draft.put(number[step[mine[kept]]], mine[kept], value[kept])
        counting.append((coefficients, number))
    return counting


def _add_demand_charges(draft: _Draft, problem: Problem, step: IntArray, power: IntArray) -> None:
    """One column per charge: by how much the site's load exceeds the peak that is paid for already."""
    site, steps = problem.site, problem.horizon.steps
    base = np.zeros(steps) if site.building_kw is None else site.building_kw
    if site.pv_kw is not None:
        base = base - site.pv_kw
    for charge in site.demand_charges:
        counts = np.ones(steps, dtype=np.bool_) if charge.steps is None else charge.steps
        peak = draft.add_columns(np.array([charge.price_per_kw]), np.array([np.inf]))
        number = np.zeros(steps, dtype=np.int64)
        number[counts] = draft.add_rows((charge.peak_so_far_kw - base)[counts])
        mine = counts[step]
        draft.put(number[step[mine]], power[mine], 1.0)
        draft.put(number[counts], np.full(int(counts.sum()), peak[0]), -1.0)


def _add_soft_limits(
    draft: _Draft, problem: Problem, ev: IntArray, step: IntArray, counted: FloatArray, power: IntArray
) -> _Counting:
    """One column per soft limit and step: kW above it, for money."""
    counting: _Counting = []
    for node, members in problem.soft_nodes:
        assert node.soft_limit_kw is not None
        over = draft.add_columns(node.soft_price_per_kwh * problem.hours, np.full(problem.horizon.steps, np.inf))
        row = draft.add_rows(node.soft_limit_kw - node.reserved_kw)
        mine = np.isin(ev, members) & (counted > 0)
        draft.put(row[step[mine]], power[mine], counted[mine])
        draft.put(row, over, -1.0)
        counting.append((np.isin(np.arange(len(problem.evs)), members).astype(np.float64), row))
    return counting


def _add_minimum_power(
    draft: _Draft, problem: Problem, ev: IntArray, step: IntArray, power: IntArray, counting: _Counting
) -> tuple[IntArray, IntArray]:
    """Minimum * on <= power <= most * on for whoever has a minimum; vehicle and step of the 0/1 columns.

    Nodes do not count a fallback below the minimum while its vehicle charges.
    """
    some = problem.min_power[ev] > 0
    pair, begins = _visits(ev[some], step[some])
    on_ev, on_step = ev[some][begins], step[some][begins]
    lowest = draft.add_rows(np.zeros(len(on_ev)))
    highest = draft.add_rows(np.zeros(len(on_ev)))
    draft.put(lowest[pair], power[some], -1.0)
    draft.put(highest[pair], power[some], 1.0)
    on = draft.add_columns(np.zeros(1), np.ones(len(on_ev)))
    draft.put(lowest, on, problem.min_power[on_ev])
    draft.put(highest, on, -problem.most_power[on_ev, on_step])
    fallback = np.where(low_fallbacks(problem), problem.free_power, 0.0)[on_ev]
    for weight, row in counting:
        some = (fallback > 0) & (weight[on_ev] > 0) & (row[on_step] >= 0)
        draft.put(row[on_step[some]], on[some], -(weight[on_ev] * fallback)[some])
    return on_ev, on_step


def unmet_prices(problem: Problem) -> FloatArray:
    """Money per kWh unmet in the battery, (2, n_ev): of the minimum need, and of the desired rest.

    By part and priority alone, and within a class by lack of laxity, those beyond help last: batteries of every size
    count alike (WB02).
    """
    if not problem.evs:
        return np.zeros((2, 0))
    classes, rank = np.unique(_classes(problem), return_inverse=True)
    ratio = min(10.0, (_MOST_SLACK_PRICE / SLACK_PRICE) ** (1.0 / max(len(classes) - 1, 1)))
    laxity = np.where(problem.laxity_hours < -1e-9, np.inf, problem.laxity_hours)
    urgency = 1.0 - np.searchsorted(np.unique(laxity), laxity) / len(problem.evs)
    steps_up = ratio ** rank.reshape(2, -1).astype(np.float64)
    price: FloatArray = _least_slack_price(problem) * steps_up * (1.0 + _LAXITY_SHARE * urgency)
    return price


def slack_prices(problem: Problem) -> FloatArray:
    """`unmet_prices` of the minimum needs, shape (n_ev,)."""
    price: FloatArray = unmet_prices(problem)[0]
    return price


def _classes(problem: Problem) -> IntArray:
    """Rank of every part of a need, higher first, (2, n_ev); a part of nothing shares the class of the other one."""
    minimum, desired = problem.minimum_kwh > 0, problem.need_kwh - problem.minimum_kwh > 1e-9
    span = int(np.ptp(problem.priority)) + 1
    lowest = problem.priority - problem.priority.min()
    first = lowest + np.where(minimum | ~desired, span, 0)
    second = lowest + np.where(desired, 0, span)
    return np.array([first, second])


def _least_slack_price(problem: Problem) -> float:
    """Above ten times what a kWh can cost in energy, peaks and soft limits together, and its losses."""
    dearest = float(np.abs(problem.steering_price).max())
    dearest += sum(charge.price_per_kw for charge in problem.site.demand_charges) / float(problem.hours.min())
    dearest += sum(node.soft_price_per_kwh for node, _ in problem.soft_nodes)
    return max(SLACK_PRICE, _DEARER_THAN_ENERGY * dearest / float(problem.efficiency.min()))


def worth_of(problem: Problem, power: FloatArray) -> float:
    """What the model minimises, less its preference for early steps: unmet energy at its prices, and money."""
    delivered = problem.energy(power)
    missing = np.array(
        [
            np.maximum(problem.minimum_kwh - delivered, 0.0),
            np.clip(problem.need_kwh - delivered, 0.0, problem.need_kwh - problem.minimum_kwh),
        ]
    )
    unmet = float((unmet_prices(problem) * missing * problem.efficiency).sum())
    return unmet + problem.money(power).steering


def _tie_break(problem: Problem) -> FloatArray:
    """Money per kWh, (n_ev, steps), below a quarter of the least price difference: early, and as the plan in force."""
    prices = np.unique(np.round(problem.steering_price, 9))
    gap = min(float(np.diff(prices).min(initial=np.inf)), 0.01)
    steps = problem.horizon.steps
    late = np.broadcast_to(np.arange(steps, dtype=np.float64), problem.shape).copy()
    for i, ev in enumerate(problem.evs):
        if ev.in_force is not None and len(ev.in_force) == steps:
            late[i] += 0.5 * (ev.in_force <= 0.0)
    return late * (_TIE_SHARE * gap / (steps + 1))
