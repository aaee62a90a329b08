"""What the README and the pages tell to do: targets, commands, links and variables exist, examples run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import get_commands

from charging.simulator.config import parse_scenario

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/*.md")] if path.is_file()
)
KNOWN_TO_ALL = {"PYTHONUNBUFFERED", "PYTHONPATH", "XDG_CACHE_HOME"}  # conventions of Python and of desktops
CODE = re.compile(r"`([^`\n]+)`")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s:]*)(?:#([^)\s]+))?\)")


def commands_of(path: Path) -> str:
    """Everything that a page sets as code."""
    text = path.read_text(encoding="utf-8")
    return "\n".join([*(body for _, body in BLOCK.findall(text)), *CODE.findall(BLOCK.sub("", text))])


def blocks(name: str, language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall((ROOT / name).read_text(encoding="utf-8")) if kind == language]


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as forges make them."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_make_target_exists(page: Path) -> None:
    called = set(re.findall(r"\bmake ([a-z][a-z-]+)", commands_of(page)))
    defined = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert called <= defined


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_management_command_exists(page: Path) -> None:
    assert set(re.findall(r"manage\.py ([a-z_]+)", commands_of(page))) <= set(get_commands())


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
        found = (page.parent / target).resolve() if target else page
        assert found.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(found), f"{page.name} links to {target}#{anchor}"


def test_every_environment_variable_is_documented() -> None:
    sources = [*ROOT.glob("depot/**/*.py"), *ROOT.glob("charging/**/*.py"), *ROOT.glob("scheduling/**/*.py")]
    reading = re.compile(r"""(?:env_\w+|_?environ(?:\.get)?)[(\[]\s*"([A-Z][A-Z_]+)\"""")
    read = {name for source in sources for name in reading.findall(source.read_text(encoding="utf-8"))}
    documented = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert len(read) > 20
    assert {name for name in read if f"`{name}`" not in documented} <= KNOWN_TO_ALL


@pytest.mark.parametrize("example", blocks("docs/planning.md", "python"), ids=["library", "algorithm", "translation"])
def test_the_examples_of_the_planning_page_run(example: str) -> None:
    done = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_library_example_prints_what_the_page_shows() -> None:
    example, shown = blocks("docs/planning.md", "python")[0], blocks("docs/planning.md", "")[0]
    done = subprocess.run([sys.executable, "-c", example], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == shown


def test_the_scenario_of_the_simulator_page_is_one() -> None:
    (example,) = blocks("docs/simulator.md", "json")
    assert parse_scenario(json.loads(example)).visits
