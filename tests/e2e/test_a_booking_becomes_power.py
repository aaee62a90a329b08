"""From a booking over REST to a charger that obeys its plan, within every limit, and a browser that shows it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from charging.simulator.witness import Sample
from tests.e2e.conftest import SmallDepot
from tests.e2e.fleet import van, violations_in
from tests.e2e.small_yard import BOOKED_FROM_THE_START, IDENTITIES, OPERATOR, PASSWORD, SLUG
from tests.e2e.system import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.timeout(300)

VAN_KW = 11.0
SPARE_KWH = 0.2  # a minute at full power: a booking with no more than that cannot wait
QUARTER = timedelta(minutes=15)
LEAST_CHARGING_KW = 18.0  # of the 24 kW beside the building: the limit binds, minimum powers leave some of it
PAGE_WITHIN_MS = 60_000


@pytest.fixture(scope="module")
def busy_depot(small_depot: SmallDepot) -> SmallDepot:
    """Six vehicles charge as fast as the grid connection lets them."""
    for number in range(1, BOOKED_FROM_THE_START + 1):
        small_depot.fleet.plug_in(IDENTITIES[number - 1], van(number))
    eventually(
        lambda: small_depot.fleet.witness.charging_kw >= LEAST_CHARGING_KW,
        f"{BOOKED_FROM_THE_START} vehicles draw {LEAST_CHARGING_KW:g} kW together",
    )
    return small_depot


def test_a_booking_becomes_power(busy_depot: SmallDepot) -> None:
    depot, client, fleet = busy_depot, busy_depot.client, busy_depot.fleet
    reservation = book(depot, "van-7", "E2E-7")
    needed_kwh = reservation["energy_kwh"]

    plan = eventually(lambda: plan_of(depot, reservation["id"]), "the plan in force has the booked vehicle")
    assert plan["energy_kwh"] >= needed_kwh - 0.1
    assert plan["shortfall_kwh"] < 0.1

    fleet.plug_in("E2E-7", van(7))
    eventually(lambda: fleet.power_kw("E2E-7") > 0, "the booked vehicle draws power", within_s=150)
    command = eventually(lambda: obeyed_plan(depot, "E2E-7"), "the charger has accepted a plan")
    assert client.get(f"/api/v1/plan-runs/{command['plan_run']}/")["status"] == "published"
    (session,) = client.rows("sessions/?station=E2E-7")
    assert session["reservation"] == reservation["id"]
    eventually(lambda: client.get(f"/api/v1/sessions/{session['id']}/")["energy_kwh"] > 0, "its session has energy")

    assert fleet.violations() == []
    assert depot.system.complaints() == []


def test_the_page_shows_who_charges_and_how_the_plan_changes(busy_depot: SmallDepot, page: Page) -> None:
    from playwright.sync_api import expect

    depot = busy_depot
    charging = next(each for each in IDENTITIES if depot.fleet.power_kw(each) > 0)
    bay, name = f"P{IDENTITIES.index(charging) + 1}", "Van 8"
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)

    sign_in(page, depot)
    page.wait_for_selector("#link[data-state=live]", timeout=PAGE_WITHIN_MS)
    tile = page.locator(".tile").filter(has=page.locator(".bay", has_text=bay))
    expect(tile.locator("[data-f=power]")).to_have_text(re.compile("[1-9]"), timeout=PAGE_WITHIN_MS)
    expect(tile.locator("[data-f=status]")).to_have_text("Charging", timeout=PAGE_WITHIN_MS)
    row = page.locator("#heat-rows [data-f=name]", has_text=name)
    expect(row).to_have_count(0)
    page.evaluate("window.neverReloaded = true")

    book(depot, "van-8", "E2E-8")

    expect(row).to_have_count(1, timeout=PAGE_WITHIN_MS)
    assert page.evaluate("window.neverReloaded")
    assert problems == []
    assert depot.fleet.violations() == []
    assert depot.system.complaints() == []


def test_the_witness_notices_an_excess_of_a_feeder_and_of_the_site() -> None:
    at = datetime.now(UTC)
    within = Sample(at, 30.0, 26.0, {"E2E-1": 11.0, "E2E-5": 11.0, "E2E-8": 4.0})
    assert violations_in(within) == []
    feeder_b = violations_in(Sample(at, 26.1, 22.1, {"E2E-5": 11.0, "E2E-6": 11.0, "E2E-1": 0.1}))
    assert [sentence.split()[0] for sentence in feeder_b] == ["feeder-b"]
    site = violations_in(Sample(at, 30.1, 26.0, within.stations))
    assert [sentence.split()[0] for sentence in site] == ["grid"]


def test_ctrl_c_leaves_nothing_behind(busy_depot: SmallDepot) -> None:
    busy_depot.system.stop()
    assert busy_depot.fleet.violations() == []


def book(depot: SmallDepot, vehicle: str, identity: str) -> dict[str, Any]:
    """An urgent booking from now to a border of the plan's steps: at any time it needs nearly all of its stay."""
    now = datetime.now(UTC)
    ends_at = datetime.fromtimestamp(((now + 3 * QUARTER).timestamp() // 900 + 1) * 900, UTC)
    stay_h = (ends_at - now).total_seconds() / 3600
    reservation: dict[str, Any] = depot.client.post(
        "reservations/",
        {
            "depot": SLUG,
            "vehicle": vehicle,
            "connector": depot.connectors[identity],
            "starts_at": now.isoformat(),
            "ends_at": ends_at.isoformat(),
            "energy_kwh": round(VAN_KW * stay_h - SPARE_KWH, 2),
            "priority": 9,
        },
    )
    return reservation


def plan_of(depot: SmallDepot, reservation: str) -> dict[str, Any] | None:
    plans: list[dict[str, Any]] = depot.client.get(f"/api/v1/plans/current/?depot={SLUG}")
    return next((plan for plan in plans if plan["reservation"] == reservation), None)


def obeyed_plan(depot: SmallDepot, identity: str) -> dict[str, Any] | None:
    commands = depot.client.rows(f"stations/{identity}/commands/?action=SetChargingProfile")
    obeyed = (each for each in commands if each["plan_run"] and each["state"] in {"accepted", "verified"})
    return next(obeyed, None)


def sign_in(page: Page, depot: SmallDepot) -> None:
    page.goto(f"{depot.system.base}/depots/{SLUG}/")
    page.fill("#id_username", OPERATOR)
    page.fill("#id_password", PASSWORD)
    page.click("button[type=submit]")
