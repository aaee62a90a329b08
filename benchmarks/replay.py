"""Measured sessions charged again under caps that are too low, with replanning and no knowledge of the future.

Sessions of one local day at Caltech share a cap; at every arrival and departure the algorithm plans those who are there
and the next step is charged by that plan. Ports are 32 A x 208 V on one phase, at least 6 A. The energy asked for is
what was delivered, at most full power over the whole 5-minute steps of the stay, and the true departure is what the
driver announces. `python -m benchmarks.replay --all` replays every day, `make bench` some of them.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks.matrix import Matrix, solve_directly
from benchmarks.rows import Table
from scheduling.engine import EV, Horizon, PowerTree, Problem, algorithm, algorithm_names
from scheduling.engine.arrays import FloatArray

SESSIONS = Path(__file__).parent / "data" / "acn_caltech_2019-05_2019-12.csv.gz"
CAPS_KW = (20.0, 30.0, 40.0, 60.0)
ALGORITHMS = ("round-robin", "fcfs", "edf", "llf", "go", "optimal")
OPTIMUM = "knows everything"
SOME_DAYS = 16
"""Every so many days in `make bench`."""
MOST_KW, LEAST_KW = 32 * 0.208, 6 * 0.208
STEP = timedelta(minutes=5)
_STEPS_PER_HOUR = 12
_PRICE = 0.2
_NOTHING_KWH = 1e-6


@dataclass(frozen=True)
class Stay:
    """One session on the grid of 5-minute steps after its day's midnight."""

    arrival: int
    departure: int
    energy_kwh: float


@dataclass(frozen=True)
class Day:
    """The sessions that arrive on one local day, by arrival."""

    midnight: datetime
    stays: tuple[Stay, ...]

    @property
    def asked_kwh(self) -> float:
        """Energy of all sessions."""
        return sum(stay.energy_kwh for stay in self.stays)


def read_days(path: Path = SESSIONS) -> list[Day]:
    """The measured sessions by local day; one that holds no whole step is left out."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return days_of(
            (
                datetime.fromisoformat(row["arrival"]),
                datetime.fromisoformat(row["departure"]),
                float(row["delivered_kwh"]),
            )
            for row in csv.DictReader(file)
        )


def days_of(sessions: Iterable[tuple[datetime, datetime, float]]) -> list[Day]:
    """Group (arrival, departure, kWh) by the arrival's local day."""
    midnights: dict[date, datetime] = {}
    stays: dict[date, list[Stay]] = defaultdict(list)
    for arrival, departure, energy in sessions:
        midnight = midnights.setdefault(arrival.date(), arrival.replace(hour=0, minute=0, second=0, microsecond=0))
        first, last = -((midnight - arrival) // STEP), (departure - midnight) // STEP
        if last > first:
            most = MOST_KW * (last - first) / _STEPS_PER_HOUR
            stays[arrival.date()].append(Stay(first, last, min(energy, most)))
    return [Day(midnights[day], tuple(sorted(stays[day], key=lambda stay: stay.arrival))) for day in sorted(stays)]


def delivered(day: Day, cap_kw: float, name: str) -> float:
    """kWh that the algorithm of that name brings into the vehicles of a day."""
    kind = algorithm(name)
    left = np.array([stay.energy_kwh for stay in day.stays])
    events = sorted({at for stay in day.stays for at in (stay.arrival, stay.departure)})
    for now, following in pairwise(events):
        here = [
            k for k, stay in enumerate(day.stays) if stay.arrival <= now < stay.departure and left[k] > _NOTHING_KWH
        ]
        if not here:
            continue
        horizon, evs = _present(day, here, left, now)
        run = kind(evs, horizon=horizon, tree=_capped(cap_kw, horizon), price_per_kwh=np.full(horizon.steps, _PRICE))
        run.calculate()
        if not run.result.ok:
            raise RuntimeError(f"{name} on {day.midnight:%Y-%m-%d}: {run.result.violations[0]}")
        left[here] -= run.result.power[:, : following - now].sum(axis=1) / _STEPS_PER_HOUR
    return day.asked_kwh - float(np.maximum(left, 0.0).sum())


def most_deliverable(day: Day, cap_kw: float) -> float:
    """kWh that somebody could deliver who knows the whole day beforehand and needs no minimum power."""
    left = np.array([stay.energy_kwh for stay in day.stays])
    horizon, evs = _present(day, list(range(len(day.stays))), left, 0)
    problem = Problem.of(evs, horizon, _capped(cap_kw, horizon))
    matrix = Matrix.of(problem)
    return float(problem.energy(matrix.power_of(solve_directly(matrix))).sum())


def _present(day: Day, which: Sequence[int], left: FloatArray, now: int) -> tuple[Horizon, list[EV]]:
    """The horizon from step `now` to the last departure of `which`, and these as vehicles with what they still need."""
    start = day.midnight + now * STEP
    horizon = Horizon(start, STEP, max(day.stays[k].departure for k in which) - now)
    return horizon, [_vehicle(k, day, now, float(left[k])) for k in which]


def _vehicle(k: int, day: Day, now: int, energy_kwh: float) -> EV:
    stay = day.stays[k]
    begin, end = (day.midnight + step * STEP for step in (stay.arrival, stay.departure))
    there = stay.arrival <= now
    return EV(k, there, k, 1, LEAST_KW, MOST_KW, begin, end, energy_kwh, voltage=208.0, phases=1, phase_map="1")


def _capped(cap_kw: float, horizon: Horizon) -> PowerTree:
    return PowerTree.single(np.full(horizon.steps, cap_kw))


def replayed(day: Day, cap_kw: float, names: Sequence[str]) -> dict[str, float]:
    """kWh delivered by each algorithm, what was asked for under "" and the optimum under its name."""
    return {
        "": day.asked_kwh,
        OPTIMUM: most_deliverable(day, cap_kw),
        **{name: delivered(day, cap_kw, name) for name in names},
    }


def shares(
    days: Sequence[Day], caps_kw: Sequence[float], names: Sequence[str], *, workers: int = 0
) -> dict[float, dict[str, float]]:
    """Per cap and algorithm the share of the energy asked for that was delivered, over all days.

    The days are spread over `workers` processes, by default one per core.
    """
    tasks = [(day, cap) for cap in caps_kw for day in days]
    with ProcessPoolExecutor(workers or len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        done = list(pool.map(partial(_replayed, names), tasks, chunksize=4))
    result: dict[float, dict[str, float]] = {}
    for cap in caps_kw:
        total: dict[str, float] = defaultdict(float)
        for (_, its_cap), figures in zip(tasks, done, strict=True):
            for name, kwh in figures.items() if its_cap == cap else ():
                total[name] += kwh
        result[cap] = {name: kwh / total[""] for name, kwh in total.items() if name}
    return result


def _replayed(names: Sequence[str], task: tuple[Day, float]) -> dict[str, float]:
    return replayed(*task, names)


def table(days: Sequence[Day], found: dict[float, dict[str, float]], names: Sequence[str]) -> Table:
    """Percent of the energy per cap and algorithm."""
    columns = (*names, OPTIMUM)
    lines = tuple((f"{cap:.0f} kW", *(f"{100 * share[name]:.2f}" for name in columns)) for cap, share in found.items())
    sessions = sum(len(day.stays) for day in days)
    title = f"Real sessions: % of the energy delivered, {len(days)} days, {sessions:,} sessions"
    return Table(title, ("cap", *(f">{name}" for name in columns)), lines)


def run(every: int = SOME_DAYS, names: Sequence[str] = ALGORITHMS) -> tuple[Table, dict[float, dict[str, float]]]:
    """The table and its figures for every so many days; algorithms that the registry lacks are left out."""
    known = [name for name in names if name in algorithm_names()]
    days = read_days()[::every]
    found = shares(days, CAPS_KW, known)
    return table(days, found, known), found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.replay", description=__doc__)
    parser.add_argument("--all", action="store_true", help="every day, not one in sixteen")
    parser.add_argument("--algorithms", default=",".join(ALGORITHMS), help="names with commas between them")
    options = parser.parse_args(arguments)
    print(run(1 if options.all else SOME_DAYS, options.algorithms.split(","))[0].markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
