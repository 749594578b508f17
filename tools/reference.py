"""Write docs/reference from the program itself, so that it cannot say anything else.

`python tools/reference.py` writes the pages; a test compares them with what it would write.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from barostat.cli.main import cli
from barostat.core.explain import template
from barostat.core.policy import Policy
from barostat.core.reasons import ReasonCode
from barostat.units import format_size

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
NOTE = "<!-- Written by tools/reference.py: change the program, then run `make docs`. -->\n"


def cli_page() -> str:
    """Every command with its help, as the program prints it."""
    lines = ["# Commands", "", NOTE]
    for path, command, context in _commands(cli, "barostat", None):
        lines += [f"## `{path}`", "", "```text", command.get_help(context), "```", ""]
    return "\n".join(lines)


def _commands(
    command: click.Command, path: str, parent: click.Context | None
) -> Iterator[tuple[str, click.Command, click.Context]]:
    context = click.Context(
        command,
        info_name=path.rsplit(maxsplit=1)[-1],
        parent=parent,
        terminal_width=88,
        max_content_width=88,
        help_option_names=cli.context_settings["help_option_names"],
    )
    yield path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from _commands(found, f"{path} {name}", context)


def policy_page() -> str:
    """Every number by which Barostat acts, with its default and its reason."""
    text = inspect.cleandoc(Policy.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {6,}.*)*)", text, re.MULTILINE)
    reasons = {
        name: re.sub(r"\s+", " ", why) for names, why in entries for name in names.split(", ")
    }
    lines = ["# The numbers Barostat acts by", "", NOTE, "| number | default | what it does |"]
    lines.append("|---|---|---|")
    lines += [
        f"| `{field.name}` | {_shown(field)} | {reasons[field.name]} |"
        for field in dataclasses.fields(Policy)
    ]
    return "\n".join(lines) + "\n"


def _shown(field: dataclasses.Field[object]) -> str:
    value = field.default
    if field.name.endswith("_bytes") and isinstance(value, int):
        return format_size(value)
    if field.name.endswith("_s"):
        return f"{value:g} s"
    return str(getattr(value, "value", value))


def reasons_page() -> str:
    """Every reason code and its sentence."""
    lines = ["# Reasons", "", "Why something was done or left, as `--output json` codes it.", ""]
    lines += [NOTE, "| code | sentence |", "|---|---|"]
    lines += [f"| `{code.value}` | {template(code)} |" for code in ReasonCode]
    return "\n".join(lines) + "\n"


PAGES = {"cli.md": cli_page, "policy.md": policy_page, "reasons.md": reasons_page}


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
        print(f"written: docs/reference/{name}")


if __name__ == "__main__":
    main()
