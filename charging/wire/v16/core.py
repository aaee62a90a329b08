"""OCPP 1.6 Core profile, both directions. OCPP 1.6 §4.1-4.10, §5.2-5.8, §5.11, §5.14, §5.18."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from charging.wire.v16.smart_charging import ChargingProfile
from charging.wire.v16.types import (
    AcceptedOrRejected,
    ConnectorId,
    Count,
    Id,
    IdTag,
    IdTagInfo,
    Message,
    Open,
    OutletId,
    RegistrationStatus,
    Text20,
    Text25,
    Text50,
    Text255,
    Text500,
    Timestamp,
    WattHours,
)

ReadingContext = Literal[
    "Interruption.Begin",
    "Interruption.End",
    "Sample.Clock",
    "Sample.Periodic",
    "Transaction.Begin",
    "Transaction.End",
    "Trigger",
    "Other",
]
ValueFormat = Literal["Raw", "SignedData"]
Measurand = Literal[
    "Energy.Active.Export.Register",
    "Energy.Active.Import.Register",
    "Energy.Reactive.Export.Register",
    "Energy.Reactive.Import.Register",
    "Energy.Active.Export.Interval",
    "Energy.Active.Import.Interval",
    "Energy.Reactive.Export.Interval",
    "Energy.Reactive.Import.Interval",
    "Power.Active.Export",
    "Power.Active.Import",
    "Power.Offered",
    "Power.Reactive.Export",
    "Power.Reactive.Import",
    "Power.Factor",
    "Current.Import",
    "Current.Export",
    "Current.Offered",
    "Voltage",
    "Frequency",
    "Temperature",
    "SoC",
    "RPM",
]
Phase = Literal["L1", "L2", "L3", "N", "L1-N", "L2-N", "L3-N", "L1-L2", "L2-L3", "L3-L1"]
Location = Literal["Cable", "EV", "Inlet", "Outlet", "Body"]
# Hz and Hertz are missing from the unit list of 1.6 although Frequency is a measurand (errata 3.84, P61).
Unit = Literal[
    "Wh",
    "kWh",
    "varh",
    "kvarh",
    "W",
    "kW",
    "VA",
    "kVA",
    "var",
    "kvar",
    "A",
    "V",
    "K",
    "Celcius",
    "Celsius",
    "Fahrenheit",
    "Percent",
    "Hertz",
    "Hz",
]
ChargePointStatus = Literal[
    "Available",
    "Preparing",
    "Charging",
    "SuspendedEVSE",
    "SuspendedEV",
    "Finishing",
    "Reserved",
    "Unavailable",
    "Faulted",
]
ChargePointErrorCode = Literal[
    "ConnectorLockFailure",
    "EVCommunicationError",
    "GroundFailure",
    "HighTemperature",
    "InternalError",
    "LocalListConflict",
    "NoError",
    "OtherError",
    "OverCurrentFailure",
    "PowerMeterFailure",
    "PowerSwitchFailure",
    "ReaderFailure",
    "ResetFailure",
    "UnderVoltage",
    "OverVoltage",
    "WeakSignal",
]
StopReason = Literal[
    "EmergencyStop",
    "EVDisconnected",
    "HardReset",
    "Local",
    "Other",
    "PowerLoss",
    "Reboot",
    "Remote",
    "SoftReset",
    "UnlockCommand",
    "DeAuthorized",
]


class SampledValue(Message, frozen=True):
    """One number of a meter, as text. Absent fields have the defaults of §7.43, see `metering`."""

    value: str
    context: Open[ReadingContext] | None = None
    format: Open[ValueFormat] | None = None
    measurand: Open[Measurand] | None = None
    phase: Open[Phase] | None = None
    location: Open[Location] | None = None
    unit: Open[Unit] | None = None

    STAND_INS: ClassVar[Mapping[str, object] | None] = {}


class MeterValue(Message, frozen=True):
    """What was sampled at one moment."""

    timestamp: Timestamp
    sampled_value: tuple[SampledValue, ...]

    STAND_INS: ClassVar[Mapping[str, object] | None] = {"timestamp": "", "sampled_value": ()}


class Authorize(Message, frozen=True):
    """Charger asks whether a tag may charge."""

    id_tag: IdTag


class AuthorizeResponse(Message, frozen=True):
    id_tag_info: IdTagInfo


class BootNotification(Message, frozen=True):
    """Charger introduces itself."""

    charge_point_vendor: Text20
    charge_point_model: Text20
    charge_point_serial_number: Text25 | None = None
    charge_box_serial_number: Text25 | None = None
    firmware_version: Text50 | None = None
    iccid: Text20 | None = None
    imsi: Text20 | None = None
    meter_type: Text25 | None = None
    meter_serial_number: Text25 | None = None


class BootNotificationResponse(Message, frozen=True):
    """`interval` in s: the heartbeat when Accepted, else the wait before the next try (P32)."""

    status: RegistrationStatus
    current_time: Timestamp
    interval: Count


class Heartbeat(Message, frozen=True):
    """Charger lives."""


class HeartbeatResponse(Message, frozen=True):
    current_time: Timestamp


class MeterValues(Message, frozen=True):
    """Meter readings of a connector; connector 0 is the main meter (P62)."""

    connector_id: ConnectorId
    meter_value: tuple[MeterValue, ...]
    transaction_id: Id | None = None

    STAND_INS: ClassVar[Mapping[str, object] | None] = {}


class MeterValuesResponse(Message, frozen=True):
    """Received."""


class StartTransaction(Message, frozen=True):
    """A transaction began. `meter_start` in Wh, None when unreadable; an unreadable tag or time is empty text."""

    connector_id: ConnectorId
    id_tag: IdTag
    meter_start: WattHours | None
    timestamp: Timestamp
    reservation_id: Id | None = None

    STAND_INS: ClassVar[Mapping[str, object] | None] = {"id_tag": "", "meter_start": None, "timestamp": ""}


class StartTransactionResponse(Message, frozen=True):
    """`transaction_id` is positive whatever the verdict on the tag (P40)."""

    transaction_id: Id
    id_tag_info: IdTagInfo


class StopTransaction(Message, frozen=True):
    """A transaction ended. `meter_stop` in Wh, None when unreadable; an unreadable transaction is -1 (P41)."""

    transaction_id: Id
    meter_stop: WattHours | None
    timestamp: Timestamp
    id_tag: IdTag | None = None
    reason: Open[StopReason] | None = None
    transaction_data: tuple[MeterValue, ...] | None = None

    STAND_INS: ClassVar[Mapping[str, object] | None] = {"transaction_id": -1, "meter_stop": None, "timestamp": ""}


class StopTransactionResponse(Message, frozen=True):
    id_tag_info: IdTagInfo | None = None


class StatusNotification(Message, frozen=True):
    """State of a connector, or of the charger itself for connector 0."""

    connector_id: ConnectorId
    error_code: Open[ChargePointErrorCode]
    status: Open[ChargePointStatus]
    info: Text50 | None = None
    timestamp: Timestamp | None = None
    vendor_id: Text255 | None = None
    vendor_error_code: Text50 | None = None


class StatusNotificationResponse(Message, frozen=True):
    """Received."""


class DataTransfer(Message, frozen=True):
    """Vendor's own message, either direction; an object as `data` is kept as its JSON text (P81)."""

    vendor_id: Text255
    message_id: Text50 | None = None
    data: str | None = None


class DataTransferResponse(Message, frozen=True):
    status: Open[Literal["Accepted", "Rejected", "UnknownMessageId", "UnknownVendorId"]]
    data: str | None = None


class ChangeAvailability(Message, frozen=True):
    """Take a connector, or with 0 the charger, in or out of service."""

    connector_id: ConnectorId
    type: Literal["Inoperative", "Operative"]


class ChangeAvailabilityResponse(Message, frozen=True):
    """Scheduled stays pending until a StatusNotification (P53)."""

    status: Open[Literal["Accepted", "Rejected", "Scheduled"]]


class ChangeConfiguration(Message, frozen=True):
    """Set one configuration key."""

    key: Text50
    value: Text500


class ChangeConfigurationResponse(Message, frozen=True):
    """RebootRequired is a success that waits for a reset (P86)."""

    status: Open[Literal["Accepted", "Rejected", "RebootRequired", "NotSupported"]]


class ClearCache(Message, frozen=True):
    """Forget remembered tags."""


class ClearCacheResponse(Message, frozen=True):
    status: Open[AcceptedOrRejected]


class GetConfiguration(Message, frozen=True):
    """Read configuration keys, all of them when none is named."""

    key: tuple[Text50, ...] | None = None


class KeyValue(Message, frozen=True):
    key: Text50
    readonly: bool
    value: Text500 | None = None


class GetConfigurationResponse(Message, frozen=True):
    configuration_key: tuple[KeyValue, ...] | None = None
    unknown_key: tuple[Text50, ...] | None = None


class RemoteStartTransaction(Message, frozen=True):
    """Ask the charger to start; Accepted means it will try (P47)."""

    id_tag: IdTag
    connector_id: OutletId | None = None
    charging_profile: ChargingProfile | None = None


class RemoteStartTransactionResponse(Message, frozen=True):
    status: Open[AcceptedOrRejected]


class RemoteStopTransaction(Message, frozen=True):
    """Ask the charger to stop a transaction."""

    transaction_id: Id


class RemoteStopTransactionResponse(Message, frozen=True):
    status: Open[AcceptedOrRejected]


class Reset(Message, frozen=True):
    """Restart the charger."""

    type: Literal["Hard", "Soft"]


class ResetResponse(Message, frozen=True):
    status: Open[AcceptedOrRejected]


class UnlockConnector(Message, frozen=True):
    """Release a plug."""

    connector_id: OutletId


class UnlockConnectorResponse(Message, frozen=True):
    """NotSupported also means an unknown connector (errata 3.85)."""

    status: Open[Literal["Unlocked", "UnlockFailed", "NotSupported"]]
