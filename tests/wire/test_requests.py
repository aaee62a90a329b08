"""What a charger may write and still be understood, and what is refused with which code (P27, P38, P41, P46, P49)."""

import json
from typing import Any

import pytest

from charging.wire.decoding import decode_request, decode_response, stored_form
from charging.wire.errors import ErrorCode, Finding, PayloadError
from charging.wire.v16 import core, security, smart_charging

TIME = "2026-01-01T00:00:00Z"
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
START = {"connectorId": 1, "idTag": "A", "meterStart": 5, "timestamp": TIME}
STOP = {"transactionId": 7, "meterStop": 9, "timestamp": TIME}
VALUE = {"timestamp": TIME, "sampledValue": [{"value": "1"}]}
METER = {"connectorId": 1, "transactionId": 7, "meterValue": [VALUE]}


def read(action: str, payload: dict[str, Any]) -> tuple[Any, set[str]]:
    message, findings = decode_request(action, json.dumps(payload).encode())
    return message, {finding.rule for finding in findings}


def refusal(action: str, payload: object) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        decode_request(action, json.dumps(payload).encode())
    return caught.value


def test_a_clean_request_has_no_finding() -> None:
    assert read("BootNotification", BOOT) == (
        core.BootNotification(charge_point_vendor="V", charge_point_model="M"),
        set(),
    )


def test_p25_null_optionals_are_absent() -> None:
    assert read("BootNotification", {**BOOT, "iccid": None}) == (
        core.BootNotification(charge_point_vendor="V", charge_point_model="M"),
        {"P25"},
    )


def test_p26_an_unknown_action_is_not_implemented() -> None:
    assert refusal("Nope", {}).code == ErrorCode.NOT_IMPLEMENTED
    assert refusal("heartbeat", {}).code == ErrorCode.NOT_IMPLEMENTED


def test_p26_a_known_action_in_the_wrong_direction_is_not_supported() -> None:
    assert refusal("Reset", {"type": "Soft"}).code == ErrorCode.NOT_SUPPORTED


def test_p27_over_long_serials_are_kept_whole() -> None:
    message, rules = read("BootNotification", {**BOOT, "chargePointSerialNumber": "s" * 40})
    assert message.charge_point_serial_number == "s" * 40
    assert rules == {"P27"}


def test_p27_numbers_for_text_are_kept_as_written() -> None:
    message, findings = decode_request("BootNotification", b'{"chargePointVendor":1.50,"chargePointModel":7}')
    assert message == core.BootNotification(charge_point_vendor="1.50", charge_point_model="7")
    assert {finding.rule for finding in findings} == {"P27"}


def test_p27_unknown_fields_are_skipped() -> None:
    assert read("Heartbeat", {"uptime": 7, "more": {"deep": []}}) == (core.Heartbeat(), {"P27"})


def test_p27_unknown_words_are_kept() -> None:
    message, rules = read("StatusNotification", {**STATUS, "status": "Idle", "errorCode": "E42"})
    assert (message.status, message.error_code) == ("Idle", "E42")
    assert rules == {"P27"}


def test_p27_an_unknown_measurand_is_kept() -> None:
    value = {"timestamp": TIME, "sampledValue": [{"value": 12.50, "measurand": "Power.Magic", "unit": "kw"}]}
    message, rules = read("MeterValues", {**METER, "meterValue": [value]})
    assert message.meter_value[0].sampled_value[0] == core.SampledValue(
        value="12.5", measurand="Power.Magic", unit="kw"
    )
    assert rules == {"P27"}


def test_p27_integers_may_come_as_text_or_fraction() -> None:
    assert read("StatusNotification", {**STATUS, "connectorId": "1"})[0].connector_id == 1
    assert read("StatusNotification", {**STATUS, "connectorId": 1.0})[0].connector_id == 1


def test_p28_control_characters_are_replaced() -> None:
    message, rules = read("BootNotification", {**BOOT, "iccid": "a\0b\ud800"})
    assert message.iccid == "a\ufffdb\ufffd"
    assert rules == {"P28"}


def test_p28_deep_payloads_are_refused() -> None:
    nested: object = 1
    for _ in range(50):
        nested = [nested]
    assert refusal("DataTransfer", {"vendorId": "v", "data": nested}).code == ErrorCode.FORMATION_VIOLATION


@pytest.mark.parametrize(
    ("action", "payload", "code", "field"),
    [
        ("BootNotification", {"chargePointVendor": "V"}, "OccurenceConstraintViolation", "/chargePointModel"),
        ("Authorize", {}, "OccurenceConstraintViolation", "/idTag"),
        ("Authorize", {"idTag": {}}, "TypeConstraintViolation", "/idTag"),
        ("Authorize", {"idTag": None}, "OccurenceConstraintViolation", "/idTag"),
        ("Authorize", [], "FormationViolation", ""),
        ("StatusNotification", {**STATUS, "connectorId": -1}, "PropertyConstraintViolation", "/connectorId"),
        ("StatusNotification", {**STATUS, "connectorId": 2**40}, "PropertyConstraintViolation", "/connectorId"),
        ("StatusNotification", {**STATUS, "connectorId": 1.5}, "TypeConstraintViolation", "/connectorId"),
        ("StatusNotification", {**STATUS, "connectorId": True}, "TypeConstraintViolation", "/connectorId"),
        ("StatusNotification", {**STATUS, "status": 7}, "TypeConstraintViolation", "/status"),
        ("StatusNotification", {**STATUS, "timestamp": []}, "TypeConstraintViolation", "/timestamp"),
        ("StartTransaction", {}, "OccurenceConstraintViolation", "/connectorId"),
        ("MeterValues", {"connectorId": 1}, "OccurenceConstraintViolation", "/meterValue"),
        ("MeterValues", {"connectorId": 1, "meterValue": 7}, "TypeConstraintViolation", "/meterValue"),
    ],
)
def test_an_unusable_payload_is_refused(action: str, payload: object, code: str, field: str) -> None:
    error = refusal(action, payload)
    assert (error.code, error.field) == (code, field)


def test_p29_a_chatty_request_is_refused_above_64_kb() -> None:
    data = {"vendorId": "v", "data": "x" * 70_000}
    assert refusal("DataTransfer", data).code == ErrorCode.FORMATION_VIOLATION


def test_p29_a_long_stop_is_read() -> None:
    message, rules = read("StopTransaction", {**STOP, "transactionData": [VALUE] * 2000})
    assert len(message.transaction_data) == 2000
    assert rules == set()


ODD: list[object] = [None, {}, [], [1], "", "odd", True, -1, 1.5, 10**30, "NaN", "1e400"]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("field", ["transactionId", "meterStop", "timestamp", "idTag", "reason", "transactionData"])
def test_p38_no_field_of_a_stop_costs_the_message(field: str, odd: object) -> None:
    message, _ = read("StopTransaction", {**STOP, field: odd})
    assert isinstance(message, core.StopTransaction)


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("field", ["idTag", "meterStart", "timestamp", "reservationId"])
def test_p38_no_fact_of_a_start_costs_the_message(field: str, odd: object) -> None:
    message, _ = read("StartTransaction", {**START, field: odd})
    assert isinstance(message, core.StartTransaction)


@pytest.mark.parametrize("odd", ODD)
def test_p38_no_sample_costs_the_message(odd: object) -> None:
    for values in ([odd, VALUE], [{"timestamp": odd, "sampledValue": [odd, {"value": odd, "unit": odd}]}, VALUE]):
        message, _ = read("MeterValues", {**METER, "transactionId": odd, "meterValue": values})
        assert core.MeterValue(timestamp=TIME, sampled_value=(core.SampledValue(value="1"),)) in message.meter_value


def test_p38_an_empty_stop_is_a_stop() -> None:
    message, rules = read("StopTransaction", {})
    assert message == core.StopTransaction(transaction_id=-1, meter_stop=None, timestamp="")
    assert rules == {"P38"}


@pytest.mark.parametrize("transaction", [0, -1, 2**31 - 1])
def test_p41_any_transaction_id_may_be_stopped(transaction: int) -> None:
    message, rules = read("StopTransaction", {**STOP, "transactionId": transaction})
    assert message.transaction_id == transaction
    assert rules == set()


def test_p41_a_stop_without_transaction_is_minus_one() -> None:
    stop = {key: value for key, value in STOP.items() if key != "transactionId"}
    assert read("StopTransaction", stop)[0].transaction_id == -1


@pytest.mark.parametrize("meter", [-5, 0, 3_000_000_000_000])
def test_p42_any_register_is_read(meter: int) -> None:
    message, rules = read("StopTransaction", {**STOP, "meterStop": meter})
    assert message.meter_stop == meter
    assert rules == set()


@pytest.mark.parametrize(("written", "read_as"), [(1234.7, 1234), ("1234", 1234), ("1234.9", 1234), ("12 kWh", None)])
def test_p59_registers_are_whole_wh(written: object, read_as: int | None) -> None:
    message, rules = read("StartTransaction", {**START, "meterStart": written})
    assert message.meter_start == read_as
    assert rules != set()


def test_p46_meter_values_need_no_transaction() -> None:
    for transaction in ({}, {"transactionId": 0}, {"transactionId": -1}):
        message, rules = read("MeterValues", {"connectorId": 0, "meterValue": [VALUE], **transaction})
        assert isinstance(message, core.MeterValues)
        assert rules == set()


def test_p49_a_stop_needs_neither_reason_nor_tag() -> None:
    message, rules = read("StopTransaction", STOP)
    assert (message.reason, message.id_tag) == (None, None)
    assert rules == set()


def test_p61_a_sample_without_value_is_dropped() -> None:
    value = {"timestamp": TIME, "sampledValue": [{"unit": "V"}, 7, {"value": "1"}]}
    message, rules = read("MeterValues", {**METER, "meterValue": [value]})
    assert len(message.meter_value[0].sampled_value) == 1
    assert rules == {"P61"}


def test_p61_hz_is_a_unit() -> None:
    value = {"timestamp": TIME, "sampledValue": [{"value": "50", "measurand": "Frequency", "unit": "Hz"}]}
    assert read("MeterValues", {**METER, "meterValue": [value]})[1] == set()


def test_p62_a_single_element_needs_no_list() -> None:
    message, rules = read("MeterValues", {**METER, "meterValue": VALUE})
    assert len(message.meter_value) == 1
    assert rules == {"P27"}


def test_p74_an_accepted_composite_may_be_empty() -> None:
    message, findings = decode_response("GetCompositeSchedule", b'{"status":"Accepted"}')
    assert message == smart_charging.GetCompositeScheduleResponse(status="Accepted")
    assert findings == ()


def test_p74_a_composite_may_report_minus_one_and_odd_units() -> None:
    periods = [{"startPeriod": 0, "limit": -1}, {"startPeriod": 60, "limit": 999999.123}]
    schedule = {"chargingRateUnit": "Amps", "chargingSchedulePeriod": periods}
    answer = {"status": "Accepted", "connectorId": -1, "chargingSchedule": schedule}
    message, findings = decode_response("GetCompositeSchedule", json.dumps(answer).encode())
    assert isinstance(message, smart_charging.GetCompositeScheduleResponse)
    assert message.charging_schedule is not None
    assert [period.limit for period in message.charging_schedule.charging_schedule_period] == [-1.0, 999999.123]
    assert {finding.rule for finding in findings} == {"P27"}


def test_p81_data_may_be_an_object() -> None:
    message, rules = read("DataTransfer", {"vendorId": "v", "data": {"a": [1, "é"]}})
    assert message.data == '{"a": [1, "é"]}'
    assert rules == {"P81"}


def test_p83_a_security_event_is_always_confirmed() -> None:
    message, _ = read("SecurityEventNotification", {"techInfo": [], "timestamp": 7})
    assert message == security.SecurityEventNotification(type="", timestamp="7")


def test_findings_stay_a_short_list() -> None:
    _, findings = decode_request("Heartbeat", json.dumps({f"f{n}": n for n in range(999)}).encode())
    assert 0 < len(findings) <= 21
    assert all(isinstance(finding, Finding) for finding in findings)


def test_a_finding_never_repeats_a_long_text() -> None:
    _, findings = decode_request("StatusNotification", json.dumps({**STATUS, "status": "x" * 5000}).encode())
    assert all(len(finding.text) < 200 for finding in findings)


def test_the_stored_form_fits_a_json_column() -> None:
    assert stored_form(b'{"a":1e400,"b":NaN,"c":"\\u0000\\ud800","d":0.5,"e":123456789012345678901}') == {
        "a": "1e400",
        "b": "NaN",
        "c": "\ufffd\ufffd",
        "d": 0.5,
        "e": "123456789012345678901",
    }


def test_p25_a_null_inside_a_sample_is_noted() -> None:
    value = {"timestamp": TIME, "sampledValue": [{"value": "1", "unit": None}]}
    message, rules = read("MeterValues", {**METER, "meterValue": [value]})
    assert message.meter_value[0].sampled_value == (core.SampledValue(value="1"),)
    assert rules == {"P25"}


def test_a_flood_of_flaws_ends_the_reading_not_the_message() -> None:
    message, findings = decode_request(
        "MeterValues", json.dumps({**METER, "meterValue": [VALUE, *[7] * 20_000, VALUE]}).encode()
    )
    assert isinstance(message, core.MeterValues)
    assert len(message.meter_value) == 1
    assert "elements were enough" in findings[-1].text


def test_one_flaw_among_many_samples_costs_only_itself() -> None:
    good: dict[str, object] = {"value": "1"}
    values = [good] * 5_000 + [{"value": {}}]
    message, rules = read("MeterValues", {**METER, "meterValue": [{"timestamp": TIME, "sampledValue": values}]})
    assert len(message.meter_value[0].sampled_value) == 5_000
    assert rules == {"P61"}
