"""The command line: a process of its own, its events, its witness, its end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from charging.simulator.main import main

from .central import Central
from .test_scenarios_are_read import changed

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def central() -> AsyncIterator[Central]:
    running = Central()
    await running.open()
    yield running
    await running.close()


async def spawned(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "charging.simulator", *arguments,
        cwd=ROOT, env={"PATH": os.environ["PATH"]}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_stations_run_until_they_are_told_to_stop(central: Central, tmp_path: Path, number: int) -> None:
    witness = tmp_path / "witness.jsonl"
    process = await spawned(
        "--stations", "4", "--password", "p", "--url", central.url, "--speed", "20", "--json", "--validate",
        "--witness", str(witness),
    )  # fmt: skip
    await central.heard(lambda: len({each["transaction_id"] for each in central.of("MeterValues")}) == 4)
    process.send_signal(number)
    out, error = await process.communicate()
    assert process.returncode == 0
    assert error == b""
    events = [json.loads(line) for line in out.splitlines()]
    assert events[0]["event"] == "simulating"
    assert events[-1]["event"] == "stopped"
    assert "error" not in {each["event"] for each in events}
    assert {each["station"] for each in events} == {"-", "SIM-0001", "SIM-0002", "SIM-0003", "SIM-0004"}
    seen = [json.loads(line) for line in witness.read_text().splitlines()]
    assert seen[-1]["total_kw"] == pytest.approx(6 + 7 + 11 + 22)
    assert sum(seen[-1]["stations"].values()) == pytest.approx(seen[-1]["total_kw"])


async def test_a_scenario_file_is_played_as_text(central: Central, tmp_path: Path) -> None:
    file = tmp_path / "scenario.json"
    file.write_text(json.dumps(changed("stations.1.meter_interval_s", 1)))
    process = await spawned("--scenario", str(file), "--url", central.url)
    await central.heard(lambda: len(central.of("MeterValues")) > 0 and len(central.of("BootNotification")) == 2)
    process.terminate()
    out, _ = await process.communicate()
    assert re.search(r"^\S+Z FD-OFFICE online$", out.decode(), re.MULTILINE)
    assert "secret" not in out.decode()


async def test_an_absent_central_system_is_one_clear_line_per_attempt(free_port: int) -> None:
    process = await spawned("--stations", "1", "--url", f"ws://127.0.0.1:{free_port}/ocpp")
    assert process.stdout is not None
    lines = [(await process.stdout.readline()).decode() for _ in range(3)]
    process.terminate()
    _, error = await process.communicate()
    assert "Connect call failed" in lines[2]
    assert error == b""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stations", "0"], "--stations: expected at least 1, got 0"),
        (["--stations", "1", "--speed", "0"], "--speed: expected more than 0, got 0"),
        (["--stations", "1", "--url", "http://x"], "--url: expected ws:// or wss://, got http://x"),
        ([], "one of the arguments --scenario --stations is required"),
    ],
)
def test_bad_arguments_are_refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert words in capsys.readouterr().err


def test_a_missing_scenario_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenario", "/nowhere.json"]) == 2
    assert capsys.readouterr().err == "simulate: /nowhere.json: cannot be read: No such file or directory\n"


def test_the_management_command_is_the_same() -> None:
    with pytest.raises(CommandError, match="--stations: expected at least 1"):
        call_command("simulate", "--stations", "0")
