"""What reading one frame costs, beside the `ocpp` package with its schema validation on the same frame."""

import asyncio
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from statistics import median
from time import perf_counter

from ocpp import messages

from benchmarks.rows import Row
from charging.wire.decoding import decode_request
from charging.wire.frames import Call, decode
from charging.wire.metering import samples_of
from charging.wire.v16.core import MeterValues

REPEATS = 7
FRAMES_PER_REPEAT = 5_000
PEER_FRAMES_PER_REPEAT = 300
RECEIVED_AT = datetime(2026, 3, 1, 12, 0, 3, tzinfo=UTC)
SAMPLED_VALUES = [
    {"value": "1234567", "context": "Sample.Periodic", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
    {"value": "7360", "measurand": "Power.Active.Import", "unit": "W"},
    {"value": "32.0", "measurand": "Current.Import", "unit": "A", "phase": "L1"},
    {"value": "55", "measurand": "SoC", "unit": "Percent", "location": "EV"},
]
METER_VALUES = {
    "connectorId": 1,
    "transactionId": 7,
    "meterValue": [{"timestamp": "2026-03-01T12:00:00Z", "sampledValue": SAMPLED_VALUES}],
}


def frame_of(action: str, payload: Mapping[str, object]) -> bytes:
    """A CALL with the usual 36 characters of id."""
    return json.dumps([2, "5f1b0a7e-7f0c-4f0e-9a54-0d7a7ad9d3d2", action, payload], separators=(",", ":")).encode()


METER_FRAME = frame_of("MeterValues", METER_VALUES)
HEARTBEAT_FRAME = frame_of("Heartbeat", {})


def microseconds(step: Callable[[], object], frames: int = FRAMES_PER_REPEAT) -> float:
    """Median over the repeats of the mean cost of one step, us."""
    costs = []
    for _ in range(REPEATS):
        started = perf_counter()
        for _ in range(frames):
            step()
        costs.append((perf_counter() - started) / frames * 1e6)
    return median(costs)


def read(frame: bytes) -> MeterValues | None:
    """Frame to typed message, as the consumer does it."""
    call = decode(frame)
    assert isinstance(call, Call)
    message, _ = decode_request(call.action, call.payload)
    return message if isinstance(message, MeterValues) else None


def read_and_sample(frame: bytes) -> None:
    message = read(frame)
    assert message is not None
    samples_of(message, RECEIVED_AT)


def peer_microseconds(frames: int = PEER_FRAMES_PER_REPEAT) -> float:
    """The same with the `ocpp` package: parse and validate by schema, without its thread per message, us."""

    async def read_all() -> None:
        for _ in range(frames):
            await messages.validate_payload(messages.unpack(METER_FRAME.decode()), ocpp_version="1.6")

    threaded, messages.ASYNC_VALIDATION = messages.ASYNC_VALIDATION, False
    try:
        asyncio.run(read_all())
        return microseconds(lambda: asyncio.run(read_all()), frames=1) / frames
    finally:
        messages.ASYNC_VALIDATION = threaded


def run() -> list[Row]:
    """Costs per frame, us, and the ratio to the peer measured in the same run."""
    ours = microseconds(lambda: read(METER_FRAME))
    peer = peer_microseconds()
    return [
        Row("wire: Heartbeat to typed message", microseconds(lambda: read(HEARTBEAT_FRAME)), "us"),
        Row("wire: MeterValues to typed message", ours, "us", f"{len(METER_FRAME)} bytes, 4 sampled values"),
        Row("wire: MeterValues to samples", microseconds(lambda: read_and_sample(METER_FRAME)), "us"),
        Row("wire: ocpp package, parse and validate", peer, "us", "the same frame"),
        Row("wire: ocpp package / ours", peer / ours, "x"),
    ]


if __name__ == "__main__":
    for row in run():
        print(f"{row.name:45} {row.value:10.2f} {row.unit:3} {row.note}")
