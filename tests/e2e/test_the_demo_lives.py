"""`manage.py up --demo`, as `make demo` calls it: vehicles charge, plans come, logs stay clean, Ctrl-C ends it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from tests.e2e.system import Client, System, eventually

pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]

PLUGGED_AT_THE_START = {"depot": range(20, 32), "garage": range(1, 60)}
API_KEY = "demo-key-of-the-end-to-end-test"


class Demo:
    """A running demo of one scenario and its only depot in use."""

    def __init__(self, system: System, scenario: str) -> None:
        self.system, self.scenario = system, scenario
        self.client: Client = system.client(API_KEY)
        depots = self.client.rows("depots/")
        self.depot = next(each for each in depots if each["planning_enabled"])
        self.slug = self.depot["slug"]

    def connectors(self) -> list[dict[str, Any]]:
        return self.client.rows(f"connectors/?depot={self.slug}&limit=1000")

    def plans(self) -> list[dict[str, Any]]:
        plans: list[dict[str, Any]] = self.client.get(f"/api/v1/plans/current/?depot={self.slug}")
        return plans


@pytest.fixture(scope="module", params=["depot", "garage"])
def demo(request: pytest.FixtureRequest, new_system: Callable[[], System]) -> Iterator[Demo]:
    system = new_system()
    system.start("--demo", "--scenario", request.param, "--api-key", API_KEY)
    yield Demo(system, request.param)
    system.end_by_force()


def test_vehicles_are_plugged_in_and_charge_by_plan(demo: Demo) -> None:
    expected = PLUGGED_AT_THE_START[demo.scenario]
    live = f"sessions/?depot={demo.slug}&limit=1000"
    eventually(
        lambda: sum(row["stopped_at"] is None for row in demo.client.rows(live)) in expected,
        f"{expected.start} to {expected.stop - 1} vehicles are plugged in",
    )
    plans = eventually(demo.plans, "a plan is published")
    assert any(plan["energy_kwh"] > 0 for plan in plans)
    eventually(lambda: drawn_kw(demo) > 0, "power is measured")
    eventually(
        lambda: demo.client.rows("commands/?action=SetChargingProfile&state=verified&limit=1"),
        "a charger has confirmed its schedule",
    )
    root = next(group for group in groups_of(demo).values() if group["parent"] is None)
    assert drawn_kw(demo) <= root["limit_kw"]


def test_fallbacks_take_no_more_than_their_share_of_every_node(demo: Demo) -> None:
    groups = groups_of(demo)
    fallback_kw: dict[Any, float] = defaultdict(float)
    stations = {row["identity"]: row for row in demo.client.rows(f"stations/?depot={demo.slug}&limit=1000")}
    for connector in demo.connectors():
        node = stations[connector["station"]]["load_group"]
        power_kw = connector["fallback_a"] * connector["voltage_v"] * connector["phases"] / 1000
        while node is not None:
            fallback_kw[node] += power_kw
            node = groups[node]["parent"]
    assert sum(fallback_kw.values()) > 0
    for node, power_kw in fallback_kw.items():
        assert power_kw <= groups[node]["limit_kw"] * demo.depot["fallback_share"] + 1e-6


def test_probes_and_metrics_answer(demo: Demo) -> None:
    assert demo.client.get("/healthz") == {"status": "ok"}
    assert demo.client.get("/readyz")["status"] == "ready"
    metrics = demo.client.get("/metrics")
    assert "# TYPE" in metrics
    assert "depot" in metrics or "fleet" in metrics


def test_the_credentials_that_it_prints_are_the_stored_ones(demo: Demo) -> None:
    stored = json.loads((demo.system.var / "demo-credentials.json").read_text())
    said = demo.system.output()
    assert stored["api_key"] == API_KEY
    assert all(words in said for words in (stored["username"], stored["password"], API_KEY, demo.system.base))


def test_an_unknown_charger_is_refused_and_shown(demo: Demo) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        connect(f"ws://127.0.0.1:{demo.system.port}/ocpp/NOBODY", subprotocols=[Subprotocol("ocpp1.6")])
    assert refusal.value.response.status_code == 404
    unknown = eventually(lambda: demo.client.rows("unknown-stations/"), "the operator sees who asked")
    assert [each["identity"] for each in unknown] == ["NOBODY"]


def test_logs_stay_clean_and_ctrl_c_ends_everything(demo: Demo) -> None:
    assert demo.system.complaints() == []
    demo.system.stop()
    assert demo.system.complaints() == []


def drawn_kw(demo: Demo) -> float:
    states = (connector["state"] or {} for connector in demo.connectors())
    return float(sum(state.get("power_kw") or 0.0 for state in states))


def groups_of(demo: Demo) -> dict[Any, dict[str, Any]]:
    return {row["id"]: row for row in demo.client.rows(f"load-groups/?depot={demo.slug}")}
