"""What Prometheus reads of a web process's charger sockets."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from charging.wire.v16.registry import FROM_CHARGER

FRAMES = Counter("ocpp_frames_total", "Frames by direction and action", ["direction", "action"])
REFUSED = Counter("ocpp_refused_frames_total", "Frames answered with a CALLERROR, by code", ["code"])
HANDSHAKES = Counter("ocpp_handshakes_total", "Connection attempts by HTTP status", ["status"])
BATCH = Histogram(
    "ocpp_journal_batch_frames", "Frames per group commit", buckets=(1, 2, 5, 10, 25, 50, 100, 250, 500, 1000)
)
COMMIT = Histogram(
    "ocpp_journal_commit_seconds",
    "Duration of a group commit",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
SOCKETS = Gauge("ocpp_sockets", "Open charger sockets of this process")
COMMANDS = Counter("ocpp_commands_total", "Commands over this process's sockets, by outcome", ["outcome"])
DATABASE_AWAY = Counter("ocpp_database_away_total", "How often the journal lost its database")

_received = {action: FRAMES.labels("in", action) for action in FROM_CHARGER}
_received_other = FRAMES.labels("in", "other")
_answer = FRAMES.labels("in", "answer")


def count_received(action: str) -> None:
    """One incoming frame; names that no charger should use share one label, so that nobody can invent series."""
    (_received.get(action, _received_other) if action else _answer).inc()
