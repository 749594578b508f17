"""Write docs/reference from the program itself, so that it cannot say anything else.

`python tools/reference.py` writes the pages; a test compares them with what it would write.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from barostat.cli.config import EXPLAINED_BY
from barostat.cli.main import cli
from barostat.config.describe import sections
from barostat.core.explain import template
from barostat.core.reasons import ReasonCode

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


def reasons_page() -> str:
    """Every reason code and its sentence."""
    lines = ["# Reasons", "", "Why something was done or left, as `--output json` codes it.", ""]
    lines += [NOTE, "| code | sentence |", "|---|---|"]
    lines += [f"| `{code.value}` | {template(code)} |" for code in ReasonCode]
    return "\n".join(lines) + "\n"


CONFIGURATION = """\
Of the daemon, [`barostat daemon`](../howto/run-the-daemon.md). Each of these goes over the ones
before it, key by key:

1. what is built in, as below;
2. `/etc/barostat/barostat.toml`, or the file given by `--config`;
3. the files `*.toml` in the folder `conf.d` beside it, in the order of their names;
4. variables `BAROSTAT_SECTION__KEY`, such as `BAROSTAT_HOST__RESERVE=4GiB`: values as in the file,
   but quotes may be left out.

An unknown key is a fault, and so is a value out of its range: then nothing is taken, and every
fault is named with its file and line. `barostat config check` looks for them,
`barostat config show --origin` says what is in force and from where, and `barostat config example`
writes a file to start from. Sizes are written as `"512MiB"`, times (`_s`) in seconds, shares
(`_ratio`) as ratios.

On SIGHUP the daemon reads all of it anew. `[host]`, `[policy]`, `[demand]`, `[lane]`, `[fence]`
and `[log]` apply from the next tick on; the other sections when the daemon is started anew, and it
says so.
"""


def configuration_page() -> str:
    """Every key of the daemon's configuration."""
    lines = ["# The daemon's configuration", "", NOTE, CONFIGURATION]
    for section in sections(EXPLAINED_BY):
        lines += [f"## `[{section.name}]`", "", section.about, ""]
        lines += ["| key | takes | default | what it is |", "|---|---|---|---|"]
        lines += [
            f"| `{entry.key}` | {entry.accepts} | `{entry.default}` | {entry.why} |"
            for entry in section.entries
        ]
        lines.append("")
    return "\n".join(lines)


PAGES = {
    "cli.md": cli_page,
    "configuration.md": configuration_page,
    "reasons.md": reasons_page,
}


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page())
        print(f"written: docs/reference/{name}")


if __name__ == "__main__":
    main()
