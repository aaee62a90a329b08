"""What can be wrong on the wire: CALLERROR codes, findings about leniencies, and the two exceptions of this room."""

from dataclasses import dataclass
from enum import StrEnum

EXCERPT_LENGTH = 60


class ErrorCode(StrEnum):
    """CALLERROR codes as OCPP-J 1.6 spells them (table 7, errata 5.1 and 5.2)."""

    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    INTERNAL_ERROR = "InternalError"
    PROTOCOL_ERROR = "ProtocolError"
    SECURITY_ERROR = "SecurityError"
    FORMATION_VIOLATION = "FormationViolation"
    PROPERTY_CONSTRAINT_VIOLATION = "PropertyConstraintViolation"
    OCCURENCE_CONSTRAINT_VIOLATION = "OccurenceConstraintViolation"
    TYPE_CONSTRAINT_VIOLATION = "TypeConstraintViolation"
    GENERIC_ERROR = "GenericError"


@dataclass(frozen=True, slots=True)
class Finding:
    """A leniency that was needed to read a charger: the rule of the protocol notes and a sentence."""

    rule: str
    text: str


class FrameError(Exception):
    """A frame that is no OCPP-J message. With a `message_id` it deserves a CALLERROR, without one only a log line."""

    def __init__(self, code: ErrorCode, message_id: str | None, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.message_id = message_id
        self.description = description


class FrameTooLarge(FrameError):
    """A frame above the cap: the socket closes with 1009."""


class PayloadError(Exception):
    """A payload that cannot be used. `field` is a JSON pointer into it, empty for the payload itself."""

    def __init__(self, code: ErrorCode, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}" if field else description)
        self.code = code
        self.field = field
        self.description = description


def excerpt(value: object) -> str:
    """A short, printable piece of something a charger sent."""
    text = value if isinstance(value, str) else repr(value)
    return ascii(text if len(text) <= EXCERPT_LENGTH else text[:EXCERPT_LENGTH] + "…")
