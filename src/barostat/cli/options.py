"""What options and arguments may hold, checked before anything is done."""

from __future__ import annotations

import math
from typing import Any

import click

from barostat.errors import SizeError
from barostat.units import MIB, format_size, parse_size

__all__ = ["CAPACITY", "SIZE", "NumberRange", "SizeType", "output_option"]


class SizeType(click.ParamType[int]):
    """A size as people write it, at least so large."""

    name = "size"

    def __init__(self, *, least_bytes: int = 0) -> None:
        self._least_bytes = least_bytes

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Turn "512MiB" into bytes."""
        try:
            size_bytes = parse_size(value)
        except SizeError as error:
            self.fail(f"{error.message}; {error.hint}", param, ctx)
        if size_bytes < self._least_bytes:
            least = format_size(self._least_bytes)
            self.fail(f'"{value}" is too small; it must be at least {least}', param, ctx)
        return size_bytes


class NumberRange(click.FloatRange):
    """A number between two others. "nan" compares with nothing and would slip through."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Turn "0.5" into a number."""
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f'"{value}" is not a number', param, ctx)
        return number


SIZE = SizeType()
CAPACITY = SizeType(least_bytes=MIB)

output_option = click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print: for people, or one JSON document (sizes in bytes, times in seconds).",
)
