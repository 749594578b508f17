"""A QEMU's cgroup as its fence sees it: one look, for one guest or for all. Reads files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from barostat.core.fence import Inmate
from barostat.errors import HostError
from barostat.host.cgroup import (
    Group,
    Holdings,
    MemoryTree,
    check_limit,
    find_group,
    find_tree,
    read_group,
)
from barostat.host.tree import Tree

__all__ = ["Fenced", "look_at", "look_at_all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fenced:
    """One QEMU's cgroup.

    Attributes:
        group: which.
        used_bytes: what of it counts against the fence.
        fence_bytes: where the fence stands, None where there is none.
        fault: why it can have none, empty if it can.
    """

    group: Group
    used_bytes: int
    fence_bytes: int | None
    fault: str

    def inmate(self, guest: Inmate, *, granted_bytes: int = 0) -> Inmate:
        """Add the cgroup to what is known of a guest, and what it is about to be given."""
        return replace(
            guest,
            promised_bytes=max(guest.promised_bytes, granted_bytes),
            used_bytes=self.used_bytes,
            fence_bytes=self.fence_bytes,
        )


def look_at_all(tree: Tree, pids: Mapping[str, int], *, hard: bool) -> dict[str, Fenced | None]:
    """Look at the cgroups of several QEMUs.

    Raises:
        HostError: this host has no memory cgroups.
    """
    memory = _memory(tree)
    return {guest: _look_at(tree, memory, pid, hard=hard) for guest, pid in pids.items()}


def look_at(tree: Tree, pid: int, *, hard: bool) -> Fenced | None:
    """Look at one QEMU's cgroup; None if it has gone.

    Raises:
        HostError: this host has no memory cgroups.
    """
    return _look_at(tree, _memory(tree), pid, hard=hard)


def _memory(tree: Tree) -> MemoryTree:
    found = find_tree(tree)
    if found is None:
        raise HostError(
            "this host has no memory cgroups",
            hint='boot it with the memory controller, or set mode = "off" in [fence]',
        )
    return found


def _look_at(tree: Tree, memory: MemoryTree, pid: int, *, hard: bool) -> Fenced | None:
    group = find_group(tree, memory, pid)
    holds = None if group is None else read_group(tree, group)
    if group is None or holds is None:
        return None
    return Fenced(
        group=group,
        used_bytes=_used_bytes(holds, hard=hard),
        fence_bytes=holds.hard_bytes if hard else holds.high_bytes,
        fault=_fault(group, hard=hard),
    )


def _used_bytes(holds: Holdings, *, hard: bool) -> int:
    """Say what counts: beyond a hard limit not even clean pages of files are dropped for free."""
    return holds.used_bytes if hard else holds.kept_bytes


def _fault(group: Group, *, hard: bool) -> str:
    try:
        check_limit(group, hard=hard)
    except HostError as error:
        return error.message
    return ""
