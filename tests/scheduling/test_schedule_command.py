"""`manage.py schedule` as a process of its own against another CSMS."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from scheduling.http_translation import HttpTranslation
from tests.scheduling.csms import WAIT_S, Csms, limits_of, running, vehicle

ROOT = Path(__file__).parents[2]


class Unreachable(HttpTranslation):
    def get_evs(self, group_name: str) -> Any:
        raise ConnectionError("nobody answers")


@contextmanager
def scheduling(csms: Csms, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "depot.settings",
        "FLEET_DEPOT_DEMO": "1",
        "FLEET_DEPOT_VAR": str(folder),
        "FLEET_DEPOT_LOG": "json",
        "FLEET_DEPOT_LOG_LEVEL": "INFO",
        "STATION_GROUPS": "Group 1,Group 2",
        "API_PORT": str(csms.http_port),
        "WEBSOCKET_PORT": str(csms.websocket_port),
    }
    command = [sys.executable, str(ROOT / "manage.py"), "schedule", "--translation", "http", *arguments]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_plans_at_the_start_at_every_interval_and_event_and_ends_cleanly(tmp_path: Path) -> None:
    with running(Csms()) as csms, scheduling(csms, tmp_path, "--algorithm", "go", "--interval", "2") as process:
        csms.next_powers()
        csms.next_powers()
        csms.listeners.get(timeout=WAIT_S).send('{"type": "NEW_RESERVATION", "data": {"ev_id": 2}}')
        csms.next_powers()
        csms.evs["Group 1"] = [vehicle(1, max_power=4.0)]
        while limits_of(csms.next_powers()["1"])[0] != 4000:
            pass
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    for event in ("Start", "Timer Event", "Reservation Event on Listener"):
        assert f'"{event}"' in log
    assert "there is no limit for group 'Group 2'" in log


def test_once_plans_every_group_and_fails_with_the_reason_if_one_has_no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(Csms()) as csms:
        monkeypatch.setenv("API_PORT", str(csms.http_port))
        call_command("schedule", translation="http", algorithm="round-robin", groups=["Group 1"], once=True)
        assert csms.next_powers().keys() == {"1"}
        with pytest.raises(CommandError, match=r"No plan for Group 2: .*there is no limit"):
            call_command("schedule", translation="http", algorithm="edf", groups=["Group 1", "Group 2"], once=True)
        assert csms.next_powers().keys() == {"1"}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"translation": "ftp"}, "Unknown translation 'ftp': give the dotted path .* or one of http"),
        ({"translation": "no.such.Yard"}, "Unknown translation 'no.such.Yard'"),
        ({"translation": "pathlib.Path"}, "'pathlib.Path' is no subclass of scheduling.translation.Translation"),
        ({"algorithm": "simplex"}, "Unknown algorithm 'simplex': choose one of .*edf"),
        ({"groups": []}, "give --groups, or name them in STATION_GROUPS"),
        ({"interval": 0.0}, "--interval 0.0 must be above zero"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    options: dict[str, object], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STATION_GROUPS", raising=False)
    with pytest.raises(CommandError, match=sentence):
        call_command("schedule", **{"translation": "http", "algorithm": "edf", "groups": ["Group 1"], **options})


def test_a_setting_that_cannot_be_understood_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCHEDULE_TIMEOUT_S", "soon")
    with pytest.raises(CommandError, match="SCHEDULE_TIMEOUT_S"):
        call_command("schedule", translation="http", algorithm="edf", groups=["Group 1"], once=True)


def test_a_translation_is_found_by_its_dotted_path() -> None:
    with pytest.raises(CommandError, match="No plan for Nowhere: nobody answers"):
        call_command(
            "schedule",
            translation="tests.scheduling.test_schedule_command.Unreachable",
            algorithm="llf",
            groups=["Nowhere"],
            once=True,
        )
