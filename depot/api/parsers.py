"""JSON in, with what no field may carry refused before any field looks at it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from depot.api.problems import FieldError, invalid

LARGEST_INTEGER = 2**63 - 1
DEEPEST = 32
DIGITS_OF_LARGEST = 20


class StrictJsonParser(BaseParser):
    """400 for what is no JSON; 422 with a pointer for NaN, numbers out of range, NUL and broken characters."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            text = stream.read().decode("utf-8")
            data = json.loads(text, parse_int=bounded_integer, object_pairs_hook=unambiguous) if text.strip() else {}
        except UnicodeDecodeError as error:
            raise ParseError(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from error
        except ValueError as error:
            raise ParseError(f"The body is not JSON: {error}.") from error
        except RecursionError as error:
            raise ParseError("The body is nested too deeply.") from error
        if errors := list(impossible_values(data)):
            raise invalid(errors[:20])
        return data


def bounded_integer(text: str) -> int | float:
    return int(text) if len(text) <= DIGITS_OF_LARGEST else math.inf


def unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {max(names, key=names.count)!r} is there twice")
    return found


def impossible_values(value: Any, pointer: str = "", depth: int = 0) -> Iterator[FieldError]:
    if depth > DEEPEST:
        yield FieldError(pointer[:200], "Nested too deeply.", "too-deep")
    elif isinstance(value, str):
        if "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
            yield FieldError(pointer, "Contains a NUL character or half a surrogate pair.", "bad-character")
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield FieldError(pointer, "Is not a finite number that fits.", "not-finite")
    elif isinstance(value, int):
        if abs(value) > LARGEST_INTEGER:
            yield FieldError(pointer, f"Is larger than {LARGEST_INTEGER}.", "too-large")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from impossible_values(item, f"{pointer}/{index}", depth + 1)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from impossible_values(name, pointer, depth)
            yield from impossible_values(item, f"{pointer}/{escape_pointer(name)}", depth + 1)


def escape_pointer(name: str) -> str:
    """A member name as a token of a JSON pointer. RFC 6901 §3."""
    return name.replace("~", "~0").replace("/", "~1").encode("utf-8", "replace").decode()
