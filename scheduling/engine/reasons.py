"""Why each vehicle gets what it gets in each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from scheduling.engine.arrays import ENERGY_TOLERANCE_KWH, POWER_TOLERANCE_KW, BoolArray, FloatArray
from scheduling.engine.binding import Bound, bounds_of, widest_first
from scheduling.engine.problem import Problem
from scheduling.engine.site import Dispatch
from scheduling.engine.wording import Clock, utc_clock

Reason = Literal[
    "deadline",
    "cheap_price",
    "cheaper_later",
    "group_limit",
    "site_limit",
    "dr_event",
    "min_power",
    "waiting_turn",
    "full",
    "not_plugged",
    "fault",
    "override",
]
REASONS: tuple[Reason, ...] = get_args(Reason)
_CODE = {reason: code for code, reason in enumerate(REASONS)}
_NAMES_A_NODE = tuple(_CODE[r] for r in ("group_limit", "site_limit", "dr_event", "min_power", "waiting_turn"))
_EPS = 1e-12

Codes = NDArray[np.int8]
Causes = NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Why:
    """A reason per vehicle and step; iterating and indexing give rows of reason codes."""

    problem: Problem
    power: FloatArray  # (n_ev, steps) kW
    code: Codes  # (n_ev, steps) index into REASONS
    cause: Causes  # (n_ev, steps) index into bounds, -1: none
    bounds: list[Bound]

    @cached_property
    def codes(self) -> list[list[Reason]]:
        """Reason codes, n_ev lists of `steps`."""
        return [[REASONS[code] for code in row] for row in self.code.tolist()]

    @cached_property
    def node(self) -> list[list[str]]:
        """Name of the limiting node, empty where none limits, n_ev lists of `steps`."""
        names = [*(bound.node for bound in self.bounds), ""]
        return [[names[cause] for cause in row] for row in self.cause.tolist()]

    def sentence(self, ev: int, step: int, clock: Clock = utc_clock) -> str:
        """The reason of one vehicle (by row) in one step as a dispatcher would say it; `clock` words instants."""
        from scheduling.engine.telling import tell  # reads the plan with its reasons: stands above this room

        return tell(self, ev, step, clock)

    def __iter__(self) -> Iterator[list[Reason]]:
        return iter(self.codes)

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, ev: int) -> list[Reason]:
        return self.codes[ev]


def explain(problem: Problem, power: FloatArray, dispatch: Dispatch | None = None) -> Why:
    """Why the plan (kW, shape (n_ev, steps)) is as it is; codes of spec "Vehicle state and planning rules".

    A charging vehicle: below its maximum because a limit is full (site_limit, group_limit, dr_event; a soft limit or
    the peak paid for count as well), just at its minimum (min_power), in a step cheaper than others of its stay
    (cheap_price), or for its deadline. One that gives back does so for the price (cheap_price).
    A waiting one: served already (full), a cheaper step follows (cheaper_later), the limit carries no vehicle at all or
    less than its minimum (the limit's code, or min_power), a soft limit or peak is not worth exceeding (their code), or
    others are served first (waiting_turn).
    """
    code = np.full(problem.shape, _CODE["waiting_turn"], dtype=np.int8)
    cause = np.full(problem.shape, -1, dtype=np.int16)
    bounds = bounds_of(problem, power, dispatch)
    if not problem.evs:
        return Why(problem, power, code, cause, bounds)
    limit_code, binding = _limits(problem, bounds)
    np.copyto(cause, binding)
    _explain_waiting(problem, power, bounds, code, cause, limit_code)
    _explain_charging(problem, power, code, limit_code)
    _explain_absence(problem, code)
    cause[~np.isin(code, _NAMES_A_NODE)] = -1
    return Why(problem, power, code, cause, bounds)


def _explain_charging(problem: Problem, power: FloatArray, code: Codes, limit_code: Codes) -> None:
    price = problem.steering_price
    on = power > POWER_TOLERANCE_KW
    low, high = problem.min_power[:, None], problem.most_power
    below_top = on & (power < high - POWER_TOLERANCE_KW)
    at_minimum = below_top & (low > 0) & (power <= low + POWER_TOLERANCE_KW)
    dearest = np.where(problem.present, price, -np.inf).max(axis=1)[:, None]
    np.copyto(code, _CODE["deadline"], where=on)
    np.copyto(code, _CODE["cheap_price"], where=on & (price < dearest - _EPS))
    np.copyto(code, limit_code, where=below_top & (limit_code >= 0))
    np.copyto(code, _CODE["min_power"], where=at_minimum)
    np.copyto(code, _CODE["cheap_price"], where=power < -POWER_TOLERANCE_KW)


def _explain_waiting(
    problem: Problem, power: FloatArray, bounds: list[Bound], code: Codes, cause: Causes, limit_code: Codes
) -> None:
    priced = np.array([bound.kind != "hard" for bound in bounds] + [False])
    np.copyto(code, limit_code, where=priced[cause])
    np.copyto(code, _CODE["cheaper_later"], where=_cheaper_step_follows(problem, power))
    _explain_small_limits(problem, bounds, code, cause)
    for k, bound in enumerate(bounds):
        closed = np.flatnonzero(bound.limit_kw < POWER_TOLERANCE_KW) if bound.kind == "hard" else np.zeros(0, np.int64)
        if closed.size:
            here = np.ix_(bound.members, closed)
            code[here], cause[here] = _code_of(problem, bound)[closed], k
    np.copyto(code, _CODE["full"], where=_served_before(problem, power))


def _explain_absence(problem: Problem, code: Codes) -> None:
    np.copyto(code, _CODE["not_plugged"], where=~problem.present)
    for i in np.flatnonzero(problem.held):
        hold = problem.evs[i].hold
        assert hold
        code[i, problem.first_step[i] : problem.last_step[i]] = _CODE[hold]


def _limits(problem: Problem, bounds: list[Bound]) -> tuple[Codes, Causes]:
    """Code and number of the most telling full bound above each vehicle, -1 where there is none; both (n_ev, steps)."""
    code = np.full(problem.shape, -1, dtype=np.int8)
    cause = np.full(problem.shape, -1, dtype=np.int16)
    for k, bound in enumerate(bounds):
        steps = np.flatnonzero(bound.full)
        here = np.ix_(bound.members, steps)
        code[here], cause[here] = _code_of(problem, bound)[steps], k
    return code, cause


def _code_of(problem: Problem, bound: Bound) -> Codes:
    """Code of a bound per step."""
    plain = _CODE["site_limit" if bound.is_root else "group_limit"]
    event = problem.tree.by_name[bound.node].dr_event
    if event is None or bound.kind != "hard":
        return np.full(bound.full.shape, plain, dtype=np.int8)
    return np.where(event, _CODE["dr_event"], plain).astype(np.int8)


def _explain_small_limits(problem: Problem, bounds: list[Bound], code: Codes, cause: Causes) -> None:
    """Limits that would not carry a vehicle's minimum even if all others were off."""
    if not (problem.min_power > 0).any():
        return
    rows = problem.rows
    for row in widest_first(problem):
        weight = rows.coefficients[row]
        members = np.flatnonzero((weight > 0) & (problem.min_power > problem.free_power + POWER_TOLERANCE_KW))
        lacking = (problem.min_power - problem.free_power)[members] - POWER_TOLERANCE_KW
        needed = (lacking * weight[members])[:, None]
        if not members.size or needed.max() <= rows.limits[row].min():
            continue
        small = needed > rows.limits[row]
        at, step = np.nonzero(small)
        code[members[at], step] = _CODE["min_power"]
        cause[members[at], step] = _bound_for(bounds, problem, int(row), small.any(axis=0))


def _bound_for(bounds: list[Bound], problem: Problem, row: int, small: BoolArray) -> int:
    """The number of a new bound for a row that is too small in some steps."""
    rows = problem.rows
    members = np.flatnonzero(rows.coefficients[row] > 0)
    bounds.append(Bound("hard", rows.names[row], bool(rows.is_root[row]), members, rows.limits[row], small))
    return len(bounds) - 1


def _served_before(problem: Problem, power: FloatArray) -> BoolArray:
    """Where the whole need is delivered before the step begins."""
    energy = power * problem.hours
    before = np.cumsum(energy, axis=1) - energy
    result: BoolArray = before >= problem.need_kwh[:, None] - ENERGY_TOLERANCE_KWH
    return result


def _cheaper_step_follows(problem: Problem, power: FloatArray) -> BoolArray:
    """Where the vehicle charges in a later step that is cheaper, shape (n_ev, steps)."""
    used = np.where(power > POWER_TOLERANCE_KW, problem.steering_price, np.inf)
    from_here = np.minimum.accumulate(used[:, ::-1], axis=1)[:, ::-1]
    result = np.zeros(power.shape, dtype=np.bool_)
    result[:, :-1] = from_here[:, 1:] < problem.steering_price[:-1] - _EPS
    return result
