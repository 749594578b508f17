"""What came from outside, fit for a terminal, a log and a line: nothing in it steers or forges one.

A VM's name, an error of its QEMU, a fault in its settings can hold anything: codes that clear a
screen or rename a window, line ends that make a line of ours of theirs, letters that turn the
direction of what follows. Such a character is shown by its code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["all_printable", "printable"]


def printable(text: str, *, lines: bool = False) -> str:
    """Show every character that cannot be printed by its code.

    Args:
        text: from anywhere.
        lines: it has line ends of ours, which stay.
    """
    if text.isprintable():
        return text
    kept = "\n" if lines else ""
    return "".join(c if c.isprintable() or c in kept else ascii(c)[1:-1] for c in text)


def all_printable(value: Any) -> Any:
    """Make every text printable in what JSON can hold."""
    match value:
        case str():
            return printable(value)
        case Mapping():
            return {printable(key): all_printable(item) for key, item in value.items()}
        case list():
            return [all_printable(item) for item in value]
        case _:
            return value
