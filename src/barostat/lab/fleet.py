"""Several real guests in one folder, booted together and ended together, whatever happens.

`async with Lab(specs) as lab:` gives booted guests; the folder, the processes and the sockets are
gone when the block is left, by its end, an error, a cancellation or Ctrl-C.
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
from barostat.lab.disks import make_data_disk
from barostat.lab.guests import DATA_DISK, Accelerator, GuestSpec
from barostat.lab.image import Image, ensure_image
from barostat.lab.machine import LabGuest
from barostat.lab.packages import Progress
from barostat.units import GIB

__all__ = ["DATA_DISK_BYTES", "Kit", "Lab", "ensure_kit"]

DATA_DISK_BYTES: Final = 4 * GIB
"""Of holes: it costs nothing, and no lab guest has a larger page cache."""

BOOTS_AT_ONCE: Final = 2 * (os.cpu_count() or 1)
"""A boot waits for disks and timers now and then: two a core keep all cores busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kit:
    """What guests are booted with."""

    image: Image
    accelerator: Accelerator


def ensure_kit(*, progress: Progress) -> Kit:
    """Get all that guests need: packages, kernel, image, and the accelerator that works here.

    Blocks for a minute the first time, for milliseconds later.

    Raises:
        MissingPackagesError: packages are missing and we may not install them.
        LabError: the image cannot be built, or the machine is no x86-64.
    """
    if platform.machine() != "x86_64":
        raise LabError(
            f"the lab's guests are x86-64, this machine is {platform.machine()}",
            hint="`barostat demo --simulated` needs no guests",
        )
    image = ensure_image(progress=progress)
    return Kit(image=image, accelerator=choose_accelerator(image, progress=progress))


class Lab:
    """A fleet of guests with a folder of its own.

    `guests` are all that were booted, by name; `folder` holds their sockets and settings files.
    """

    def __init__(self, specs: Iterable[GuestSpec], *, kit: Kit) -> None:
        self.guests: dict[str, LabGuest] = {}
        self.kit = kit
        self._specs = tuple(specs)
        self._temporary = tempfile.TemporaryDirectory(
            prefix="barostat-lab-", ignore_cleanup_errors=True
        )
        self.folder = Path(self._temporary.name)
        self._boots = asyncio.Semaphore(BOOTS_AT_ONCE)

    async def __aenter__(self) -> Self:
        try:
            make_data_disk(self.folder / DATA_DISK, size_bytes=DATA_DISK_BYTES)
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
        guest = LabGuest(
            spec, folder=self.folder, image=self.kit.image, accelerator=self.kit.accelerator
        )
        self.guests[spec.name] = guest
        async with self._boots:
            await guest.start()
            await guest.wait_ready()
        return guest

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
            self._temporary.cleanup()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
