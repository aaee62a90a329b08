"""Everything that is measured of the planner: the bars, the replay of real sessions, a table per depot."""

from __future__ import annotations

from benchmarks import bars, behaviour, replay
from benchmarks.comparison import EVERYTHING, QUICK, tables, take
from benchmarks.rows import Table


def run() -> list[Table]:
    """The bars first; some minutes."""
    found = take(EVERYTHING)
    replayed, shares = replay.run()
    reached = [
        *bars.of_the_linear_stage(found),
        *bars.of_the_shape(found),
        *bars.of_the_behaviour(behaviour.tight_depots(), behaviour.stability(), behaviour.cold_start_s()),
        *bars.of_the_replay(shares),
    ]
    return [bars.table(reached), replayed, *tables(found)]


def run_quick() -> list[Table]:
    """The smaller depots alone; some seconds."""
    return list(tables(take(QUICK)))
