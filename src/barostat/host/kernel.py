"""How the host's kernel is set up, as far as it bears on memory for VMs. Read on demand."""

from __future__ import annotations

import re
from dataclasses import dataclass

from barostat.host.cgroup import Cgroups, find_tree
from barostat.host.tree import Tree, field_bytes, number

__all__ = ["Cgroups", "HugepagePool", "Kernel", "Node", "read_kernel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HugepagePool:
    """Hugepages of one size that are set aside, and how many of them nobody uses."""

    page_bytes: int
    pages: int
    free_pages: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One NUMA node's memory."""

    number: int
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """How the kernel is set up.

    Attributes:
        release: its release, empty if it does not say.
        swap_places: files and devices that are swapped to.
        pools: of hugepages, those that have any.
        transparent_hugepages: "always", "madvise", "never", or None where there are none.
        ksm_on: identical pages are merged.
        nodes: the NUMA nodes.
        cgroups: the memory controller.
        overcommit: vm.overcommit_memory, 2 is strict; None if it is not to be read.
    """

    release: str
    swap_places: tuple[str, ...] = ()
    pools: tuple[HugepagePool, ...] = ()
    transparent_hugepages: str | None = None
    ksm_on: bool = False
    nodes: tuple[Node, ...] = ()
    cgroups: Cgroups = Cgroups.NONE
    overcommit: int | None = None


def read_kernel(tree: Tree) -> Kernel:
    """Read how the kernel is set up; what cannot be read is left out."""
    enabled = tree.text("sys/kernel/mm/transparent_hugepage/enabled") or ""
    chosen = re.search(r"\[(\w+)\]", enabled)
    swaps = (tree.text("proc/swaps") or "").splitlines()[1:]
    return Kernel(
        release=tree.word("proc/sys/kernel/osrelease") or "",
        swap_places=tuple(line.split()[0] for line in swaps if line.split()),
        pools=_pools(tree),
        transparent_hugepages=None if chosen is None else chosen[1],
        ksm_on=tree.word("sys/kernel/mm/ksm/run") == "1",
        nodes=_nodes(tree),
        cgroups=_cgroups(tree),
        overcommit=number(tree.word("proc/sys/vm/overcommit_memory")),
    )


def _pools(tree: Tree) -> tuple[HugepagePool, ...]:
    found = []
    for name in sorted(tree.names("sys/kernel/mm/hugepages")):
        kib = re.fullmatch(r"hugepages-(\d{1,12})kB", name, re.ASCII)
        folder = f"sys/kernel/mm/hugepages/{name}"
        pages = number(tree.word(f"{folder}/nr_hugepages"))
        if kib and pages:
            free = number(tree.word(f"{folder}/free_hugepages")) or 0
            found.append(HugepagePool(page_bytes=int(kib[1]) * 1024, pages=pages, free_pages=free))
    return tuple(found)


def _nodes(tree: Tree) -> tuple[Node, ...]:
    found = []
    for name in tree.names("sys/devices/system/node"):
        digits = number(name.removeprefix("node")) if name.startswith("node") else None
        # Each line begins with "Node 0 "; without that it is like /proc/meminfo.
        info = tree.data(f"sys/devices/system/node/{name}/meminfo") if digits is not None else None
        if digits is None or info is None:
            continue
        lines = info.replace(b"Node %d " % digits, b"")
        total, free = field_bytes(lines, b"MemTotal"), field_bytes(lines, b"MemFree")
        if total:
            found.append(Node(number=digits, total_bytes=total, free_bytes=free or 0))
    return tuple(sorted(found, key=lambda node: node.number))


def _cgroups(tree: Tree) -> Cgroups:
    memory = find_tree(tree)
    return Cgroups.NONE if memory is None else memory.version
