"""The kernel's files, read from wherever they are rooted: `/`, or a folder of captured ones.

Files of other processes vanish while they are read, belong to other users, or hold anything at all:
what cannot be read is None, what is read is bounded, and no reading raises. Writing does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["Tree", "field_bytes", "number"]

LARGEST_BYTES: Final = 2**20
"""The kernel's files are a few pages; a command line of QEMU with a thousand disks is 300 KiB."""

KIB: Final = 1024

NOWHERE: Final = (OSError, ValueError)
"""Not there, not ours to read, or no path: parts of some paths were read from files themselves."""


class Tree:
    """Files under a root. Paths are given without their leading slash."""

    __slots__ = ("_root",)

    def __init__(self, root: Path) -> None:
        self._root = str(root).rstrip("/")

    def data(self, path: str, *, most_bytes: int = LARGEST_BYTES) -> bytes | None:
        """Read a file, at most so much of it; None if that cannot be done."""
        try:
            number = os.open(f"{self._root}/{path}", os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except NOWHERE:
            return None
        try:
            return self._all(number, most_bytes)
        except OSError:
            return None
        finally:
            os.close(number)

    def _all(self, number: int, left: int) -> bytes:
        """Read on until nothing more comes: the kernel hands out a long file page by page."""
        parts: list[bytes] = []
        while left > 0 and (part := os.read(number, min(left, 2**16))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def text(self, path: str) -> str | None:
        """Read a file as text; what is not text is shown as such."""
        data = self.data(path)
        return None if data is None else data.decode(errors="replace")

    def word(self, path: str) -> str | None:
        """Read a file of one line without its blanks."""
        text = self.text(path)
        return None if text is None else text.strip()

    def link(self, path: str) -> str | None:
        """Say where a link leads."""
        try:
            return os.readlink(f"{self._root}/{path}")  # noqa: PTH115 - a thousand a second
        except NOWHERE:
            return None

    def names(self, path: str) -> tuple[str, ...]:
        """List a folder, in no order; nothing if that cannot be done."""
        try:
            return tuple(os.listdir(f"{self._root}/{path}"))  # noqa: PTH208 - every second
        except NOWHERE:
            return ()

    def write(self, path: str, text: str) -> None:
        """Write a file of the kernel's, which is there already, in one go.

        Raises:
            OSError: the kernel's word why not.
        """
        number = os.open(f"{self._root}/{path}", os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        try:
            os.write(number, text.encode())
        finally:
            os.close(number)

    def has(self, path: str) -> bool:
        """Say whether something is there."""
        return os.path.lexists(f"{self._root}/{path}")


def number(text: str | None) -> int | None:
    """Read a whole number that is not absurd, None otherwise."""
    if text is None or not text.isascii() or not text.isdigit() or len(text) > len(str(2**64)):
        return None
    return int(text)


def field_bytes(data: bytes, key: bytes) -> int | None:
    """Find a line `Key:   123 kB` and say its size in bytes; a count is said as it is."""
    start = 0 if data.startswith(key + b":") else data.find(b"\n" + key + b":") + 1
    if start == 0 and not data.startswith(key + b":"):
        return None
    words = data[start + len(key) + 1 : start + len(key) + 64].split(b"\n", 1)[0].split()
    value = number(words[0].decode(errors="replace")) if words else None
    if value is None:
        return None
    return value * KIB if len(words) > 1 and words[1] == b"kB" else value
