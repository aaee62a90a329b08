"""Times on the wire: lenient reading of a charger's clock (P36), exact writing of ours (P35)."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from charging.wire.errors import Finding, excerpt

SKEW_FLAGGED: Final = timedelta(minutes=5)
ABSURD_PAST: Final = timedelta(days=3 * 365)
ABSURD_FUTURE: Final = timedelta(days=1)

_LOOSE = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:[.,](\d*))?)?)?\s*"
    r"(?:(Z|UTC|GMT)|([+-])(\d{1,2}):?(\d{2})?)?",
    re.IGNORECASE,
)
_STRICT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})")


@dataclass(frozen=True, slots=True)
class ParsedTime:
    """The instant in UTC, what the charger wrote, and what was odd about it.

    `absurd` means that `instant` is the time of receipt because the stamp cannot be believed (errata 3.10).
    """

    instant: datetime
    raw: str
    findings: tuple[Finding, ...] = ()
    absurd: bool = False


def parse_time(text: str, received_at: datetime, *, zone: tzinfo = UTC) -> ParsedTime:
    """Read a charger's stamp; one without offset is in `zone`, one that cannot be believed becomes `received_at`."""
    stamp, findings = _read(text, zone)
    if stamp is None:
        return ParsedTime(received_at, text, findings, absurd=True)
    skew = stamp - received_at
    if not -ABSURD_PAST <= skew <= ABSURD_FUTURE:
        absurd = Finding("P36", f"the time {excerpt(text)} is absurd, the time of receipt was taken")
        return ParsedTime(received_at, text, (*findings, absurd), absurd=True)
    if skew > SKEW_FLAGGED:
        findings += (Finding("P36", f"the time {excerpt(text)} lies {skew.total_seconds():.0f} s in the future"),)
    return ParsedTime(stamp, text, findings)


def _read(text: str, zone: tzinfo) -> tuple[datetime | None, tuple[Finding, ...]]:
    try:
        stamp = datetime.fromisoformat(text)
        if stamp.tzinfo is not None:
            return stamp.astimezone(UTC), ()
        return stamp.replace(tzinfo=zone).astimezone(UTC), (_without_zone(text, zone),)
    except (ValueError, OverflowError):
        return _read_loosely(text, zone)


def _read_loosely(text: str, zone: tzinfo) -> tuple[datetime | None, tuple[Finding, ...]]:
    match = _LOOSE.fullmatch(text.strip())
    if match is None or not text.isascii():
        return None, (Finding("P36", f"no time can be read from {excerpt(text)}"),)
    fraction = (match[7] or "0")[:6].ljust(6, "0")
    try:
        year, month, day, hour, minute, second = (int(part or 0) for part in match.group(1, 2, 3, 4, 5, 6))
        stamp = datetime(year, month, day, hour, minute, second, int(fraction), tzinfo=zone)
        if match[8]:
            stamp = stamp.replace(tzinfo=UTC)
        elif match[9]:
            offset = timedelta(hours=int(match[10]), minutes=int(match[11] or 0))
            stamp = stamp.replace(tzinfo=UTC) + (offset if match[9] == "-" else -offset)
        instant = stamp.astimezone(UTC)
    except (ValueError, OverflowError):
        return None, (Finding("P36", f"no time can be read from {excerpt(text)}"),)
    if not match[8] and not match[9]:
        return instant, (_without_zone(text, zone),)
    return instant, (Finding("P36", f"the time {excerpt(text)} is not written as RFC 3339 demands"),)


def _without_zone(text: str, zone: tzinfo) -> Finding:
    return Finding("P36", f"the time {excerpt(text)} has no zone and was read as {zone}")


def parse_exact(text: str) -> datetime:
    """Read an RFC 3339 stamp with zone, or raise ValueError: what an API user has to send."""
    if not _STRICT.fullmatch(text):
        raise ValueError("not RFC 3339 with a zone, e.g. 2026-03-01T22:00:00Z")
    return datetime.fromisoformat(text.upper()).astimezone(UTC)


def wire_time(instant: datetime) -> str:
    """UTC with Z and three fractional digits (P35)."""
    if instant.tzinfo is None:
        raise ValueError("a naive time cannot be sent to a charger")
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
