"""Who may upgrade to OCPP, and with which answer the others are turned away (P01-P07, P10, P14)."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

import structlog
from django.db.models import F

from charging.intake.entry import StationRef, storable
from charging.links import open_link
from charging.models import StationLink, UnknownStation
from charging.wire.metering import MeterTraits
from depot.credentials import station_key_matches
from depot.models import Station

log = structlog.get_logger(__name__)

SUPPORTED = ("ocpp1.6",)
MAX_RECORDED_LENGTH = 200
MAX_UNKNOWN_ROWS = 5_000
UNKNOWN_WRITE_EVERY_S = 10.0
UNKNOWN_REMEMBERED = 1_000
GRID_PHASES = str.maketrans("123", "RST")
HEX_KEY = re.compile(rb"[0-9a-fA-F]{2,128}")
Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Knock:
    """What a client shows at the door."""

    identity: str
    user: str
    password: bytes | None
    subprotocols: tuple[str, ...]
    remote_address: str
    from_browser: bool


@dataclass(frozen=True, slots=True)
class Admission:
    """The socket may open; without a subprotocol to speak it opens only to close at once (P06)."""

    station: StationRef
    epoch: int
    subprotocol: str | None
    registered: bool
    speaks: bool = True


class Refusal(Exception):
    """The upgrade is refused with this HTTP status."""

    def __init__(self, status: int, reason: str, *, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = list(headers)


# --- reading the request ---------------------------------------------------------------------------------------------


def knock_of(scope: dict[str, Any]) -> Knock:
    """Read a WebSocket scope; raises Refusal for a path that names nobody."""
    headers: Headers = scope["headers"]
    user, password = basic_credentials(headers)
    client = scope.get("client")
    return Knock(
        identity=identity_of(scope.get("raw_path") or scope["path"].encode()),
        user=user,
        password=password,
        subprotocols=tuple(scope.get("subprotocols", ())),
        remote_address=str(client[0]) if client else "",
        from_browser=any(name == b"origin" for name, _ in headers),
    )


def identity_of(raw_path: bytes) -> str:
    """The last path segment that is not empty, percent-decoded once (P01); what precedes it is ignored (P02)."""
    segments = [segment for segment in raw_path.partition(b"?")[0].split(b"/") if segment]
    if len(segments) < 2:
        raise Refusal(404, "The path names no charger: connect to /ocpp/<identity>.")
    try:
        identity = unquote_to_bytes(segments[-1]).decode()
    except UnicodeDecodeError:
        raise Refusal(404, "The identity in the path is not UTF-8.") from None
    if "/" in identity or not identity.isprintable() or not identity.strip():
        raise Refusal(404, "The identity in the path holds a character that no identity has.")
    return identity


def basic_credentials(headers: Headers) -> tuple[str, bytes | None]:
    """User and password of basic authentication; the password stays bytes, it need not be text (P10)."""
    for name, value in headers:
        if name == b"authorization" and value[:6].lower() == b"basic ":
            try:
                user, colon, password = base64.b64decode(value[6:].strip(), validate=True).partition(b":")
            except (binascii.Error, ValueError):
                return "", None
            return user.decode(errors="replace"), password if colon else None
    return "", None


def choose_subprotocol(offered: Sequence[str]) -> str | None:
    """The first one of the client's list that we speak (P05)."""
    return next((name for name in offered if name in SUPPORTED), None)


def key_matches(password: bytes, stored: str) -> bool:
    """A key counts in either of its spellings: as its bytes, or as the hex digits it was configured with (P10)."""
    if HEX_KEY.fullmatch(password) and len(password) % 2 == 0:
        spellings = {password, password.lower(), password.upper(), binascii.unhexlify(password)}
    else:
        spellings = {password, password.hex().encode(), password.hex().upper().encode()}
    return max(station_key_matches(spelling, stored) for spelling in spellings)


# --- looking at the database (in a thread) ---------------------------------------------------------------------------


def admit(knock: Knock, owner: str, now: datetime) -> Admission:
    """Check the credentials and make this the station's newest connection; raises Refusal."""
    station = Station.objects.select_related("depot").filter(identity__iexact=knock.identity).first()
    if station is None:
        raise Refusal(404, "No charger of this identity is known here.")
    authentic = knock.password is not None and key_matches(knock.password, station.key_hash)
    if not authentic or knock.user.casefold() != station.identity.casefold():
        raise Refusal(
            401, "Identity and key do not fit.", headers=[(b"www-authenticate", b'Basic realm="OCPP", charset="UTF-8"')]
        )
    ref = station_ref(station)
    subprotocol = choose_subprotocol(knock.subprotocols)
    if subprotocol is None and (knock.subprotocols or not station.depot.assume_ocpp16):
        return Admission(ref, 0, None, registered=False, speaks=False)
    epoch = open_link(station.pk, owner, knock.remote_address, now)
    registered = StationLink.objects.filter(
        station_id=station.pk, registration=StationLink.Registration.ACCEPTED
    ).exists()
    return Admission(ref, epoch, subprotocol, registered)


def station_ref(station: Station) -> StationRef:
    meters = {
        connector.number: traits(connector.max_power_kw, connector.phase_rotation)
        for connector in station.connectors.all()
    }
    return StationRef(station.pk, station.identity, station.depot_id, station.kind == Station.Kind.METER, meters)


@lru_cache(maxsize=1024)
def traits(max_power_kw: float, phase_rotation: str) -> MeterTraits:
    """What is plausible for a meter; chargers of one kind share the object."""
    rotation = phase_rotation.translate(GRID_PHASES)
    return MeterTraits(max_power_w=Decimal(round(max_power_kw * 1000)), phase_rotation=rotation)


def record_unknown(
    identity: str, remote_address: str, subprotocols: Sequence[str], attempts: int, now: datetime
) -> None:
    """Show the operator who knocked (P04); the number of rows is bounded."""
    told = {
        "remote_address": remote_address[:64],
        "subprotocols": storable(",".join(subprotocols), 200),
        "last_seen_at": now,
    }
    rows = UnknownStation.objects.filter(identity=identity)
    if rows.update(attempts=F("attempts") + attempts, **told):
        return
    if UnknownStation.objects.count() < MAX_UNKNOWN_ROWS:
        UnknownStation.objects.bulk_create(
            [UnknownStation(identity=identity, attempts=attempts, first_seen_at=now, **told)], ignore_conflicts=True
        )


class UnknownKnocks:
    """Counts attempts of unknown identities in memory, so that a flood of them costs few writes (P04)."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, identity: str) -> int:
        """How many attempts to write now; 0 when the last write is too fresh."""
        if len(identity) > MAX_RECORDED_LENGTH:
            return 0
        written_at, waiting = self._counts.pop(identity, (-UNKNOWN_WRITE_EVERY_S, 0))
        clock = time.monotonic()
        due = clock - written_at >= UNKNOWN_WRITE_EVERY_S
        self._counts[identity] = (clock, 0) if due else (written_at, waiting + 1)
        if len(self._counts) > UNKNOWN_REMEMBERED:
            self._counts.popitem(last=False)
        return waiting + 1 if due else 0
