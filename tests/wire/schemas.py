"""The published OCPP 1.6 JSON schemas, as the `ocpp` package ships them, and strategies for our structs."""

import json
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

from hypothesis import strategies as st
from jsonschema import Draft4Validator, Draft6Validator, FormatChecker  # type: ignore[import-untyped]
from msgspec import inspect

from charging.wire.v16.registry import FROM_CHARGER, TO_CHARGER
from charging.wire.v16.types import Message

MESSAGES: dict[str, type[Message]] = {
    name: cls
    for pairs in (FROM_CHARGER, TO_CHARGER)
    for action, (request, response) in pairs.items()
    for name, cls in ((action, request), (f"{action}Response", response))
}
SENT: dict[str, type[Message]] = {
    **{action: request for action, (request, _) in TO_CHARGER.items()},
    **{f"{action}Response": response for action, (_, response) in FROM_CHARGER.items()},
}
TIMES = st.datetimes().map(lambda time: time.isoformat(timespec="milliseconds") + "Z")


@cache
def schema(name: str) -> dict[str, Any]:
    """Schema of a request or, with `Response` behind the action, of an answer."""
    text = files("ocpp").joinpath("v16", "schemas", f"{name}.json").read_text(encoding="utf-8-sig")
    content: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return content


def flaws(name: str, payload: bytes) -> list[str]:
    """What the schema has against a payload; numbers as Decimal, since 0.1 is no binary fraction."""
    content = schema(name)
    validator = Draft4Validator if "draft-04" in content["$schema"] else Draft6Validator
    value = json.loads(payload, parse_float=Decimal)
    return [error.message for error in validator(content, format_checker=FormatChecker()).iter_errors(value)]


def instances(cls: type[Message], *, required_only: bool = False) -> st.SearchStrategy[Message]:
    """Valid messages of a type, with every combination of optional fields."""
    kind = inspect.type_info(cls)
    assert isinstance(kind, inspect.StructType)
    fields = {field.name: _values(field.type, absent=not field.required) for field in kind.fields}
    required = {field.name: fields[field.name] for field in kind.fields if field.required}
    return st.builds(cls, **(required if required_only else fields))


def _values(kind: inspect.Type, *, absent: bool, extra: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    if isinstance(kind, inspect.Metadata):
        return _values(kind.type, absent=absent, extra={**(extra or {}), **(kind.extra or {})})
    if isinstance(kind, inspect.UnionType):
        inner = next(item for item in kind.types if not isinstance(item, inspect.NoneType))
        values = _values(inner, absent=False, extra=extra)
        return st.none() | values if absent else values
    return _plain_values(kind, extra or {})


def _plain_values(kind: inspect.Type, extra: dict[str, Any]) -> st.SearchStrategy[Any]:
    if isinstance(kind, inspect.StructType):
        assert issubclass(kind.cls, Message)
        return instances(kind.cls)
    if isinstance(kind, inspect.VarTupleType):
        return st.lists(_values(kind.item_type, absent=False), min_size=1, max_size=3).map(tuple)
    if isinstance(kind, inspect.LiteralType):
        return st.sampled_from(kind.values)
    if isinstance(kind, inspect.BoolType):
        return st.booleans()
    if isinstance(kind, inspect.IntType):
        lowest = kind.ge if kind.ge is not None else 1
        return st.integers(min_value=int(lowest), max_value=int(kind.le or 0))
    if isinstance(kind, inspect.FloatType):
        return st.integers(min_value=0, max_value=1_000_000).map(lambda tenths: tenths / 10)
    assert isinstance(kind, inspect.StrType)
    if extra.get("format") == "date-time":
        return TIMES
    if extra.get("format") == "uri":
        return st.just("https://depot.example/upload/1")
    characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return st.text(characters, max_size=min(kind.max_length or 30, 30))
