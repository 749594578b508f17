"""A libvirtd of the lab's own: it comes, dies and comes again, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from barostat.errors import GuestDiedError, LabError, MissingPackagesError
from barostat.lab import libvirtd as module
from barostat.lab.fleet import Kit, Lab
from barostat.lab.guests import GuestSpec
from barostat.lab.libvirtd import PrivateLibvirtd
from barostat.lab.processes import ProcessIdentity, identify
from barostat.units import MIB

pytestmark = pytest.mark.lab

TINY = GuestSpec(name="tiny", boot_bytes=128 * MIB, maximum_bytes=256 * MIB, swap_bytes=64 * MIB)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "libvirtd"


@pytest.fixture
async def lab(libvirt_kit: Kit) -> AsyncIterator[Lab]:
    async with Lab([TINY], kit=libvirt_kit, libvirt=True) as lab:
        yield lab


def process_of(pid: int | None) -> ProcessIdentity:
    process = None if pid is None else identify(pid)
    assert process is not None
    return process


def daemon_of(lab: Lab) -> PrivateLibvirtd:
    assert lab.libvirtd is not None
    return lab.libvirtd


def mounts() -> str:
    return Path("/proc/self/mountinfo").read_text()


async def test_it_answers_its_clients_and_leaves_nothing(libvirt_kit: Kit, folder: Path) -> None:
    before = mounts()
    machines_own = {path: sorted(Path(path).iterdir()) for path in ("/etc/libvirt", "/run")}

    async with PrivateLibvirtd(folder, accelerator=libvirt_kit.accelerator) as libvirtd:
        assert (await libvirtd.virsh("uri")).strip() == libvirtd.uri
        assert (await libvirtd.virsh("list", "--all", "--name")).strip() == ""
        process = process_of(libvirtd.pid)
        assert b"libvirtd" in Path(f"/proc/{process.pid}/cmdline").read_bytes()
        assert mounts() == before

    assert not process.runs()
    assert not folder.exists()
    assert {path: sorted(Path(path).iterdir()) for path in machines_own} == machines_own


async def test_a_body_that_fails_leaves_nothing(libvirt_kit: Kit, folder: Path) -> None:
    processes = []

    async def run() -> None:
        async with PrivateLibvirtd(folder) as libvirtd:
            processes.append(process_of(libvirtd.pid))
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await run()

    assert not processes[0].runs()
    assert not folder.exists()


async def test_a_start_that_is_cancelled_leaves_nothing(libvirt_kit: Kit, folder: Path) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.03), PrivateLibvirtd(folder):
            await asyncio.Event().wait()

    assert not folder.exists()


async def test_it_is_killed_and_comes_back_and_the_guest_never_noticed(lab: Lab) -> None:
    libvirtd, guest = daemon_of(lab), lab.guests["tiny"]
    qemu, first = process_of(libvirtd.qemu_pid("tiny")), process_of(libvirtd.pid)

    await libvirtd.kill()

    assert not first.runs()
    assert libvirtd.pid is None
    with pytest.raises(LabError, match="virsh"):
        await libvirtd.virsh("list")
    before = guest.witness
    assert before is not None
    await guest.until(lambda witness: witness.sequence > before.sequence + 1, "report on")

    await libvirtd.start()

    assert process_of(libvirtd.pid) != first
    assert (await libvirtd.virsh("domstate", "tiny")).strip() == "running"
    assert qemu.runs()
    assert guest.pid == qemu.pid == libvirtd.qemu_pid("tiny")
    with pytest.raises(LabError, match="runs already"):
        await libvirtd.start()


async def test_a_domain_is_the_same_guest_as_one_of_bare_qemu(libvirt_kit: Kit) -> None:
    async with Lab([TINY], kit=libvirt_kit) as bare:
        alone = await bare.guests["tiny"].wait_ready()
    async with Lab([TINY], kit=libvirt_kit, libvirt=True) as lab:
        domain = await lab.guests["tiny"].wait_ready()

    assert domain.total_bytes == pytest.approx(alone.total_bytes, abs=3 * MIB)
    assert domain.swap_total_bytes == alone.swap_total_bytes


async def test_a_domain_is_resized_by_balloon_and_plug(lab: Lab) -> None:
    libvirtd, guest = daemon_of(lab), lab.guests["tiny"]
    booted = await guest.wait_ready()

    await libvirtd.virsh("setmem", "tiny", "112M", "--live")
    await guest.until(
        lambda seen: seen.available_bytes < booted.available_bytes - 8 * MIB, "give 16 MiB"
    )
    await libvirtd.virsh("setmem", "tiny", "128M", "--live")
    await libvirtd.virsh(*("update-memory-device", "tiny", "--live", "--requested-size", "128M"))
    await guest.until(
        lambda seen: seen.total_bytes > booted.total_bytes + 100 * MIB, "see its new memory"
    )

    assert (await guest.qmp("query-balloon"))["actual"] == 128 * MIB


async def test_a_domain_that_ends_by_itself_is_an_error_that_names_its_console(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    guest = lab.guests["tiny"]

    process_of(guest.pid).kill()
    with pytest.raises(GuestDiedError, match='"tiny" ended by itself') as caught:
        await guest.until(lambda _: False, "live on")

    assert "lab/consoles" in caught.value.console
    with pytest.raises(GuestDiedError):
        lab.check()


async def test_a_stopped_domain_is_forgotten_and_its_name_is_free(lab: Lab) -> None:
    guest = lab.guests.pop("tiny")
    process = process_of(guest.pid)
    os.kill(process.pid, signal.SIGSTOP)

    await guest.stop()

    assert not process.runs()
    assert "tiny" not in await daemon_of(lab).virsh("list", "--all", "--name")
    assert (await lab.boot(TINY)).pid != process.pid


async def test_a_domain_that_cannot_start_says_why_in_libvirts_words(lab: Lab) -> None:
    with pytest.raises(LabError, match="no-such-command"):
        await lab.guests["tiny"].qmp("no-such-command")
    with pytest.raises(LabError, match="virsh start nobody"):
        await daemon_of(lab).virsh("start", "nobody")


ORPHANING = """
import asyncio, os
from barostat.lab.fleet import Lab, ensure_kit
from barostat.lab.guests import GuestSpec

async def main():
    kit = ensure_kit(progress=lambda _: None, libvirt=True)
    spec = GuestSpec(name="tiny", boot_bytes=2**27, maximum_bytes=2**27)
    async with Lab([spec], kit=kit, libvirt=True) as lab:
        print(lab.guests["tiny"].pid, lab.libvirtd.pid, flush=True)
        os.kill(os.getpid(), 9)

asyncio.run(main())
"""


async def test_everything_ends_with_a_run_that_is_killed(
    libvirt_kit: Kit, tmp_path_factory: pytest.TempPathFactory
) -> None:
    short = tmp_path_factory.mktemp("t")
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ORPHANING),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(short)},
    )
    said, _ = await run.communicate()
    processes = [identify(int(pid)) for pid in said.split()]

    assert run.returncode == -signal.SIGKILL
    assert len(processes) == 2
    assert all([gone is None or await gone.ended(timeout_s=5) for gone in processes])


async def test_without_root_it_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(LabError, match="needs root") as caught:
        await PrivateLibvirtd(folder).start()

    assert "as root" in caught.value.hint
    assert not folder.exists()


async def test_without_libvirt_it_names_the_packages(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "missing_libvirt_packages", lambda: ("libvirt-daemon-system",))

    with pytest.raises(MissingPackagesError, match="libvirt-daemon-system") as caught:
        await PrivateLibvirtd(folder).start()

    assert "apt-get install" in caught.value.hint


@pytest.mark.parametrize("folder", [Path("/tmp") / ("x" * 100), Path("/run/lab")])
async def test_a_folder_that_clients_could_not_reach_is_refused(folder: Path) -> None:
    with pytest.raises(LabError, match="cannot hold libvirt's sockets") as caught:
        await PrivateLibvirtd(folder).start()

    assert "TMPDIR" in caught.value.hint
    assert not folder.exists()


async def test_one_that_does_not_come_up_is_quoted(
    libvirt_kit: Kit, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIBVIRTD_CONF", "no_such_key = 1\n{sockets}")

    with pytest.raises(LabError, match=r"ended \(exit code \d+\)(.|\n)*libvirtd.conf"):
        await PrivateLibvirtd(folder).__aenter__()

    assert not folder.exists()
