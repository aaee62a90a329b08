"""OCPP-J framing: bytes to CALL, CALLRESULT, CALLERROR and back (P18-P29). OCPP-J 1.6 §4.

A well-formed frame costs one pass in C; only what that pass refuses is read again leniently, and the repair recorded.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from charging.wire import lenient_json
from charging.wire.errors import ErrorCode, Finding, FrameError, FrameTooLarge, excerpt

MAX_FRAME_BYTES: Final = 2_000_000
MAX_ID_LENGTH: Final = 36
MAX_ECHOED_ID_LENGTH: Final = 255
CALL: Final = 2
CALL_RESULT: Final = 3
CALL_ERROR: Final = 4

_EMPTY: Final = b"{}"
_READABLE_CALL_ID = re.compile(rb'\s*\[\s*2\s*,\s*"([^"\\\x00-\x1f]{1,255})"')

Payload = Mapping[str, object] | msgspec.Struct | bytes


_ID_TOKEN = re.compile(rb'\s*\[[^,"\[{]+,\s*("(?:[^"\\]++|\\.)*+"|[^\s,"\[\]{}]+)', re.DOTALL)


class WireId(str):
    """A message id that was no plain JSON string: its JSON text, echoed as it came (P23)."""

    __slots__ = ()


class Call(msgspec.Struct, frozen=True):
    """`[2, id, action, payload]`; the payload is JSON text, or an object where the JSON had to be repaired."""

    message_id: str
    action: str
    payload: bytes | dict[str, object]
    findings: tuple[Finding, ...] = ()


class CallResult(msgspec.Struct, frozen=True):
    """`[3, id, payload]`."""

    message_id: str
    payload: bytes | dict[str, object]
    findings: tuple[Finding, ...] = ()


class CallError(msgspec.Struct, frozen=True):
    """`[4, id, code, description, details]`; the code is kept as the charger spelt it."""

    message_id: str
    code: str
    description: str
    details: bytes | dict[str, object] = _EMPTY
    findings: tuple[Finding, ...] = ()


Frame = Call | CallResult | CallError


class _WireCall(msgspec.Struct, array_like=True, tag=CALL, forbid_unknown_fields=True, frozen=True):
    message_id: str
    action: str
    payload: msgspec.Raw


class _WireResult(msgspec.Struct, array_like=True, tag=CALL_RESULT, forbid_unknown_fields=True, frozen=True):
    message_id: str
    payload: msgspec.Raw


class _WireError(msgspec.Struct, array_like=True, tag=CALL_ERROR, forbid_unknown_fields=True, frozen=True):
    message_id: str
    code: str
    description: str
    details: msgspec.Raw


_decode_wire = msgspec.json.Decoder(_WireCall | _WireResult | _WireError).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


def decode(raw: str | bytes) -> Frame:
    """Read one frame, text or binary; raises FrameError, and nothing else, when it is none."""
    data = raw if isinstance(raw, bytes) else raw.encode(errors="surrogatepass")
    if len(data) > MAX_FRAME_BYTES:
        raise FrameTooLarge(ErrorCode.FORMATION_VIOLATION, None, f"the frame exceeds {MAX_FRAME_BYTES} bytes")
    try:
        wire = _decode_wire(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_leniently(data)
    if not wire.message_id.isprintable() or not 0 < len(wire.message_id) <= MAX_ID_LENGTH:
        return _decode_leniently(data)
    if lenient_json.is_too_deep(data):
        raise _too_deep(wire.message_id if isinstance(wire, _WireCall) else None)
    return _frame(wire, data)


def _frame(wire: _WireCall | _WireResult | _WireError, data: bytes) -> Frame:
    body = bytes(wire.details if isinstance(wire, _WireError) else wire.payload)
    if body[:1] != b"{":
        if body.lstrip()[:1] != b"{":
            return _decode_leniently(data)
        body = body.lstrip()
    if isinstance(wire, _WireCall):
        if not wire.action.isprintable():
            return _decode_leniently(data)
        return Call(wire.message_id, wire.action, body)
    if isinstance(wire, _WireResult):
        return CallResult(wire.message_id, body)
    return CallError(wire.message_id, wire.code, wire.description, body)


def _too_deep(message_id: str | None) -> FrameError:
    sentence = f"the JSON nests deeper than {lenient_json.MAX_DEPTH} levels"
    return FrameError(ErrorCode.FORMATION_VIOLATION, message_id, sentence)


def _decode_leniently(data: bytes) -> Frame:
    if not data.strip():
        raise FrameError(ErrorCode.FORMATION_VIOLATION, None, "the frame is empty")
    try:
        value, findings = lenient_json.loads(data)
    except (ValueError, RecursionError) as error:
        readable = _READABLE_CALL_ID.match(data)
        message_id = readable.group(1).decode(errors="replace") if readable else None
        raise FrameError(ErrorCode.FORMATION_VIOLATION, message_id, f"the frame is not JSON: {error}") from None
    if not isinstance(value, list) or not value:
        raise FrameError(ErrorCode.FORMATION_VIOLATION, None, f"the frame is not a message array: {excerpt(value)}")
    kind = value[0]
    if isinstance(kind, bool) or kind not in (CALL, CALL_RESULT, CALL_ERROR):
        raise FrameError(ErrorCode.FORMATION_VIOLATION, None, f"message type {excerpt(kind)} is unknown in OCPP 1.6")
    if kind == CALL:
        return _lenient_call(value, findings, _id_token(data, value))
    if kind == CALL_RESULT:
        return _lenient_result(value, findings, _id_token(data, value))
    return _lenient_error(value, findings, _id_token(data, value))


def _lenient_call(value: list[object], findings: tuple[Finding, ...], id_token: str) -> Call:
    if len(value) < 2:
        raise FrameError(ErrorCode.FORMATION_VIOLATION, None, "the CALL has no message id")
    message_id, id_findings = _message_id(value[1], id_token)
    if len(message_id) > MAX_ECHOED_ID_LENGTH or isinstance(value[1], list | dict):
        sentence = f"a message id is a string of at most {MAX_ID_LENGTH} characters"
        raise FrameError(ErrorCode.FORMATION_VIOLATION, message_id, sentence)
    if len(value) != 4:
        sentence = f"a CALL has 4 elements: type, id, action, payload; this one has {len(value)}"
        raise FrameError(ErrorCode.FORMATION_VIOLATION, message_id, sentence)
    action, payload = value[2], value[3]
    if not isinstance(action, str):
        sentence = f"the action is not a string: {excerpt(action)}"
        raise FrameError(ErrorCode.FORMATION_VIOLATION, message_id, sentence)
    body, body_findings = _payload(payload, message_id)
    return Call(message_id, action, body, findings + id_findings + body_findings)


def _lenient_result(value: list[object], findings: tuple[Finding, ...], id_token: str) -> CallResult:
    if len(value) != 3:
        sentence = f"a CALLRESULT has 3 elements: type, id, payload; this one has {len(value)}"
        raise FrameError(ErrorCode.FORMATION_VIOLATION, None, sentence)
    message_id, id_findings = _message_id(value[1], id_token)
    body, body_findings = _payload(value[2], None)
    return CallResult(message_id, body, findings + id_findings + body_findings)


def _lenient_error(value: list[object], findings: tuple[Finding, ...], id_token: str) -> CallError:
    if len(value) != 5:
        sentence = f"a CALLERROR has 5 elements: type, id, code, description, details; this one has {len(value)}"
        raise FrameError(ErrorCode.FORMATION_VIOLATION, None, sentence)
    message_id, id_findings = _message_id(value[1], id_token)
    code, description = (part if isinstance(part, str) else "" for part in value[2:4])
    details = value[4] if isinstance(value[4], dict) else {}
    if not isinstance(value[4], dict):
        findings += (Finding("P26", f"errorDetails is not an object: {excerpt(value[4])}"),)
    return CallError(message_id, code or ErrorCode.GENERIC_ERROR, description, details, findings + id_findings)


def _message_id(value: object, token: str) -> tuple[str, tuple[Finding, ...]]:
    """The id, and what was odd about it; `token` is its JSON text, echoed when the value is no plain string."""
    if not isinstance(value, str):
        return WireId(token), (Finding("P23", f"the message id is not a string: {excerpt(value)}"),)
    if not value.isprintable() or lenient_json.REPLACEMENT in value:
        return WireId(token), (Finding("P23", f"the message id is not printable: {excerpt(value)}"),)
    if not 0 < len(value) <= MAX_ID_LENGTH:
        return value, (Finding("P23", f"the message id has {len(value)} characters, not 1 to {MAX_ID_LENGTH}"),)
    return value, ()


def _id_token(data: bytes, value: list[object]) -> str:
    """The JSON text of the second element, as it came where that is printable."""
    match = _ID_TOKEN.match(data)
    token = match.group(1).decode(errors="replace") if match else ""
    if token.isprintable() and token:
        return token
    return json.dumps(value[1] if len(value) > 1 else None, default=str)


def _payload(value: object, message_id: str | None) -> tuple[dict[str, object] | bytes, tuple[Finding, ...]]:
    if value is None:
        return _EMPTY, (Finding("P25", "the payload null was read as {}"),)
    if not isinstance(value, dict):
        sentence = f"the payload is not an object: {excerpt(value)}"
        raise FrameError(ErrorCode.FORMATION_VIOLATION, message_id, sentence)
    return value, ()


def encode_call(message_id: str, action: str, payload: Payload) -> bytes:
    """`[2, id, action, payload]`; the payload has to be exact already."""
    return _encode((CALL, _id(message_id), action, _body(payload)))


def encode_result(message_id: str, payload: Payload = _EMPTY) -> bytes:
    """`[3, id, payload]`, with the id echoed in the type it came in."""
    return _encode((CALL_RESULT, _id(message_id), _body(payload)))


def encode_error(message_id: str, code: ErrorCode, description: str = "") -> bytes:
    """`[4, id, code, description, {}]`; a description has at most 255 characters (OCPP-J §4.2.3)."""
    clean = description.encode(errors="replace").decode()[:MAX_ECHOED_ID_LENGTH]
    return _encode((CALL_ERROR, _id(message_id), code.value, clean, {}))


def _id(message_id: str) -> str | msgspec.Raw:
    return msgspec.Raw(message_id.encode()) if isinstance(message_id, WireId) else message_id


def _body(payload: Payload) -> object:
    return msgspec.Raw(payload) if isinstance(payload, bytes) else payload
