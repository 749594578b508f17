"""The host's swap for one guest that restarts: whether it is at hand, and the limits that give it.

`memory.high` of the guest's own cgroup has the kernel page out of it, and of nothing else, what
goes beyond; `memory.swap.max` bounds how much that may be. Both are cgroup v2's, and neither kills:
what finds no swap is slowed. v1 could only kill instead, so it is no place to page. Reads and
writes files; may block, so it belongs in a thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from barostat.errors import HostError
from barostat.host.cgroup import (
    Cgroups,
    Group,
    check_limit,
    find_group,
    find_tree,
    read_group,
    write_limit,
)
from barostat.host.memory import Memory
from barostat.host.tree import Tree

__all__ = ["SwapLimits", "check_swap", "read_swap_limits", "set_swap_limit", "swap_fault"]

SWAP_LIMIT: Final = "memory.swap.max"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapLimits:
    """What bounds one QEMU's memory and swap. Sizes in bytes; None: nothing does.

    Attributes:
        group: its cgroup.
        high_bytes: above this it is slowed and paged out.
        swap_bytes: the most that may be swapped out of it.
        swapped_bytes: what is.
    """

    group: Group
    high_bytes: int | None
    swap_bytes: int | None
    swapped_bytes: int


def swap_fault(tree: Tree, memory: Memory) -> str:
    """Say why this host could page for no guest at all, empty if it could."""
    if not memory.swap_total_bytes:
        return "the host has no swap"
    found = find_tree(tree)
    if found is None:
        return "the host has no memory cgroups"
    if found.version is Cgroups.V1:
        return "the host has cgroup v1, which cannot have one VM paged and leave the others alone"
    return ""


def check_swap(tree: Tree, pid: int, memory: Memory) -> None:
    """See that the host could page for the guest of this QEMU.

    Raises:
        HostError: it could not; the message says why.
    """
    fault = swap_fault(tree, memory)
    if fault:
        raise HostError(fault, hint="`barostat doctor` says what Smart Paging takes")
    read_swap_limits(tree, pid)


def read_swap_limits(tree: Tree, pid: int) -> SwapLimits:
    """Read what bounds a QEMU's memory and swap.

    Raises:
        HostError: it has gone, or has no cgroup of its own that could be bounded so.
    """
    memory = find_tree(tree)
    group = None if memory is None else find_group(tree, memory, pid)
    holds = None if group is None else read_group(tree, group)
    if group is None or holds is None:
        raise HostError(
            f"the memory cgroup of process {pid} is not to be seen",
            hint="the VM has just ended, or runs in a container of its own",
        )
    check_limit(group, hard=False)
    if not tree.has(f"{group.folder}/{SWAP_LIMIT}"):
        raise HostError(
            f"its cgroup has no {SWAP_LIMIT}",
            hint="start the host's kernel without swapaccount=0, and with CONFIG_SWAP",
        )
    return SwapLimits(
        group=group,
        high_bytes=holds.high_bytes,
        swap_bytes=holds.swap_limit_bytes,
        swapped_bytes=holds.swap_bytes or 0,
    )


def set_swap_limit(tree: Tree, group: Group, limit_bytes: int | None) -> None:
    """Set the most that may be swapped out of a group; None takes the limit away.

    What is swapped out already stays there until it is used.

    Raises:
        HostError: it cannot be set; nothing was changed.
    """
    text = "max" if limit_bytes is None else str(limit_bytes)
    write_limit(tree, f"{group.folder}/{SWAP_LIMIT}", text)
