"""Payloads to structs and back: strict decode first, the lenient reading only for what it refuses (P25-P28, P38)."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import msgspec

from charging.wire import lenient_json
from charging.wire.errors import ErrorCode, Finding, PayloadError, excerpt
from charging.wire.reading import Reader
from charging.wire.v16 import profile_rules
from charging.wire.v16.registry import FROM_CHARGER, TO_CHARGER
from charging.wire.v16.types import Message

MAX_PAYLOAD_BYTES: Final = 64_000
UNBOUNDED_ACTIONS: Final = frozenset({"StopTransaction", "MeterValues", "GetConfiguration"})
COMMANDS: Final[dict[str, type[Message]]] = {action: request for action, (request, _) in TO_CHARGER.items()}

_encode = msgspec.json.Encoder(decimal_format="number").encode

Payload = bytes | Mapping[str, object]
Decoded = tuple[Message, tuple[Finding, ...]]


def decode_request(action: str, payload: Payload) -> Decoded:
    """A charger's request as its struct, with what had to be repaired; raises PayloadError when it is unusable."""
    pair = FROM_CHARGER.get(action)
    if pair is None:
        if action in TO_CHARGER:
            raise PayloadError(ErrorCode.NOT_SUPPORTED, "", f"{action} goes from the system to the charger only")
        raise PayloadError(ErrorCode.NOT_IMPLEMENTED, "", f"the action {excerpt(action)} is unknown in OCPP 1.6")
    return _decode(pair[0], action, payload)


def decode_response(action: str, payload: Payload) -> Decoded:
    """A charger's answer to our command as its struct; raises PayloadError when it says nothing usable."""
    return _decode(TO_CHARGER[action][1], action, payload)


def _decode(cls: type[Message], action: str, payload: Payload) -> Decoded:
    if not isinstance(payload, bytes):
        return _read_leniently(cls, payload, ())
    if len(payload) > MAX_PAYLOAD_BYTES and action not in UNBOUNDED_ACTIONS:
        sentence = f"{len(payload)} bytes are more than {MAX_PAYLOAD_BYTES}"
        raise PayloadError(ErrorCode.FORMATION_VIOLATION, "", sentence)
    if b"\\u0000" not in payload and b"null" not in payload:
        try:
            return _decoder(cls).decode(payload), ()
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
    try:
        value, findings = lenient_json.loads(payload)
    except ValueError as error:
        raise PayloadError(ErrorCode.FORMATION_VIOLATION, "", f"the payload is not JSON: {error}") from None
    return _read_leniently(cls, value, findings)


def _read_leniently(cls: type[Message], value: object, findings: tuple[Finding, ...]) -> Decoded:
    reader = Reader(lenient=True)
    message = reader.read(cls, value)
    return message, (*findings, *reader.findings)


@cache
def _decoder(cls: type[Message]) -> msgspec.json.Decoder[Message]:
    return msgspec.json.Decoder(cls)


def stored_form(payload: Payload) -> dict[str, Any]:
    """Any payload as an object that a JSON column takes: no NUL, no NaN, no half surrogate pair."""
    value: object = payload
    if isinstance(payload, bytes):
        try:
            value, _ = lenient_json.loads(payload)
        except ValueError:
            value = {"unreadable": excerpt(payload)}
    storable: dict[str, Any] = msgspec.json.decode(_encode(value))
    return storable


def validate_command(action: str, payload: object) -> Message:
    """A command from the API as its struct, exact to the schema; raises PayloadError naming the bad field."""
    cls = COMMANDS.get(action)
    if cls is None:
        sentence = f"the action {excerpt(action)} is unknown, the known ones are {', '.join(sorted(COMMANDS))}"
        raise PayloadError(ErrorCode.NOT_IMPLEMENTED, "", sentence)
    message = Reader(lenient=False).read(cls, payload)
    profile_rules.check(message)
    return message


def encode_request(message: Message) -> dict[str, Any]:
    """The payload to send or to store: absent fields left out, never null (P25)."""
    payload: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(message))
    return payload


encode_response = encode_request
