"""Units of charging limits."""

from __future__ import annotations

from enum import Enum

CHARGING_RATE_VOLTAGE = 240.0
"""Voltage that `ChargingRateUnit.convert` takes when none is given, V."""


class ChargingRateUnit(Enum):
    """Unit of a charging limit: W (inside the engine: kW) or A per phase. OCPP 1.6 §7.13."""

    W = "W"
    A = "A"

    def convert(self, value: float, unit: ChargingRateUnit, voltage: float | None = None) -> float:
        """`value` in `unit` (kW or A) as a single-phase limit in this unit (W or A); no voltage means 240 V."""
        if voltage is not None and voltage < 0:
            raise ValueError(f"Voltage {voltage} V is negative.")
        volts = voltage or CHARGING_RATE_VOLTAGE
        if unit is ChargingRateUnit.A:
            return value if self is ChargingRateUnit.A else value * volts
        watts = value * 1000.0
        return watts if self is ChargingRateUnit.W else watts / volts
