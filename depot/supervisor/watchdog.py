"""A process can live and do nothing: a worker that lost its queue, a web process whose loop hangs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from depot.supervisor.child import Child
from depot.supervisor.readiness import WebProbe

LOOK_EVERY_S = 5.0
PATIENCE_S = 60.0


@dataclass
class Watchdog:
    """Kills a child that has been silent for a minute while what it depends on was there; the loop restarts it."""

    children: dict[str, Child]
    probe: WebProbe
    say: Callable[[str], None]
    clock: Callable[[], float]
    next_look: float = 0.0
    silent_since: dict[str, float] = field(default_factory=dict)

    def __call__(self) -> None:
        now = self.clock()
        if now < self.next_look:
            return
        self.next_look = now + LOOK_EVERY_S
        self.consider(set(self.probe.missing()), now)

    def consider(self, missing: set[str], now: float) -> None:
        """Without the broker nobody can be heard, so only then is silence not held against worker and beat."""
        silent = {"web"} & missing or ({"worker", "beat"} & missing if "broker" not in missing else set())
        self.silent_since = {name: self.silent_since.get(name, now) for name in silent}
        for name, since in list(self.silent_since.items()):
            child = self.children.get(name)
            if child is None or not child.running or now - max(since, child.started_at) < PATIENCE_S:
                continue
            self.say(f"{name:<9} has not been heard for {PATIENCE_S:.0f} s; starting it again")
            child.kill_group()
            del self.silent_since[name]
