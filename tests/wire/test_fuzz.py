"""Whatever arrives: a frame or FrameError, a message or PayloadError, and nothing else ever."""

import json
from contextlib import suppress
from datetime import UTC, datetime

from hypothesis import example, given, settings
from hypothesis import strategies as st

from charging.wire import decoding, frames
from charging.wire.errors import FrameError, PayloadError
from charging.wire.metering import samples_of
from charging.wire.session import RpcSession
from charging.wire.v16.core import MeterValues, StopTransaction
from charging.wire.v16.registry import FROM_CHARGER, TO_CHARGER
from tests.wire.schemas import instances

NOW = datetime(2026, 3, 1, tzinfo=UTC)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
REQUESTS = st.sampled_from(sorted(FROM_CHARGER)).flatmap(
    lambda action: st.tuples(st.just(action), instances(FROM_CHARGER[action][0]).map(decoding.encode_request))
)


def survives(raw: str | bytes) -> None:
    """The whole way in, as the socket's owner walks it."""
    try:
        frame = frames.decode(raw)
    except FrameError as error:
        if error.message_id is not None:
            json.loads(frames.encode_error(error.message_id, error.code, error.description))
        return
    if isinstance(frame, frames.Call):
        frames.encode_result(frame.message_id).decode()
        understood(frame.action, frame.payload)
    elif isinstance(frame, frames.CallResult):
        json.dumps(decoding.stored_form(frame.payload)).encode()


def understood(action: str, payload: bytes | dict[str, object]) -> None:
    json.dumps(decoding.stored_form(payload)).encode()
    try:
        message, findings = decoding.decode_request(action, payload)
    except PayloadError:
        return
    assert all("\0" not in finding.text for finding in findings)
    if isinstance(message, MeterValues):
        samples_of(message, NOW)
    if isinstance(message, StopTransaction) and message.transaction_data:
        samples_of(message.transaction_data, NOW)


@settings(max_examples=300)
@given(st.binary(max_size=200) | st.text(max_size=200))
@example(b'[2,"a","Heartbeat",{}')
@example("\ud800")
@example('[2,"\\ud83d\\ude00","Heartbeat",{}]')
@example('[2,"a","Heartbeat",{"a":"\\x"}]')
@example(b'"' + b'\\"' * 100_000)
@example(b"[" * 100_000)
def test_random_bytes_never_surprise(raw: str | bytes) -> None:
    survives(raw)


@settings(max_examples=300)
@given(st.lists(JSON, max_size=6) | JSON)
def test_random_json_never_surprises(value: object) -> None:
    survives(json.dumps(value))


@settings(max_examples=400)
@given(REQUESTS, st.data())
def test_mutated_bytes_of_valid_frames_never_surprise(
    request: tuple[str, dict[str, object]], data: st.DataObject
) -> None:
    raw = bytearray(json.dumps([2, "id", *request]).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(raw)))
        raw[start : start + data.draw(st.integers(0, 6))] = data.draw(
            st.binary(max_size=4)
            | st.sampled_from([b'"', b"{", b"]", b"\\u0000", b"NaN", b"1e999", b"null", b"\\ud800"])
        )
    survives(bytes(raw))


@settings(max_examples=400)
@given(REQUESTS, st.data())
def test_mutated_values_of_valid_requests_never_surprise(
    request: tuple[str, dict[str, object]], data: st.DataObject
) -> None:
    action, payload = request
    mutated = _mutated(payload, data)
    survives(json.dumps([2, "id", action, mutated]))


@settings(max_examples=200)
@given(st.sampled_from(sorted(TO_CHARGER)), JSON | st.dictionaries(st.text(max_size=8), JSON))
def test_random_answers_and_commands_never_surprise(action: str, payload: object) -> None:
    for read in (
        decoding.validate_command,
        lambda name, value: decoding.decode_response(name, json.dumps(value).encode()),
    ):
        with suppress(PayloadError):
            read(action, payload)


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["h", "a", "b", "answer", "late", "call", "expire"]) | st.text(max_size=20)))
def test_a_session_never_opens_two_commands(steps: list[str]) -> None:
    rpc = RpcSession(new_message_id=lambda: "m")
    now, open_commands, outcomes = 0.0, 0, 0
    for step in steps:
        now += 10.0
        if step == "call":
            open_commands += rpc.call("c", "ClearCache", {}, now) is not None
        elif step == "expire":
            outcomes += len(rpc.expire(now))
        else:
            rpc.receive(_frame_of(step), now)
        assert open_commands - outcomes >= 0
        assert (rpc.outstanding is None) == rpc.may_call


def _frame_of(step: str) -> str:
    known = {"h": '[2,"1","Heartbeat",{}]', "a": '[2,"1","Authorize",{"idTag":"A"}]', "answer": '[3,"m",{}]'}
    return known.get(step, step)


def _mutated(value: object, data: st.DataObject) -> object:
    if isinstance(value, dict) and value and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(value)))
        action = data.draw(st.sampled_from(["drop", "replace", "inside", "add"]))
        changed = dict(value)
        if action == "drop":
            del changed[key]
        elif action == "add":
            changed[data.draw(st.text(max_size=5))] = data.draw(JSON)
        else:
            changed[key] = data.draw(JSON) if action == "replace" else _mutated(value[key], data)
        return changed
    if isinstance(value, list) and value and data.draw(st.booleans()):
        index = data.draw(st.integers(0, len(value) - 1))
        return [*value[:index], _mutated(value[index], data), *value[index + 1 :]]
    return data.draw(JSON)
