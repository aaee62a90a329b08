"""One RPC state machine per socket: order, repetition, lateness (P21-P24, P29)."""

import json
from itertools import count

import pytest

from charging.wire.errors import ErrorCode
from charging.wire.session import Answered, CloseNow, Event, Ignored, IncomingCall, RpcSession, SendNow, TimedOut

HEARTBEAT = b'[2,"h1","Heartbeat",{}]'
RESET = {"type": "Soft"}


def session(**options: float) -> RpcSession:
    numbers = count(1)
    return RpcSession(new_message_id=lambda: f"m{next(numbers)}", **options)  # type: ignore[arg-type]


def only(events: list[Event]) -> Event:
    assert len(events) == 1
    return events[0]


def test_a_call_comes_with_its_frame_byte_identical() -> None:
    raw = b' [2, "h1","Heartbeat" ,{} ]\n'
    assert only(session().receive(raw, 0.0)) == IncomingCall("h1", "Heartbeat", b"{}", raw)


def test_a_text_frame_is_kept_as_its_utf_8() -> None:
    text = '[2,"1","Authorize",{"idTag":"🚚"}]'
    event = only(session().receive(text, 0.0))
    assert isinstance(event, IncomingCall)
    assert event.raw == text.encode()


def test_p19_an_unknown_type_is_ignored() -> None:
    assert isinstance(only(session().receive('[6,"1","X",{}]', 0.0)), Ignored)


def test_p20_garbage_is_ignored_and_a_readable_id_refused() -> None:
    assert isinstance(only(session().receive("[[[", 0.0)), Ignored)
    event = only(session().receive('[2,"7","Heartbeat",{', 0.0))
    assert isinstance(event, SendNow)
    assert json.loads(event.frame)[:3] == [4, "7", "FormationViolation"]


def test_p21_one_command_is_open_at_a_time() -> None:
    rpc = session()
    assert rpc.may_call
    assert rpc.call("c1", "Reset", RESET, 0.0) == b'[2,"m1","Reset",{"type":"Soft"}]'
    assert rpc.call("c2", "Reset", RESET, 0.0) is None
    assert (rpc.outstanding, rpc.may_call) == ("c1", False)


def test_p21_the_chargers_calls_pass_while_ours_is_open() -> None:
    rpc = session()
    rpc.call("c1", "Reset", RESET, 0.0)
    assert isinstance(only(rpc.receive(HEARTBEAT, 1.0)), IncomingCall)
    assert rpc.answer("h1", {"currentTime": "2026-01-01T00:00:00Z"}) == (
        b'[3,"h1",{"currentTime":"2026-01-01T00:00:00Z"}]'
    )
    assert rpc.outstanding == "c1"


def test_p22_pipelined_calls_come_out_in_order() -> None:
    rpc = session()
    events = [only(rpc.receive(f'[2,"{n}","Heartbeat",{{}}]', 0.0)) for n in range(50)]
    assert [event.message_id for event in events if isinstance(event, IncomingCall)] == [str(n) for n in range(50)]


def test_p23_the_same_call_again_gets_the_same_answer() -> None:
    rpc = session()
    rpc.receive(HEARTBEAT, 0.0)
    answer = rpc.answer("h1", {"currentTime": "2026-01-01T00:00:00Z"})
    event = only(rpc.receive(HEARTBEAT, 9.0))
    assert isinstance(event, SendNow)
    assert event.frame == answer


def test_p23_the_same_refusal_is_given_again() -> None:
    rpc = session()
    raw = b'[2,"1","Nope",{}]'
    rpc.receive(raw, 0.0)
    refusal = rpc.refuse("1", ErrorCode.NOT_IMPLEMENTED, "the action is unknown")
    event = only(rpc.receive(raw, 9.0))
    assert isinstance(event, SendNow)
    assert event.frame == refusal


def test_p23_a_repetition_before_the_answer_is_answered_once() -> None:
    rpc = session()
    rpc.receive(HEARTBEAT, 0.0)
    assert isinstance(only(rpc.receive(HEARTBEAT, 0.1)), Ignored)


def test_p23_the_same_id_with_other_content_is_refused() -> None:
    rpc = session()
    rpc.receive(HEARTBEAT, 0.0)
    event = only(rpc.receive('[2,"h1","Authorize",{"idTag":"A"}]', 0.0))
    assert isinstance(event, SendNow)
    assert json.loads(event.frame)[:3] == [4, "h1", "FormationViolation"]


@pytest.mark.parametrize("action", ["StartTransaction", "StopTransaction", "MeterValues"])
def test_p23_a_transaction_message_with_a_used_id_is_taken(action: str) -> None:
    rpc = session()
    rpc.receive('[2,"h1","Heartbeat",{}]', 0.0)
    rpc.answer("h1")
    event = only(rpc.receive(f'[2,"h1","{action}",{{"a":1}}]', 0.0))
    assert isinstance(event, IncomingCall)
    assert [finding.rule for finding in event.findings] == ["P23"]
    again = only(rpc.receive(f'[2,"h1","{action}",{{"a":2}}]', 0.0))
    assert isinstance(again, IncomingCall)


def test_p23_a_number_and_a_string_are_different_ids() -> None:
    rpc = session()
    rpc.receive('[2,7,"Heartbeat",{}]', 0.0)
    assert isinstance(only(rpc.receive('[2,"7","Authorize",{"idTag":"A"}]', 0.0)), IncomingCall)


def test_p23_only_the_last_ids_are_remembered() -> None:
    rpc = session(remembered_calls=3)
    for number in range(5):
        rpc.receive(f'[2,"{number}","Heartbeat",{{}}]', 0.0)
        rpc.answer(str(number))
    assert isinstance(only(rpc.receive('[2,"0","Heartbeat",{}]', 0.0)), IncomingCall)
    assert isinstance(only(rpc.receive('[2,"4","Heartbeat",{}]', 0.0)), SendNow)


def test_an_answer_closes_the_command() -> None:
    rpc = session()
    rpc.call("c1", "Reset", RESET, 0.0)
    event = only(rpc.receive('[3,"m1",{"status":"Accepted"}]', 1.0))
    assert event == Answered(
        "c1", "Reset", b'{"status":"Accepted"}', None, late=False, raw=b'[3,"m1",{"status":"Accepted"}]'
    )
    assert rpc.may_call


def test_a_callerror_closes_the_command_with_its_error() -> None:
    rpc = session()
    rpc.call("c1", "Reset", RESET, 0.0)
    event = only(rpc.receive('[4,"m1","NotSupported","no reset",{"a":1}]', 1.0))
    assert isinstance(event, Answered)
    assert event.result is None
    assert event.error is not None
    assert (event.error.code, event.error.description, event.error.details) == ("NotSupported", "no reset", b'{"a":1}')
    assert rpc.may_call


def test_p24_the_slot_frees_at_the_timeout() -> None:
    rpc = session(call_timeout=30.0)
    rpc.call("c1", "Reset", RESET, 100.0)
    assert rpc.expire(129.9) == []
    assert rpc.expire(130.0) == [TimedOut("c1", "Reset")]
    assert rpc.expire(130.0) == []
    assert rpc.call("c2", "Reset", RESET, 130.0) is not None


def test_p24_a_late_answer_is_matched() -> None:
    rpc = session()
    rpc.call("c1", "SetChargingProfile", {}, 0.0)
    rpc.expire(30.0)
    rpc.call("c2", "Reset", RESET, 30.0)
    event = only(rpc.receive('[3,"m1",{"status":"Accepted"}]', 31.0))
    assert isinstance(event, Answered)
    assert (event.command_id, event.action, event.late) == ("c1", "SetChargingProfile", True)
    assert rpc.outstanding == "c2"
    on_time = only(rpc.receive('[3,"m2",{"status":"Accepted"}]', 32.0))
    assert isinstance(on_time, Answered)
    assert (on_time.command_id, on_time.late) == ("c2", False)


def test_p24_a_late_answer_counts_once() -> None:
    rpc = session()
    rpc.call("c1", "Reset", RESET, 0.0)
    rpc.expire(30.0)
    rpc.receive('[3,"m1",{}]', 31.0)
    assert isinstance(only(rpc.receive('[3,"m1",{}]', 32.0)), Ignored)


def test_p24_an_answer_to_an_id_never_sent_is_ignored() -> None:
    rpc = session()
    rpc.call("c1", "Reset", RESET, 0.0)
    assert isinstance(only(rpc.receive('[3,"other",{}]', 1.0)), Ignored)
    assert isinstance(only(rpc.receive('[4,"other","GenericError","",{}]', 1.0)), Ignored)
    assert rpc.outstanding == "c1"


def test_p24_timeouts_are_remembered_within_bounds() -> None:
    rpc = session()
    for number in range(100):
        rpc.call(f"c{number}", "Reset", RESET, 0.0)
        rpc.expire(30.0)
    assert isinstance(only(rpc.receive('[3,"m1",{}]', 31.0)), Ignored)
    assert isinstance(only(rpc.receive('[3,"m100",{}]', 31.0)), Answered)


def test_p29_a_frame_above_the_cap_closes_with_1009() -> None:
    event = only(session().receive(b" " * 2_000_001, 0.0))
    assert isinstance(event, CloseNow)
    assert event.code == 1009


def test_what_is_open_at_the_end_is_reported() -> None:
    rpc = session()
    assert rpc.closed() == []
    rpc.call("c1", "Reset", RESET, 0.0)
    assert rpc.closed() == ["c1"]


def test_p33_a_call_before_boot_can_be_refused_with_security_error() -> None:
    rpc = session()
    rpc.receive(HEARTBEAT, 0.0)
    assert rpc.refuse("h1", ErrorCode.SECURITY_ERROR, "boot first") == b'[4,"h1","SecurityError","boot first",{}]'


def test_own_message_ids_are_unique_and_36_characters() -> None:
    rpc = RpcSession()
    ids = set()
    for _ in range(3):
        sent = rpc.call("c", "ClearCache", b"{}", 0.0)
        assert sent is not None
        ids.add(json.loads(sent)[1])
        rpc.expire(30.0)
    assert len(ids) == 3
    assert {len(each) for each in ids} == {36}
