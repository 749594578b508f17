"""Real guests come, say how they are, and go, and leave nothing behind whatever happens."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from barostat.errors import GuestDiedError, LabError
from barostat.lab.fleet import Kit, Lab
from barostat.lab.guests import GuestSpec
from barostat.lab.processes import ProcessIdentity, identify
from barostat.units import MIB

pytestmark = pytest.mark.lab

TINY = GuestSpec(name="tiny", boot_bytes=128 * MIB, maximum_bytes=128 * MIB)


def process_of(lab: Lab, name: str) -> ProcessIdentity:
    """Say which process a guest is."""
    pid = lab.guests[name].pid
    process = None if pid is None else identify(pid)
    assert process is not None
    return process


async def test_a_guest_boots_reports_and_leaves_nothing(kit: Kit) -> None:
    async with Lab([TINY], kit=kit) as lab:
        first = await lab.guests["tiny"].wait_ready()
        later = await lab.guests["tiny"].until(
            lambda witness: witness.sequence >= first.sequence + 3, "report on"
        )
        process = process_of(lab, "tiny")

    assert 80 * MIB < later.total_bytes < 128 * MIB
    assert later.held_bytes == 0
    assert later.swap_total_bytes == 0
    assert later.oom_kills == 0
    assert 0.5e6 < later.uptime_us - first.uptime_us < 2e6
    assert not process.runs()
    assert not lab.folder.exists()


async def test_guests_boot_together_and_one_more_may_come_later(kit: Kit) -> None:
    others = [GuestSpec(name=name, boot_bytes=128 * MIB, maximum_bytes=128 * MIB) for name in "abc"]
    async with Lab(others, kit=kit) as lab:
        await lab.boot(TINY)

        assert sorted(lab.guests) == ["a", "b", "c", "tiny"]
        lab.check()
        with pytest.raises(LabError, match="already"):
            await lab.boot(TINY)


async def test_a_body_that_fails_leaves_nothing(kit: Kit) -> None:
    lab, processes = Lab([TINY], kit=kit), []

    async def run() -> None:
        async with lab:
            processes.append(process_of(lab, "tiny"))
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await run()

    assert not processes[0].runs()
    assert not lab.folder.exists()


async def test_a_cancelled_run_leaves_nothing(kit: Kit) -> None:
    lab, booted = Lab([TINY], kit=kit), asyncio.Event()

    async def run() -> None:
        async with lab:
            booted.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(run())
    await booted.wait()
    process = process_of(lab, "tiny")

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert not process.runs()
    assert not lab.folder.exists()


async def test_a_run_cancelled_while_it_boots_leaves_nothing(kit: Kit) -> None:
    lab = Lab([TINY], kit=kit)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5), lab:
            await asyncio.Event().wait()

    assert lab.guests["tiny"].pid is not None
    assert identify(lab.guests["tiny"].pid) is None
    assert not lab.folder.exists()


async def test_a_guest_that_hangs_is_stopped_all_the_same(kit: Kit) -> None:
    async with Lab([TINY], kit=kit) as lab:
        process = process_of(lab, "tiny")
        os.kill(process.pid, signal.SIGSTOP)

    assert not process.runs()
    assert not lab.folder.exists()


async def test_a_killed_guest_is_an_error_that_names_its_kept_console(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    async with Lab([TINY], kit=kit) as lab:
        guest = lab.guests["tiny"]
        process_of(lab, "tiny").kill()
        with pytest.raises(GuestDiedError, match=r'"tiny" ended by itself \(signal 9') as caught:
            await guest.until(lambda _: False, "live on")
        with pytest.raises(GuestDiedError):
            lab.check()

    kept = Path(caught.value.console)
    assert kept in (tmp_path / "barostat" / "lab" / "consoles").iterdir()


async def test_a_guest_that_cannot_start_says_why(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lab = Lab([TINY], kit=replace(kit, image=replace(kit.image, initrd=tmp_path / "none")))

    with pytest.raises(GuestDiedError, match="error reading initrd"):
        await lab.__aenter__()

    assert not lab.folder.exists()


async def test_qemu_says_no_in_its_own_words(kit: Kit) -> None:
    async with Lab([TINY], kit=kit) as lab:
        with pytest.raises(LabError, match="has not been found"):
            await lab.guests["tiny"].qmp("no-such-command")


ORPHANING = """
import asyncio, os
from barostat.lab.fleet import Lab, ensure_kit
from barostat.lab.guests import GuestSpec

async def main():
    spec = GuestSpec(name="tiny", boot_bytes=2**27, maximum_bytes=2**27)
    async with Lab([spec], kit=ensure_kit(progress=lambda _: None)) as lab:
        print(lab.guests["tiny"].pid, lab.folder, flush=True)
        os.kill(os.getpid(), 9)

asyncio.run(main())
"""


async def test_guests_end_with_a_run_that_is_killed(kit: Kit, tmp_path: Path) -> None:
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ORPHANING),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    said, _ = await run.communicate()
    pid, folder = said.split()
    process = identify(int(pid))

    assert run.returncode == -signal.SIGKILL
    assert str(tmp_path) in folder.decode()
    assert process is None or await process.ended(timeout_s=5)
