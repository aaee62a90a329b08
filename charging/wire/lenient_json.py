"""JSON as chargers write it: everything the strict decoder refuses but a reader can still make sense of (P28)."""

import json
import re
from decimal import Decimal, InvalidOperation

from charging.wire.errors import Finding

MAX_DEPTH = 32
MAX_FINDINGS = 20
MAX_NUMBER_LENGTH = 40
MAX_INTEGER_LENGTH = 18  # a signed 64-bit column takes it
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_UNSTORABLE_IN_JSON = re.compile(rb"\x00|\\u(?:0000|[dD][89a-fA-F])")
# The alternative to the closing quote keeps an unterminated string from being scanned again from each of its quotes.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SAME_BRACKETS = bytes.maketrans(b"{}", b"[]")


def is_too_deep(raw: bytes, limit: int = MAX_DEPTH) -> bool:
    """Whether brackets nest deeper than `limit`, found without building a single object."""
    if raw.count(b"[") + raw.count(b"{") <= limit:
        return False
    brackets = _STRING.sub(b"", raw).translate(_SAME_BRACKETS, _NO_BRACKETS)
    depth = 0
    while b"[]" in brackets:
        brackets = brackets.replace(b"[]", b"")
        depth += 1
        if depth > limit:
            return True
    return brackets.count(b"[") + depth > limit


def loads(raw: bytes) -> tuple[object, tuple[Finding, ...]]:
    """Parse, or raise ValueError. NaN, Infinity and absurd numbers become text, other fractions Decimal."""
    if is_too_deep(raw):
        raise ValueError(f"JSON nests deeper than {MAX_DEPTH} levels")
    findings: list[Finding] = []
    text = _text(raw, findings)
    value = json.loads(
        text,
        parse_constant=lambda name: _noted(findings, name, "is not a JSON number"),
        parse_int=lambda digits: int(digits) if len(digits) <= MAX_INTEGER_LENGTH else _absurd(findings, digits),
        parse_float=lambda digits: _fraction(findings, digits),
        strict=False,
    )
    value, replaced = _storable(value) if _UNSTORABLE_IN_JSON.search(raw) else (value, False)
    if replaced:
        findings.append(Finding("P28", "NUL characters or lone surrogates were replaced by U+FFFD"))
    return value, tuple(findings)


def _text(raw: bytes, findings: list[Finding]) -> str:
    if raw.startswith(b"\xef\xbb\xbf"):
        findings.append(Finding("P28", "a byte order mark was skipped"))
        raw = raw[3:]
    try:
        return raw.decode()
    except UnicodeDecodeError:
        findings.append(Finding("P28", "bytes that are not UTF-8 were replaced by U+FFFD"))
        return raw.decode(errors="replace")


def _noted(findings: list[Finding], token: str, why: str) -> str:
    if len(findings) < MAX_FINDINGS:
        findings.append(Finding("P28", f"{token[:MAX_NUMBER_LENGTH]} {why}, it was kept as text"))
    return token


def _absurd(findings: list[Finding], token: str) -> str:
    return _noted(findings, token, "is out of any range")


def _fraction(findings: list[Finding], digits: str) -> Decimal | str:
    try:
        number = Decimal(digits)
    except InvalidOperation:
        return _absurd(findings, digits)
    if len(digits) > MAX_NUMBER_LENGTH or (number and abs(number.adjusted()) > MAX_NUMBER_LENGTH):
        return _absurd(findings, digits)
    return number


def _storable(value: object) -> tuple[object, bool]:
    """The value with every character that PostgreSQL or UTF-8 refuses replaced, and whether there was one."""
    if isinstance(value, str):
        if UNSTORABLE.search(value):
            return UNSTORABLE.sub(REPLACEMENT, value), True
        return value, False
    if isinstance(value, list):
        cleaned = [_storable(item) for item in value]
        return [item for item, _ in cleaned], any(replaced for _, replaced in cleaned)
    if isinstance(value, dict):
        return _storable_object(value)
    return value, False


def _storable_object(value: dict[str, object]) -> tuple[dict[str, object], bool]:
    cleaned = {UNSTORABLE.sub(REPLACEMENT, key): _storable(item) for key, item in value.items()}
    replaced = any(flag for _, flag in cleaned.values()) or any(UNSTORABLE.search(key) for key in value)
    return {key: item for key, (item, _) in cleaned.items()}, replaced
