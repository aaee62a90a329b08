"""The live page in a real browser, served over TCP with its socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
import uvicorn
from channels.routing import ProtocolTypeRouter
from django.utils import timezone
from playwright.sync_api import Browser, Page, WebSocket, expect

from charging.models import ConnectorState
from charging.nudges import LIVE, nudge
from depot.asgi import browser_sockets, http_application
from tests.factories import PASSWORD, make_incident, make_user
from tests.ui.yard import SmallYard, small_yard

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # the static files' middleware hands its files over synchronously
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators"),
]

WIDTHS = {"phone": 390, "desktop": 1440}
HOSTILE = "<img src=x onerror=alert(1)>"


@dataclass
class Served:
    url: str
    yard: SmallYard


@pytest.fixture
def served() -> Iterator[Served]:
    """The pages of a small depot behind uvicorn."""
    yard = small_yard()
    charging = yard.bay("A1", status="Charging", power_kw=3.0)
    session = yard.plug_in(charging, HOSTILE, soc_percent=44.0, last_sample_at=yard.now)
    yard.on_plan(session)
    yard.plan(yard.run(), charging, session=session, vehicle=session.vehicle, predicted_soc_percent=80)
    for minutes in range(30):
        yard.sample(charging, timezone.now() - timedelta(minutes=minutes), 3.0)
    yard.bay("A2", online=False)
    make_incident(depot=yard.depot, subject="CP-A2", message="Offline.")
    make_user(username="dora", role="dispatcher", depot=yard.depot)
    application = ProtocolTypeRouter({"http": http_application, "websocket": browser_sockets})
    listening = socket.create_server(("127.0.0.1", 0))  # browsers may connect before the server takes over
    config = uvicorn.Config(application, log_level="warning", lifespan="off", ws="websockets-sansio")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", yard)
    server.should_exit = True
    thread.join()


def open_live(page: Page, served: Served) -> list[str]:
    """Sign in and open the page; what the console complains about is collected."""
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
    page.goto(f"{served.url}/login/")
    page.fill("#id_username", "dora")
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    expect(page.locator("#link-text")).to_have_text("Live")
    return complaints


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_whole_at_either_width(browser: Browser, served: Served, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 860}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    complaints = open_live(page, served)
    expect(page.locator("#chart canvas")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    context.close()


def test_a_measurement_changes_its_tile(page: Page, served: Served) -> None:
    complaints = open_live(page, served)
    tile = page.locator(".tile", has_text="A1")
    expect(tile.locator("[data-f=power]")).to_have_text("3.0")
    expect(tile.locator("[data-f=vehicle]")).to_have_text(HOSTILE)
    ConnectorState.objects.filter(connector__bay="A1").update(power_kw=6.4, sampled_at=timezone.now())
    nudge(LIVE, depot=served.yard.depot.pk, what="meter")
    expect(tile.locator("[data-f=power]")).to_have_text("6.4")
    assert complaints == []


def test_a_new_bay_appears_with_its_name_as_text(page: Page, served: Served) -> None:
    complaints = open_live(page, served)
    served.yard.bay("<b>A3", status="Faulted", info=HOSTILE)
    nudge(LIVE, depot=served.yard.depot.pk, what="status")
    expect(page.locator(".tile[data-tone=fault] [data-f=bay]")).to_have_text("<b>A3")
    assert complaints == []


def test_an_incident_is_acknowledged_without_leaving_the_page(page: Page, served: Served) -> None:
    open_live(page, served)
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".incident .seen")).to_have_text("seen by dora")
    expect(page.get_by_role("button", name="Acknowledge")).to_be_hidden()


def test_the_heatmap_tells_the_reason_to_the_keyboard(page: Page, served: Served) -> None:
    open_live(page, served)
    page.locator("#heat").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#heat-tip")).to_contain_text("7.0 kW: needed for departure")


def test_a_feeder_is_chosen_with_the_keyboard(page: Page, served: Served) -> None:
    open_live(page, served)
    page.locator(".node[data-key=hall-a]").press("Enter")
    expect(page.locator(".node[data-key=hall-a]")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".node[data-key=grid]")).to_have_attribute("aria-pressed", "false")


def test_a_lost_socket_comes_back_by_itself(page: Page, served: Served) -> None:
    opened: list[WebSocket] = []
    page.on("websocket", lambda socket: opened.append(socket))
    page.add_init_script(
        "const Plain = WebSocket; window.sockets = [];"
        "WebSocket = class extends Plain { constructor(url) { super(url); sockets.push(this); } };"
    )
    open_live(page, served)
    page.evaluate("sockets[0].close()")
    expect(page.locator("#link-text")).to_have_text("Reconnecting")
    expect(page.locator("#link-text")).to_have_text("Live")
    assert len(opened) == 2


def test_without_sockets_the_page_polls(page: Page, served: Served) -> None:
    page.add_init_script(
        "WebSocket = class extends EventTarget { constructor() { super(); this.readyState = 3;"
        " queueMicrotask(() => this.onclose({ code: 1006 })); } close() {} }; WebSocket.CLOSED = 3;"
    )
    page.goto(f"{served.url}/login/")
    page.fill("#id_username", "dora")
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    expect(page.locator("#link-text")).to_have_text("Polling every 5 s")
    ConnectorState.objects.filter(connector__bay="A1").update(power_kw=6.4, sampled_at=timezone.now())
    expect(page.locator(".tile", has_text="A1").locator("[data-f=power]")).to_have_text("6.4", timeout=15_000)
