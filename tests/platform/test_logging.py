"""What a log line looks like, and what never appears in one."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from django.test import RequestFactory

from depot.logging import REDACTED, configure_logging, redact_secrets, redact_text

pytestmark = pytest.mark.once


@pytest.fixture
def json_lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FLEET_DEPOT_LOG", "json")
    monkeypatch.setenv("FLEET_DEPOT_LOG_LEVEL", "INFO")
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure_logging()
    yield
    monkeypatch.undo()
    configure_logging()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("json_lines")
def test_an_event_is_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    structlog.get_logger("depot.test").info("charger connected", identity="FD-01", power_kw=11.0)
    entry = json.loads(capsys.readouterr().err)
    assert entry.pop("timestamp").endswith("Z")
    assert entry == {
        "event": "charger connected",
        "identity": "FD-01",
        "power_kw": 11.0,
        "level": "info",
        "logger": "depot.test",
    }


@pytest.mark.usefixtures("json_lines")
def test_a_library_logs_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    logging.getLogger("uvicorn.error").warning("password=%s rejected", "geheim")
    entry = json.loads(capsys.readouterr().err)
    assert (entry["event"], entry["level"]) == (f"password={REDACTED} rejected", "warning")


@pytest.mark.usefixtures("json_lines")
def test_a_traceback_shows_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    try:
        raise ValueError("token: geheim")
    except ValueError:
        logging.getLogger("x").exception("failed")
    text = capsys.readouterr().err
    assert "ValueError" in text
    assert "geheim" not in text


@pytest.mark.usefixtures("json_lines")
@pytest.mark.parametrize(("path", "logged"), [("/readyz", False), ("/api/v1/depots/", True)])
def test_a_probe_that_says_no_is_not_an_error(
    capsys: pytest.CaptureFixture[str], rf: RequestFactory, path: str, logged: bool
) -> None:
    configure_logging()
    logging.getLogger("django.request").error("Service Unavailable: %s", path, extra={"request": rf.get(path)})
    assert ("Service Unavailable" in capsys.readouterr().err) is logged


@pytest.mark.parametrize("key", ["AuthorizationKey", "authorization", "Authorization", "password", "api_key", "token"])
def test_secret_keys_are_redacted_at_any_depth(key: str) -> None:
    event = {"event": "x", "payload": [{"deep": {key: "geheim", "other": 1}}]}
    assert redact_secrets(None, "info", event) == {"event": "x", "payload": [{"deep": {key: REDACTED, "other": 1}}]}


def test_the_value_beside_a_secret_name_is_redacted() -> None:
    event = {"event": "x", "payload": {"key": "AuthorizationKey", "value": "00ff"}}
    assert redact_secrets(None, "info", event)["payload"] == {"key": "AuthorizationKey", "value": REDACTED}


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Basic geheim",
        "Authorization: Api-Key geheim",
        '{"AuthorizationKey": "geheim"}',
        '[2,"1","ChangeConfiguration",{"key":"AuthorizationKey","value":"geheim"}]',
        "api_key=geheim&x=1",
        "redis://:geheim@broker:6379/0",
        "postgres://depot:geheim@db/depot",
    ],
)
def test_secrets_inside_a_text_are_redacted(text: str) -> None:
    assert "geheim" not in redact_text(text)
    assert REDACTED in redact_text(text)


@pytest.mark.parametrize("text", ["FD-01 charges 11.0 kW", "10:15:00 http://depot.example:8000/x", "tokens 5"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert redact_text(text) == text
