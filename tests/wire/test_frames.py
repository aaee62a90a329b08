"""Framing: what is a message, what is refused with which code, what is passed over."""

import json

import pytest

from charging.wire import frames
from charging.wire.errors import ErrorCode, FrameError, FrameTooLarge
from charging.wire.frames import Call, CallError, CallResult, decode

HEARTBEAT = b'[2,"1","Heartbeat",{}]'


def refused(raw: str | bytes) -> FrameError:
    with pytest.raises(FrameError) as caught:
        decode(raw)
    return caught.value


def call(raw: str | bytes) -> Call:
    frame = decode(raw)
    assert isinstance(frame, Call)
    return frame


def rules(frame: frames.Frame) -> set[str]:
    return {finding.rule for finding in frame.findings}


def test_p18_the_three_message_types_are_read() -> None:
    assert decode(HEARTBEAT) == Call("1", "Heartbeat", b"{}")
    assert decode('[3,"1",{"status":"Accepted"}]') == CallResult("1", b'{"status":"Accepted"}')
    assert decode('[4,"1","NotSupported","no",{}]') == CallError("1", "NotSupported", "no", b"{}")


@pytest.mark.parametrize("raw", ['[2,"7","Heartbeat"]', '[2,"7","Heartbeat",{},1]', '[2,"7"]'])
def test_p18_a_call_of_another_length_is_refused_with_its_id(raw: str) -> None:
    error = refused(raw)
    assert (error.code, error.message_id) == (ErrorCode.FORMATION_VIOLATION, "7")


@pytest.mark.parametrize("raw", ['[3,"7"]', '[3,"7",{},1]', '[4,"7","GenericError",""]', '[4,"7"]', '[3,"7",[]]'])
def test_p18_a_malformed_answer_is_never_answered(raw: str) -> None:
    assert refused(raw).message_id is None


@pytest.mark.parametrize("kind", ["0", "1", "5", "6", "99", '"2"', "null", "true", "[]", "2.5", "1e400"])
def test_p19_an_unknown_message_type_is_ignored(kind: str) -> None:
    assert refused(f'[{kind},"7","Heartbeat",{{}}]').message_id is None


@pytest.mark.parametrize(
    "raw", ["", "  ", "hello", "{}", "[]", "7", "null", '"x"', "[[[", '{"a":[2,"1"]}', "[2]", b"\xff\xfe"]
)
def test_p20_unreadable_text_is_logged_only(raw: str | bytes) -> None:
    assert refused(raw).message_id is None


@pytest.mark.parametrize("raw", ['[2,"7","Heartbeat",{', '[2,"7","Authorize",{"idTag":}]', ' [ 2 , "7" , oops'])
def test_p20_broken_json_with_a_readable_id_is_a_formation_violation(raw: str) -> None:
    error = refused(raw)
    assert (error.code, error.message_id) == (ErrorCode.FORMATION_VIOLATION, "7")


@pytest.mark.parametrize(
    "token", ["7", "-7", "1.50", "null", "true", '"a\\u0000b"', '"\\ud800"', '""', '"' + "x" * 200 + '"']
)
def test_p23_an_odd_message_id_is_echoed_as_it_came(token: str) -> None:
    frame = call(f'[2,{token},"Heartbeat",{{}}]')
    assert rules(frame) >= {"P23"}
    assert frames.encode_result(frame.message_id).decode() == f"[3,{token},{{}}]"


@pytest.mark.parametrize("token", ["[1]", '{"a":1}', '"' + "x" * 300 + '"'])
def test_p23_an_impossible_message_id_gets_a_callerror(token: str) -> None:
    error = refused(f'[2,{token},"Heartbeat",{{}}]')
    assert error.message_id is not None
    assert json.loads(frames.encode_error(error.message_id, error.code))[1] == json.loads(token)


def test_p23_36_characters_are_an_ordinary_id() -> None:
    assert call(f'[2,"{"x" * 36}","Heartbeat",{{}}]').findings == ()
    assert rules(call(f'[2,"{"x" * 37}","Heartbeat",{{}}]')) == {"P23"}


def test_p25_a_null_payload_is_an_empty_one() -> None:
    frame = call('[2,"1","Heartbeat",null]')
    assert frame.payload == b"{}"
    assert rules(frame) == {"P25"}


@pytest.mark.parametrize("payload", ["[]", "1", '"x"', "true"])
def test_a_payload_that_is_no_object_is_refused(payload: str) -> None:
    error = refused(f'[2,"1","Heartbeat", {payload}]')
    assert (error.code, error.message_id) == (ErrorCode.FORMATION_VIOLATION, "1")


def test_p26_codes_are_spelt_as_in_1_6() -> None:
    assert ErrorCode.FORMATION_VIOLATION.value == "FormationViolation"
    assert ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION.value == "OccurenceConstraintViolation"


def test_p26_error_details_are_an_object() -> None:
    sent = frames.encode_error("1", ErrorCode.NOT_IMPLEMENTED, "what?")
    assert sent == b'[4,"1","NotImplemented","what?",{}]'
    frame = decode('[4,"1","GenericError","",null]')
    assert isinstance(frame, CallError)
    assert frame.details == {}
    assert rules(frame) == {"P26"}


def test_a_long_error_description_is_cut_to_255() -> None:
    assert len(json.loads(frames.encode_error("1", ErrorCode.INTERNAL_ERROR, "x" * 999))[3]) == 255


def test_p28_emoji_are_text() -> None:
    assert call('[2,"1","Authorize",{"idTag":"🚚"}]').findings == ()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_p28_words_for_numbers_are_kept_as_text(number: str) -> None:
    frame = call(f'[2,"1","Authorize",{{"idTag":{number}}}]')
    assert frame.payload == {"idTag": number}
    assert rules(frame) == {"P28"}


@pytest.mark.parametrize("text", ["\\u0000", "\\ud800", "\\udc00\\ud800", "\x00"])
def test_p28_what_cannot_be_stored_is_replaced(text: str) -> None:
    frame = call(f'[2,7,"Author{text}ize",{{"idTag":"a{text}","a{text}":1}}]')
    assert "\ufffd" in frame.action
    assert isinstance(frame.payload, dict)
    assert "\ufffd" in str(frame.payload["idTag"])
    assert rules(frame) == {"P23", "P28"}


@pytest.mark.parametrize("levels", [40, 1_000, 20_000, 500_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_p28_deep_nesting_is_refused_before_it_is_built(levels: int, opening: str, closing: str) -> None:
    nested = opening * levels + "1" + closing * levels
    error = refused(f'[2,"1","DataTransfer",{{"data":{nested}}}]'[: frames.MAX_FRAME_BYTES])
    assert error.message_id == "1" or levels > 200_000


def test_p28_brackets_inside_strings_are_no_nesting() -> None:
    assert call(json.dumps([2, "1", "DataTransfer", {"vendorId": '[{"\\' * 500}])).findings == ()


def test_p28_thirty_two_levels_are_allowed() -> None:
    nested = "[" * 30 + "]" * 30
    assert call(f'[2,"1","DataTransfer",{{"data":{nested}}}]').action == "DataTransfer"
    assert "32 levels" in refused(f'[2,"1","DataTransfer",{{"data":[{nested}]}}]').description


def test_p28_a_binary_frame_may_hold_json() -> None:
    assert decode(HEARTBEAT) == decode(HEARTBEAT.decode())


def test_p28_a_byte_order_mark_is_skipped() -> None:
    assert rules(call(b"\xef\xbb\xbf" + HEARTBEAT)) == {"P28"}


def test_p28_bytes_that_are_not_utf_8_cost_a_finding_not_the_message() -> None:
    assert rules(call(b'[2,"1","\xe4",{"idTag":NaN}]')) == {"P28"}


def test_p28_a_flood_of_odd_numbers_yields_a_short_list_of_findings() -> None:
    frame = call(b'[2,"1","DataTransfer",{"vendorId":"v","data":[' + b",".join([b"NaN"] * 1000) + b"]}]")
    assert 0 < len(frame.findings) <= 20


def test_p29_a_frame_above_two_megabytes_is_too_large() -> None:
    with pytest.raises(FrameTooLarge):
        decode(b'[2,"1","Heartbeat",{"x":"' + b"x" * 2_000_000 + b'"}]')


def test_p29_a_stop_with_hundreds_of_kilobytes_is_read() -> None:
    value = {"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": "1"}] * 10}
    stop = {"transactionId": 1, "meterStop": 2, "timestamp": "2026-01-01T00:00:00Z", "transactionData": [value] * 2000}
    assert len(call(json.dumps([2, "1", "StopTransaction", stop])).payload) > 300_000


@pytest.mark.parametrize("action", [7, None, [], {}])
def test_an_action_that_is_no_string_is_refused(action: object) -> None:
    assert refused(json.dumps([2, "1", action, {}])).message_id == "1"


def test_a_call_is_encoded() -> None:
    assert frames.encode_call("1", "Reset", {"type": "Hard"}) == b'[2,"1","Reset",{"type":"Hard"}]'
