"""Sizes of memory: the one parser and the one printer.

Inside Barostat a size is an `int` of bytes in a name that ends in `_bytes`. People write and read
binary units (KiB, MiB, GiB, TiB); the decimal ones are refused, because half of the world means
2**20 by "MB" and the other half 10**6, and a VM's memory is no place to guess.
"""

from __future__ import annotations

import re
from typing import Final

from barostat.errors import SizeError

__all__ = ["GIB", "KIB", "MIB", "TIB", "format_delta", "format_size", "parse_size"]

KIB: Final = 2**10
MIB: Final = 2**20
GIB: Final = 2**30
TIB: Final = 2**40

_UNITS: Final = {
    "b": 1,
    "k": KIB,
    "kib": KIB,
    "m": MIB,
    "mib": MIB,
    "g": GIB,
    "gib": GIB,
    "t": TIB,
    "tib": TIB,
}
_DECIMAL: Final = {"kb": "KiB", "mb": "MiB", "gb": "GiB", "tb": "TiB"}
_SIZE: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-z]*)", re.IGNORECASE | re.ASCII)
_LONGEST: Final = 32  # no size that a person means is longer; keeps absurd input out of int()
_LARGEST: Final = 2**60  # an exbibyte: above any machine, below any arithmetic trouble


def parse_size(text: str) -> int:
    """Parse a size as people write it ("512MiB", "1.5 GiB", "0") into bytes.

    Args:
        text: a number and a binary unit, B, KiB, MiB, GiB or TiB (K, M, G, T for short, in either
            case). The unit may be left out only for 0.

    Returns:
        The size in bytes, at least 0.

    Raises:
        SizeError: the text is not such a size; the message says what would be.
    """
    shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
    match = _SIZE.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    hint = 'write a number and a unit, as in "512MiB" or "1.5GiB"'
    if match is None:
        raise SizeError(f'"{shown}" is not a size of memory', hint=hint)
    number, unit = match["number"], match["unit"].lower()
    if unit in _DECIMAL:
        meant = f"{number}{_DECIMAL[unit]}"
        raise SizeError(f'"{shown}" has a decimal unit', hint=f'write "{meant}" if you mean that')
    if unit not in _UNITS and not (unit == "" and float(number) == 0):
        raise SizeError(f'"{shown}" has no unit that is known', hint=hint)
    size_bytes = _exact(number, _UNITS.get(unit, 1))
    if size_bytes > _LARGEST:
        raise SizeError(f'"{shown}" is larger than any machine', hint=hint)
    return size_bytes


def _exact(number: str, unit_bytes: int) -> int:
    """Multiply without passing through a float, so that 1.1GiB is the nearest byte below."""
    whole, _, fraction = number.partition(".")
    scale: int = 10 ** len(fraction)
    return int(whole + fraction) * unit_bytes // scale


def format_size(size_bytes: int) -> str:
    """Print a size the way an operator reads it: "512 MiB", "12.5 GiB", "0".

    Below 10 GiB whole MiB are kept, because that is the grid on which memory is moved.
    """
    if size_bytes == 0:
        return "0"
    sign, size = ("-", -size_bytes) if size_bytes < 0 else ("", size_bytes)
    if size < MIB:
        return f"{sign}{size / KIB:.0f} KiB" if size >= KIB else f"{sign}{size} B"
    if size < 10 * GIB:
        return f"{sign}{size / MIB:.0f} MiB"
    if size < 10 * TIB:
        return f"{sign}{size / GIB:.1f} GiB"
    return f"{sign}{size / TIB:.1f} TiB"


def format_delta(delta_bytes: int) -> str:
    """Print a change of size with its sign: "+64 MiB", "-512 MiB"."""
    text = format_size(delta_bytes)
    return text if delta_bytes <= 0 else f"+{text}"
