"""The memory cgroup of a QEMU: where it is, whose it is, what it holds and what it may hold.

A limit on a group that others share would hit them: such a group is never touched. cgroup v2 has
`memory.high`, which slows a group that goes above it and kills nobody, and `memory.max`. v1 has the
hard limit alone; its soft limit is a hint to reclaim and stops no one, so it is no fence.
Reads files, and writes one; may block while the kernel reclaims, so it belongs in a thread.
"""

from __future__ import annotations

import enum
import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from barostat.errors import HostError
from barostat.host.tree import Tree, number

__all__ = [
    "Cgroups",
    "Group",
    "Holdings",
    "MemoryTree",
    "check_limit",
    "find_group",
    "find_tree",
    "read_group",
    "set_limit",
    "write_limit",
]

UNLIMITED_BYTES: Final = 2**62
"""v1 says "no limit" as the largest number of pages that fits in 63 bits; nobody has this much."""

MOST_PROCESSES: Final = 64
"""A group of one VM has its QEMU and a few helpers; one with more than these is no VM's own."""

MOST_GROUPS: Final = 4096
"""libvirt makes one group a virtual processor below a VM's."""

HELPERS: Final = frozenset(
    {
        "swtpm",
        "virtiofsd",
        "passt",
        "slirp4netns",
        "dbus-daemon",
        "qemu-pr-helper",
        "qemu-bridge-hel",
    }
)
"""Programs that serve one VM and are put beside it; the kernel shows 15 letters of a name."""

_STALLS: Final = re.compile(r"^some avg10=(\d{1,3}(?:\.\d+)?) ", re.MULTILINE | re.ASCII)
_ESCAPED: Final = re.compile(r"\\([0-7]{3})", re.ASCII)  # a blank in a mount's place


class Cgroups(enum.Enum):
    """Which controller limits and counts the memory of groups of processes."""

    V2 = "v2"
    V1 = "v1"
    NONE = "none"


_USAGE: Final = {Cgroups.V1: "memory.usage_in_bytes", Cgroups.V2: "memory.current"}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryTree:
    """Where the memory controller is.

    Attributes:
        version: V1 or V2.
        place: where its tree is mounted, without the leading slash.
        top: the group that is to be seen there, "/" but in some containers.
    """

    version: Cgroups
    place: str
    top: str = "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The memory cgroup of one QEMU.

    Attributes:
        version: V1 or V2.
        folder: where it is, without the leading slash.
        shared: why it is not the guest's own, empty if it is.
    """

    version: Cgroups
    folder: str
    shared: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdings:
    """What a group holds and may hold. Sizes in bytes; None: no limit, or not to be known.

    Attributes:
        used_bytes: all that is charged to it, the page cache of its files too.
        kept_bytes: that without what the kernel drops when it is asked: files' clean pages.
        hard_bytes: its hard limit (`memory.max`, v1 `memory.limit_in_bytes`).
        high_bytes: above this it is slowed (`memory.high`); v1 has no such thing.
        swap_bytes: what of it is swapped out by the host.
        swap_limit_bytes: the most that may be; with v1 of memory and swap together.
        stall_ratio: the share of the last 10 s in which something in it waited for memory.
    """

    used_bytes: int
    kept_bytes: int
    hard_bytes: int | None = None
    high_bytes: int | None = None
    swap_bytes: int | None = None
    swap_limit_bytes: int | None = None
    stall_ratio: float | None = None


def find_tree(tree: Tree) -> MemoryTree | None:
    """Find where the memory controller is mounted; in a mixed setup it is in one of the trees."""
    unified = None
    for place, top, kind, options in _mounts(tree.text("proc/self/mountinfo") or ""):
        if kind == "cgroup" and "memory" in options.split(","):
            return MemoryTree(version=Cgroups.V1, place=place, top=top)
        offered = tree.word(f"{place}/cgroup.controllers") if kind == "cgroup2" else None
        if unified is None and "memory" in (offered or "").split():
            unified = MemoryTree(version=Cgroups.V2, place=place, top=top)
    return unified


def _mounts(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Say of every mount its place, what of it is mounted, its kind and its own options."""
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        words, kinds = before.split(), after.split()
        if dash and len(words) > 4 and len(kinds) > 2:  # noqa: PLR2004 - as in proc(5)
            place = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), words[4])
            yield place.strip("/"), words[3], kinds[0], kinds[2]


def find_group(tree: Tree, memory: MemoryTree, pid: int) -> Group | None:
    """Find the group that a QEMU's memory is charged to; None if it has gone or is not to be seen.

    Args:
        tree: the kernel's files.
        memory: where the controller is.
        pid: the QEMU's number.
    """
    path = _path(tree.text(f"proc/{pid}/cgroup") or "", memory)
    if path is None:
        return None
    usage = _USAGE[memory.version]
    # Threads may be in groups below, which have no memory of their own.
    while path.parts and not tree.has(f"{memory.place}/{path}/{usage}"):
        path = path.parent
    if not path.parts:
        shared = "it is in no memory cgroup of its own"
        return Group(version=memory.version, folder=memory.place, shared=shared)
    folder = f"{memory.place}/{path}"
    return Group(version=memory.version, folder=folder, shared=_shared(tree, folder, pid))


def _path(text: str, memory: MemoryTree) -> PurePosixPath | None:
    """Say where below the mount a process is, from its /proc/PID/cgroup."""
    for line in text.splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        v2 = hierarchy == "0" and not controllers
        ours = v2 if memory.version is Cgroups.V2 else "memory" in controllers.split(",")
        if not ours or not path.startswith("/") or ".." in path.split("/"):
            continue
        full = PurePosixPath(path)
        if full.is_relative_to(memory.top):
            return full.relative_to(memory.top)
    return None


def _shared(tree: Tree, folder: str, pid: int) -> str:
    """Say who else is in a group, if it is anybody but what serves the one VM."""
    pids = _members(tree, folder)
    if len(pids) > MOST_PROCESSES:
        return f"its cgroup holds {len(pids)} processes"
    family = {pid}
    for other in sorted(pids - family):
        stat = (tree.text(f"proc/{other}/stat") or "").rpartition(")")[2].split()
        name = tree.word(f"proc/{other}/comm")
        if name is None:  # it has just gone
            continue
        child = len(stat) > 1 and number(stat[1]) in family
        if child:
            family.add(other)
        elif name not in HELPERS:
            return f"its cgroup is shared with {name} (process {other})"
    return ""


def _members(tree: Tree, folder: str) -> set[int]:
    """Number the processes in a group and in those below it."""
    found: set[int] = set()
    folders = [folder]
    for _ in range(MOST_GROUPS):
        if not folders:
            break
        here = folders.pop()
        # A group of threads cannot be read: their processes stand in the one above.
        lines = (tree.text(f"{here}/cgroup.procs") or "").split()
        found.update(pid for line in lines if (pid := number(line)))
        below = (f"{here}/{name}" for name in tree.names(here))
        folders.extend(path for path in below if tree.has(f"{path}/cgroup.procs"))
    return found


def read_group(tree: Tree, group: Group) -> Holdings | None:
    """See what a group holds and may hold; None if it has gone."""
    used = number(tree.word(f"{group.folder}/{_USAGE[group.version]}"))
    if used is None:
        return None
    counters = _counters(tree.text(f"{group.folder}/memory.stat") or "")
    if group.version is Cgroups.V1:
        cached, shared = counters.get("total_cache", 0), counters.get("total_shmem", 0)
        return Holdings(
            used_bytes=used,
            kept_bytes=max(0, used - max(0, cached - shared)),
            hard_bytes=_limit(tree, f"{group.folder}/memory.limit_in_bytes"),
            swap_bytes=counters.get("total_swap"),
            swap_limit_bytes=_limit(tree, f"{group.folder}/memory.memsw.limit_in_bytes"),
        )
    cached, shared = counters.get("file", 0), counters.get("shmem", 0)
    stalls = _STALLS.search(tree.text(f"{group.folder}/memory.pressure") or "")
    return Holdings(
        used_bytes=used,
        kept_bytes=max(0, used - max(0, cached - shared)),
        hard_bytes=_limit(tree, f"{group.folder}/memory.max"),
        high_bytes=_limit(tree, f"{group.folder}/memory.high"),
        swap_bytes=number(tree.word(f"{group.folder}/memory.swap.current")),
        swap_limit_bytes=_limit(tree, f"{group.folder}/memory.swap.max"),
        stall_ratio=min(1.0, float(stalls[1]) / 100) if stalls else None,
    )


def _counters(text: str) -> dict[str, int]:
    pairs = (line.split() for line in text.splitlines())
    return {pair[0]: number(pair[1]) or 0 for pair in pairs if len(pair) == 2}  # noqa: PLR2004


def _limit(tree: Tree, path: str) -> int | None:
    limit = number(tree.word(path))  # v2 says "max" where there is none
    return None if limit is None or limit > UNLIMITED_BYTES else limit


def check_limit(group: Group, *, hard: bool) -> None:
    """See that a group may be limited at all.

    Raises:
        HostError: others are in it, or its version has no such limit.
    """
    if group.shared:
        raise HostError(
            f"{group.shared}: a limit would hit them too; nothing was changed",
            hint="run each VM in a cgroup of its own, as libvirt and systemd-run do",
        )
    if group.version is Cgroups.V1 and not hard:
        raise HostError(
            "cgroup v1 has no memory.high, and its soft limit stops no one; nothing was changed",
            hint='boot the host with cgroup v2 alone, or set mode = "hard" in [fence]',
        )


def set_limit(tree: Tree, group: Group, limit_bytes: int | None, *, hard: bool) -> None:
    """Set the limit of a group that is a guest's own; None takes it away.

    Args:
        tree: the kernel's files.
        group: whose.
        limit_bytes: the most that it may hold, or None.
        hard: the hard limit, beyond which the kernel kills; otherwise `memory.high`.

    Raises:
        HostError: it cannot be set; nothing was changed.
    """
    check_limit(group, hard=hard)
    if group.version is Cgroups.V1:
        name, text = "memory.limit_in_bytes", "-1"
    else:
        name, text = ("memory.max" if hard else "memory.high"), "max"
    write_limit(tree, f"{group.folder}/{name}", text if limit_bytes is None else str(limit_bytes))


def write_limit(tree: Tree, path: str, text: str) -> None:
    """Write one of a group's limits.

    Raises:
        HostError: it cannot be set; nothing was changed.
    """
    try:
        tree.write(path, text)
    except OSError as error:
        raise _refused(error, f"/{path}") from error


def _refused(error: OSError, path: str) -> HostError:
    why = f"{path} cannot be written: {error.strerror}; nothing was changed"
    match error.errno:
        case errno.EACCES | errno.EPERM | errno.EROFS:
            hint = "the daemon must run as root, with /sys/fs/cgroup writable"
        case errno.EBUSY:
            hint = "the group holds more than that, and the kernel could not reclaim it"
        case errno.EINVAL:
            hint = "another limit of the group stands against it: see memory.memsw.limit_in_bytes"
        case errno.ENOENT | errno.ENODEV:
            hint = "the VM has just ended, or another program moved it to another cgroup"
        case _:
            hint = "see the kernel's log"
    return HostError(why, hint=hint)
