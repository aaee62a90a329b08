"""The socket to the central system: how it is opened, how its end is put into words, how long to wait for the next."""

from __future__ import annotations

import base64
import random
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

SUBPROTOCOL = Subprotocol("ocpp1.6")
LONGEST_BACKOFF_S = 10.0
CLOSING_S = 0.3

_HTTP_MEANINGS = {
    401: "identity or password is wrong",
    403: "refused",
    404: "the central system does not know this identity",
    429: "too many attempts",
    503: "the central system cannot serve now",
}
_CLOSE_MEANINGS = {
    1000: "closed normally",
    1001: "the central system goes away",
    1006: "the connection broke",
    1008: "refused by policy",
    1011: "an error in the central system",
    1012: "the central system restarts",
    1013: "the central system asks to come back later",
}


def address(url: str, identity: str) -> str:
    """`url` with the identity as its last segment."""
    return f"{url.rstrip('/')}/{quote(identity, safe='')}"


def basic_auth(identity: str, password: str) -> dict[str, str]:
    """User = identity. OCPP-J §6.2.2."""
    token = base64.b64encode(f"{identity}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def dial(url: str, identity: str, password: str, ping_interval_s: int) -> connect:
    """A connection to be entered; uncompressed, as most 1.6 chargers are and as CPU wants it. Interval 0: no pings."""
    return connect(
        address(url, identity),
        subprotocols=[SUBPROTOCOL],
        additional_headers=basic_auth(identity, password) if password else None,
        compression=None,
        proxy=None,
        open_timeout=10,
        close_timeout=CLOSING_S,
        ping_interval=ping_interval_s or None,
        ping_timeout=20,
        max_size=2**21,
    )


def speaks_ocpp(connection: ClientConnection) -> bool:
    return connection.subprotocol == SUBPROTOCOL


def reason_of(error: BaseException) -> str:
    """One clear clause on why there is no link."""
    if isinstance(error, InvalidStatus):
        code = error.response.status_code
        return f"HTTP {code}: {_HTTP_MEANINGS.get(code, error.response.reason_phrase)}"
    if isinstance(error, ConnectionClosed):
        code = 1006 if error.rcvd is None else error.rcvd.code
        said = "" if error.rcvd is None or not error.rcvd.reason else f" ({error.rcvd.reason[:80]})"
        return f"closed {code}: {_CLOSE_MEANINGS.get(code, 'closed')}{said}"
    if isinstance(error, InvalidHandshake):
        return f"handshake failed: {error}"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {error}"


def backoff_s(attempt: int, dice: random.Random) -> float:
    """1 to 10 s: doubled at each attempt, with up to half as much again by chance."""
    return min(LONGEST_BACKOFF_S, 2.0 ** min(attempt, 10) * (1.0 + 0.5 * dice.random()))
