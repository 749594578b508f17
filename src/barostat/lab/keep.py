"""Labs that stay: guests that run on when the command that booted them has ended, for playing.

A kept lab is a folder: sockets, a settings file beside each, and the record of `kept.py`. Whatever
the folder says, only a process that is still the one that was started is ever ended.
"""

from __future__ import annotations

import asyncio
import difflib
import shutil
from dataclasses import replace
from typing import Final

from barostat.config.settings_file import write_settings
from barostat.errors import LabError, UnknownGuestError
from barostat.lab import monitor
from barostat.lab.command import qemu_command
from barostat.lab.consoles import died
from barostat.lab.disks import make_data_disk, make_swap_disk
from barostat.lab.fleet import DATA_DISK_BYTES, Kit
from barostat.lab.guests import DATA_DISK, GuestFiles, GuestSpec
from barostat.lab.kept import (
    KeptGuest,
    KeptLab,
    check_ours,
    labs_folder,
    read_lab,
    running_labs,
    write_lab,
)
from barostat.lab.processes import ProcessIdentity, identify
from barostat.lab.scenario import Scenario
from barostat.lab.stages import guest_spec
from barostat.lab.witness import ControlPort, Witness

__all__ = ["KeptGuest", "KeptLab", "down", "hold", "running_labs", "up", "witness"]

START_TIMEOUT_S: Final = 10.0
READY_TIMEOUT_S: Final = 60.0
ANSWER_TIMEOUT_S: Final = 10.0
QUIT_TIMEOUT_S: Final = 2.0
END_TIMEOUT_S: Final = 5.0


async def up(scenario: Scenario, *, kit: Kit) -> KeptLab:
    """Boot a scenario's guests so that they stay, each with its settings file beside its socket.

    All of them boot at once, whatever their `boot_at` says. If one cannot, none stays.

    Raises:
        LabError: a lab of that name is up, or a guest could not be booted.
        GuestDiedError: a guest ended by itself; its console has been kept.
    """
    labs_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    check_ours(labs_folder())
    folder = labs_folder() / scenario.name
    lab = read_lab(folder)
    if lab is not None and lab.runs:
        raise LabError(
            f'lab "{scenario.name}" is up already', hint="`barostat lab down` ends it first"
        )
    shutil.rmtree(folder, ignore_errors=True)
    lab = KeptLab(name=scenario.name, folder=folder, capacity_bytes=scenario.capacity_bytes)
    try:
        return await _boot(lab, scenario, kit)
    except BaseException:
        await down(read_lab(folder) or lab)
        raise


async def _boot(lab: KeptLab, scenario: Scenario, kit: Kit) -> KeptLab:
    lab.folder.mkdir(mode=0o700)
    make_data_disk(lab.folder / DATA_DISK, size_bytes=DATA_DISK_BYTES)
    for guest in scenario.guests:
        write_settings(lab.folder / f"{guest.name}.toml", guest.settings)
        process = await _start(guest_spec(guest), lab.files(guest.name), kit)
        lab = replace(lab, guests=(*lab.guests, KeptGuest(name=guest.name, process=process)))
        write_lab(lab)
    await asyncio.gather(*(_wait_ready(lab, guest) for guest in lab.guests))
    return lab


async def _start(spec: GuestSpec, files: GuestFiles, kit: Kit) -> ProcessIdentity:
    """Start a QEMU that goes its own way, and say which process it is."""
    files.check()
    if spec.swap_bytes:
        make_swap_disk(files.swap, size_bytes=spec.swap_bytes)
    command = qemu_command(spec, files, image=kit.image_of(spec), accelerator=kit.accelerator)
    with files.log.open("wb") as log:
        starter = await asyncio.create_subprocess_exec(
            *(*command, "-daemonize", "-pidfile", str(files.pid)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        code = await asyncio.wait_for(starter.wait(), START_TIMEOUT_S)
    except TimeoutError as error:
        raise LabError(
            f'QEMU of guest "{spec.name}" did not start within {START_TIMEOUT_S:g} s',
            hint="is the machine very busy?",
        ) from error
    finally:
        if starter.returncode is None:
            starter.kill()
    process = identify(int(files.pid.read_text())) if code == 0 else None
    if process is None:
        raise died(files, how=f"exit code {code}")
    return process


async def _wait_ready(lab: KeptLab, guest: KeptGuest) -> None:
    try:
        await witness(lab, guest.name, timeout_s=READY_TIMEOUT_S)
    except LabError:
        if guest.process.runs():
            raise
        raise died(lab.files(guest.name), how="while it booted") from None


async def witness(lab: KeptLab, guest: str, *, timeout_s: float = ANSWER_TIMEOUT_S) -> Witness:
    """Ask a guest's workload for a report.

    Raises:
        UnknownGuestError: the lab has no such guest.
        LabError: it does not answer.
    """
    return await _talk(lab, guest, "ping", timeout_s=timeout_s)


async def hold(lab: KeptLab, guest: str, size_bytes: int, *, hot: float = 1.0) -> Witness:
    """Tell a guest's workload to hold so much, and to keep touching a share of it.

    Raises:
        UnknownGuestError: the lab has no such guest.
        LabError: it does not answer.
    """
    command = f"hold {size_bytes} {round(hot * 1000)}"
    return await _talk(lab, guest, command, timeout_s=ANSWER_TIMEOUT_S)


async def _talk(lab: KeptLab, guest: str, command: str, *, timeout_s: float) -> Witness:
    names = [kept.name for kept in lab.guests]
    if guest not in names:
        near = difflib.get_close_matches(guest, names, n=1)
        raise UnknownGuestError(
            f'lab "{lab.name}" has no guest "{guest}"',
            hint=f'did you mean "{near[0]}"?' if near else f"it has {', '.join(names)}",
        )
    try:
        port = await ControlPort.connect(lab.files(guest).port)
        try:
            return await port.tell(command, timeout_s=timeout_s)
        finally:
            port.close()
    except TimeoutError as error:
        raise LabError(
            f'guest "{guest}" of lab "{lab.name}" does not answer within {timeout_s:g} s',
            hint=f"its console is in {lab.files(guest).console}",
        ) from error
    except OSError as error:
        raise LabError(
            f'guest "{guest}" of lab "{lab.name}" does not answer ({error})',
            hint=f"its console is in {lab.files(guest).console}",
        ) from error


async def down(lab: KeptLab) -> None:
    """End a lab's guests and remove its folder. A process that is no longer ours is left alone.

    Raises:
        LabError: a guest's process cannot be ended; the folder stays.
    """
    await asyncio.gather(*(_end(lab, guest) for guest in lab.guests))
    shutil.rmtree(lab.folder, ignore_errors=True)


async def _end(lab: KeptLab, guest: KeptGuest) -> None:
    process = guest.process
    if not process.runs():
        return
    try:
        await monitor.execute(lab.files(guest.name).lab_qmp, "quit", timeout_s=QUIT_TIMEOUT_S)
        ended = await process.ended(timeout_s=QUIT_TIMEOUT_S)
    except LabError:
        ended = False
    if not ended:
        process.kill()
    if not await process.ended(timeout_s=END_TIMEOUT_S):
        raise LabError(
            f'QEMU of guest "{guest.name}" (process {process.pid}) cannot be ended',
            hint="is its disk hung? `ps` shows its state",
        )
