"""Sampled values as a charger's meter reports them. OCPP 1.6 §7."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from charging.simulator.connector import Connector

Sampled = dict[str, Any]


def sampled(measurand: str, value: float, unit: str, decimals: int, context: str, phase: str | None = None) -> Sampled:
    """One sampledValue with its unit spelled out."""
    content = {"value": f"{value:.{decimals}f}", "context": context, "measurand": measurand, "unit": unit}
    if phase is not None:
        content["phase"] = phase
    return content


def energy_sample(register_wh: float, context: str) -> Sampled:
    """Lifetime register in whole Wh, rounded down as meterStart and meterStop are."""
    return sampled("Energy.Active.Import.Register", int(register_wh), "Wh", 0, context)


def connector_samples(names: Collection[str], connector: Connector, context: str) -> list[Sampled]:
    """What is asked for in MeterValuesSampledData, taken at the connector's present state."""
    values: list[Sampled] = []
    if "Energy.Active.Import.Register" in names:
        values.append(energy_sample(connector.register_wh, context))
    if "Power.Active.Import" in names:
        values.append(sampled("Power.Active.Import", connector.power_w, "W", 1, context))
    if "Current.Import" in names:
        values += _phase_currents(connector, context)
    if "Voltage" in names:
        values.append(sampled("Voltage", connector.config.voltage_v, "V", 1, context))
    if "SoC" in names and connector.vehicle is not None:
        values.append(sampled("SoC", connector.vehicle.soc * 100.0, "Percent", 1, context))
    if "Current.Offered" in names and connector.transaction is not None:
        values.append(sampled("Current.Offered", connector.limit.current_a, "A", 1, context))
    return values


def _phase_currents(connector: Connector, context: str) -> list[Sampled]:
    """L1 to L3 of the connector; phases the vehicle does not use carry nothing."""
    return [
        sampled(
            "Current.Import",
            connector.current_a if phase <= connector.phases_in_use else 0.0,
            "A",
            2,
            context,
            f"L{phase}",
        )
        for phase in range(1, connector.config.phases + 1)
    ]


def stop_samples(names: Collection[str], connector: Connector, at: str) -> list[Sampled]:
    """transactionData of a StopTransaction: the final register."""
    if "Energy.Active.Import.Register" not in names:
        return []
    return [{"timestamp": at, "sampledValue": [energy_sample(connector.register_wh, "Transaction.End")]}]
