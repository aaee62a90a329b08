"""The RPC state machine of one charger socket (P18-P24, P29). Pure: frames and the time come in, events go out.

`now` is a monotonic clock in seconds, never the wall clock: a clock step must not time a command out.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import msgspec

from charging.wire import frames
from charging.wire.errors import ErrorCode, Finding, FrameError, FrameTooLarge, excerpt

CALL_TIMEOUT: Final = 30.0
REMEMBERED_CALLS: Final = 32
REMEMBERED_TIMEOUTS: Final = 64
MESSAGE_TOO_BIG: Final = 1009
TRANSACTION_ACTIONS: Final = frozenset({"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"})


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """A CALL of the charger. Answer it with `answer` or `refuse`, in the order of arrival. `raw` is the frame."""

    message_id: str
    action: str
    payload: bytes | dict[str, object]
    raw: bytes
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """The charger answered our command with a `result` or an `error`; `late` when it came after the timeout (P24)."""

    command_id: str
    action: str
    result: bytes | dict[str, object] | None
    error: frames.CallError | None
    late: bool
    raw: bytes
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class SendNow:
    """Bytes that leave at once, without asking anybody: a refusal of a broken frame, or a repeated answer."""

    frame: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A frame without consequence, for the log."""

    reason: str


@dataclass(frozen=True, slots=True)
class CloseNow:
    """The socket has to be closed with this WebSocket code."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """A command without an answer in time: both done and not done until something resolves it."""

    command_id: str
    action: str


Event = IncomingCall | Answered | SendNow | Ignored | CloseNow


@dataclass(frozen=True, slots=True)
class _Outstanding:
    message_id: str
    command_id: str
    action: str
    deadline: float


class _Seen(msgspec.Struct, gc=False):
    """A CALL of the charger: hash of its frame, and the answer's frame without the id once there is one."""

    content: int
    answer: bytes | None = None


def _new_message_id() -> str:
    return str(uuid4())


class RpcSession:
    """One per socket. At most one CALL of ours is open, and it never delays an answer to the charger (P21)."""

    def __init__(
        self,
        call_timeout: float = CALL_TIMEOUT,
        *,
        new_message_id: Callable[[], str] = _new_message_id,
        remembered_calls: int = REMEMBERED_CALLS,
    ) -> None:
        self.call_timeout = call_timeout
        self._new_message_id = new_message_id
        self._remembered_calls = remembered_calls
        self._outstanding: _Outstanding | None = None
        self._timed_out: OrderedDict[str, _Outstanding] = OrderedDict()
        self._seen: OrderedDict[bytes | str, _Seen] = OrderedDict()

    @property
    def outstanding(self) -> str | None:
        """The command that waits for its answer."""
        return self._outstanding.command_id if self._outstanding else None

    @property
    def may_call(self) -> bool:
        """Whether the charger is free for a command (P21)."""
        return self._outstanding is None

    def receive(self, raw: str | bytes, now: float) -> list[Event]:
        """What one frame means."""
        data = raw if isinstance(raw, bytes) else raw.encode(errors="surrogatepass")
        try:
            frame = frames.decode(data)
        except FrameTooLarge as error:
            return [CloseNow(MESSAGE_TOO_BIG, error.description)]
        except FrameError as error:
            if error.message_id is None:
                return [Ignored(error.description)]
            return [SendNow(frames.encode_error(error.message_id, error.code, error.description), error.description)]
        if isinstance(frame, frames.Call):
            return [self._incoming(frame, data)]
        return [self._answered(frame, data, now)]

    def _incoming(self, call: frames.Call, raw: bytes) -> Event:
        key = _key(call.message_id)
        content = hash(raw)
        findings = call.findings
        if (seen := self._seen.get(key)) is not None:
            if seen.content == content:
                return self._repeated(call, seen)
            if call.action not in TRANSACTION_ACTIONS:
                sentence = "this message id was used before with other content"
                return SendNow(frames.encode_error(call.message_id, ErrorCode.FORMATION_VIOLATION, sentence), sentence)
            findings += (Finding("P23", "the message id was used before with other content"),)
        self._seen[key] = _Seen(content)
        self._seen.move_to_end(key)
        if len(self._seen) > self._remembered_calls:
            self._seen.popitem(last=False)
        return IncomingCall(call.message_id, call.action, call.payload, raw, findings)

    def _repeated(self, call: frames.Call, seen: _Seen) -> Event:
        if seen.answer is None:
            return Ignored(f"{excerpt(call.action)} was repeated before its answer was ready")
        return SendNow(seen.answer, "the same CALL came again and gets the same answer")

    def answer(self, message_id: str, payload: frames.Payload = b"{}") -> bytes:
        """The CALLRESULT to send, remembered for a repetition of the CALL (P23)."""
        return self._remember(message_id, frames.encode_result(message_id, payload))

    def refuse(self, message_id: str, code: ErrorCode, description: str = "") -> bytes:
        """The CALLERROR to send, remembered for a repetition of the CALL."""
        return self._remember(message_id, frames.encode_error(message_id, code, description))

    def _remember(self, message_id: str, frame: bytes) -> bytes:
        if (seen := self._seen.get(_key(message_id))) is not None:
            seen.answer = frame
        return frame

    def call(self, command_id: str, action: str, payload: frames.Payload, now: float) -> bytes | None:
        """The CALL to send, or None while another one is open."""
        if self._outstanding is not None:
            return None
        message_id = self._new_message_id()
        frame = frames.encode_call(message_id, action, payload)
        self._outstanding = _Outstanding(message_id, command_id, action, now + self.call_timeout)
        return frame

    def expire(self, now: float) -> list[TimedOut]:
        """Commands whose time is over at `now`; their slot is free, and a late answer is still matched (P24)."""
        late = self._outstanding
        if late is None or now < late.deadline:
            return []
        self._outstanding = None
        self._timed_out[late.message_id] = late
        if len(self._timed_out) > REMEMBERED_TIMEOUTS:
            self._timed_out.popitem(last=False)
        return [TimedOut(late.command_id, late.action)]

    def closed(self) -> list[str]:
        """The commands still open when the socket goes: their outcome is unknown."""
        open_commands = [self._outstanding.command_id] if self._outstanding else []
        self._outstanding = None
        return open_commands

    def _answered(self, frame: frames.CallResult | frames.CallError, raw: bytes, now: float) -> Event:
        sent = self._outstanding
        if sent is not None and sent.message_id == frame.message_id:
            self._outstanding = None
            late = now >= sent.deadline
        elif (sent := self._timed_out.pop(frame.message_id, None)) is not None:
            late = True
        else:
            return Ignored(f"an answer to message id {excerpt(frame.message_id)}, which is not open")
        error = frame if isinstance(frame, frames.CallError) else None
        result = None if isinstance(frame, frames.CallError) else frame.payload
        return Answered(sent.command_id, sent.action, result, error, late, raw, frame.findings)


def _key(message_id: str) -> bytes | str:
    return message_id.encode() if isinstance(message_id, frames.WireId) else message_id
