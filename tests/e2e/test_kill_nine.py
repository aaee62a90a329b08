"""SIGKILL to one process after the other: nothing acknowledged is lost, and the depot recovers by itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.conftest import ON_SERVICES
from tests.e2e.conftest import SmallDepot
from tests.e2e.fleet import Acknowledged, van
from tests.e2e.small_yard import BOOKED_FROM_THE_START, IDENTITIES, OFFICE, SLUG
from tests.e2e.system import eventually

pytestmark = pytest.mark.timeout(420)

VICTIMS = ("web", "worker") if ON_SERVICES else ("web", "worker", "broker")
RESTLESS = "E2E-8"
RECOVERED_WITHIN_S = 90.0
MAY_BE_SAID = (  # while the broker is away, and by nobody else
    *("nudges interrupted", "nudges are lost", "plan not queued"),
    *("Connection to broker lost", "Cannot connect to redis", "after a connection loss", "beat: Connection error"),
    "'NoneType' object has no attribute 'hostname'",  # Celery's worker may trip over the lost connection and restart
)


def test_nothing_acknowledged_is_lost_and_the_depot_recovers(small_depot: SmallDepot) -> None:
    depot, fleet = small_depot, small_depot.fleet
    for number in range(1, BOOKED_FROM_THE_START + 1):
        fleet.plug_in(IDENTITIES[number - 1], van(number))
    fleet.come_and_go(RESTLESS, van(8))
    eventually(lambda: fleet.witness.charging_kw > 0, "somebody charges")
    eventually(lambda: fleet.answered("StopTransaction"), "the restless vehicle has come and gone")

    for victim in VICTIMS:
        kill_and_see_it_recover(depot, victim)

    fleet.rest()
    eventually(fleet.all_sent, "every station has said everything")
    eventually(lambda: fleet.witness.charging_kw > 0, "somebody charges again")
    eventually(lambda: lost(depot) == [], "what was acknowledged is stored")
    assert fleet.violations() == []
    depot.system.stop()
    assert fleet.violations() == []
    assert depot.system.complaints(*MAY_BE_SAID) == []


def kill_and_see_it_recover(depot: SmallDepot, victim: str) -> None:
    fleet, system = depot.fleet, depot.system
    killed, killed_at = system.kill(victim), datetime.now(UTC)
    starts, samples = len(fleet.answered("StartTransaction")), len(fleet.answered("MeterValues"))

    def recovered() -> bool:
        return system.children().get(victim, killed) != killed and system.ready()

    eventually(recovered, f"the {victim} is back and /readyz answers 200", RECOVERED_WITHIN_S)
    eventually(fleet.all_online, f"every station is back after the {victim} was killed", RECOVERED_WITHIN_S)
    eventually(lambda: newest_run(depot) > killed_at, f"a new plan after the {victim} was killed", RECOVERED_WITHIN_S)
    eventually(
        lambda: len(fleet.answered("StartTransaction")) > starts and len(fleet.answered("MeterValues")) > samples,
        f"transactions go on after the {victim} was killed",
        RECOVERED_WITHIN_S,
    )
    assert fleet.violations() == []


def newest_run(depot: SmallDepot) -> datetime:
    """When the newest published plan run began; before the first one, the beginning of time."""
    runs = depot.client.get(f"/api/v1/plan-runs/?depot={SLUG}&status=published&limit=1")["results"]
    return datetime.fromisoformat(runs[0]["started_at"] if runs else "1970-01-01T00:00:00+00:00")


def lost(depot: SmallDepot) -> list[str]:
    """What stations have an answer for and the product does not know, and transactions that it has twice."""
    sessions = {row["transaction_id"]: row for row in depot.client.rows(f"sessions/?depot={SLUG}&limit=1000")}
    starts = depot.fleet.answered("StartTransaction")
    missing = [f"start {each}" for each in starts if not knows_start(sessions, each)]
    missing += [f"stop {each}" for each in depot.fleet.answered("StopTransaction") if not knows_stop(sessions, each)]
    missing += lost_samples(depot, sessions)
    if len(sessions) != len({each.answer.transaction_id for each in starts}):
        missing.append(f"{len(sessions)} sessions for {len(starts)} starts")
    return missing


def knows_start(sessions: dict[int, dict[str, Any]], start: Acknowledged) -> bool:
    session = sessions.get(start.answer.transaction_id)
    return (
        session is not None
        and session["station"] == start.identity
        and session["meter_start_wh"] == start.payload.meter_start
    )


def knows_stop(sessions: dict[int, dict[str, Any]], stop: Acknowledged) -> bool:
    session = sessions.get(stop.payload.transaction_id)
    return (
        session is not None
        and session["state"] == "ended"
        and session["meter_stop_wh"] == stop.payload.meter_stop
        and instant(session["stopped_at"]) == instant(stop.payload.timestamp)
    )


def lost_samples(depot: SmallDepot, sessions: dict[int, dict[str, Any]]) -> list[str]:
    stored: set[tuple[int, datetime, float]] = set()
    for number, session in sessions.items():
        rows = depot.client.rows(f"sessions/{session['id']}/meter-values/?limit=1000")
        stored |= {(number, instant(row["at"]), row["energy_wh"]) for row in rows}
    missing = []
    for each in depot.fleet.answered("MeterValues"):
        if each.identity == OFFICE or each.payload.transaction_id is None:
            continue
        for reading in each.payload.meter_value:
            key = (each.payload.transaction_id, instant(reading["timestamp"]), register_wh(reading))
            if key not in stored:
                missing.append(f"sample of {each.identity}: {key}")
    return missing


def register_wh(reading: dict[str, Any]) -> float:
    values = {value["measurand"]: value["value"] for value in reading["sampledValue"]}
    return float(values["Energy.Active.Import.Register"])


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
