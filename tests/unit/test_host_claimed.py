"""What a QEMU claims to have is checked against its command line and the host's own memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.builders import Host as Decides
from tests.unit.builders import devices, guest, of, settings, statistics
from tests.unit.host_folder import HostFolder, mib

from barostat.core.observation import Devices, GuestObservation, RunState
from barostat.core.reasons import ReasonCode
from barostat.engine.observe import FixedSettings, believed, take_snapshot
from barostat.host.command import read_command
from barostat.host.host import Host
from barostat.hypervisors.simulated import SimulatedHypervisor
from barostat.units import GIB, MIB

HUGE = Devices(boot_bytes=2**60, balloon_actual_bytes=2**60, has_balloon=False)
EACH_MIB = 1000


@pytest.fixture
def folder(tmp_path: Path) -> HostFolder:
    found = HostFolder(tmp_path)
    found.write()
    return found


def liar(has: Devices = HUGE, state: RunState = RunState.BOOTING) -> GuestObservation:
    return replace(guest("web", has=has, run_state=state), statistics=None)


@pytest.mark.parametrize("state", [RunState.BOOTING, RunState.RUNNING, RunState.PAUSED])
@pytest.mark.trust("neighbours", "a QEMU claims to be larger than its command line says")
async def test_a_qemu_that_claims_more_than_it_was_started_with_squeezes_nobody(
    folder: HostFolder, state: RunState
) -> None:
    folder.qemu(1234, rss=300)
    box = Host(root=folder.root)
    honest = [guest(name, has=devices(balloon=24, region=0), used=765) for name in ("a", "b")]

    seen = await box.observe([liar(state=state), *honest])
    counted = believed([liar(state=state), *honest], seen)
    world = Decides(mib(seen.capacity_bytes), settings={"web": settings()})
    decision = world.tick(*counted, unfit=seen.unfit)

    assert of(decision, "web").assigned_bytes == 1 * GIB
    assert seen.unfit["web"].code is ReasonCode.FALSE_SIZE
    assert seen.alarms == (seen.unfit["web"],)
    assert seen.capacity_bytes > 8 * GIB
    assert [of(decision, name).assigned_bytes // MIB for name in ("a", "b")] == [EACH_MIB] * 2
    assert [of(decision, name).move for name in ("a", "b")] == [None, None]
    assert ReasonCode.CAPACITY_LOST not in {alarm.code for alarm in decision.alarms}


@pytest.mark.trust("neighbours", "a QEMU that is not to be seen claims to be larger than the host")
async def test_what_claims_to_be_larger_than_the_host_and_has_no_process_counts_for_nothing(
    folder: HostFolder,
) -> None:
    seen = await Host(root=folder.root).observe([liar()])

    assert seen.counted == {"web": 0}
    assert believed([liar()], seen)[0].devices.assigned_bytes == 0


async def test_a_qemu_whose_command_line_was_rewritten_to_more_than_the_host_is_not_believed(
    folder: HostFolder,
) -> None:
    folder.qemu(1234, "-name", "web", "-m", f"{2**40}G", rss=300)

    seen = await Host(root=folder.root).observe([liar()])

    assert mib(seen.counted["web"]) == folder.total


async def test_what_such_a_qemu_holds_counts_if_it_is_more_than_it_was_started_with(
    folder: HostFolder,
) -> None:
    folder.qemu(1234, rss=1500)

    seen = await Host(root=folder.root).observe([liar()])

    assert mib(seen.counted["web"]) == 1504


@pytest.mark.parametrize(
    "options",
    [
        ("-name", "web", "-m", "size=1G,slots=4,maxmem=4G"),
        ("-name", "web", "-readconfig", "/etc/web.cfg"),
    ],
)
async def test_what_is_plugged_or_not_on_the_command_line_is_believed(
    folder: HostFolder, options: tuple[str, ...]
) -> None:
    folder.qemu(1234, *options, rss=300)
    has = devices(1024, plugged=2048, region=3072)
    grown = guest("web", has=has, says=statistics(has, 400))

    seen = await Host(root=folder.root).observe([grown])

    assert seen.counted == {}
    assert believed([grown], seen) == (grown,)


async def test_a_snapshot_has_what_the_host_sees_of_a_guest_that_is_not_believed(
    folder: HostFolder,
) -> None:
    class Claims(SimulatedHypervisor):
        async def observe(self, *, now_s: float) -> list[GuestObservation]:
            return [replace(liar(), seen_at_s=now_s)]

    folder.qemu(1234, rss=300)

    snapshot = await take_snapshot(
        Claims(clock=lambda: 5.0), FixedSettings({}), Host(root=folder.root), clock=lambda: 5.0
    )

    assert snapshot.guests[0].devices.assigned_bytes == 1 * GIB
    assert not snapshot.guests[0].devices.has_balloon


@pytest.mark.parametrize(
    ("words", "most"),
    [
        (("-m", "1G"), 1 * GIB),
        (("-m", "size=1G,maxmem=2G"), 2 * GIB),
        (("-m", "size=1G,maxmem=nonsense"), 1 * GIB),
        (("-m", "nonsense"), None),
        ((), None),
    ],
)
def test_the_most_that_a_qemu_can_have_is_read_from_its_command_line(
    words: tuple[str, ...], most: int | None
) -> None:
    assert read_command(["qemu-system-x86_64", *words]).most_bytes == most
