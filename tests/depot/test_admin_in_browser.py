"""The admin in a real browser: under its own policy nothing is refused, and an operator can book with the mouse."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.test import Client
from django.utils import timezone

from depot.models import Reservation
from tests.factories import make_connector, make_depot, make_reservation, make_station, make_superuser, make_vehicle

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def complaints(page: Page) -> Iterator[list[str]]:
    """What the browser's console said; nothing, if all is well."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    yield said
    assert said == []


@pytest.fixture
def admin(page: Page, live_server: Any) -> str:
    """Address of the admin, signed in."""
    client = Client()
    client.force_login(make_superuser())
    cookie = client.cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": cookie, "url": live_server.url}])
    return f"{live_server.url}/admin"


@pytest.mark.parametrize("width", [1280, 390], ids=["desktop", "phone"])
def test_pages_work_under_the_policy(page: Page, admin: str, complaints: list[str], width: int) -> None:
    reservation = make_reservation()
    page.set_viewport_size({"width": width, "height": 844})
    for path in ("", "depot/reservation/", f"depot/reservation/{reservation.pk}/change/", "depot/apikey/add/"):
        answer = page.goto(f"{admin}/{path}", wait_until="networkidle")
        assert answer is not None
        assert answer.status == 200
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path


def test_a_bay_that_is_taken_is_said_and_another_time_is_booked(page: Page, admin: str, complaints: list[str]) -> None:
    depot = make_depot(time_zone="Europe/Berlin")
    connector = make_connector(make_station(depot, connectors=0), bay="A7")
    make_vehicle(depot, name="Van Gogh")
    make_reservation(connector=connector, ends_at=timezone.now() + timedelta(hours=12))
    page.goto(f"{admin}/depot/reservation/add/", wait_until="networkidle")
    choose(page, "vehicle", "Van Gogh")
    choose(page, "connector", "A7")
    page.fill("#id_energy_kwh", "12")
    page.click("button[name=_save]")
    page.get_by_text("Bay A7 is taken in this period.").first.wait_for()
    tomorrow = depot.local(timezone.now() + timedelta(days=1))
    for name, clock in (("starts_at", "18:00:00"), ("ends_at", "20:00:00")):
        page.fill(f"#id_{name}_0", f"{tomorrow:%Y-%m-%d}")
        page.fill(f"#id_{name}_1", clock)
    page.click("button[name=_save]")
    page.wait_for_url("**/depot/reservation/")
    booked = Reservation.objects.get(vehicle__name="Van Gogh")
    assert f"{depot.local(booked.starts_at):%Y-%m-%d %H:%M}" == f"{tomorrow:%Y-%m-%d} 18:00"


def choose(page: Page, field: str, text: str) -> None:
    """Pick from an autocomplete list as a person does."""
    page.click(f".field-{field} .select2-selection")
    page.fill(".select2-search__field", text)
    page.locator(".select2-results__option", has_text=text).click()
