"""Build a message struct from parsed JSON, exactly (API users) or leniently with findings (chargers, P27, P38)."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from math import floor
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import inspect

from charging.wire.errors import ErrorCode, Finding, PayloadError, excerpt
from charging.wire.lenient_json import MAX_FINDINGS, UNSTORABLE
from charging.wire.timestamps import parse_exact, wire_time
from charging.wire.v16.types import Message

MAX_NUMBER_LENGTH: Final = 40
MAX_REPAIRS: Final = 10_000  # a frame of 2 MB full of flaws must not hold up the other chargers
ABSENT: Final = object()
M = TypeVar("M", bound=Message)

MISSING = ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION
WRONG_TYPE = ErrorCode.TYPE_CONSTRAINT_VIOLATION
WRONG_VALUE = ErrorCode.PROPERTY_CONSTRAINT_VIOLATION
WRONG_SHAPE = ErrorCode.FORMATION_VIOLATION


class Reader:
    """One reading of one payload. `lenient` repairs and records, otherwise the first flaw raises PayloadError."""

    def __init__(self, *, lenient: bool) -> None:
        self.lenient = lenient
        self.findings: list[Finding] = []
        self.repairs = 0

    def read(self, cls: type[M], value: object, path: str = "") -> M:
        """The struct, or PayloadError with the JSON pointer of the flaw."""
        if not isinstance(value, Mapping):
            raise PayloadError(
                WRONG_SHAPE if not path else WRONG_TYPE, path, f"expected an object, got {excerpt(value)}"
            )
        fields = _fields(cls)
        self._refuse_unknown(fields, value, path)
        return cls(**{name: self._field(cls, field, value, path) for name, field in fields.items()})

    def noted(self, rule: str, path: str, text: str) -> None:
        """Record a repair, as long as the list stays readable."""
        self.repairs += 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(Finding(rule, f"{path or 'payload'}: {text}"))
        elif len(self.findings) == MAX_FINDINGS:
            self.findings.append(Finding(rule, "more of this kind was repaired and not listed"))

    def _refuse_unknown(self, fields: Mapping[str, inspect.Field], value: Mapping[str, object], path: str) -> None:
        known = {field.encode_name for field in fields.values()}
        for key in value:
            if key in known or self.repairs > MAX_REPAIRS:
                continue
            if not self.lenient:
                expected = ", ".join(sorted(known)) or "none"
                raise PayloadError(WRONG_SHAPE, _join(path, key), f"unknown field; the known ones are {expected}")
            self.noted("P27", path, f"the unknown field {excerpt(key)} was skipped")

    def _field(self, cls: type[Message], field: inspect.Field, value: Mapping[str, object], path: str) -> object:
        where = _join(path, field.encode_name)
        item = value.get(field.encode_name, ABSENT)
        if item is None:
            if not self.lenient:
                raise PayloadError(WRONG_TYPE, where, "must not be null, leave the field out")
            self.noted("P25", where, "null was read as absent")
            item = ABSENT
        if item is ABSENT:
            return self._absent(cls, field, where)
        try:
            return self._value(field.type, item, where)
        except PayloadError as error:
            return self._stand_in(cls, field, error)

    def _absent(self, cls: type[Message], field: inspect.Field, where: str) -> object:
        if not field.required:
            return field.default
        return self._stand_in(cls, field, PayloadError(MISSING, where, "is required"))

    def _stand_in(self, cls: type[Message], field: inspect.Field, error: PayloadError) -> object:
        if not self.lenient or cls.STAND_INS is None:
            raise error
        if not field.required:
            self.noted("P38", error.field, f"{error.description}; it was dropped")
            return field.default
        if field.name not in cls.STAND_INS:
            raise error
        stand_in = cls.STAND_INS[field.name]
        self.noted("P38", error.field, f"{error.description}; read as {stand_in!r}")
        return stand_in

    def _value(self, kind: inspect.Type, value: object, path: str) -> object:
        kind, extra = _unwrapped(kind)
        if isinstance(kind, inspect.StructType):
            return self.read(_message(kind), value, path)
        if isinstance(kind, inspect.VarTupleType):
            return self._items(kind.item_type, value, path)
        if isinstance(kind, inspect.LiteralType):
            return self._word(kind.values, value, path)
        if isinstance(kind, inspect.StrType):
            return self._text(kind, extra, value, path)
        if isinstance(kind, inspect.BoolType):
            return self._truth(value, path)
        if isinstance(kind, inspect.IntType):
            return self._in_range(kind, self._integer(extra, value, path), path)
        if isinstance(kind, inspect.FloatType):
            return self._number(extra, value, path)
        raise TypeError(f"no reading for {kind}")  # pragma: no cover - a struct with a new kind of field

    def _items(self, kind: inspect.Type, value: object, path: str) -> tuple[object, ...]:
        if isinstance(value, Mapping) and self.lenient:
            self.noted("P27", path, "a single object was read as a list of one")
            value = [value]
        if not isinstance(value, Sequence) or isinstance(value, str | bytes):
            raise PayloadError(WRONG_TYPE, path, f"expected a list, got {excerpt(value)}")
        if not value and not self.lenient:
            raise PayloadError(MISSING, path, "must not be an empty list; leave an optional one out")
        drops = self.lenient and _forgives(kind)
        return tuple(self._kept(kind, value, path) if drops else self._all(kind, value, path))

    def _all(self, kind: inspect.Type, values: Sequence[object], path: str) -> list[object]:
        return [self._value(kind, item, f"{path}/{index}") for index, item in enumerate(values)]

    def _kept(self, kind: inspect.Type, values: Sequence[object], path: str) -> list[object]:
        kept: list[object] = []
        for index, item in enumerate(values):
            if self.repairs > MAX_REPAIRS:
                self.findings.append(
                    Finding("P61", f"{path}: after {MAX_REPAIRS} repairs {index} elements were enough")
                )
                break
            try:
                kept.append(_clean(kind, item) or self._value(kind, item, f"{path}/{index}"))
            except PayloadError as error:
                self.noted("P61", error.field, f"{error.description}; the element was dropped")
        return kept

    def _word(self, words: Sequence[object], value: object, path: str) -> str:
        if not isinstance(value, str):
            raise PayloadError(WRONG_TYPE, path, f"expected a string, got {excerpt(value)}")
        if value in words:
            return value
        if not self.lenient:
            raise PayloadError(WRONG_VALUE, path, f"{excerpt(value)} is none of {', '.join(map(str, words))}")
        self.noted("P27", path, f"the unknown word {excerpt(value)} was kept")
        return value

    def _text(self, kind: inspect.StrType, extra: Mapping[str, object], value: object, path: str) -> str:
        text = value if isinstance(value, str) else self._as_text(value, path)
        if not self.lenient and UNSTORABLE.search(text):
            raise PayloadError(WRONG_VALUE, path, "contains a NUL character or half a surrogate pair")
        if kind.max_length is not None and len(text) > kind.max_length:
            sentence = f"{len(text)} characters are more than {kind.max_length}"
            if not self.lenient:
                raise PayloadError(WRONG_VALUE, path, sentence)
            self.noted("P27", path, f"{sentence}, all were kept")
        if not self.lenient and (check := _FORMATS.get(extra.get("format"))):
            return check(text, path)
        return text

    def _as_text(self, value: object, path: str) -> str:
        if not self.lenient:
            raise PayloadError(WRONG_TYPE, path, f"expected a string, got {excerpt(value)}")
        if isinstance(value, Mapping | list) and path == "/data":
            self.noted("P81", path, "an object was kept as its JSON text")
            return json.dumps(value, default=str, ensure_ascii=False)
        if not isinstance(value, bool | int | float | Decimal):
            raise PayloadError(WRONG_TYPE, path, f"expected a string, got {excerpt(value)}")
        self.noted("P27", path, f"{excerpt(str(value))} is no string, it was kept as text")
        return json.dumps(value) if isinstance(value, bool) else str(value)

    def _truth(self, value: object, path: str) -> bool:
        if isinstance(value, bool):
            return value
        if self.lenient and (str(value).lower() in ("true", "false", "1", "0")):
            self.noted("P27", path, f"{excerpt(value)} is no boolean, it was read as one")
            return str(value).lower() in ("true", "1")
        raise PayloadError(WRONG_TYPE, path, f"expected true or false, got {excerpt(value)}")

    def _integer(self, extra: Mapping[str, object], value: object, path: str) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        number = _decimal(value) if self.lenient else None
        if number is None or not (number == floor(number) or "rounds" in extra):
            raise PayloadError(WRONG_TYPE, path, f"expected an integer, got {excerpt(value)}")
        self.noted("P27", path, f"{excerpt(str(value))} is no integer, it was read as {floor(number)}")
        return floor(number)

    def _in_range(self, kind: inspect.IntType, number: int, path: str) -> int:
        if kind.ge is not None and number < kind.ge:
            raise PayloadError(WRONG_VALUE, path, f"{number} is less than {kind.ge}")
        if kind.le is not None and number > kind.le:
            raise PayloadError(WRONG_VALUE, path, f"{number} is more than {kind.le}")
        return number

    def _number(self, extra: Mapping[str, object], value: object, path: str) -> float:
        number = _decimal(value)
        if number is None or (isinstance(value, str) and not self.lenient):
            raise PayloadError(WRONG_TYPE, path, f"expected a number, got {excerpt(value)}")
        if isinstance(value, str):
            self.noted("P27", path, f"{excerpt(value)} is no number, it was read as {number}")
        if "tenths" in extra and not self.lenient and number * 10 != floor(number * 10):
            remedy = Decimal(floor(number * 10)) / 10
            raise PayloadError(WRONG_VALUE, path, f"{number} is no multiple of 0.1, the next lower one is {remedy}")
        if "tenths" in extra and not self.lenient and number < 0:
            raise PayloadError(WRONG_VALUE, path, f"{number} is less than 0")
        return float(number)


def _decimal(value: object) -> Decimal | None:
    """A finite number of sane size from a number or its text."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    text = str(value).strip()
    if len(text) > MAX_NUMBER_LENGTH or not text.isascii() or "_" in text:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < MAX_NUMBER_LENGTH else None


def _time_text(text: str, path: str) -> str:
    try:
        return wire_time(parse_exact(text))
    except (ValueError, OverflowError) as error:
        raise PayloadError(WRONG_VALUE, path, f"{excerpt(text)} is {error}") from None


def _url_text(text: str, path: str) -> str:
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if not parts.scheme or not (parts.netloc or parts.path) or re.search(r"\s", text):
        raise PayloadError(WRONG_VALUE, path, f"{excerpt(text)} is no URL, e.g. https://host/path")
    return text


_FORMATS: Final[Mapping[object, Callable[[str, str], str]]] = {"date-time": _time_text, "uri": _url_text}


@cache
def _fields(cls: type[Message]) -> dict[str, inspect.Field]:
    kind = inspect.type_info(cls)
    assert isinstance(kind, inspect.StructType)
    return {field.name: field for field in kind.fields}


def _message(kind: inspect.StructType) -> type[Message]:
    assert issubclass(kind.cls, Message)
    return kind.cls


def _clean(kind: inspect.Type, item: object) -> Message | None:
    """A flat element as a struct when it needs no repair at all, quickly."""
    if not isinstance(kind, inspect.StructType) or not isinstance(item, dict):
        return None
    if any(value is None or isinstance(value, dict | list) for value in item.values()):
        return None
    try:
        return msgspec.convert(item, _message(kind))
    except msgspec.ValidationError:
        return None


def _forgives(kind: inspect.Type) -> bool:
    """Whether a bad element of a list of these is dropped instead of spoiling the message."""
    return isinstance(kind, inspect.StructType) and _message(kind).STAND_INS is not None


def _unwrapped(kind: inspect.Type) -> tuple[inspect.Type, Mapping[str, object]]:
    """The type without `| None` and without its metadata, and that metadata."""
    extra: dict[str, object] = {}
    while isinstance(kind, inspect.Metadata | inspect.UnionType):
        if isinstance(kind, inspect.Metadata):
            extra |= kind.extra or {}
            kind = kind.type
        else:
            kind = next(item for item in kind.types if not isinstance(item, inspect.NoneType))
    return kind, extra


def _join(path: str, key: str) -> str:
    """JSON pointer of a key (RFC 6901)."""
    return f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
