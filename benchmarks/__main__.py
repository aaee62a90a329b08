"""`python -m benchmarks [--quick]`: one table of everything that is measured, with the machine; writes nothing."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from benchmarks import ocpp, planning, wire
from benchmarks.rows import Row

Benchmark = Callable[[], list[Row]]
EVERYTHING: dict[str, Benchmark] = {"planning": planning.run, "wire": wire.run, "ocpp": ocpp.run}
QUICK: dict[str, Benchmark] = {"planning": partial(planning.run, sizes=(40, 200), repeats=3), "wire": wire.run}


def measure(benchmarks: dict[str, Benchmark]) -> tuple[list[Row], list[str]]:
    """Rows of all benchmarks in turn, and the names of those that failed; progress goes to stderr."""
    rows: list[Row] = []
    failed: list[str] = []
    for name, run in benchmarks.items():
        print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
        begun = time.monotonic()
        try:
            rows += run()
        except Exception:  # noqa: BLE001 - the others' figures are worth having
            failed.append(name)
            print("failed:", file=sys.stderr)
            traceback.print_exc()
        else:
            print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return rows, failed


def table(rows: Iterable[Row]) -> str:
    """Markdown."""
    lines = ["| what | value | unit | note |", "|---|---:|---|---|"]
    lines += [f"| {row.name} | {shown(row.value)} | {row.unit} | {row.note} |" for row in rows]
    return "\n".join(lines)


def shown(value: float) -> str:
    """Four significant digits, whole numbers in full."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}" if abs(value) >= 0.001 or value == 0 else f"{value:.2e}"


def machine() -> str:
    """What the figures were measured on."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    load = os.getloadavg()[0]
    return (
        f"{cpu_model()}, {cores} cores, {memory_gb:.0f} GB, {platform.system()} {platform.release()}, {python}, "
        f"load before {load:.1f}"
    )


def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="what takes a few seconds: no servers, fewer EVs")
    options = parser.parse_args(arguments)
    where = machine()
    rows, failed = measure(QUICK if options.quick else EVERYTHING)
    print(f"Measured on {where}.\n\n{table(rows)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
