"""OCPP 1.6 RemoteTrigger profile. OCPP 1.6 §5.17."""

from typing import Literal

from charging.wire.v16.types import ConnectorId, Message, Open

TriggerStatus = Literal["Accepted", "Rejected", "NotImplemented"]


class TriggerMessage(Message, frozen=True):
    """Ask for a message now; BootNotification never after Accepted (errata 3.40)."""

    requested_message: Literal[
        "BootNotification",
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "MeterValues",
        "StatusNotification",
    ]
    connector_id: ConnectorId | None = None


class TriggerMessageResponse(Message, frozen=True):
    """NotImplemented: never again; Rejected: not now (P84)."""

    status: Open[TriggerStatus]
