"""Every OCPP 1.6 action with its request and response, by direction. OCPP 1.6 §4 and §5, security white paper."""

from typing import Final

from charging.wire.v16 import core, remote_trigger, smart_charging
from charging.wire.v16.types import Message

Pair = tuple[type[Message], type[Message]]

FROM_CHARGER: Final[dict[str, Pair]] = {
    "Authorize": (core.Authorize, core.AuthorizeResponse),
    "BootNotification": (core.BootNotification, core.BootNotificationResponse),
    "DataTransfer": (core.DataTransfer, core.DataTransferResponse),
    "Heartbeat": (core.Heartbeat, core.HeartbeatResponse),
    "MeterValues": (core.MeterValues, core.MeterValuesResponse),
    "StartTransaction": (core.StartTransaction, core.StartTransactionResponse),
    "StatusNotification": (core.StatusNotification, core.StatusNotificationResponse),
    "StopTransaction": (core.StopTransaction, core.StopTransactionResponse),
}

TO_CHARGER: Final[dict[str, Pair]] = {
    "ChangeAvailability": (core.ChangeAvailability, core.ChangeAvailabilityResponse),
    "ChangeConfiguration": (core.ChangeConfiguration, core.ChangeConfigurationResponse),
    "ClearCache": (core.ClearCache, core.ClearCacheResponse),
    "ClearChargingProfile": (smart_charging.ClearChargingProfile, smart_charging.ClearChargingProfileResponse),
    "DataTransfer": (core.DataTransfer, core.DataTransferResponse),
    "GetCompositeSchedule": (smart_charging.GetCompositeSchedule, smart_charging.GetCompositeScheduleResponse),
    "GetConfiguration": (core.GetConfiguration, core.GetConfigurationResponse),
    "RemoteStartTransaction": (core.RemoteStartTransaction, core.RemoteStartTransactionResponse),
    "RemoteStopTransaction": (core.RemoteStopTransaction, core.RemoteStopTransactionResponse),
    "Reset": (core.Reset, core.ResetResponse),
    "SetChargingProfile": (smart_charging.SetChargingProfile, smart_charging.SetChargingProfileResponse),
    "TriggerMessage": (remote_trigger.TriggerMessage, remote_trigger.TriggerMessageResponse),
    "UnlockConnector": (core.UnlockConnector, core.UnlockConnectorResponse),
}
