"""Configuration keys of a charger. OCPP 1.6 §9."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from charging.simulator.profiles import MAX_INSTALLED, MAX_PERIODS, MAX_STACK_LEVEL

MEASURANDS = (
    "Energy.Active.Import.Register",
    "Power.Active.Import",
    "Current.Import",
    "Voltage",
    "SoC",
    "Current.Offered",
)
MAX_KEYS_PER_REQUEST = 50


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One row of a GetConfiguration answer."""

    key: str
    readonly: bool
    value: str


def _whole(value: str) -> bool:
    return value.isdecimal() and len(value) <= 9


def _truth(value: str) -> bool:
    return value.lower() in ("true", "false")


def _measurands(value: str) -> bool:
    return all(name.strip() in MEASURANDS for name in value.split(",") if name.strip())


_WRITABLE: dict[str, tuple[str, Callable[[str], bool]]] = {
    "AuthorizeRemoteTxRequests": ("false", _truth),
    "ClockAlignedDataInterval": ("0", _whole),
    "ConnectionTimeOut": ("120", _whole),
    "HeartbeatInterval": ("300", _whole),
    "LocalAuthorizeOffline": ("true", _truth),
    "MeterValueSampleInterval": ("5", _whole),
    "MeterValuesAlignedData": ("Energy.Active.Import.Register", _measurands),
    "MeterValuesSampledData": (",".join(MEASURANDS), _measurands),
    "StopTransactionOnInvalidId": ("true", _truth),
    "StopTxnSampledData": ("Energy.Active.Import.Register", _measurands),
    "TransactionMessageAttempts": ("3", _whole),
    "TransactionMessageRetryInterval": ("10", _whole),
    "WebSocketPingInterval": ("20", _whole),
}

_FIXED = {
    "AllowOfflineTxForUnknownId": "true",
    "LocalPreAuthorize": "false",
    "ResetRetries": "0",
    "StopTransactionOnEVSideDisconnect": "true",
    "StopTxnAlignedData": "",
    "UnlockConnectorOnEVSideDisconnect": "true",
}


class ConfigurationKeys:
    """Keys by name, compared without case (errata: CiString); order of the answer is alphabetical."""

    def __init__(
        self, *, connectors: int, rate_unit: str, meter_interval_s: int, switches_phases: bool, charges: bool = True
    ) -> None:
        self._checks = {key: check for key, (_, check) in _WRITABLE.items()}
        self._values = {key: value for key, (value, _) in _WRITABLE.items()}
        self._values["MeterValueSampleInterval"] = str(meter_interval_s)
        features = "Core,SmartCharging,RemoteTrigger" if charges else "Core,RemoteTrigger"
        self._values |= _FIXED | {
            "ConnectorPhaseRotation": ",".join(f"{number}.RST" for number in range(1, connectors + 1))
            or "NotApplicable",
            "GetConfigurationMaxKeys": str(MAX_KEYS_PER_REQUEST),
            "NumberOfConnectors": str(connectors),
            "SupportedFeatureProfiles": features,
        }
        if charges:
            self._values |= {
                "ChargeProfileMaxStackLevel": str(MAX_STACK_LEVEL),
                "ChargingScheduleAllowedChargingRateUnit": rate_unit,
                "ChargingScheduleMaxPeriods": str(MAX_PERIODS),
                "ConnectorSwitch3to1PhaseSupported": str(switches_phases).lower(),
                "MaxChargingProfilesInstalled": str(MAX_INSTALLED),
            }
        self._spelling = {key.lower(): key for key in self._values}

    def text(self, key: str) -> str:
        return self._values[key]

    def number(self, key: str) -> int:
        return int(self._values[key])

    def truth(self, key: str) -> bool:
        return self._values[key].lower() == "true"

    def names(self, key: str) -> frozenset[str]:
        """A comma-separated list as a set."""
        return frozenset(name.strip() for name in self._values[key].split(",") if name.strip())

    def change(self, key: str, value: str) -> str:
        """Accepted, Rejected or NotSupported. §5.3."""
        spelled = self._spelling.get(key.lower())
        if spelled is None:
            return "NotSupported"
        check = self._checks.get(spelled)
        if check is None or not check(value):
            return "Rejected"
        self._values[spelled] = value
        return "Accepted"

    def read(self, keys: Iterable[str] | None) -> tuple[list[KeyRow], list[str]]:
        """Rows of the known keys asked for (all when none are named), and the unknown names. §5.8."""
        asked = list(keys or sorted(self._values))[:MAX_KEYS_PER_REQUEST]
        known = [self._spelling[key.lower()] for key in asked if key.lower() in self._spelling]
        unknown = [key for key in asked if key.lower() not in self._spelling]
        return [KeyRow(key, key not in self._checks, self._values[key]) for key in known], unknown
