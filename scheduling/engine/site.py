"""What stands at the grid connection beside the vehicles: building, prices, peaks, sun and a battery."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduling.engine.arrays import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class DemandCharge:
    """Money for the highest load of the site, building included, above what is paid for already.

    The metering window is the step: where steps are shorter, each of them stays below the peak that is paid for.
    """

    price_per_kw: float
    peak_so_far_kw: float = 0.0
    """Highest load of the billing period so far, or the ratchet's floor: only what exceeds it costs."""
    steps: BoolArray | None = None
    """Steps in which the charge counts, shape (steps,); None: all."""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.price_per_kw) and self.price_per_kw >= 0):
            raise ValueError(f"A demand charge of {self.price_per_kw} per kW must be a number of zero or more.")
        if not (np.isfinite(self.peak_so_far_kw) and self.peak_so_far_kw >= 0):
            raise ValueError(f"A peak so far of {self.peak_so_far_kw} kW must be a number of zero or more.")

    def increment_kw(self, load_kw: FloatArray) -> float:
        """What the load (kW per step, building included) adds to the peak already paid for."""
        counted = load_kw if self.steps is None else load_kw[self.steps]
        return max(float(counted.max(initial=0.0)) - self.peak_so_far_kw, 0.0)


@dataclass(frozen=True, eq=False)
class Battery:
    """A stationary battery at the grid connection; efficiency of one way, energies inside the battery."""

    capacity_kwh: float
    soe_kwh: float
    charge_kw: float
    discharge_kw: float
    efficiency: float = 0.95
    cycle_cost_per_kwh: float = 0.0
    """Money for wear per kWh discharged."""
    least_soe_kwh: float = 0.0
    end_soe_kwh: float | None = None
    """Energy it holds at the end at least; None: what it holds at the start. More than that is a goal: needs of the
    vehicles come first, money after it."""

    def __post_init__(self) -> None:
        rules = (
            (self.capacity_kwh > 0, f"capacity {self.capacity_kwh} kWh must be above zero"),
            (
                0 <= self.least_soe_kwh <= self.soe_kwh <= self.capacity_kwh,
                f"{self.soe_kwh} kWh held is not between {self.least_soe_kwh} and {self.capacity_kwh} kWh",
            ),
            (min(self.charge_kw, self.discharge_kw) >= 0, "a power is negative"),
            (0 < self.efficiency <= 1, f"efficiency {self.efficiency} is not in (0, 1]"),
            (self.cycle_cost_per_kwh >= 0, f"cycle cost {self.cycle_cost_per_kwh} is negative"),
        )
        if wrong := [sentence for fulfilled, sentence in rules if not fulfilled]:
            raise ValueError(f"Battery: {'; '.join(wrong)}.")


@dataclass(frozen=True, eq=False)
class Site:
    """The grid connection's other loads and sources, kW per step; all parts are optional.

    Hard limits of the tree are net of the building already and take no help from sun or battery, which may fail: those
    save money only. A battery that charges counts at the root like a vehicle.
    """

    building_kw: FloatArray | None = None
    """Expected load of the building, for peaks and for the use of the sun; None: nothing."""
    pv_kw: FloatArray | None = None
    """Expected generation; what is not used is exported, or curtailed if that earns nothing."""
    export_price_per_kwh: FloatArray | None = None
    """Money earned per kWh fed in; None: nothing is paid, and what is not used is curtailed."""
    battery: Battery | None = None
    demand_charges: tuple[DemandCharge, ...] = ()
    co2_kg_per_kwh: FloatArray | None = None
    co2_price_per_kg: float = 0.0
    """Weight of emissions against money."""

    def refuse_misfits(self, steps: int) -> None:
        """ValueError if a series has not one finite number per step."""
        series = {
            "building load": self.building_kw,
            "PV forecast": self.pv_kw,
            "export price": self.export_price_per_kwh,
            "CO2 factor": self.co2_kg_per_kwh,
        }
        for name, values in series.items():
            if values is not None and values.shape != (steps,):
                raise ValueError(f"The {name} has {values.size} values, the horizon {steps} steps.")
            if values is not None and not np.isfinite(values).all():
                step = int(np.argmax(~np.isfinite(values)))
                raise ValueError(f"The {name} is not a finite number in step {step}.")
        for charge in self.demand_charges:
            if charge.steps is not None and charge.steps.shape != (steps,):
                raise ValueError(f"A demand charge names {charge.steps.size} steps, the horizon has {steps}.")

    @property
    def has_storage(self) -> bool:
        """Whether sun or battery make the root's load more than a sum of vehicles."""
        return self.battery is not None or self.pv_kw is not None


@dataclass(frozen=True, eq=False)
class Dispatch:
    """What a plan does with battery and sun, kW per step."""

    battery_kw: FloatArray
    """Positive while the battery charges, negative while it gives."""
    pv_used_kw: FloatArray
    """Generation that is not curtailed."""

    @staticmethod
    def none(site: Site, steps: int) -> Dispatch:
        """The battery rests and all of the sun is taken."""
        return Dispatch(np.zeros(steps), np.zeros(steps) if site.pv_kw is None else site.pv_kw.copy())
