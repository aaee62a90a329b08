"""What leaves is valid by the published schemas, and what they allow is read without a finding (P27)."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect

from charging.wire import decoding, frames
from charging.wire.v16.registry import FROM_CHARGER, TO_CHARGER
from charging.wire.v16.types import Message
from tests.wire.schemas import MESSAGES, SENT, flaws, instances, schema

FROM_THE_CHARGER = sorted(
    [(action, request, decoding.decode_request) for action, (request, _) in FROM_CHARGER.items()]
    + [(action, response, decoding.decode_response) for action, (_, response) in TO_CHARGER.items()],
    key=lambda row: row[1].__name__,
)


def test_every_action_of_the_schemas_is_known() -> None:
    assert len(FROM_CHARGER) == 14
    assert len(TO_CHARGER) == 26
    assert all(schema(name)["type"] == "object" for name in MESSAGES)


@pytest.mark.parametrize("name", MESSAGES)
def test_fields_and_required_fields_equal_the_schema(name: str) -> None:
    assert _shape_of(MESSAGES[name]) == _shape_in(schema(name), schema(name))


def _shape_of(cls: type) -> dict[str, object]:
    return {field.encode_name: (field.required, _shape(field.type)) for field in msgspec_fields(cls)}


def msgspec_fields(cls: type) -> tuple[inspect.Field, ...]:
    kind = inspect.type_info(cls)
    assert isinstance(kind, inspect.StructType)
    return kind.fields


def _shape(kind: inspect.Type) -> object:
    if isinstance(kind, inspect.Metadata):
        return _shape(kind.type)
    if isinstance(kind, inspect.UnionType):
        return _shape(next(item for item in kind.types if not isinstance(item, inspect.NoneType)))
    if isinstance(kind, inspect.StructType):
        return _shape_of(kind.cls)
    if isinstance(kind, inspect.VarTupleType):
        return [_shape(kind.item_type)]
    if isinstance(kind, inspect.LiteralType):
        # Hertz came with an erratum, Hz with the chargers.
        return set(kind.values) - {"Hertz", "Hz"}
    if isinstance(kind, inspect.StrType):
        return kind.max_length
    return {inspect.BoolType: "boolean", inspect.IntType: "integer", inspect.FloatType: "number"}[type(kind)]


def _shape_in(node: dict, whole: dict) -> object:  # type: ignore[type-arg]
    if "$ref" in node:
        node = whole["definitions"][node["$ref"].rsplit("/", 1)[1]]
    if node["type"] == "object":
        required = node.get("required", [])
        fields = node.get("properties", {})
        return {name: (name in required, _shape_in(field, whole)) for name, field in fields.items()}
    if node["type"] == "array":
        return [_shape_in(node["items"], whole)]
    if "enum" in node:
        return set(node["enum"]) - {"Hertz", "Hz"}
    return node.get("maxLength") if node["type"] == "string" else node["type"]


@pytest.mark.parametrize("name", SENT)
@settings(max_examples=20)
@given(data=st.data())
def test_what_is_sent_is_valid_by_schema(name: str, data: st.DataObject) -> None:
    message = data.draw(instances(SENT[name]))
    frame = frames.encode_result("id", message)
    payload = bytes(msgspec.json.decode(frame, type=list[msgspec.Raw])[2])
    assert flaws(name, payload) == []
    assert b"null" not in payload or b'"null"' in payload or "null" in str(message)
    assert decoding.encode_request(message) == msgspec.json.decode(payload)


@pytest.mark.parametrize("name", SENT)
@settings(max_examples=5)
@given(data=st.data())
def test_p25_absent_optionals_are_left_out(name: str, data: st.DataObject) -> None:
    cls = SENT[name]
    payload = decoding.encode_request(data.draw(instances(cls, required_only=True)))
    assert set(payload) == {field.encode_name for field in msgspec_fields(cls) if field.required}


@pytest.mark.parametrize(("action", "cls", "decode"), FROM_THE_CHARGER)
@settings(max_examples=20)
@given(data=st.data())
def test_p27_what_the_schema_allows_needs_no_leniency(
    action: str, cls: type[Message], decode: object, data: st.DataObject
) -> None:
    message = data.draw(instances(cls))
    assert callable(decode)
    assert decode(action, msgspec.json.encode(message)) == (message, ())
