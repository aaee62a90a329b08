"""Constants under the names of the reference system, for classes written against it.

They describe the defaults only: the horizon of a run is a value (`Horizon`, `Options.resolution`, `ev.horizon`), and
profile numbers are given anew for each connector when a profile is sent.
"""

from __future__ import annotations

from datetime import timedelta

from scheduling.engine import ev
from scheduling.engine.horizon import DEFAULT_RESOLUTION, DEFAULT_STEPS
from scheduling.engine.units import CHARGING_RATE_VOLTAGE


class AlgorithmConstants:
    """The default time grid."""

    RESOLUTION: timedelta = DEFAULT_RESOLUTION
    TIMESTEPS: int = DEFAULT_STEPS
    RUNTIME: timedelta = RESOLUTION * TIMESTEPS
    POWER_ENERGY_FACTOR: float = RESOLUTION / timedelta(hours=1)
    """Hours per step."""


class EVConstants:
    """What stands in every charging profile, and the voltage of conversions without one."""

    CHARGING_PROFILE_ID = ev.CHARGING_PROFILE_ID
    CHARGING_PROFILE_PURPOSE = ev.CHARGING_PROFILE_PURPOSE
    CHARGING_PROFILE_STACK_LEVEL = ev.CHARGING_PROFILE_STACK_LEVEL
    CHARGING_PROFILE_KIND = ev.CHARGING_PROFILE_KIND
    CHARGING_RATE_VOLTAGE = CHARGING_RATE_VOLTAGE
