"""The QEMU processes of the host: what each was started with, and what it holds.

Every look lists /proc once. A process is examined when it is new, again while it is young (one that
is forked becomes QEMU a moment later), and then in turns, a few at each look: a host of a thousand
VMs and many thousand processes is looked at in milliseconds. Processes vanish while they are read.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from barostat.host.command import Command, read_command
from barostat.host.tree import Tree, field_bytes, number

__all__ = ["ProcessTable", "QemuProcess", "process_names"]

YOUNG_LOOKS: Final = 5
"""A process forked by libvirtd is QEMU well within these seconds, or never."""

IN_TURN: Final = 200
"""So many of the old processes are examined again at one look, for they may have become QEMU."""

TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
START_FIELD: Final = 19  # of /proc/PID/stat, counted behind the name in parentheses

_QEMU: Final = re.compile(r"\.?(?:qemu-system-.+|qemu-kvm|kvm)", re.ASCII)
_DELETED: Final = " (deleted)"  # how the kernel shows a program that was upgraded meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuProcess:
    """One QEMU. Sizes in bytes.

    Attributes:
        pid: its number.
        started_s: when it was started, in seconds since the host booted.
        command: what it was started with.
        hugepages: its memory is made of hugepages.
        resident_bytes: what it holds of the host's memory and shares with no program: its own and
            shared memory, but neither mapped files nor hugepages.
        shared_bytes: what of that it may share with other programs.
        hugetlb_bytes: what it holds of the pools of hugepages.
        locked_bytes: what of its memory is locked or pinned.
        swapped_bytes: what the host swapped out of it.
    """

    pid: int
    started_s: float
    command: Command
    hugepages: bool = False
    resident_bytes: int = 0
    shared_bytes: int = 0
    hugetlb_bytes: int = 0
    locked_bytes: int = 0
    swapped_bytes: int = 0


@dataclass(slots=True)
class _Known:
    """What is remembered of a process: `name` is None for one that is no QEMU."""

    looks: int = 0
    name: bytes | None = None
    command: Command | None = None
    started_s: float = 0.0
    hugepages: bool = False


class ProcessTable:
    """Finds the QEMU processes under a root, look by look."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._known: dict[int, _Known] = {}
        self._turn: list[int] = []

    def look(self) -> tuple[QemuProcess, ...]:
        """See every QEMU that runs a VM now, in the order of their numbers."""
        pids = {int(name) for name in self._tree.names("proc") if name.isdecimal()}
        for pid in self._known.keys() - pids:
            del self._known[pid]
        turn = self._take_turn(pids)
        found = []
        for pid in sorted(pids):
            known = self._known.setdefault(pid, _Known())
            known.looks += 1
            if known.command is None and (known.looks <= YOUNG_LOOKS or pid in turn):
                self._examine(pid, known)
            if known.command is not None and (seen := self._holds(pid, known)) is not None:
                found.append(seen)
        return tuple(found)

    def _take_turn(self, pids: set[int]) -> set[int]:
        if not self._turn:
            self._turn = [pid for pid, known in self._known.items() if known.command is None]
        taken, self._turn = self._turn[:IN_TURN], self._turn[IN_TURN:]
        return pids.intersection(taken)

    def _examine(self, pid: int, known: _Known) -> None:
        """Find out whether a process is a QEMU, and what it was started with."""
        folder = f"proc/{pid}"
        if not (_is_qemu(self._tree.word(f"{folder}/comm")) or _is_qemu(self._program(folder))):
            return
        words = (self._tree.data(f"{folder}/cmdline") or b"").decode(errors="replace").split("\0")
        stat = self._tree.data(f"{folder}/stat") or b""
        status = self._tree.data(f"{folder}/status") or b""
        if len(words) < 2 or not status:  # noqa: PLR2004 - a thread of the kernel, or gone
            return
        command = read_command(words[:-1])
        if not command.size_bytes:
            return
        known.name, known.command = _name_line(status), command
        known.started_s = _started_s(stat)
        mounts = _hugetlb_mounts(self._tree) if command.memory_paths else ()
        paths = [PurePosixPath(path) for path in command.memory_paths]
        known.hugepages = command.hugepages or any(
            path.is_relative_to(mount) for path in paths for mount in mounts
        )

    def _program(self, folder: str) -> str | None:
        link = self._tree.link(f"{folder}/exe")
        return None if link is None else PurePosixPath(link.removesuffix(_DELETED)).name

    def _holds(self, pid: int, known: _Known) -> QemuProcess | None:
        """See what a QEMU holds now; None if it has gone, or another has its number."""
        status = self._tree.data(f"proc/{pid}/status")
        if not status or known.command is None:
            return None
        if _name_line(status) != known.name:
            self._known[pid] = _Known()
            return None
        own, shared = field_bytes(status, b"RssAnon"), field_bytes(status, b"RssShmem")
        if own is None:  # kernels before 4.5 say no more than this
            own = field_bytes(status, b"VmRSS") or 0
        hugetlb = field_bytes(status, b"HugetlbPages") or 0
        return QemuProcess(
            pid=pid,
            started_s=known.started_s,
            command=known.command,
            hugepages=known.hugepages or hugetlb > known.command.size_bytes // 2,
            resident_bytes=own + (shared or 0),
            shared_bytes=shared or 0,
            hugetlb_bytes=hugetlb,
            locked_bytes=max(field_bytes(status, key) or 0 for key in (b"VmLck", b"VmPin")),
            swapped_bytes=field_bytes(status, b"VmSwap") or 0,
        )


def _is_qemu(name: str | None) -> bool:
    return name is not None and _QEMU.fullmatch(name) is not None


def _name_line(status: bytes) -> bytes:
    return status.split(b"\n", 1)[0]


def _started_s(stat: bytes) -> float:
    fields = stat.rpartition(b")")[2].split()
    ticks = (
        number(fields[START_FIELD].decode(errors="replace")) if len(fields) > START_FIELD else None
    )
    return (ticks or 0) / TICKS_PER_S


def _hugetlb_mounts(tree: Tree) -> tuple[str, ...]:
    """Say where pools of hugepages are mounted."""
    lines = (line.split() for line in (tree.text("proc/mounts") or "").splitlines())
    return tuple(words[1] for words in lines if len(words) > 2 and words[2] == "hugetlbfs")  # noqa: PLR2004 - device, place, kind


def process_names(tree: Tree) -> frozenset[str]:
    """Name every program that runs, as the kernel shows it: at most 15 letters."""
    pids = (name for name in tree.names("proc") if name.isdecimal())
    return frozenset(filter(None, (tree.word(f"proc/{pid}/comm") for pid in pids)))
