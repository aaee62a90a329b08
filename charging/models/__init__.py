"""What does happen: links to chargers, the journal of frames, sessions, meter values, commands and profiles."""

from charging.models.command import Command, InstalledProfile
from charging.models.journal import Finding, Frame
from charging.models.link import StationLink, UnknownStation
from charging.models.session import AuthorizationAttempt, MeterSample, Session, SessionEvent, TransactionNumber
from charging.models.status import ConnectorState, ConnectorStatus, MeterState, StatusNotice

__all__ = [
    "AuthorizationAttempt",
    "Command",
    "ConnectorState",
    "ConnectorStatus",
    "Finding",
    "Frame",
    "InstalledProfile",
    "MeterSample",
    "MeterState",
    "Session",
    "SessionEvent",
    "StationLink",
    "StatusNotice",
    "TransactionNumber",
    "UnknownStation",
]
