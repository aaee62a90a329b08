"""The browser socket: who may open it, one full picture, then only what changed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.test import Client

from charging.models import ConnectorState
from charging.nudges import LIVE, nudge
from depot.asgi import browser_sockets
from depot.incidents import raise_incident
from depot.models import DepotRole, User
from scheduling.live import consumer
from scheduling.live.hub import hub
from scheduling.live.merge import apply_patch
from tests.factories import make_depot, make_user
from tests.ui.yard import SmallYard, small_yard

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("hub_ends")]


class Browser:
    """A browser's end of the socket; it keeps the picture as the page does."""

    def __init__(self, cookie: str = "", slug: str = "nord", origin: str = "http://localhost") -> None:
        headers = [(b"origin", origin.encode()), (b"host", b"localhost")]
        if cookie:
            headers.append((b"cookie", f"sessionid={cookie}".encode()))
        path = f"/ws/depots/{slug}/"
        scope = {"type": "websocket", "path": path, "query_string": b"", "headers": headers, "subprotocols": []}
        self.socket: Any = ApplicationCommunicator(browser_sockets, scope)  # type: ignore[no-untyped-call]
        self.picture: dict[str, Any] = {}
        self.version = -1

    async def opens(self) -> bool:
        await self.socket.send_input({"type": "websocket.connect"})
        return bool((await self.output())["type"] == "websocket.accept")

    async def output(self) -> dict[str, Any]:
        """The next event of the server, whatever it is."""
        return dict(await self.socket.receive_output(timeout=15))

    async def says(self, text: str) -> None:
        await self.socket.send_input({"type": "websocket.receive", "text": text})

    async def hear(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads((await self.output())["text"])
        if message["type"] == "snapshot":
            self.picture = message["picture"]
        elif message["type"] == "delta":
            assert message["version"] == self.version + 1
            self.picture = apply_patch(self.picture, message["patch"])
        self.version = message.get("version", self.version)
        return message

    async def leave(self) -> None:
        await self.socket.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.socket.wait(timeout=10)


@sync_to_async
def new_yard() -> SmallYard:
    yard = small_yard(planning_enabled=False)
    yard.bay("A1", status="Charging", power_kw=3.0)
    yard.bay("A2")
    return yard


@sync_to_async
def cookie_of(role: str = "viewer", **fields: Any) -> str:
    client = Client()
    client.force_login(make_user(role=role, **fields))
    return client.cookies["sessionid"].value


async def test_without_a_login_the_socket_is_refused() -> None:
    await new_yard()
    assert not await Browser().opens()


async def test_a_foreign_origin_is_refused() -> None:
    yard = await new_yard()
    cookie = await cookie_of(depot=yard.depot)
    assert not await Browser(cookie, origin="https://evil.example").opens()


async def test_a_depot_without_a_role_is_refused() -> None:
    await new_yard()
    cookie = await cookie_of(depot=await sync_to_async(make_depot)())
    assert not await Browser(cookie).opens()
    assert not await Browser(cookie, slug="nowhere").opens()


async def test_a_full_picture_comes_first_then_only_what_changed() -> None:
    yard = await new_yard()
    browser = Browser(await cookie_of(depot=yard.depot))
    assert await browser.opens()
    first = await browser.hear()
    assert first["type"] == "snapshot"
    assert len(first["picture"]["tiles"]) == 2

    await ConnectorState.objects.filter(connector__bay="A1").aupdate(power_kw=5.5)
    await sync_to_async(nudge)(LIVE, depot=yard.depot.pk, what="meter")
    delta = await browser.hear()
    (changed,) = delta["patch"]["tiles"].values()
    assert changed["power"] == "5.5"
    assert "bay" not in changed
    assert "departures" not in delta["patch"]
    await browser.leave()


async def test_an_incident_reaches_the_page_by_itself() -> None:
    yard = await new_yard()
    browser = Browser(await cookie_of(depot=yard.depot))
    assert await browser.opens()
    await browser.hear()
    await sync_to_async(raise_incident)("charger.offline", subject="CP-A1", message="Offline.", depot=yard.depot)
    while not browser.picture["incidents"]:
        await browser.hear()
    assert browser.picture["kpi"]["incidents"] == "1"
    await browser.leave()


async def test_a_page_that_missed_something_gets_a_fresh_picture() -> None:
    yard = await new_yard()
    browser = Browser(await cookie_of(depot=yard.depot))
    assert await browser.opens()
    await browser.hear()
    await browser.says("snapshot")
    assert (await browser.hear())["type"] == "snapshot"
    await browser.leave()


async def test_a_second_page_starts_where_the_depot_is() -> None:
    yard = await new_yard()
    cookie = await cookie_of(depot=yard.depot)
    first, second = Browser(cookie), Browser(cookie)
    assert await first.opens()
    await first.hear()
    assert await second.opens()
    await second.hear()
    assert second.picture == first.picture
    assert second.version == first.version
    await first.leave()
    await second.leave()


async def test_nobody_watching_means_no_work() -> None:
    yard = await new_yard()
    browser = Browser(await cookie_of(depot=yard.depot))
    assert hub().watched == set()
    assert await browser.opens()
    await browser.hear()
    assert hub().watched == {yard.depot.pk}
    await browser.leave()
    assert hub().watched == set()


@pytest.mark.parametrize("ending", ["logout", "password", "role"])
async def test_the_socket_closes_when_its_user_loses_access(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer, "ACCESS_CHECKED_EVERY_S", 0.05)
    yard = await new_yard()
    cookie = await cookie_of(depot=yard.depot)
    browser = Browser(cookie)
    assert await browser.opens()
    await browser.hear()
    await sync_to_async(end_access)(ending, cookie)
    output = await browser.output()
    while output["type"] == "websocket.send":
        output = await browser.output()
    assert (output["type"], output["code"]) == ("websocket.close", consumer.SIGNED_OUT)


def end_access(ending: str, cookie: str) -> None:
    user = User.objects.get()
    if ending == "logout":
        client = Client()
        client.cookies["sessionid"] = cookie
        client.post("/logout/")
    elif ending == "password":
        user.set_password("another one, longer")
        user.save()
    else:
        DepotRole.objects.all().delete()


async def test_a_slow_page_does_not_hold_up_the_others() -> None:
    yard = await new_yard()
    slow, quick = hub().watch(yard.depot.pk), hub().watch(yard.depot.pk)
    assert json.loads(await quick.next())["type"] == "snapshot"
    for power in (4.0, 5.0):
        await ConnectorState.objects.filter(connector__bay="A1").aupdate(
            power_kw=power, sampled_at=yard.now + timedelta(seconds=power)
        )
        await sync_to_async(nudge)(LIVE, depot=yard.depot.pk, what="meter")
        assert json.loads(await quick.next())["type"] == "delta"
    assert json.loads(await slow.next())["type"] == "snapshot"
    slow.close()
    quick.close()
