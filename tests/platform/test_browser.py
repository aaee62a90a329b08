"""The browser that the tests of the screens use."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.once


def test_a_page_shows_text(page: Page) -> None:
    page.set_content("<h1>Fleet Depot</h1>")
    assert page.locator("h1").inner_text() == "Fleet Depot"
