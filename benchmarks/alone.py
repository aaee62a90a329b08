"""One method on one instance in a process of its own: its time, its memory, its plan's worth.

`measure` starts the process; `python -m benchmarks.alone` is the process. Solvers that cannot share one never meet, and
nobody's memory counts as another's.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from benchmarks.instances import Instance
from scheduling.engine import Problem
from scheduling.engine.arrays import FloatArray

PROJECT = Path(__file__).parents[1]
LONGEST_S = 180.0
_BELOW_KW = 1e-3


@dataclass(frozen=True)
class Measured:
    """What came out; without `problem` the figures hold."""

    method: str
    seconds: float = float("nan")
    """Median of `runs`."""
    runs: int = 0
    memory_mb: float = float("nan")
    """Peak of the whole process, interpreter and libraries included."""
    unmet_kwh: float = float("nan")
    money: float = float("nan")
    served_kwh: float = float("nan")
    """Energy up to the need; what is delivered above it does not count."""
    periods: float = float("nan")
    """Mean number of periods of equal power per vehicle, from arrival to departure."""
    below_minimum: float = float("nan")
    """Steps with a power between zero and the minimum."""
    problem: str = ""
    """Why there are no figures: not installed, too slow."""


def measure(method: str, instance: Instance, runs: int) -> Measured:
    """The method's figures, or why there are none; never an exception for a peer that is missing or slow."""
    task = json.dumps({"method": method, "instance": asdict(instance), "runs": runs})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.alone", task],
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
            cwd=PROJECT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
    except subprocess.TimeoutExpired:
        return Measured(method, problem=f"no answer in {LONGEST_S:.0f} s")
    if done.returncode == 0:
        return Measured(**json.loads(done.stdout.splitlines()[-1]))
    last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"ended with {done.returncode}"
    return Measured(method, problem="not installed" if "ModuleNotFoundError" in last else last)


def judged(method: str, problem: Problem, power: FloatArray) -> Measured:
    """The worth of a plan under the problem's own prices, whatever the method believed."""
    energy = problem.energy(power)
    below = (power > _BELOW_KW) & (power < problem.min_power[:, None] - _BELOW_KW)
    return Measured(
        method,
        unmet_kwh=float(problem.unmet(power).sum()),
        served_kwh=float(np.minimum(energy, problem.need_kwh).sum()),
        money=problem.money(power).steering,
        periods=periods_per_vehicle(problem, power),
        below_minimum=float(below.sum()),
    )


def periods_per_vehicle(problem: Problem, power: FloatArray) -> float:
    """Mean number of runs of equal power between arrival and departure."""
    both = problem.present[:, 1:] & problem.present[:, :-1]
    changes = (np.abs(np.diff(power, axis=1)) > _BELOW_KW) & both
    there = problem.present.any(axis=1)
    return float((changes.sum(axis=1) + 1)[there].mean()) if there.any() else 0.0


def peak_memory_mb() -> float:
    """Highest resident memory of this process; what it inherited from its parent does not count where /proc tells."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return next(float(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def run_alone(method: str, instance: Instance, runs: int) -> Measured:
    """In this process: `runs` times, after one on the smallest depot to warm up unless there is only one."""
    from benchmarks.peers import METHODS

    make = METHODS[method]
    if runs > 1:
        make(replace(instance, vehicles=40, steps=96).problem())()
    seconds: list[float] = []
    for _ in range(runs):
        problem = instance.problem()
        plan = make(problem)
        begun = perf_counter()
        power = plan()
        seconds.append(perf_counter() - begun)
    memory = peak_memory_mb()
    return replace(judged(method, problem, power), seconds=median(seconds), runs=runs, memory_mb=memory)


def main(arguments: Sequence[str]) -> None:
    """Print the figures of one task as JSON."""
    task = json.loads(arguments[0])
    print(json.dumps(asdict(run_alone(task["method"], Instance(**task["instance"]), task["runs"]))))


if __name__ == "__main__":
    main(sys.argv[1:])
