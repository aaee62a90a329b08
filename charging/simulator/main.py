"""Run a fleet of simulated stations: `python -m charging.simulator --scenario FILE --url ws://HOST/ocpp`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from charging.simulator.charger import ChargingStation
from charging.simulator.clock import Clock, ScaledClock
from charging.simulator.config import (
    ConfigError,
    Scenario,
    StationKind,
    generated_scenario,
    load_scenario,
)
from charging.simulator.meter import MeterStation
from charging.simulator.station import Station, Surroundings, stamp
from charging.simulator.wire import LOGGER
from charging.simulator.witness import Witness

WITNESS_PERIOD_S = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """What to simulate; `scenario` wins over the number of generated stations."""

    url: str
    scenario: Path | None = None
    stations: int | None = None
    prefix: str = "SIM"
    password: str = ""
    seed: int | None = None
    speed: float = 1.0
    witness: Path | None = None
    json_lines: bool = False
    validate: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command line, shared with the management command."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--scenario", type=Path, help="scenario file, format fleet-depot-scenario/1")
    what.add_argument("--stations", type=int, help="number of generated stations, each with a vehicle")
    parser.add_argument("--url", default="ws://127.0.0.1:8000/ocpp", help="central system; the identity is appended")
    parser.add_argument("--prefix", default="SIM", help="generated identities are PREFIX-0001 and so on")
    parser.add_argument("--password", default="", help="password of every generated station")
    parser.add_argument("--seed", type=int, help="seed of all chance; the scenario's own by default")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="simulated seconds per second; the central system does not follow"
    )
    parser.add_argument("--witness", type=Path, help="write the true power as one JSON line per simulated second")
    parser.add_argument("--json", action="store_true", dest="json_lines", help="events as JSON lines")
    parser.add_argument("--validate", action="store_true", help="check every sent message against the OCPP schemas")


def options_from(values: dict[str, Any]) -> Options:
    """Options from parsed arguments; ConfigError for a value that makes no sense."""
    options = Options(**{name: values[name] for name in Options.__dataclass_fields__})
    if options.scenario is None and (options.stations is None or options.stations < 1):
        raise ConfigError(f"--stations: expected at least 1, got {options.stations}")
    if options.speed <= 0:
        raise ConfigError(f"--speed: expected more than 0, got {options.speed:g}")
    if not options.url.startswith(("ws://", "wss://")):
        raise ConfigError(f"--url: expected ws:// or wss://, got {options.url}")
    return options


class EventPrinter:
    """One line per event, as text or JSON."""

    def __init__(self, clock: ScaledClock, out: TextIO, json_lines: bool) -> None:
        self._clock = clock
        self._out = out
        self._json_lines = json_lines

    def __call__(self, event: str, station: str, facts: dict[str, Any]) -> None:
        at = stamp(self._clock.now())
        told = {name: value for name, value in facts.items() if value is not None}
        if self._json_lines:
            line = json.dumps({"at": at, "station": station, "event": event, **told}, default=str)
        else:
            line = " ".join([at, station, event, *(f"{name}={value}" for name, value in told.items())])
        with contextlib.suppress(BrokenPipeError):  # whoever listened has gone; the simulation goes on
            print(line, file=self._out, flush=True)


def scenario_of(options: Options) -> Scenario:
    """The scenario to play, with the seed of the command line where one is given."""
    if options.scenario is not None:
        scenario = load_scenario(options.scenario)
    else:
        scenario = generated_scenario(
            options.stations or 0,
            prefix=options.prefix,
            password=options.password,
            seed=options.seed or 0,
            now=datetime.now(UTC),
        )
    seed = scenario.seed if options.seed is None else options.seed
    return Scenario(scenario.stations, scenario.visits, seed)


def build_stations(scenario: Scenario, url: str, clock: Clock, surroundings: Surroundings) -> list[Station]:
    """A running thing for every configured one."""
    stations: list[Station] = []
    for config in scenario.stations:
        if config.kind is StationKind.METER:
            stations.append(MeterStation(config, url, clock, surroundings))
        else:
            visits = scenario.visits_of(config.identity)
            stations.append(ChargingStation(config, url, clock, surroundings, visits))
    return stations


async def simulate(options: Options, out: TextIO = sys.stdout) -> None:
    """Play the scenario until SIGTERM or SIGINT."""
    scenario = scenario_of(options)
    clock = ScaledClock(options.speed)
    witness = Witness()
    emit = EventPrinter(clock, out, options.json_lines)
    surroundings = Surroundings(scenario.seed, witness, emit, options.validate)
    stations = build_stations(scenario, options.url, clock, surroundings)
    emit("simulating", "-", {"stations": len(stations), "url": options.url, "seed": scenario.seed})
    work = asyncio.create_task(_run_all(stations, witness, clock, options.witness))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work
    emit("stopped", "-", {})


async def _run_all(stations: Sequence[Station], witness: Witness, clock: ScaledClock, path: Path | None) -> None:
    with contextlib.ExitStack() as files:
        file = None if path is None else files.enter_context(path.open("w", encoding="utf-8"))
        async with asyncio.TaskGroup() as group:
            for station in stations:
                group.create_task(station.run())
            if file is not None:
                group.create_task(_sample(witness, clock, file))


async def _sample(witness: Witness, clock: ScaledClock, file: TextIO) -> None:
    while True:
        witness.sample(clock.now(), file)
        await clock.sleep(WITNESS_PERIOD_S)


def quiet_wire_log() -> None:
    """The `ocpp` package logs tracebacks for what the other side did wrong; one line each is enough."""

    class OneLine(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return f"{record.name}: {record.getMessage()[:300]}"

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    LOGGER.handlers = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel(logging.WARNING)


def run(options: Options) -> int:
    """Exit status of a whole run; a bad scenario is one sentence on stderr."""
    quiet_wire_log()
    try:
        asyncio.run(simulate(options))
    except ConfigError as error:
        print(f"simulate: {error}", file=sys.stderr)
        return 2
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m charging.simulator", description=__doc__)
    add_arguments(parser)
    try:
        options = options_from(vars(parser.parse_args(arguments)))
    except ConfigError as error:
        parser.error(str(error))
    return run(options)
