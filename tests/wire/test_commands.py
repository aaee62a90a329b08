"""Commands from the API: exact, and every refusal names the field (P25, P27, P51, P66, P69, P71, P72)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charging.wire.decoding import COMMANDS, encode_request, validate_command
from charging.wire.errors import PayloadError
from charging.wire.v16 import core
from charging.wire.v16.profile_rules import wire_limit
from charging.wire.v16.registry import TO_CHARGER
from charging.wire.v16.types import Message
from tests.wire.schemas import flaws, instances

SCHEDULE = {
    "startSchedule": "2026-01-01T00:00:00Z",
    "chargingRateUnit": "A",
    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 16.0}, {"startPeriod": 900, "limit": 6.1}],
}
PROFILE = {
    "chargingProfileId": 11,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": SCHEDULE,
}
TX_PROFILE = {**PROFILE, "chargingProfilePurpose": "TxProfile", "transactionId": 7}
START_PROFILE = {**PROFILE, "chargingProfilePurpose": "TxProfile"}


def without(payload: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name != key}


def set_profile(profile: dict[str, Any], connector: int = 1) -> dict[str, Any]:
    return {"connectorId": connector, "csChargingProfiles": profile}


def with_schedule(**changes: Any) -> dict[str, Any]:
    return set_profile({**PROFILE, "chargingSchedule": {**SCHEDULE, **changes}})


def refusal(action: str, payload: object) -> tuple[str, str]:
    with pytest.raises(PayloadError) as caught:
        validate_command(action, payload)
    return caught.value.field, caught.value.code.value


def outcome(action: str, payload: object) -> tuple[Message | None, str]:
    try:
        return validate_command(action, payload), ""
    except PayloadError as error:
        return None, error.field


def test_a_command_becomes_its_struct() -> None:
    assert validate_command("Reset", {"type": "Hard"}) == core.Reset(type="Hard")


def test_every_action_to_the_charger_is_a_command() -> None:
    assert set(COMMANDS) == set(TO_CHARGER)


def test_an_unknown_action_lists_the_known_ones() -> None:
    with pytest.raises(PayloadError) as caught:
        validate_command("reset", {})
    assert caught.value.code == "NotImplemented"
    assert all(action in caught.value.description for action in COMMANDS)


@pytest.mark.parametrize("action", COMMANDS)
@settings(max_examples=10)
@given(data=st.data())
def test_a_valid_command_passes_and_stays_valid(action: str, data: st.DataObject) -> None:
    payload = encode_request(data.draw(instances(COMMANDS[action])))
    message, refused_field = outcome(action, payload)
    if message is None:
        # A profile obeys more than its types: the rules P66, P69 and P72.
        assert "rofile" in refused_field or refused_field == "/connectorId"
        assert action in ("SetChargingProfile", "RemoteStartTransaction")
    else:
        assert flaws(action, msgspec.json.encode(message)) == []


@pytest.mark.parametrize(
    ("action", "payload", "field", "code"),
    [
        ("Reset", [], "", "FormationViolation"),
        ("Reset", None, "", "FormationViolation"),
        ("Reset", {}, "/type", "OccurenceConstraintViolation"),
        ("Reset", {"type": "hard"}, "/type", "PropertyConstraintViolation"),
        ("Reset", {"type": 1}, "/type", "TypeConstraintViolation"),
        ("Reset", {"type": "Hard", "a/b~c": 1}, "/a~1b~0c", "FormationViolation"),
        ("UnlockConnector", {"connectorId": "1"}, "/connectorId", "TypeConstraintViolation"),
        ("UnlockConnector", {"connectorId": 1.0}, "/connectorId", "TypeConstraintViolation"),
        ("UnlockConnector", {"connectorId": True}, "/connectorId", "TypeConstraintViolation"),
        ("UnlockConnector", {"connectorId": 0}, "/connectorId", "PropertyConstraintViolation"),
        ("UnlockConnector", {"connectorId": 10**30}, "/connectorId", "PropertyConstraintViolation"),
        ("RemoteStartTransaction", {"idTag": "x" * 21}, "/idTag", "PropertyConstraintViolation"),
        ("RemoteStartTransaction", {"idTag": "a\0"}, "/idTag", "PropertyConstraintViolation"),
        ("RemoteStartTransaction", {"idTag": "\ud800"}, "/idTag", "PropertyConstraintViolation"),
        ("RemoteStartTransaction", {"idTag": "A", "connectorId": None}, "/connectorId", "TypeConstraintViolation"),
        ("GetConfiguration", {"key": []}, "/key", "OccurenceConstraintViolation"),
        ("GetConfiguration", {"key": ["a", 7]}, "/key/1", "TypeConstraintViolation"),
        ("GetConfiguration", {"key": "a"}, "/key", "TypeConstraintViolation"),
        ("GetDiagnostics", {"location": "not a url"}, "/location", "PropertyConstraintViolation"),
        ("DataTransfer", {"vendorId": "v", "data": {}}, "/data", "TypeConstraintViolation"),
    ],
)
def test_a_bad_command_names_its_field(action: str, payload: object, field: str, code: str) -> None:
    assert refusal(action, payload) == (field, code)


@pytest.mark.parametrize("time", ["tomorrow", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", ""])
def test_a_time_needs_a_date_and_a_zone(time: str) -> None:
    payload = {"connectorId": 1, "expiryDate": time, "idTag": "A", "reservationId": 1}
    assert refusal("ReserveNow", payload) == ("/expiryDate", "PropertyConstraintViolation")


def test_a_time_is_sent_in_utc() -> None:
    payload = {"location": "ftp://h/f", "retrieveDate": "2026-07-01T02:00:00+02:00"}
    assert encode_request(validate_command("UpdateFirmware", payload))["retrieveDate"] == "2026-07-01T00:00:00.000Z"


@pytest.mark.parametrize("version", [0, -1])
def test_p51_list_versions_are_above_zero(version: int) -> None:
    field, _ = refusal("SendLocalList", {"listVersion": version, "updateType": "Full"})
    assert field == "/listVersion"


def test_p66_a_station_maximum_goes_to_connector_zero() -> None:
    maximum = {**PROFILE, "chargingProfilePurpose": "ChargePointMaxProfile"}
    validate_command("SetChargingProfile", set_profile(maximum, connector=0))
    assert refusal("SetChargingProfile", set_profile(maximum, connector=1))[0] == "/connectorId"


def test_p66_a_default_goes_anywhere() -> None:
    for connector in (0, 1):
        validate_command("SetChargingProfile", set_profile(PROFILE, connector))


def test_p66_a_tx_profile_needs_a_connector_and_its_transaction() -> None:
    validate_command("SetChargingProfile", set_profile(TX_PROFILE))
    assert refusal("SetChargingProfile", set_profile(TX_PROFILE, connector=0))[0] == "/connectorId"
    assert refusal("SetChargingProfile", set_profile(without(TX_PROFILE, "transactionId")))[0] == (
        "/csChargingProfiles/transactionId"
    )


def test_p69_the_first_period_starts_at_zero() -> None:
    assert refusal("SetChargingProfile", with_schedule(chargingSchedulePeriod=[{"startPeriod": 1, "limit": 6}])) == (
        "/csChargingProfiles/chargingSchedule/chargingSchedulePeriod/0/startPeriod",
        "PropertyConstraintViolation",
    )


def test_p69_periods_rise() -> None:
    periods = [{"startPeriod": 0, "limit": 6}, {"startPeriod": 0, "limit": 7}]
    assert refusal("SetChargingProfile", with_schedule(chargingSchedulePeriod=periods))[0].endswith("/1/startPeriod")


def test_p69_absolute_needs_a_start_and_relative_has_none() -> None:
    no_start = without(SCHEDULE, "startSchedule")
    relative = {**PROFILE, "chargingProfileKind": "Relative"}
    start = "/csChargingProfiles/chargingSchedule/startSchedule"
    assert refusal("SetChargingProfile", set_profile({**PROFILE, "chargingSchedule": no_start}))[0] == start
    assert refusal("SetChargingProfile", set_profile(relative))[0] == start
    validate_command("SetChargingProfile", set_profile({**relative, "chargingSchedule": no_start}))


def test_p69_recurring_names_its_recurrency() -> None:
    recurring = {**PROFILE, "chargingProfileKind": "Recurring"}
    assert refusal("SetChargingProfile", set_profile(recurring))[0] == "/csChargingProfiles/recurrencyKind"
    validate_command("SetChargingProfile", set_profile({**recurring, "recurrencyKind": "Daily"}))
    assert refusal("SetChargingProfile", set_profile({**PROFILE, "recurrencyKind": "Daily"}))[0] == (
        "/csChargingProfiles/recurrencyKind"
    )


def test_p71_a_limit_is_a_multiple_of_a_tenth() -> None:
    with pytest.raises(PayloadError, match=r"the next lower one is 10\.4"):
        validate_command(
            "SetChargingProfile", with_schedule(chargingSchedulePeriod=[{"startPeriod": 0, "limit": 10.43}])
        )


@pytest.mark.parametrize("limit", [-1, float("nan"), float("inf"), "16", 1e300])
def test_p71_a_limit_is_a_number_from_zero_up(limit: object) -> None:
    periods = [{"startPeriod": 0, "limit": limit}]
    assert refusal("SetChargingProfile", with_schedule(chargingSchedulePeriod=periods))[0].endswith("/0/limit")


@pytest.mark.parametrize(("limit", "sent"), [(16.19, 16.1), (16.1, 16.1), (0.1 + 0.2, 0.3), (5.999, 5.9), (0.0, 0.0)])
def test_p71_limits_are_rounded_down_to_a_tenth(limit: float, sent: float) -> None:
    assert wire_limit(limit) == sent


def test_p72_a_remote_start_carries_a_tx_profile_without_transaction() -> None:
    start = {"idTag": "A", "connectorId": 1}
    validate_command("RemoteStartTransaction", {**start, "chargingProfile": START_PROFILE})
    assert refusal("RemoteStartTransaction", {**start, "chargingProfile": TX_PROFILE})[0] == (
        "/chargingProfile/transactionId"
    )
    assert refusal("RemoteStartTransaction", {**start, "chargingProfile": PROFILE})[0] == (
        "/chargingProfile/chargingProfilePurpose"
    )


def test_an_expired_validity_is_refused() -> None:
    profile = {**PROFILE, "validFrom": "2026-01-02T00:00:00+02:00", "validTo": "2026-01-01T22:00:00Z"}
    assert refusal("SetChargingProfile", set_profile(profile))[0] == "/csChargingProfiles/validTo"
