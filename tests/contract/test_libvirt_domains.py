"""What only a real libvirtd can show: it dies and comes back, others use it too, domains move."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest
import pytest_asyncio

from barostat.config.settings_file import SettingsFile
from barostat.core.observation import GuestObservation, RunState
from barostat.errors import (
    ConflictError,
    HypervisorError,
    RefusedError,
    SettingsError,
    UnknownGuestError,
    UnreachableError,
)
from barostat.hypervisors.base import BalloonWish, PlugWish
from barostat.hypervisors.libvirt import LibvirtHypervisor
from barostat.lab.fleet import Lab, ensure_kit
from barostat.lab.guests import GuestSpec
from barostat.lab.libvirtd import PrivateLibvirtd
from barostat.units import GIB, MIB

pytestmark = [pytest.mark.lab, pytest.mark.asyncio(loop_scope="module")]

NAMES = ("alpha", "beta", "gamma")
BOOT_BYTES = 192 * MIB
NAMESPACE = "urn:barostat:memory:1"
PATIENCE_S = 20.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab() -> AsyncIterator[Lab]:
    say = logging.getLogger("lab").info
    kit = await asyncio.to_thread(ensure_kit, progress=say, libvirt=True)
    specs = [
        GuestSpec(name=name, boot_bytes=BOOT_BYTES, maximum_bytes=1 * GIB, swap_bytes=256 * MIB)
        for name in NAMES
    ]
    async with Lab(specs, kit=kit, libvirt=True) as lab:
        yield lab


@pytest.fixture
def libvirtd(lab: Lab) -> PrivateLibvirtd:
    assert lab.libvirtd is not None
    return lab.libvirtd


@pytest_asyncio.fixture(loop_scope="module")
async def hypervisor(lab: Lab) -> AsyncIterator[LibvirtHypervisor]:
    hypervisor = LibvirtHypervisor(lab.uri)
    await until(hypervisor, lambda seen: all_run(seen) and set(seen) == set(NAMES))
    yield hypervisor
    await hypervisor.close()


def all_run(seen: dict[str, GuestObservation]) -> bool:
    return all(guest.run_state is RunState.RUNNING for guest in seen.values())


async def look(hypervisor: LibvirtHypervisor) -> dict[str, GuestObservation]:
    return {guest.name: guest for guest in await hypervisor.observe(now_s=time.monotonic())}


async def until(
    hypervisor: LibvirtHypervisor, fits: Callable[[dict[str, GuestObservation]], bool]
) -> dict[str, GuestObservation]:
    give_up_s = time.monotonic() + PATIENCE_S
    while not fits(seen := await look(hypervisor)):
        assert time.monotonic() < give_up_s, f"still: {seen} {hypervisor.faults}"
        await asyncio.sleep(0.1)
    return seen


def stop(lab: Lab, names: Sequence[str]) -> Callable[[], None]:
    pids = [pid for name in names if (pid := lab.guests[name].pid) is not None]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)

    def resume() -> None:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    return resume


async def plugged(hypervisor: LibvirtHypervisor, name: str, size_bytes: int) -> None:
    device = (await hypervisor.devices(name)).plugs[0].name
    await hypervisor.request(name, PlugWish(device=device, requested_bytes=size_bytes))
    await until(hypervisor, lambda seen: seen[name].devices.plugged_bytes == size_bytes)


async def timed(awaited: Awaitable[object]) -> float:
    began_s = time.monotonic()
    await awaited
    return time.monotonic() - began_s


@pytest.mark.trust("doubt", "libvirtd is killed and comes back")
async def test_libvirtd_dies_and_nothing_is_lost_and_all_is_back_within_seconds_of_its_return(
    hypervisor: LibvirtHypervisor, libvirtd: PrivateLibvirtd
) -> None:
    await plugged(hypervisor, "beta", 64 * MIB)
    before = await look(hypervisor)

    await libvirtd.kill()
    down = await until(
        hypervisor,
        lambda seen: {guest.run_state for guest in seen.values()} == {RunState.UNREACHABLE},
    )
    faults = dict(hypervisor.faults)
    with pytest.raises(HypervisorError) as failed:
        await hypervisor.request("alpha", BalloonWish(target_bytes=BOOT_BYTES))
    await asyncio.sleep(2)
    still_down = await look(hypervisor)
    await libvirtd.start()
    back_s = await timed(until(hypervisor, all_run))
    print(f"back to full work {back_s:.2f} s after libvirtd answered")  # noqa: T201
    after = await look(hypervisor)
    await plugged(hypervisor, "beta", 0)

    assert {name: guest.devices for name, guest in down.items()} == {
        name: guest.devices for name, guest in before.items()
    }
    assert set(still_down) == set(NAMES)
    assert isinstance(faults[hypervisor.uri], UnreachableError)
    assert failed.value.hint
    assert back_s < 10
    assert after["beta"].devices.plugged_bytes == 64 * MIB
    assert after["beta"].disturbed_at_s == before["beta"].disturbed_at_s
    assert not hypervisor.faults


@pytest.mark.trust("restart", "libvirtd is not there yet")
async def test_a_hypervisor_that_is_opened_before_libvirtd_finds_guests_when_it_comes(
    libvirtd: PrivateLibvirtd,
) -> None:
    await libvirtd.kill()
    early = LibvirtHypervisor(libvirtd.uri)
    try:
        nobody = await look(early)
        fault = early.faults[early.uri]
        await libvirtd.start()
        found = await until(early, lambda seen: set(seen) == set(NAMES))
    finally:
        await early.close()

    assert nobody == {}
    assert isinstance(fault, UnreachableError)
    assert "running" in fault.hint
    assert all(guest.devices.boot_bytes == BOOT_BYTES for guest in found.values())


@pytest.mark.trust("neighbours", "two QEMUs are stopped at once (SIGSTOP)")
async def test_two_guests_that_hang_leave_the_third_seen_and_moved_every_second(
    hypervisor: LibvirtHypervisor, lab: Lab
) -> None:
    before = await look(hypervisor)

    resume = stop(lab, ("alpha", "beta"))
    try:
        looks = []
        for turn in range(5):
            looks.append((time.monotonic(), await look(hypervisor), time.monotonic()))
            await hypervisor.request(
                "gamma", BalloonWish(target_bytes=BOOT_BYTES - (turn + 1) * 4 * MIB)
            )
            await asyncio.sleep(max(0.0, 1 - (time.monotonic() - looks[-1][0])))
        faults = dict(hypervisor.faults)
    finally:
        resume()
    await until(hypervisor, all_run)
    await hypervisor.request("gamma", BalloonWish(target_bytes=BOOT_BYTES))
    await until(hypervisor, lambda seen: seen["gamma"].devices.balloon_bytes == 0)

    for began_s, seen, ended_s in looks:
        assert ended_s - began_s < 1
        assert seen["alpha"].run_state is RunState.UNREACHABLE
        assert seen["beta"].run_state is RunState.UNREACHABLE
        assert seen["alpha"].devices == before["alpha"].devices
        assert seen["gamma"].run_state is RunState.RUNNING
        assert began_s <= seen["gamma"].seen_at_s <= ended_s
    assert all(ended_s - began_s < 0.3 for began_s, _, ended_s in looks[1:])
    balloons = [seen["gamma"].devices.balloon_bytes for _, seen, _ in looks]
    assert balloons[0] == 0 < balloons[2] < balloons[4]
    assert set(faults) == {"alpha", "beta"}
    assert all(fault.hint for fault in faults.values())
    assert not hypervisor.faults


@pytest.mark.trust("neighbours", "another program waits for a QEMU that is stopped")
async def test_a_guest_whose_hang_another_program_found_first_is_unreachable_too(
    hypervisor: LibvirtHypervisor, lab: Lab, libvirtd: PrivateLibvirtd
) -> None:
    resume = stop(lab, ("alpha",))
    try:
        other = asyncio.create_task(libvirtd.virsh("dommemstat", "alpha"))
        await asyncio.sleep(0.5)
        seen = await look(hypervisor)
    finally:
        resume()
    await other
    await until(hypervisor, all_run)

    assert seen["alpha"].run_state is RunState.UNREACHABLE
    assert seen["beta"].run_state is RunState.RUNNING


@pytest.mark.trust("doubt", "a guest's statistics are switched off behind our back")
async def test_statistics_that_nobody_asked_for_are_switched_on(
    hypervisor: LibvirtHypervisor, libvirtd: PrivateLibvirtd
) -> None:
    await libvirtd.virsh("dommemstat", "alpha", "--period", "0", "--live")
    again = LibvirtHypervisor(libvirtd.uri)

    try:
        await look(again)
    finally:
        await again.close()

    assert "<stats period='1'/>" in await libvirtd.virsh("dumpxml", "alpha")


async def test_settings_are_written_for_now_and_for_the_next_start_and_read_by_others(
    hypervisor: LibvirtHypervisor, libvirtd: PrivateLibvirtd
) -> None:
    settings = SettingsFile.model_validate({"minimum": "128MiB", "weight": 7000, "paused": True})

    await hypervisor.write("alpha", settings, before=None)
    seen = await look(hypervisor)
    live = await libvirtd.virsh("metadata", "alpha", NAMESPACE)
    kept = await libvirtd.virsh("metadata", "alpha", NAMESPACE, "--config")
    with pytest.raises(ConflictError):
        await hypervisor.write("alpha", None, before=None)
    found = await hypervisor.read("alpha")
    in_force = hypervisor.settings_of(seen["alpha"])
    await hypervisor.write("alpha", None, before=settings)

    assert live == kept
    assert 'minimum="128MiB"' in live
    assert found == settings
    assert in_force is not None
    assert (in_force.startup_bytes, in_force.minimum_bytes) == (BOOT_BYTES, 128 * MIB)
    assert in_force.paused
    assert await hypervisor.read("alpha") is None
    assert hypervisor.settings_of((await look(hypervisor))["alpha"]) is None


@pytest.mark.trust("input", "a VM's settings are broken while it runs")
async def test_an_edit_by_virsh_is_noticed_at_the_next_look_and_a_broken_one_is_explained(
    hypervisor: LibvirtHypervisor, libvirtd: PrivateLibvirtd
) -> None:
    await libvirtd.virsh(
        *("metadata", "beta", NAMESPACE, "--key", "barostat", "--live"),
        *("--set", '<memory minimum="64MiB" weight="10"/>'),
    )
    await asyncio.sleep(0.1)
    good = hypervisor.settings_of((await look(hypervisor))["beta"])
    await libvirtd.virsh(
        *("metadata", "beta", NAMESPACE, "--key", "barostat", "--live"),
        *("--set", '<memory minimum="64" wieght="10"/>'),
    )
    await asyncio.sleep(0.1)
    seen = (await look(hypervisor))["beta"]
    with pytest.raises(SettingsError) as broken:
        hypervisor.settings_of(seen)
    with pytest.raises(SettingsError):
        await hypervisor.read("beta")
    await libvirtd.virsh("metadata", "beta", NAMESPACE, "--live", "--remove")

    assert good is not None
    assert (good.minimum_bytes, good.weight) == (64 * MIB, 10)
    assert len(broken.value.faults) == 2
    assert 'did you mean "weight"?' in broken.value.message
    assert "virsh metadata beta" in broken.value.hint


async def test_a_domain_that_is_off_is_named_defined_and_given_settings(
    hypervisor: LibvirtHypervisor, libvirtd: PrivateLibvirtd
) -> None:
    xml = (await hypervisor.domain_xml("alpha", inactive=True)).replace("alpha", "spare")
    uuid = xml[xml.index("<uuid>") : xml.index("</uuid>")]
    settings = SettingsFile.model_validate({"maximum": "1GiB", "enabled": False})

    await hypervisor.define(xml.replace(uuid, "<uuid>6c1f0c54-4c62-4c4b-9d2e-2d9c0d6b8a11"))
    await hypervisor.write("spare", settings, before=None)

    off, written = await hypervisor.powered_off(), await hypervisor.read("spare")
    await libvirtd.virsh("undefine", "spare")

    assert off == ("spare",)
    assert written == settings
    assert "spare" not in await look(hypervisor)
    with pytest.raises(RefusedError):
        await hypervisor.define("<domain/>")
    with pytest.raises(UnknownGuestError):
        await hypervisor.read("nobody")
    with pytest.raises(UnknownGuestError):
        await hypervisor.domain_xml("nobody")


@pytest.mark.trust("doubt", "a guest is dumped to a file")
async def test_a_guest_that_is_dumped_is_held_and_disturbed_afterwards(
    hypervisor: LibvirtHypervisor, lab: Lab, libvirtd: PrivateLibvirtd
) -> None:
    before = (await look(hypervisor))["gamma"]

    dump = asyncio.create_task(
        libvirtd.virsh("dump", "gamma", str(lab.folder / "gamma.dump"), "--memory-only")
    )
    held = await until(
        hypervisor, lambda seen: seen["gamma"].run_state is RunState.MIGRATING or dump.done()
    )
    with pytest.raises(RefusedError) as refused:
        await hypervisor.request("gamma", BalloonWish(target_bytes=BOOT_BYTES))
    await dump
    after = (await until(hypervisor, all_run))["gamma"]

    assert held["gamma"].run_state is RunState.MIGRATING
    assert "wait" in refused.value.hint
    assert after.disturbed_at_s > before.disturbed_at_s


@pytest.mark.trust("restart", "a guest is saved to a file and restored")
async def test_settings_travel_with_a_transient_domain_that_is_saved_and_restored(
    hypervisor: LibvirtHypervisor, lab: Lab, libvirtd: PrivateLibvirtd
) -> None:
    image = str(lab.folder / "delta.saved")
    guest = await lab.boot(
        GuestSpec(name="delta", boot_bytes=BOOT_BYTES, maximum_bytes=512 * MIB, swap_bytes=0)
    )
    try:
        await libvirtd.virsh("undefine", "delta")  # it runs on, and has no next start
        before = (await until(hypervisor, lambda seen: "delta" in seen))["delta"]
        settings = SettingsFile.model_validate({"minimum": "96MiB"})
        await hypervisor.write("delta", settings, before=None)
        await hypervisor.request("delta", BalloonWish(target_bytes=160 * MIB))
        await until(hypervisor, lambda seen: seen["delta"].devices.balloon_bytes == 32 * MIB)

        await libvirtd.virsh("save", "delta", image)
        gone = await look(hypervisor)
        await libvirtd.virsh("restore", image)
        back = (await until(hypervisor, lambda seen: "delta" in seen and all_run(seen)))["delta"]
        in_force = hypervisor.settings_of(back)
    finally:
        await libvirtd.virsh("destroy", "delta")
        await lab.guests.pop("delta").stop()

    assert guest.pid is not None
    assert "delta" not in gone
    assert back.devices.balloon_bytes == 32 * MIB
    assert back.devices.balloon_target_bytes is None  # nobody asked it since it is there
    assert back.disturbed_at_s > before.disturbed_at_s
    assert in_force is not None
    assert in_force.minimum_bytes == 96 * MIB


async def test_versions_are_told_as_people_write_them(hypervisor: LibvirtHypervisor) -> None:
    libvirt, qemu = await hypervisor.versions()

    assert libvirt.count(".") == 2
    assert qemu.count(".") == 2
    assert int(qemu.partition(".")[0]) >= 5


async def test_a_look_at_one_guest_has_it_speak_anew_and_is_stamped_with_that_moment(
    hypervisor: LibvirtHypervisor, lab: Lab
) -> None:
    older_s = []
    for step in range(1, 11):  # it is growing, so its words change
        await lab.guests["alpha"].hold(step * 6 * MIB)
        now_s = time.monotonic()
        seen = await hypervisor.look("alpha", now_s=now_s)
        older_s.append(now_s - seen.statistics_at_s)
        await asyncio.sleep(0.15)
    await lab.guests["alpha"].hold(0)

    assert sum(older < 0.01 for older in older_s) >= 5, older_s


async def test_a_look_at_one_guest_that_hangs_ends_in_time_and_sees_it_when_it_answers(
    hypervisor: LibvirtHypervisor, lab: Lab
) -> None:
    resume = stop(lab, ["alpha"])
    try:
        began_s = time.monotonic()
        with pytest.raises(HypervisorError) as failed:
            await hypervisor.look("alpha", now_s=began_s)
        took_s = time.monotonic() - began_s
        neighbour = await hypervisor.look("beta", now_s=time.monotonic())
        await look(hypervisor)
    finally:
        resume()
    await asyncio.sleep(1)
    back = await hypervisor.look("alpha", now_s=time.monotonic())

    assert failed.value.hint
    assert took_s < 1.5
    assert neighbour.run_state is back.run_state is RunState.RUNNING
