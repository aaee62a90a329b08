"""`python -m benchmarks [--quick] [--only PART] [--page FILE]`: everything that is measured, with the machine."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import ocpp, planning, wire
from benchmarks.rows import Table, figures

MARK = "## Measured"
Benchmark = Callable[[], list[Table]]


def read_frames() -> list[Table]:
    return [figures("Reading a frame", wire.run())]


def talk_to_chargers() -> list[Table]:
    return [figures("Chargers over sockets", ocpp.run())]


EVERYTHING: dict[str, Benchmark] = {"planning": planning.run, "wire": read_frames, "ocpp": talk_to_chargers}
QUICK: dict[str, Benchmark] = {"planning": planning.run_quick, "wire": read_frames}


def measure(benchmarks: dict[str, Benchmark]) -> tuple[list[Table], list[str]]:
    """Tables of all benchmarks in turn, and the names of those that failed; progress goes to stderr."""
    tables: list[Table] = []
    failed: list[str] = []
    for name, run in benchmarks.items():
        print(f"{name} ...", end=" ", file=sys.stderr, flush=True)
        begun = time.monotonic()
        try:
            tables += run()
        except Exception:  # noqa: BLE001 - the others' figures are worth having
            failed.append(name)
            print("failed:", file=sys.stderr)
            traceback.print_exc()
        else:
            print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    return tables, failed


def write_below_mark(page: Path, report: str) -> None:
    """Replace what stands below the mark; ValueError if the page has none."""
    above, mark, _ = page.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise ValueError(f"{page} has no line {MARK!r}: nothing was written.")
    page.write_text(f"{above}{mark}\n\n{report}\n", encoding="utf-8")


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
    parser.add_argument("--only", choices=list(EVERYTHING), help="one part of it")
    parser.add_argument("--page", type=Path, help=f"a page whose part below {MARK!r} is written anew")
    options = parser.parse_args(arguments)
    wanted = QUICK if options.quick else EVERYTHING
    where = machine()
    tables, failed = measure({name: run for name, run in wanted.items() if options.only in (None, name)})
    report = "\n\n".join([f"Measured on {where}.", *(table.markdown for table in tables)])
    print(report)
    if options.page and not failed:
        write_below_mark(options.page, report)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
