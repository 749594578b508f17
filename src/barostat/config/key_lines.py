"""On which line of a TOML file a key stands, which no parser tells.

A file is cut into statements, the fewest lines that are TOML by themselves: so the parser itself
says where a value that runs over several lines ends, and nothing of TOML's grammar is repeated.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

__all__ = ["Path", "key_lines"]

LONGEST_VALUE: Final = 500
"""Lines. Behind a longer value no key has a line: it is read anew at each of its lines."""

Path = tuple[str, ...]
"""The keys that lead to a value, from the outermost."""


def key_lines(text: str) -> dict[Path, int]:
    """Find the line, counted from 1, on which each table and key of a valid file begins."""
    lines: dict[Path, int] = {}
    table: Path = ()
    for number, statement in _statements(text):
        paths = list(_paths(tomllib.loads(statement)))
        if statement.lstrip().startswith("["):
            table = max(paths, key=len)
            lines.setdefault(table, number)
        else:
            for path in paths:
                lines.setdefault(table + path, number)
    return lines


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Cut a file into statements, each with the line on which it begins."""
    began, statement = 1, ""
    for number, line in enumerate(text.split("\n"), start=1):
        statement += line + "\n"
        try:
            tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            if number - began < LONGEST_VALUE:
                continue  # a value that goes on on the next line
            return
        yield began, statement
        began, statement = number + 1, ""


def _paths(table: Mapping[str, Any]) -> Iterator[Path]:
    for key, value in table.items():
        yield (key,)
        if isinstance(value, Mapping):
            yield from ((key, *rest) for rest in _paths(value))
