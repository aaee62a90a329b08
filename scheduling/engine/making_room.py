"""Serve who misses energy by moving others to times at which they can charge as well, in chains if need be."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from scheduling.engine.arrays import BoolArray, FloatArray, IntArray
from scheduling.engine.headroom import Headroom
from scheduling.engine.problem import Problem
from scheduling.engine.sharing import HARDLY_MISSING_KWH, missing_kwh

_EPS = 1e-9
_FULL_KW = 1e-7
_FREE = -1
_MOST_EFFORT = 100_000_000  # vehicles x steps looked at: some seconds
_FIRST_TRIED = 64
_MOST_FAILURES = 40


@dataclass(frozen=True)
class _Move:
    """`ev` begins to charge in `step`; to make room there, `after`'s vehicle had to leave it, if that is not None."""

    ev: int
    step: int
    after: _Move | None

    def chain(self) -> list[_Move]:
        """All moves from the first one to this."""
        return [*(self.after.chain() if self.after else ()), self]


def make_room(problem: Problem, headroom: Headroom, turns: IntArray) -> None:
    """Serve each vehicle of `turns` that misses energy; nobody else loses any.

    A chain of moves ends where there is room: a vehicle takes the place of a second one, which takes that of a third.
    The search is exact under one limit without minimum powers (an augmenting path of the maximum flow).
    """
    missing = missing_kwh(problem, headroom.power)
    chains = _Chains(problem, headroom)
    for ev in turns[missing[turns] > 0].tolist():
        failures = 0
        while missing[ev] > HARDLY_MISSING_KWH and failures < _MOST_FAILURES and chains.effort < _MOST_EFFORT:
            chain = chains.shortest(ev)
            if not chain:
                break
            moved = chains.carry_out(chain, float(missing[ev]))
            missing[ev] -= moved
            failures = 0 if moved > 0 else failures + 1


class _Chains:
    """Where vehicles could move, shape (n_ev, steps) each, kept up to date step by step."""

    def __init__(self, problem: Problem, headroom: Headroom) -> None:
        self.problem, self.headroom = problem, headroom
        self.effort = 0
        rows = problem.rows
        # Narrow nodes first: who leaves one makes room in all nodes above it too.
        self.order = np.argsort((rows.coefficients > 0).sum(axis=1), kind="stable")
        self.member: BoolArray = rows.coefficients[self.order] > 0
        self.blocked = np.full(problem.shape, _FREE, dtype=np.int64)
        """The narrowest full row above the vehicle."""
        self.gap_kwh = problem.zeros()
        """What the vehicle alone could charge more."""
        self.spare_kwh = problem.zeros()
        """What the nodes count of its energy."""
        self.dead = np.zeros((len(self.order), problem.horizon.steps), dtype=np.bool_)
        """Full rows and steps from which no chain leads into free room, shape (n_rows, steps)."""
        for step in range(problem.horizon.steps):
            self._look_at(step)

    def _look_at(self, step: int) -> None:
        problem, power, hours = self.problem, self.headroom.power[:, step], self.problem.hours[step]
        above = self.member & (self.headroom.room(step) <= _FULL_KW)[self.order, None]
        if len(above):
            self.blocked[:, step] = np.where(above.any(axis=0), above.argmax(axis=0), _FREE)
        self.gap_kwh[:, step] = _without_dust(problem.most_power[:, step] - power) * hours
        self.spare_kwh[:, step] = _without_dust(power - problem.free_power) * hours

    def shortest(self, ev: int) -> list[_Move]:
        """A chain with the fewest moves by which `ev` could charge more, `ev` first; empty: there is none."""
        seen = self.dead.copy()
        pending: deque[_Move] = deque()
        found = self._next_moves(np.array([ev]), None, seen)
        while True:
            if found and self.blocked[found[0].ev, found[0].step] == _FREE:
                return found[0].chain()
            pending.extend(found)
            if not pending:
                self.dead = seen  # what failed once is a closed set: no later move opens it
                return []
            move = pending.popleft()
            leaving = self.member[self.blocked[move.ev, move.step]] & (self.spare_kwh[:, move.step] > 0)
            leaving[move.ev] = False
            found = self._next_moves(np.flatnonzero(leaving), move, seen)

    def _next_moves(self, evs: IntArray, after: _Move | None, seen: BoolArray) -> list[_Move]:
        """The largest move into free room, else one for each step and full row that no earlier move has reached."""
        self.effort += evs.size * seen.shape[1]
        if after is not None:
            evs = evs[np.argsort(-self.spare_kwh[evs, after.step], kind="stable")]
        # Those with most to give first: mostly one of them finds room.
        for some in (evs[:_FIRST_TRIED], evs[_FIRST_TRIED:]):
            gap = self._gap(some, after)
            into_room = np.where(self.blocked[some] == _FREE, gap, 0.0)
            if into_room.any():
                best = int(into_room.argmax())
                return [_Move(int(some[best // gap.shape[1]]), best % gap.shape[1], after)]
        which, step = np.nonzero(self._gap(evs, after))
        row = self.blocked[evs[which], step]
        new = ~seen[row, step]
        which, step, row = which[new], step[new], row[new]
        seen[row, step] = True
        _, first = np.unique(row * seen.shape[1] + step, return_index=True)
        return [_Move(int(evs[which[k]]), int(step[k]), after) for k in first]

    def _gap(self, evs: IntArray, after: _Move | None) -> FloatArray:
        """What each could move into each step, kWh, shape (len(evs), steps): 0 in steps that the chain has touched."""
        gap = self.gap_kwh[evs]
        if after is not None:
            gap[:, [move.step for move in after.chain()]] = 0.0
            gap = np.minimum(gap, self.spare_kwh[evs, after.step][:, None])
        return gap

    def carry_out(self, chain: list[_Move], wanted: float) -> float:
        """Move up to `wanted` kWh along the chain; returns how much was possible, kWh."""
        pairs = list(zip(chain, [*chain[1:], None], strict=True))
        most = min([wanted, *(self._most_kwh(move, leaver) for move, leaver in pairs)])
        kwh = self._keeping_minima(pairs, most)
        if kwh <= HARDLY_MISSING_KWH * 1e-2:
            self.gap_kwh[chain[-1].ev, chain[-1].step] = 0.0  # no way, as long as this step stays as it is
            return 0.0
        hours, power = self.problem.hours, self.headroom.power
        for move, leaver in pairs:
            if leaver is not None:
                self._put(leaver.ev, move.step, power[leaver.ev, move.step] - kwh / hours[move.step])
            self._put(move.ev, move.step, power[move.ev, move.step] + kwh / hours[move.step])
        for move in chain:
            self._look_at(move.step)
        return kwh

    def _put(self, ev: int, step: int, power: float) -> None:
        self.headroom.put_step(step, np.array([ev]), np.array([power if power > _EPS else 0.0]))

    def _most_kwh(self, move: _Move, leaver: _Move | None) -> float:
        """Energy that a move can carry, kWh: what vehicle and nodes allow if the next mover leaves the step."""
        problem, step = self.problem, move.step
        net = problem.rows.coefficients[:, move.ev]
        most = float(self.gap_kwh[move.ev, step])
        if leaver is not None:
            net = net - problem.rows.coefficients[:, leaver.ev]
            most = min(most, float(self.spare_kwh[leaver.ev, step]))
        tight = net > _EPS
        room = self.headroom.room(step)[tight] / net[tight]
        return min(most, float(room.min(initial=np.inf)) * float(problem.hours[step]))

    def _keeping_minima(self, pairs: list[tuple[_Move, _Move | None]], most: float) -> float:
        """The largest amount up to `most` after which every power is 0 or at least its minimum, kWh; 0: none is."""
        power, least, hours = self.headroom.power, self.problem.min_power, self.problem.hours
        lowest, candidates = 0.0, {most}
        leaving: list[tuple[float, float]] = []
        for move, leaver in pairs:
            lowest = max(lowest, float((least[move.ev] - power[move.ev, move.step]) * hours[move.step]))
            if leaver is not None and least[leaver.ev] > _EPS:
                whole = float(power[leaver.ev, move.step] * hours[move.step])
                part = max(whole - float(least[leaver.ev] * hours[move.step]), 0.0)
                leaving.append((part, whole))
                candidates |= {part, whole}
        for kwh in sorted(candidates, reverse=True):
            stays_usable = all(kwh <= part + _EPS or abs(kwh - whole) <= _EPS for part, whole in leaving)
            if lowest - _EPS <= kwh <= most and stays_usable:
                return kwh
        return 0.0


def _without_dust(power: FloatArray) -> FloatArray:
    return np.where(power > _FULL_KW, power, 0.0)
