"""Kinds of values in the daemon's configuration, each with the range in which it makes sense.

What is out of range is refused with the value, the range and its unit; the same words stand in the
reference. Sizes are written as people write them, times in seconds, shares as ratios.
"""

from __future__ import annotations

import ipaddress
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
    "Blank",
    "Endpoint",
    "List",
    "Ratio",
    "SocketPath",
    "exact_size",
    "parts_of",
]

AUTO: Final = "auto"

LARGEST_PORT: Final = 65_535

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


def _blank(value: object) -> object:
    return None if value == "" else value


Blank = BeforeValidator(_blank)
"""Has a blank text stand for what is not set, which the program reads as None."""


def parts_of(endpoint: str) -> tuple[str, int]:
    """Take an endpoint apart: its address, and its port.

    Raises:
        ValueError: it is none.
    """
    host, _, port = endpoint.rpartition(":")
    bare = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
    address = ipaddress.ip_address(bare)
    if (address.version == 6) != (bare != host) or not (port.isascii() and port.isdigit()):  # noqa: PLR2004
        raise ValueError(endpoint)
    number = int(port[:6])
    if number > LARGEST_PORT:
        raise ValueError(endpoint)
    return bare, number


def _endpoint(text: str) -> str:
    try:
        parts_of(text)
    except ValueError:
        says = 'it takes an address and a port, as in "127.0.0.1:7443" or "[::1]:7443"'
        raise PydanticCustomError("endpoint", says) from None
    return text


Endpoint = Annotated[str, AfterValidator(_endpoint)]
"""An address of this machine and a port. No name: what it stands for could change."""

AbsolutePath = Annotated[Path, BeforeValidator(_absolute)]
SocketPath = Annotated[Path, BeforeValidator(_absolute), AfterValidator(_socket)]
