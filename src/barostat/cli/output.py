"""How things are said: data to stdout, talk to stderr; nothing that came from outside steers it."""

from __future__ import annotations

import io
import json
from typing import Any

import click

from barostat.errors import BarostatError, ConfigError, ScenarioError, SettingsError
from barostat.service.printable import printable

__all__ = ["fail", "misused", "print_json", "print_line", "say"]


def say(text: str) -> None:
    """Tell the person something that is not data, in one line."""
    click.echo(printable(text), err=True)


def print_line(text: str) -> None:
    """Print one line of data."""
    click.echo(printable(text))


def misused(error: click.ClickException) -> None:
    """Say how a command is used, where it was given what it does not take."""
    words = io.StringIO()
    error.show(file=words)
    click.echo(printable(words.getvalue(), lines=True), err=True, nl=False)


def fail(error: BarostatError) -> None:
    """Say what went wrong and what to do about it; of several faults, each on its own line."""
    faults = error.faults if isinstance(error, ConfigError | ScenarioError | SettingsError) else ()
    if len(faults) > 1:
        say(f"barostat: {error.message.removesuffix('; '.join(faults)).rstrip()}")
        for fault in faults:
            say(f"  - {fault}")
    else:
        say(f"barostat: {error.message}")
    if error.hint:
        say(f"  hint: {error.hint}")


def print_json(value: Any) -> None:
    """Print one JSON document, whole or not at all."""
    click.echo(json.dumps(value, indent=1, allow_nan=False))
