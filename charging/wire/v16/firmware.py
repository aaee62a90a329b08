"""OCPP 1.6 FirmwareManagement profile. OCPP 1.6 §4.4, §4.5, §5.9, §5.19."""

from typing import Literal

from charging.wire.v16.types import Count, Message, Open, Text255, Timestamp, Url


class DiagnosticsStatusNotification(Message, frozen=True):
    """Progress of an upload, also unasked (P82)."""

    status: Open[Literal["Idle", "Uploaded", "UploadFailed", "Uploading"]]


class DiagnosticsStatusNotificationResponse(Message, frozen=True):
    """Received."""


class FirmwareStatusNotification(Message, frozen=True):
    """Progress of an update, also unasked, out of order or incomplete (P82)."""

    status: Open[
        Literal["Downloaded", "DownloadFailed", "Downloading", "Idle", "InstallationFailed", "Installing", "Installed"]
    ]


class FirmwareStatusNotificationResponse(Message, frozen=True):
    """Received."""


class GetDiagnostics(Message, frozen=True):
    """Ask for an upload; `retry_interval` in s."""

    location: Url
    retries: Count | None = None
    retry_interval: Count | None = None
    start_time: Timestamp | None = None
    stop_time: Timestamp | None = None


class GetDiagnosticsResponse(Message, frozen=True):
    file_name: Text255 | None = None


class UpdateFirmware(Message, frozen=True):
    """Ask for an update not before `retrieve_date`; `retry_interval` in s."""

    location: Url
    retrieve_date: Timestamp
    retries: Count | None = None
    retry_interval: Count | None = None


class UpdateFirmwareResponse(Message, frozen=True):
    """Received."""
