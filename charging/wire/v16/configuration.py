"""Reading OCPP 1.6 configuration values, which are text with habits of their own (P64, P70, P86). OCPP 1.6 §9."""

import re
from typing import Final

RATE_UNIT_WORDS: Final = {
    "current": "A",
    "a": "A",
    "amp": "A",
    "amps": "A",
    "ampere": "A",
    "power": "W",
    "w": "W",
    "watt": "W",
    "watts": "W",
}


def allowed_rate_units(text: str) -> frozenset[str]:
    """`A`, `W` or both from ChargingScheduleAllowedChargingRateUnit; empty when no word is known (errata 3.86)."""
    words = re.split(r"[,;\s]+", text.strip().lower())
    return frozenset(RATE_UNIT_WORDS[word] for word in words if word in RATE_UNIT_WORDS)


def clamped_number(text: str | None, *, low: int, high: int, default: int) -> int:
    """A count within bounds; the default when the text is no number. Chargers report 1634030126 connectors (P64)."""
    match = re.fullmatch(r"\s*([+-]?\d{1,18})(?:\.0*)?\s*", text or "", re.ASCII)
    return min(max(int(match[1]), low), high) if match else default


def is_same_setting(wanted: str, observed: str) -> bool:
    """Whether a value read back is the one that was set, apart from case and the spacing of lists (P86)."""
    return _folded(wanted) == _folded(observed)


def _folded(text: str) -> str:
    return re.sub(r"\s*,\s*", ",", text.strip()).casefold()
