"""Security extension of OCPP 1.6: certificates, signed firmware, logs, events. Security white paper, edition 3."""

from collections.abc import Mapping
from typing import ClassVar, Literal

from charging.wire.v16.remote_trigger import TriggerStatus
from charging.wire.v16.types import (
    AcceptedOrRejected,
    ConnectorId,
    Count,
    Id,
    Message,
    Open,
    Text40,
    Text50,
    Text128,
    Text255,
    Text800,
    Text5500,
    Text10000,
    Timestamp,
    Url512,
)

CertificateUse = Literal["CentralSystemRootCertificate", "ManufacturerRootCertificate"]


class CertificateHashData(Message, frozen=True):
    """Which certificate is meant."""

    hash_algorithm: Open[Literal["SHA256", "SHA384", "SHA512"]]
    issuer_name_hash: Text128
    issuer_key_hash: Text128
    serial_number: Text40


class CertificateSigned(Message, frozen=True):
    """The chain for a CSR; never before SignCertificate.conf has left (P30)."""

    certificate_chain: Text10000


class CertificateSignedResponse(Message, frozen=True):
    status: Open[AcceptedOrRejected]


class DeleteCertificate(Message, frozen=True):
    certificate_hash_data: CertificateHashData


class DeleteCertificateResponse(Message, frozen=True):
    status: Open[Literal["Accepted", "Failed", "NotFound"]]


class ExtendedTriggerMessage(Message, frozen=True):
    """TriggerMessage with the messages of this extension."""

    requested_message: Literal[
        "BootNotification",
        "LogStatusNotification",
        "FirmwareStatusNotification",
        "Heartbeat",
        "MeterValues",
        "SignChargePointCertificate",
        "StatusNotification",
    ]
    connector_id: ConnectorId | None = None


class ExtendedTriggerMessageResponse(Message, frozen=True):
    status: Open[TriggerStatus]


class GetInstalledCertificateIds(Message, frozen=True):
    certificate_type: CertificateUse


class GetInstalledCertificateIdsResponse(Message, frozen=True):
    """NotFound is a valid answer."""

    status: Open[Literal["Accepted", "NotFound"]]
    certificate_hash_data: tuple[CertificateHashData, ...] | None = None


class LogParameters(Message, frozen=True):
    """Where to upload a log, and which part of it."""

    remote_location: Url512
    oldest_timestamp: Timestamp | None = None
    latest_timestamp: Timestamp | None = None


class GetLog(Message, frozen=True):
    """Ask for an upload; `retry_interval` in s."""

    log: LogParameters
    log_type: Literal["DiagnosticsLog", "SecurityLog"]
    request_id: Id
    retries: Count | None = None
    retry_interval: Count | None = None


class GetLogResponse(Message, frozen=True):
    status: Open[Literal["Accepted", "Rejected", "AcceptedCanceled"]]
    filename: Text255 | None = None


class InstallCertificate(Message, frozen=True):
    certificate_type: CertificateUse
    certificate: Text5500


class InstallCertificateResponse(Message, frozen=True):
    status: Open[Literal["Accepted", "Failed", "Rejected"]]


class LogStatusNotification(Message, frozen=True):
    """Progress of a log upload."""

    status: Open[
        Literal[
            "BadMessage",
            "Idle",
            "NotSupportedOperation",
            "PermissionDenied",
            "Uploaded",
            "UploadFailure",
            "Uploading",
        ]
    ]
    request_id: Id | None = None


class LogStatusNotificationResponse(Message, frozen=True):
    """Received."""


class SecurityEventNotification(Message, frozen=True):
    """Something happened that security people want to know; always confirmed (P83)."""

    type: Text50
    timestamp: Timestamp
    tech_info: Text255 | None = None

    STAND_INS: ClassVar[Mapping[str, object] | None] = {"type": "", "timestamp": ""}


class SecurityEventNotificationResponse(Message, frozen=True):
    """Received."""


class SignCertificate(Message, frozen=True):
    """A CSR in PEM; answered first, signed afterwards."""

    csr: Text5500


class SignCertificateResponse(Message, frozen=True):
    status: AcceptedOrRejected


class SignedFirmwareStatusNotification(Message, frozen=True):
    """Progress of a signed update."""

    status: Open[
        Literal[
            "Downloaded",
            "DownloadFailed",
            "Downloading",
            "DownloadScheduled",
            "DownloadPaused",
            "Idle",
            "InstallationFailed",
            "Installing",
            "Installed",
            "InstallRebooting",
            "InstallScheduled",
            "InstallVerificationFailed",
            "InvalidSignature",
            "SignatureVerified",
        ]
    ]
    request_id: Id | None = None


class SignedFirmwareStatusNotificationResponse(Message, frozen=True):
    """Received."""


class Firmware(Message, frozen=True):
    """An image and the proof of its origin."""

    location: Url512
    retrieve_date_time: Timestamp
    signing_certificate: Text5500
    signature: Text800
    install_date_time: Timestamp | None = None


class SignedUpdateFirmware(Message, frozen=True):
    """Preferred over UpdateFirmware when the charger knows it; `retry_interval` in s."""

    request_id: Id
    firmware: Firmware
    retries: Count | None = None
    retry_interval: Count | None = None


class SignedUpdateFirmwareResponse(Message, frozen=True):
    """AcceptedCanceled: the older job was given up."""

    status: Open[Literal["Accepted", "Rejected", "AcceptedCanceled", "InvalidCertificate", "RevokedCertificate"]]
