"""How much of a guest's RAM is on the host, and how much of it was touched, from its QEMU's maps.

QEMU keeps its guest's RAM out of forks, and nothing else that is large: that flag tells it from
QEMU's own memory, whatever backs it and however the kernel split it. Reading the maps takes 2 ms
for a small guest and about 16 ms for each 4 GiB of small pages, during which QEMU cannot map
anything: it is done rarely, and never in the event loop.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from barostat.errors import HostError
from barostat.host.tree import Tree, field_bytes
from barostat.units import MIB

__all__ = ["RamUse", "forget_references", "has_own_page_tables", "read_ram"]

MOST_BYTES: Final = 16 * MIB
"""A mapping takes about 1.3 KB, and a QEMU has some hundreds."""

LEAST_RAM_BYTES: Final = 32 * MIB
"""What is kept out of forks and smaller is a ROM or a screen."""

MOST_FILES: Final = 4096

_MAPPING: Final = re.compile(rb"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )")
_KVM: Final = "anon_inode:kvm-vm"


@dataclass(frozen=True, slots=True, kw_only=True)
class RamUse:
    """A guest's RAM on the host. Sizes in bytes.

    Attributes:
        resident_bytes: what of it is in the host's memory.
        swapped_bytes: what of it the host swapped out.
        referenced_bytes: what of it was touched since `forget_references`, or ever.
        own_bytes: what its QEMU has in memory beside it, for itself.
    """

    resident_bytes: int
    swapped_bytes: int
    referenced_bytes: int
    own_bytes: int = 0


def read_ram(tree: Tree, pid: int) -> RamUse | None:
    """Add up a guest's RAM; None if its QEMU has gone, may not be read, or has none."""
    text = tree.data(f"proc/{pid}/smaps", most_bytes=MOST_BYTES)
    if not text or len(text) == MOST_BYTES:
        return None
    mappings = [mapping for mapping in _MAPPING.split(text) if mapping]
    ram = [mapping for mapping in mappings if _is_ram(mapping)]
    if not ram:
        return None
    return RamUse(
        resident_bytes=_sum(ram, b"Rss"),
        swapped_bytes=_sum(ram, b"Swap"),
        referenced_bytes=_sum(ram, b"Referenced"),
        own_bytes=max(0, _sum(mappings, b"Anonymous") - _sum(ram, b"Anonymous")),
    )


def _is_ram(mapping: bytes) -> bool:
    flags = mapping.rpartition(b"VmFlags:")[2].split()
    return b"dc" in flags and (field_bytes(mapping, b"Size") or 0) >= LEAST_RAM_BYTES


def _sum(mappings: list[bytes], key: bytes) -> int:
    return sum(field_bytes(mapping, key) or 0 for mapping in mappings)


def has_own_page_tables(tree: Tree, pid: int) -> bool:
    """Say whether a processor runs the guest by page tables of KVM's.

    What such a guest touches is marked there, where the kernel does not look when it is asked for
    references: it would seem to touch next to nothing.
    """
    files = tree.names(f"proc/{pid}/fd")[:MOST_FILES]
    return any(tree.link(f"proc/{pid}/fd/{name}") == _KVM for name in files)


def forget_references(tree: Tree, pid: int) -> None:
    """Have the kernel forget what was touched, so that it can be seen what is touched from now on.

    Raises:
        HostError: it may not be done, or the QEMU has gone.
    """
    path = f"proc/{pid}/clear_refs"
    try:
        tree.write(path, "1")
    except OSError as error:
        raise HostError(
            f"/{path} cannot be written: {error.strerror}",
            hint="the witness needs a daemon that runs as root; `witness = false` in [host] "
            "does without it",
        ) from error
