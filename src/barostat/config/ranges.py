"""Kinds of values in the daemon's configuration, each with the range in which it makes sense.

What is out of range is refused with the value, the range and its unit; the same words stand in the
reference. Sizes are written as people write them, times in seconds, shares as ratios.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from barostat.config.toml_file import Size
from barostat.units import GIB, KIB, MIB, TIB

__all__ = [
    "AUTO",
    "AbsolutePath",
    "AutoSize",
    "Between",
    "List",
    "Ratio",
    "SocketPath",
    "exact_size",
]

AUTO: Final = "auto"

LONGEST_SOCKET_PATH_BYTES: Final = 107
"""What the kernel takes as a socket's path (unix(7): sun_path, less its final zero)."""


def exact_size(size_bytes: int) -> str:
    """Write a size exactly and as a file takes it, in the largest unit in which it is whole."""
    for unit_bytes, unit in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size_bytes >= unit_bytes and size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes}{unit}"
    return f"{size_bytes}B" if size_bytes else "0"


@dataclass(frozen=True, slots=True)
class Between:
    """Refuses a number below `low` or above `high`. `unit` is "s", "bytes", or "" for a ratio."""

    low: float
    high: float
    unit: str = ""

    def __get_pydantic_core_schema__(self, kind: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check after the kind itself was checked."""
        return core_schema.no_info_after_validator_function(self._check, handler(kind))

    def _check(self, value: float | None) -> float | None:
        if value is not None and not self.low <= value <= self.high:  # also refuses NaN
            text = f"{self._shown(value)} is out of range: it must be {self}"
            raise PydanticCustomError("range", "{text}", {"text": text})
        return value

    def __str__(self) -> str:
        return f"{self._shown(self.low)} to {self._shown(self.high)}"

    def _shown(self, value: float) -> str:
        if self.unit == "bytes":
            return exact_size(int(value))
        return f"{value:g} {self.unit}".rstrip()


Ratio = Annotated[float, Between(0, 1)]


def _auto(value: object) -> object:
    return None if value == AUTO else value


AutoSize = Annotated[Size | None, BeforeValidator(_auto)]
"""A size, or "auto", which the program reads as None."""

Item = TypeVar("Item")
List = Annotated[tuple[Item, ...], Field(strict=False)]
"""A list, which the program reads as a tuple."""


def _absolute(value: object) -> object:
    if not isinstance(value, str) or not value.startswith("/"):
        says = 'a path is written in quotes and begins with "/"'
        raise PydanticCustomError("path", says)
    return Path(value)


def _socket(path: Path) -> Path:
    size = len(bytes(path))
    if size > LONGEST_SOCKET_PATH_BYTES:
        says = f"a socket's path has at most {LONGEST_SOCKET_PATH_BYTES} bytes, this has {size}"
        raise PydanticCustomError("path", "{text}", {"text": says})
    return path


AbsolutePath = Annotated[Path, BeforeValidator(_absolute)]
SocketPath = Annotated[Path, BeforeValidator(_absolute), AfterValidator(_socket)]
