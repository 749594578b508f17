"""How things are said: data to stdout, talk to stderr."""

from __future__ import annotations

import json
from typing import Any

import click

from barostat.errors import BarostatError, ConfigError, ScenarioError, SettingsError

__all__ = ["fail", "print_json", "say"]


def say(text: str) -> None:
    """Tell the person something that is not data."""
    click.echo(text, err=True)


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
