"""How things are said: data to stdout, talk to stderr, colour only where a person looks.

`NO_COLOR` is obeyed by the library that colours.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from barostat.errors import BarostatError, SizeError
from barostat.units import parse_size

__all__ = ["SIZE", "fail", "output_option", "print_json", "say"]


def say(text: str) -> None:
    """Tell the person something that is not data."""
    click.echo(text, err=True)


def fail(error: BarostatError) -> None:
    """Say what went wrong and what to do about it."""
    say(f"barostat: {error.message}")
    if error.hint:
        say(f"  hint: {error.hint}")


def print_json(value: Any) -> None:
    """Print one JSON document."""
    json.dump(value, sys.stdout, indent=1, sort_keys=False, allow_nan=False)
    sys.stdout.write("\n")


output_option = click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print: for people, or one JSON document (sizes in bytes, times in seconds).",
)


class SizeType(click.ParamType[int]):
    """An option that takes a size as people write it."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Turn "512MiB" into bytes."""
        if isinstance(value, int):
            return value
        try:
            return parse_size(value)
        except SizeError as error:
            self.fail(f"{error.message}; {error.hint}", param, ctx)


SIZE = SizeType()
