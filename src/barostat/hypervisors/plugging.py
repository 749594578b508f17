"""What a Linux guest can make of what virtio-mem plugs: in which steps, and how far it can grow."""

from __future__ import annotations

from typing import Final

from barostat.core.reach import SECTION_BYTES
from barostat.units import MIB

__all__ = ["BLOCK_BYTES", "CAREFUL_GROWTH", "LARGEST_GROWTH", "SECTION_BYTES"]

BLOCK_BYTES: Final = 2 * MIB
"""The step in which virtio-mem plugs: one huge page of x86."""

LARGEST_GROWTH: Final = 32
"""Plugged memory is described in boot RAM: beyond this multiple plugging stops short (measured:
96 MiB of boot RAM carry 2 GiB, 128 MiB carry 4)."""

CAREFUL_GROWTH: Final = 4
"""Plugged memory is movable only; what the kernel itself needs must fit into the boot RAM."""
