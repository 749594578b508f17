"""`barostat config`: what the daemon would do with its configuration, without a daemon."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from barostat.cli.options import output_option
from barostat.cli.output import print_json
from barostat.config.describe import example, values
from barostat.config.layers import CONFIG_FILE, Loaded, load
from barostat.core.fence import FencePolicy
from barostat.core.policy import DemandPolicy, Policy
from barostat.engine.sampling import Pace
from barostat.host.policy import HostPolicy

__all__ = ["EXPLAINED_BY", "config_command", "config_option"]

EXPLAINED_BY = {
    "host": HostPolicy,
    "policy": Policy,
    "demand": DemandPolicy,
    "lane": Pace,
    "fence": FencePolicy,
}
"""The classes that say what the keys of a section mean, where the section itself does not."""

BUILT_IN = "built in"

config_option = click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help=f"The configuration file. Default: {CONFIG_FILE}, if it is there. Files *.toml in the "
    "folder conf.d beside it go over it, variables BAROSTAT_SECTION__KEY over all.",
)


@click.group()
def config_command() -> None:
    """See and check the daemon's configuration."""


@config_command.command()
@config_option
def check(file: Path | None) -> None:
    """Say whether the configuration can be used, and everything that is wrong with it."""
    loaded = load(file, environment=os.environ)
    read = ", ".join(str(path) for path in loaded.files) or "no file: all is built in"
    click.echo(f"the configuration is good ({read})")


@config_command.command()
@config_option
@click.option("--origin", is_flag=True, help="Say of each value where it was set.")
@output_option
def show(file: Path | None, output: str, *, origin: bool) -> None:
    """Show every value that is in force, as it would stand in a file."""
    loaded = load(file, environment=os.environ)
    if output == "json":
        print_json(_document(loaded, origin=origin))
        return
    click.echo("\n".join(_lines(loaded, origin=origin)))


def _document(loaded: Loaded, *, origin: bool) -> dict[str, Any]:
    """Make plain values: sizes in bytes; what is left to the program is null."""
    document = loaded.config.model_dump(mode="json")
    if not origin:
        return document
    return {
        section: {
            key: {"value": value, "origin": loaded.origins.get((section, key), BUILT_IN)}
            for key, value in keys.items()
        }
        for section, keys in document.items()
    }


def _lines(loaded: Loaded, *, origin: bool) -> Iterator[str]:
    before = ""
    for (section, key), value in values(loaded.config).items():
        if section != before:
            yield from ([""] if before else [])
            yield f"[{section}]"
        before = section
        place = loaded.origins.get((section, key), BUILT_IN)
        line = f"{key} = {value}" if value else f"# {key} is not set"
        yield f"{line}  # {place}" if origin else line


@config_command.command(name="example")
def show_example() -> None:
    """Write a configuration in which every key is explained, and none is set."""
    click.echo(example(EXPLAINED_BY), nl=False)
