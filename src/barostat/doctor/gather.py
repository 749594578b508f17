"""Gather what doctor judges the host by. Reads and asks, changes nothing.

What is simply not there is no error here: that it is not there is what the checks are about.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from barostat.core.reasons import Reason
from barostat.doctor.facts import HostFacts, Libvirt, Version
from barostat.errors import BarostatError, HostError
from barostat.host.command import Balloon
from barostat.host.host import Host
from barostat.host.kernel import read_kernel
from barostat.host.matching import Matches, match, unfit
from barostat.host.processes import ProcessTable, QemuProcess, process_names
from barostat.host.swap import swap_fault
from barostat.host.tree import Tree

__all__ = ["Machine", "ask_libvirt", "ask_qemu", "look_at_machine"]

ANSWER_S: Final = 5.0
"""QEMU says its version in a tenth of a second, libvirt in less."""

PROGRAMS: Final = (
    "qemu-system-x86_64",
    "qemu-kvm",
    "/usr/libexec/qemu-kvm",
    "qemu-system-aarch64",
    "kvm",
)
LIBVIRT_SOCKETS: Final = ("run/libvirt/libvirt-sock", "run/libvirt/virtqemud-sock")
SYSTEM_URI: Final = "qemu:///system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine as it is seen without asking any guest.

    Attributes:
        facts: of the host; what comes from guests and their daemon is still to be filled in.
        matches: which QEMU runs which guest.
    """

    facts: HostFacts
    matches: Matches

    @property
    def unfit(self) -> Mapping[str, Reason]:
        """By guest, why the host cannot have back what that guest gives."""
        return unfit(self.matches.by_guest)

    def balloon_of(self, guest: str) -> Balloon | None:
        """Say what a guest's balloon device was started with; None where that is not to be seen."""
        process = self.matches.by_guest.get(guest)
        return None if process is None else process.command.balloon


async def look_at_machine(
    boot_bytes: Mapping[str, int], *, asked: Iterable[str] = (), root: Path = Path("/")
) -> Machine:
    """Look at the machine.

    Args:
        boot_bytes: the guests that are seen, and their boot RAM.
        asked: libvirt's URIs whose version is wanted; the first that answers says it.
        root: where /proc and /sys are.

    Raises:
        HostError: the machine cannot be looked at.
    """
    host, tree = Host(root=root), Tree(root)
    await host.observe(())
    report = host.report
    if report is None:
        raise HostError("the host was not seen", hint="try again")
    processes = await asyncio.to_thread(ProcessTable(tree).look)
    matches = match(boot_bytes, processes)
    facts = HostFacts(
        memory=report.memory,
        kernel=await asyncio.to_thread(read_kernel, tree),
        as_root=os.geteuid() == 0,
        reserve_bytes=report.accounts.reserve_bytes,
        capacity_bytes=report.accounts.capacity_bytes,
        stage=report.stage,
        libvirt=await ask_libvirt(tree, asked),
        qemu=await ask_qemu(),
        programs=await asyncio.to_thread(process_names, tree),
        foreign=tuple(map(_name, matches.foreign)),
        swapped_vms=tuple((_name(item), item.swapped_bytes) for item in processes),
        paging_fault=await asyncio.to_thread(swap_fault, tree, report.memory),
    )
    return Machine(facts=facts, matches=matches)


def _name(process: QemuProcess) -> str:
    return process.command.name or f"process {process.pid}"


async def ask_libvirt(tree: Tree, uris: Iterable[str]) -> Libvirt:
    """Ask this machine's libvirt what it is."""
    serving = any(tree.has(path) for path in LIBVIRT_SOCKETS)
    bound = importlib.util.find_spec("libvirt") is not None
    wanted = [*uris, *([SYSTEM_URI] if serving else [])]
    version = await _libvirt_version(wanted[0]) if bound and wanted else None
    return Libvirt(serving=serving, bound=bound, version=version)


async def _libvirt_version(uri: str) -> Version | None:
    from barostat.hypervisors.libvirt import LibvirtHypervisor  # noqa: PLC0415 - an extra

    libvirt = LibvirtHypervisor(uri, connections=1)
    try:
        async with asyncio.timeout(ANSWER_S):
            said, _ = await libvirt.versions()
    except (BarostatError, TimeoutError):
        return None
    finally:
        await libvirt.close()
    return read_version(said)


async def ask_qemu() -> Version | None:
    """Ask the QEMU that is installed for its version: the one that VMs are started with.

    A program that runs is not asked: anybody may call theirs QEMU, and doctor runs as root.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        return None
    asking = await asyncio.create_subprocess_exec(
        program,
        "--version",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(ANSWER_S):
            said, _ = await asking.communicate()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            asking.kill()
        await asking.wait()
        return None
    return read_version(said.decode(errors="replace"))


def read_version(text: str) -> Version | None:
    """Find the first version in a text, as "7.2.22"."""
    found = re.search(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?", text, re.ASCII)
    return None if found is None else tuple(int(part) for part in found.groups() if part)
