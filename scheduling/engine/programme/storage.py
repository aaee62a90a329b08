"""A battery as columns and rows: of the site, or of a vehicle that may give back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduling.engine.arrays import BoolArray, FloatArray, IntArray
from scheduling.engine.programme.matrix import Draft

_EPS_KW = 1e-7
_EPS_KWH = 1e-6


@dataclass(frozen=True, eq=False)
class Store:
    """Energy e inside: e[k + 1] = e[k] + hours x (efficiency x charge - discharge / efficiency), step by step."""

    row: int
    """Row of the vehicle; -1 for the site's battery."""
    steps: IntArray
    hours: FloatArray  # (len(steps),)
    charge: IntArray  # columns of charging power
    charge_at: IntArray  # position in `steps` of each of them
    discharge: IntArray  # column per step
    soe: IntArray  # column per step: energy inside at its end, kWh
    charge_kw: FloatArray  # (len(steps),) most charging power
    discharge_kw: float
    efficiency: float
    start_kwh: float
    least_kwh: float
    """Giving never goes below it; may be above what is held at the start."""
    most_kwh: float

    @staticmethod
    def added(
        draft: Draft,
        hours: FloatArray,
        *,
        steps: IntArray,
        charge: IntArray,
        charge_step: IntArray,
        charge_kw: FloatArray,
        discharge_kw: float,
        efficiency: float,
        start_kwh: float,
        least_kwh: float,
        most_kwh: float,
        row: int = -1,
    ) -> Store:
        """Put the columns of discharge and energy and their balance into the draft."""
        span = hours[steps]
        discharge = draft.columns(0.0, np.full(len(steps), discharge_kw))
        soe = draft.columns(min(least_kwh, start_kwh), np.full(len(steps), most_kwh))
        begin = np.zeros(len(steps))
        begin[:1] = start_kwh
        balance = draft.rows(begin, begin)
        charge_at = np.searchsorted(steps, charge_step)
        draft.enter(balance, soe, 1.0)
        draft.enter(balance[1:], soe[:-1], -1.0)
        draft.enter(balance[charge_at], charge, -efficiency * span[charge_at])
        draft.enter(balance, discharge, span / efficiency)
        return Store(
            row=row,
            steps=steps,
            hours=span,
            charge=charge,
            charge_at=charge_at,
            discharge=discharge,
            soe=soe,
            charge_kw=charge_kw,
            discharge_kw=discharge_kw,
            efficiency=efficiency,
            start_kwh=start_kwh,
            least_kwh=least_kwh,
            most_kwh=most_kwh,
        )

    def net_kw(self, x: FloatArray) -> FloatArray:
        """Charging less giving, kW per step of `steps`."""
        charge = np.bincount(self.charge_at, weights=x[self.charge], minlength=len(self.steps))
        net: FloatArray = charge - x[self.discharge]
        return net

    def path_kwh(self, net: FloatArray) -> FloatArray:
        """Energy inside at the end of each step if charging and giving never coincide."""
        flow = self.efficiency * np.maximum(net, 0.0) - np.maximum(-net, 0.0) / self.efficiency
        path: FloatArray = self.start_kwh + np.cumsum(self.hours * flow)
        return path

    def dishonest(self, x: FloatArray) -> BoolArray:
        """Steps where `x` wins by charging and giving at once, or gives below the least state, shape (len(steps),).

        Where the netted power keeps the same bounds and the same end, to do both at once was of no use: then none.
        """
        net = self.net_kw(x)
        path = self.path_kwh(net)
        both = (net + x[self.discharge] > _EPS_KW) & (x[self.discharge] > _EPS_KW)
        overfull = bool((path > self.most_kwh + _EPS_KWH).any())
        # A vehicle must not end with more than it needs; the site's battery may.
        too_much = self.row >= 0 and bool(path[-1] > x[self.soe[-1]] + _EPS_KWH)
        too_low = (net < -_EPS_KW) & (path < self.least_kwh - _EPS_KWH)
        return (both & (overfull or too_much)) | too_low
