"""The chargers of the small depot: simulated stations on real sockets, in a thread of their own, closely watched."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

from charging.simulator.battery import Vehicle
from charging.simulator.charger import ChargingStation
from charging.simulator.clock import ScaledClock
from charging.simulator.config import ConnectorConfig, StationConfig, StationKind
from charging.simulator.meter import MeterStation
from charging.simulator.outbox import Outgoing
from charging.simulator.station import Station, Surroundings
from charging.simulator.witness import Sample, Witness
from tests.e2e.small_yard import BUILDING_KW, FEEDER_KW, GRID_KW, IDENTITIES, OFFICE, ONE_PHASE_VEHICLE, STATION_KEY

SAMPLE_EVERY_S = 0.05
NOISE_KW = 0.8
FEEDERS = {"feeder-a": IDENTITIES[:4], "feeder-b": IDENTITIES[4:]}
ROUNDING_KW = 1e-6
Result = TypeVar("Result")


@dataclass(frozen=True)
class Acknowledged:
    """A message of a station that the product has answered."""

    identity: str
    payload: Any
    answer: Any

    @property
    def action(self) -> str:
        return type(self.payload).__name__


class RecordingStation(ChargingStation):
    """Remembers what was answered."""

    acknowledged: list[Acknowledged]

    def _learn(self, message: Outgoing, answer: Any) -> None:
        super()._learn(message, answer)
        self.acknowledged.append(Acknowledged(self.identity, message.build(), answer))


def van(number: int, *, soc: float = 0.3) -> Vehicle:
    """The vehicle that the depot knows as van-<number>."""
    one_phase = number == ONE_PHASE_VEHICLE
    return Vehicle(f"VAN{number}", 60.0, soc, 3.68 if one_phase else 11.0, 1 if one_phase else 3)


class Fleet:
    """Context manager: stations live between enter and exit."""

    def __init__(self, port: int, fallback_a: dict[str, float]) -> None:
        self.acknowledged: list[Acknowledged] = []
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.witness = Witness()
        self._clock = ScaledClock()
        self._url = f"ws://127.0.0.1:{port}/ocpp"
        surroundings = Surroundings(7, self.witness, self._note, validate=True)
        self.chargers = {
            identity: RecordingStation(charger(identity, fallback_a[identity]), self._url, self._clock, surroundings)
            for identity in IDENTITIES
        }
        for station in self.chargers.values():
            station.acknowledged = self.acknowledged
        self.office = MeterStation(OFFICE_CONFIG, self._url, self._clock, surroundings)
        self._thread = ThreadPoolExecutor(1, "fleet")
        self._life: Future[None] | None = None
        self._begun = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._end: asyncio.Event
        self._customs: set[asyncio.Task[None]] = set()

    @property
    def stations(self) -> list[Station]:
        return [*self.chargers.values(), self.office]

    def __enter__(self) -> Self:
        self._life = self._thread.submit(lambda: asyncio.run(self._live()))
        assert self._begun.wait(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._life is not None
        if not self._life.done():
            self._loop.call_soon_threadsafe(self._end.set)
        self._life.result(30)
        self._thread.shutdown()

    async def _live(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._begun.set()
        tasks = [asyncio.create_task(station.run()) for station in self.stations]
        tasks.append(asyncio.create_task(self._watch()))
        ending = asyncio.create_task(self._end.wait())
        done, _ = await asyncio.wait({ending, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        everything = [ending, *tasks, *self._customs]
        for task in everything:
            task.cancel()
        await asyncio.gather(*everything, return_exceptions=True)
        for task in done:
            task.result()

    async def _watch(self) -> None:
        while True:
            for station in self.stations:
                station.observe()
            self.witness.sample(self._clock.now())
            await asyncio.sleep(SAMPLE_EVERY_S)

    def _note(self, event: str, station: str, facts: dict[str, Any]) -> None:
        self.events.append((event, station, facts))

    # What happens in the yard

    def do(self, work: Callable[[], Result]) -> Result:
        """Run something among the stations."""

        async def call() -> Result:
            return work()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(30)

    def plug_in(self, identity: str, vehicle: Vehicle) -> None:
        self.do(lambda: self.chargers[identity].plug_in(1, vehicle))

    def plug_out(self, identity: str) -> None:
        self.do(lambda: self.chargers[identity].plug_out(1))

    def come_and_go(self, identity: str, vehicle: Vehicle, *, every_s: float = 2.0) -> None:
        """From now on short visits of this vehicle, one after the other."""

        async def visits() -> None:
            while True:
                self.chargers[identity].plug_in(1, vehicle)
                await self._clock.sleep(every_s)
                self.chargers[identity].plug_out(1)
                await self._clock.sleep(every_s / 4)

        self.do(lambda: self._begin(visits()))

    def _begin(self, custom: Coroutine[Any, Any, None]) -> None:
        self._customs.add(asyncio.create_task(custom))

    def rest(self) -> None:
        """No more coming and going; whoever is plugged in stays."""
        self.do(lambda: [task.cancel() for task in self._customs])

    # What can be seen of it

    def all_online(self) -> bool:
        return all(station.online for station in self.stations)

    def all_sent(self) -> bool:
        """Nothing waits for an answer any more."""
        return self.all_online() and not any(station.busy for station in self.stations)

    def power_kw(self, identity: str) -> float:
        return self.chargers[identity].power_w / 1000

    def answered(self, action: str) -> list[Acknowledged]:
        return [each for each in list(self.acknowledged) if each.action == action]

    def violations(self) -> list[str]:
        """Moments at which more flowed than a feeder or the grid connection carries."""
        found = [sentence for sample in list(self.witness.samples) for sentence in violations_in(sample)]
        if self.witness.peak_kw > GRID_KW + ROUNDING_KW:
            found.append(f"the site peaked at {self.witness.peak_kw:.3f} kW of {GRID_KW}")
        return found


def violations_in(sample: Sample) -> list[str]:
    loads = {name: sum(sample.stations.get(each, 0.0) for each in below) for name, below in FEEDERS.items()}
    limits = dict.fromkeys(FEEDERS, FEEDER_KW) | {"grid": GRID_KW}
    loads["grid"] = sample.total_kw
    return [
        f"{name} carried {load:.3f} of {limits[name]} kW at {sample.at:%H:%M:%S.%f}"
        for name, load in loads.items()
        if load > limits[name] + ROUNDING_KW
    ]


def charger(identity: str, fallback_a: float) -> StationConfig:
    """A commissioned charger: it holds its fallback."""
    outlet = ConnectorConfig(1, max_current_a=16, register_wh=50_000, fallback_a=fallback_a, preloaded_fallback=True)
    return StationConfig(identity, STATION_KEY, connectors=(outlet,))


OFFICE_CONFIG = StationConfig(
    OFFICE, STATION_KEY, kind=StationKind.METER, load_kw_by_hour=(BUILDING_KW,) * 24, noise_kw=NOISE_KW
)
