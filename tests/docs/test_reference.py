"""Docs that lie fail here: generated pages are up to date, links lead somewhere, names exist."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType

import click
import pytest

from barostat.cli.main import cli
from barostat.lab.scenario import read_scenario

ROOT = Path(__file__).parent.parent.parent
FETCHED = {".venv", "node_modules"}
PAGES = sorted(path for path in ROOT.glob("**/*.md") if not FETCHED & set(path.parts))


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "tools" / "reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["cli.md", "configuration.md", "reasons.md"])
def test_a_generated_page_says_what_the_program_says(name: str) -> None:
    module = generator()

    assert (module.FOLDER / name).read_text() == module.PAGES[name]()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_leads_to_one(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text())

    missing = [
        target for target in targets if "://" not in target and not (page.parent / target).exists()
    ]
    assert missing == []


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target for page in PAGES for target in re.findall(r"`?\bmake ([a-z-]+)\b`?", _code_in(page))
    }

    assert named <= targets


def test_every_command_that_is_named_exists_with_its_options() -> None:
    calls = [
        line
        for page in PAGES
        if page.name != "cli.md"
        for line in re.findall(r"^(?:\S*/)?(barostat .*)$", _code_in(page), re.MULTILINE)
    ]
    assert calls
    for call in calls:
        _check_call(shlex.split(call.partition("#")[0].partition(" > ")[0])[1:], call)


def _check_call(words: list[str], call: str) -> None:
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words.pop(0))
        assert found is not None, call
        command = found
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, call


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.toml")), ids=lambda p: p.stem)
def test_every_example_is_a_scenario_that_can_be_run(path: Path) -> None:
    assert read_scenario(path).guests


def _code_in(page: Path) -> str:
    """Take the code out of a page: fenced blocks and inline pieces."""
    text = page.read_text()
    blocks = re.findall(r"^```(?:sh|console)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`([^`\n]+)`", text)
    return "\n".join([*blocks, *inline])
