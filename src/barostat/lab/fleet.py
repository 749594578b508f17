"""Several real guests in one folder, booted together and ended together, whatever happens.

`async with Lab(specs) as lab:` gives booted guests; the folder, the processes and the sockets are
gone when the block is left, by its end, an error, a cancellation or Ctrl-C. Guests are QEMU
processes of ours, or domains of a libvirtd of ours.
"""

from __future__ import annotations

import asyncio
import os
import platform
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from barostat.errors import LabError, first_fault
from barostat.lab.acceleration import choose_accelerator
from barostat.lab.command import qemu_command
from barostat.lab.disks import make_data_disk
from barostat.lab.domains import Domain, domain_xml
from barostat.lab.guests import DATA_DISK, Accelerator, GuestFiles, GuestSpec
from barostat.lab.hardware import Machine
from barostat.lab.image import Image, ensure_image
from barostat.lab.libvirtd import PrivateLibvirtd
from barostat.lab.machine import LabGuest
from barostat.lab.packages import Progress, ensure_packages, missing_libvirt_packages
from barostat.lab.qemu import QemuProcess
from barostat.lab.userland import ensure_userland
from barostat.units import GIB

__all__ = ["DATA_DISK_BYTES", "Kit", "Lab", "ensure_kit"]

DATA_DISK_BYTES: Final = 4 * GIB
"""Of holes: it costs nothing, and no lab guest has a larger page cache."""

BOOTS_AT_ONCE: Final = 2 * (os.cpu_count() or 1)
"""A boot waits for disks and timers now and then: two a core keep all cores busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What guests are booted with; `userland` is the image of those that have one."""

    image: Image
    accelerator: Accelerator
    userland: Image | None = None

    def image_of(self, spec: GuestSpec) -> Image:
        """Say what a guest boots.

        Raises:
            LabError: it is to have a userland, and this kit has none.
        """
        if not spec.userland:
            return self.image
        if self.userland is None:
            raise LabError(
                f'guest "{spec.name}" is to have a userland, and there is no image of one',
                hint="get the kit by `ensure_kit(userland=True)`; nothing was started",
            )
        return self.userland


def ensure_kit(*, progress: Progress, libvirt: bool = False, userland: bool = False) -> Kit:
    """Get all that guests need: packages, kernel, image, and the accelerator that works here.

    Blocks for a minute the first time, for milliseconds later.

    Args:
        progress: is told what happens.
        libvirt: also what a libvirtd of the lab needs.
        userland: also the image with a userland.

    Raises:
        MissingPackagesError: packages are missing and we may not install them.
        LabError: the image cannot be built, or the machine is no x86-64.
    """
    if platform.machine() != "x86_64":
        raise LabError(
            f"the lab's guests are x86-64, this machine is {platform.machine()}",
            hint="`barostat demo --simulated` needs no guests",
        )
    if libvirt:
        ensure_packages(progress=progress, missing=missing_libvirt_packages())
    image = ensure_image(progress=progress)
    return Kit(
        image=image,
        accelerator=choose_accelerator(image, progress=progress),
        userland=ensure_userland(progress=progress) if userland else None,
    )


class Lab:
    """A fleet of guests with a folder of its own.

    Args:
        specs: whom to boot first.
        kit: what with.
        libvirt: guests are domains of a libvirtd of the lab's own; that takes root.

    Attributes:
        guests: all that were booted, by name.
        folder: holds their sockets and settings files.
        libvirtd: the lab's own, None where guests are bare QEMU.
    """

    def __init__(self, specs: Iterable[GuestSpec], *, kit: Kit, libvirt: bool = False) -> None:
        self.guests: dict[str, LabGuest] = {}
        self.kit = kit
        self._specs = tuple(specs)
        self._temporary = tempfile.TemporaryDirectory(
            prefix="barostat-lab-", ignore_cleanup_errors=True
        )
        self.folder = Path(self._temporary.name)
        self.libvirtd = (
            PrivateLibvirtd(self.folder / "libvirtd", accelerator=kit.accelerator)
            if libvirt
            else None
        )
        self._boots = asyncio.Semaphore(BOOTS_AT_ONCE)

    async def __aenter__(self) -> Self:
        try:
            make_data_disk(self.folder / DATA_DISK, size_bytes=DATA_DISK_BYTES)
            if self.libvirtd is not None:
                await self.libvirtd.start()
            await self._boot_all()
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    @property
    def uri(self) -> str:
        """Where the lab's libvirtd is reached.

        Raises:
            LabError: the lab's guests are bare QEMU.
        """
        if self.libvirtd is None:
            raise LabError("this lab has no libvirtd", hint="its guests are found by their sockets")
        return self.libvirtd.uri

    async def boot(self, spec: GuestSpec) -> LabGuest:
        """Boot one guest more and wait until its workload reports.

        Raises:
            GuestDiedError: it ended by itself; its console has been kept.
            LabError: it could not be started, was not ready in time, or the name is taken.
        """
        if spec.name in self.guests:
            raise LabError(
                f'there is a guest "{spec.name}" already', hint="give each guest its own name"
            )
        files = GuestFiles(folder=self.folder, name=spec.name)
        guest = LabGuest(spec, files=files, machine=self._machine(spec, files))
        self.guests[spec.name] = guest
        async with self._boots:
            await guest.start()
            await guest.wait_ready()
        return guest

    def _machine(self, spec: GuestSpec, files: GuestFiles) -> Machine:
        image, accelerator = self.kit.image_of(spec), self.kit.accelerator
        if self.libvirtd is None:
            command = qemu_command(spec, files, image=image, accelerator=accelerator)
            return QemuProcess(command, files=files)
        if spec.forwards:
            raise LabError(
                f'no port of the host can lead into guest "{spec.name}", a domain of libvirt',
                hint="the lab's libvirtd has a network of its own; boot the guest as bare QEMU",
            )
        xml = domain_xml(spec, files, image=image, accelerator=accelerator)
        return Domain(xml, files=files, libvirtd=self.libvirtd)

    def check(self) -> None:
        """See whether all guests still run.

        Raises:
            GuestDiedError: one ended by itself; its console has been kept.
        """
        for guest in self.guests.values():
            guest.check()

    async def _boot_all(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                for spec in self._specs:
                    tasks.create_task(self.boot(spec))
        except BaseExceptionGroup as group:
            raise first_fault(group) from group

    async def _end(self) -> None:
        ends = (guest.stop() for guest in self.guests.values())
        try:
            outcomes = await asyncio.gather(*ends, return_exceptions=True)
        finally:
            try:
                if self.libvirtd is not None:
                    await self.libvirtd.stop()
            finally:
                self._temporary.cleanup()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
