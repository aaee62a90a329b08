"""Every OCPP 1.6 action with its request and response, by direction. OCPP 1.6 §4 and §5, security white paper."""

from typing import Final

from charging.wire.v16 import core, firmware, local_list, remote_trigger, reservation, security, smart_charging
from charging.wire.v16.types import Message

Pair = tuple[type[Message], type[Message]]


def _pairs(module: object, *actions: str) -> dict[str, Pair]:
    return {action: (getattr(module, action), getattr(module, f"{action}Response")) for action in actions}


FROM_CHARGER: Final[dict[str, Pair]] = {
    **_pairs(
        core,
        "Authorize",
        "BootNotification",
        "DataTransfer",
        "Heartbeat",
        "MeterValues",
        "StartTransaction",
        "StatusNotification",
        "StopTransaction",
    ),
    **_pairs(firmware, "DiagnosticsStatusNotification", "FirmwareStatusNotification"),
    **_pairs(
        security,
        "LogStatusNotification",
        "SecurityEventNotification",
        "SignCertificate",
        "SignedFirmwareStatusNotification",
    ),
}

TO_CHARGER: Final[dict[str, Pair]] = {
    **_pairs(
        core,
        "ChangeAvailability",
        "ChangeConfiguration",
        "ClearCache",
        "DataTransfer",
        "GetConfiguration",
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "Reset",
        "UnlockConnector",
    ),
    **_pairs(smart_charging, "ClearChargingProfile", "GetCompositeSchedule", "SetChargingProfile"),
    **_pairs(remote_trigger, "TriggerMessage"),
    **_pairs(firmware, "GetDiagnostics", "UpdateFirmware"),
    **_pairs(local_list, "GetLocalListVersion", "SendLocalList"),
    **_pairs(reservation, "CancelReservation", "ReserveNow"),
    **_pairs(
        security,
        "CertificateSigned",
        "DeleteCertificate",
        "ExtendedTriggerMessage",
        "GetInstalledCertificateIds",
        "GetLog",
        "InstallCertificate",
        "SignedUpdateFirmware",
    ),
}
