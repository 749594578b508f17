"""What an operator may ask of a balancer: settings, whole or not at all; pauses; what is known."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from barostat.config.settings_file import SettingsFile, SettingsFolder, SettingsPatch
from barostat.core.reasons import ReasonCode
from barostat.core.settings import MemorySettings
from barostat.engine.control import Control
from barostat.engine.loop import Balancer
from barostat.engine.observe import FixedCapacity
from barostat.engine.settings_change import SettingsChange
from barostat.errors import ConflictError, ServiceError, SettingsError, UnknownGuestError
from barostat.hypervisors.simulated import SimulatedHypervisor, SimulatedSpec
from barostat.units import GIB, MIB

pytestmark = pytest.mark.looptime

BOOT_BYTES = 512 * MIB
CEILING_BYTES = 2 * GIB


@dataclass
class Bench:
    """Two simulated VMs, `web` with settings and `db` without, and who controls them."""

    folder: Path
    balancer: Balancer
    control: Control

    async def look(self) -> None:
        """Do one pass."""
        self.control.on_tick(await self.balancer.look())

    def file(self, name: str) -> str:
        """Read what is written."""
        return (self.folder / f"{name}.toml").read_text()


def bench(folder: Path, *, marker: Path | None = None) -> Bench:
    clock = asyncio.get_running_loop().time
    hypervisor = SimulatedHypervisor(clock)
    for name in ("web", "db"):
        spec = SimulatedSpec(name=name, boot_bytes=BOOT_BYTES, maximum_bytes=CEILING_BYTES)
        hypervisor.add(spec)
        (folder / f"{name}.qmp").touch()
    settings = SettingsFolder(folder)
    balancer = Balancer(hypervisor, settings, FixedCapacity(4 * GIB), clock=clock)
    control = Control(balancer, hypervisor, settings, pause_marker=marker, clock=clock)
    return Bench(folder, balancer, control)


@pytest_asyncio.fixture
async def host(tmp_path: Path) -> Bench:
    (tmp_path / "web.toml").write_text('minimum = "256MiB"  # agreed with its owner\n')
    made = bench(tmp_path)
    await made.look()
    return made


async def refused(host: Bench, guest: str, patch: SettingsPatch) -> SettingsError:
    """Check that a change is refused and nothing was written."""
    before = {path: path.read_bytes() for path in host.folder.iterdir()}
    with pytest.raises(SettingsError) as caught:
        await host.control.change(guest, patch)
    assert {path: path.read_bytes() for path in host.folder.iterdir()} == before
    assert "nothing was changed" in caught.value.hint or "barostat enable" in caught.value.hint
    return caught.value


async def test_a_change_says_before_and_after_and_holds_at_the_next_look(host: Bench) -> None:
    change = await host.control.change("web", SettingsPatch(buffer_percent=30, weight=9000))
    await host.look()

    assert change.before.in_force == MemorySettings(
        startup_bytes=BOOT_BYTES, minimum_bytes=256 * MIB, maximum_bytes=CEILING_BYTES
    )
    assert change.after.in_force is not None
    assert (change.after.in_force.buffer_percent, change.after.in_force.weight) == (30, 9000)
    newest = host.control.newest
    assert newest is not None
    assert newest.snapshot.settings["web"] == change.after.in_force


async def test_a_change_keeps_what_a_person_wrote_beside_it(host: Bench) -> None:
    await host.control.change("web", SettingsPatch(minimum_bytes=128 * MIB, weight=1))

    assert host.file("web") == 'minimum = "128MiB"  # agreed with its owner\nweight = 1\n'


async def test_null_gives_a_setting_its_default_again(host: Bench) -> None:
    await host.control.change("web", SettingsPatch(maximum_bytes=CEILING_BYTES))
    change = await host.control.change("web", SettingsPatch(maximum_bytes=None))

    assert change.after.written == SettingsFile.model_validate({"minimum": "256MiB"})
    assert "maximum" not in host.file("web")


async def test_a_change_that_changes_nothing_writes_nothing(host: Bench) -> None:
    before = (host.folder / "web.toml").stat()
    change = await host.control.change("web", SettingsPatch(weight=5000))

    assert change.before == change.after
    assert (host.folder / "web.toml").stat().st_mtime_ns == before.st_mtime_ns


@pytest.mark.parametrize(
    ("patch", "faults"),
    [
        (
            SettingsPatch(minimum_bytes=MIB, maximum_bytes=4 * GIB, weight=-1, buffer_percent=4),
            ["minimum is 1 MiB", "devices allow at most 2048 MiB", "buffer is 4 %", "weight is -1"],
        ),
        (
            SettingsPatch(startup_bytes=GIB, minimum_bytes=GIB),
            ["startup cannot change", "minimum can only be lowered"],
        ),
        (
            SettingsPatch(maximum_bytes=GIB),
            ["maximum can only be raised while the VM runs: it is 2048 MiB"],
        ),
    ],
)
async def test_all_faults_of_a_change_are_told_at_once(
    host: Bench, patch: SettingsPatch, faults: list[str]
) -> None:
    error = await refused(host, "web", patch)

    assert len(error.faults) == len(faults)
    for fault in faults:
        assert any(fault in told for told in error.faults)


async def test_minimum_may_fall_and_maximum_may_rise_while_a_vm_runs(host: Bench) -> None:
    (host.folder / "web.toml").write_text('minimum = "256MiB"\nmaximum = "1GiB"\n')

    patch = SettingsPatch(minimum_bytes=64 * MIB, maximum_bytes=CEILING_BYTES)
    change = await host.control.change("web", patch)

    assert change.after.in_force is not None
    assert change.after.in_force.minimum_bytes == 64 * MIB
    assert change.after.in_force.maximum_bytes == CEILING_BYTES


async def test_a_vm_without_settings_is_enabled_with_the_defaults(host: Bench) -> None:
    change = await host.control.change("db", SettingsPatch(enabled=True))

    assert (change.before.written, change.before.in_force) == (None, None)
    assert change.after.in_force == MemorySettings(
        startup_bytes=BOOT_BYTES, minimum_bytes=BOOT_BYTES, maximum_bytes=CEILING_BYTES
    )
    assert host.file("db") == "enabled = true\n"


async def test_the_first_settings_of_a_running_vm_are_free_but_for_its_startup(host: Bench) -> None:
    error = await refused(host, "db", SettingsPatch(startup_bytes=GIB, maximum_bytes=GIB))
    patch = SettingsPatch(startup_bytes=BOOT_BYTES, minimum_bytes=GIB // 4, maximum_bytes=GIB)
    change = await host.control.change("db", patch)

    assert error.faults == ("startup cannot change while the VM runs: it is 512 MiB",)
    assert change.after.in_force is not None
    assert change.after.in_force.maximum_bytes == GIB


async def test_what_has_no_settings_cannot_be_paused_and_is_disabled_already(host: Bench) -> None:
    await refused(host, "db", SettingsPatch(paused=True))
    done = [
        await host.control.change("db", SettingsPatch(enabled=False)),
        await host.control.change("db", SettingsPatch(paused=False)),
    ]

    assert all(change.before == change.after for change in done)
    assert not (host.folder / "db.toml").exists()


async def test_a_paused_vm_is_held_until_it_is_resumed(host: Bench) -> None:
    await host.control.change("web", SettingsPatch(paused=True))
    await host.look()
    held = reasons(host, "web")
    await host.control.change("web", SettingsPatch(paused=False))
    await host.look()

    assert held == [ReasonCode.HELD]
    assert ReasonCode.HELD not in reasons(host, "web")


def reasons(host: Bench, name: str) -> list[ReasonCode]:
    assert host.control.newest is not None
    guests = host.control.newest.decision.guests
    return [reason.code for guest in guests if guest.guest == name for reason in guest.reasons]


async def test_a_pause_of_the_host_outlives_a_restart(host: Bench, tmp_path: Path) -> None:
    marker = tmp_path / "paused"
    first = bench(host.folder, marker=marker)

    assert not first.control.paused
    assert (await first.control.pause_host(paused=True)).after
    again = bench(host.folder, marker=marker)
    assert again.control.paused
    assert (await again.control.pause_host(paused=False)).before
    assert not bench(host.folder, marker=marker).control.paused


async def test_a_pause_that_cannot_be_noted_is_not_made(host: Bench, tmp_path: Path) -> None:
    nowhere = bench(host.folder, marker=tmp_path / "absent" / "paused")

    with pytest.raises(ServiceError, match="cannot be noted") as caught:
        await nowhere.control.pause_host(paused=True)
    assert not nowhere.control.paused
    assert "nothing was changed" in caught.value.hint


async def test_what_somebody_else_writes_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    class Interrupted(SettingsFolder):
        async def read(self, guest: str) -> SettingsFile | None:
            found = await super().read(guest)
            (tmp_path / "web.toml").write_text("weight = 77\n")
            return found

    clock = asyncio.get_running_loop().time
    hypervisor = SimulatedHypervisor(clock)
    hypervisor.add(SimulatedSpec(name="web", boot_bytes=BOOT_BYTES, maximum_bytes=CEILING_BYTES))
    (tmp_path / "web.toml").write_text("weight = 1\n")
    settings = Interrupted(tmp_path)
    balancer = Balancer(hypervisor, settings, FixedCapacity(GIB), clock=clock)
    control = Control(balancer, hypervisor, settings, clock=clock)
    control.on_tick(await balancer.look())

    with pytest.raises(ConflictError, match="meanwhile"):
        await control.change("web", SettingsPatch(buffer_percent=50))
    assert (tmp_path / "web.toml").read_text() == "weight = 77\n"


async def test_changes_at_the_same_time_are_all_kept(host: Bench) -> None:
    patches = [
        SettingsPatch(weight=1),
        SettingsPatch(buffer_percent=50),
        SettingsPatch(paused=True),
    ]

    async with asyncio.TaskGroup() as tasks:
        for patch in patches:
            tasks.create_task(host.control.change("web", patch))

    now = await host.control.settings("web")
    assert now.written == SettingsFile.model_validate(
        {"minimum": "256MiB", "weight": 1, "buffer": 50, "paused": True}
    )


async def test_a_vm_that_is_off_may_change_all_that_fits_together(host: Bench) -> None:
    (host.folder / "mail.toml").write_text('startup = "1GiB"\nminimum = "512MiB"\n')

    patch = SettingsPatch(startup_bytes=2 * GIB, minimum_bytes=GIB, maximum_bytes=4 * GIB)
    change: SettingsChange = await host.control.change("mail", patch)
    error = await refused(host, "mail", SettingsPatch(minimum_bytes=3 * GIB, weight=10_001))

    assert not change.after.running
    assert change.after.in_force is None
    assert host.file("mail") == 'startup = "2GiB"\nminimum = "1GiB"\nmaximum = "4GiB"\n'
    assert len(error.faults) == 2


async def test_a_file_that_cannot_be_used_is_shown_as_such_and_never_changed(host: Bench) -> None:
    (host.folder / "web.toml").write_text("wieght = 1\nminimum = 5\n")

    stands = await host.control.settings("web")
    with pytest.raises(SettingsError, match="did you mean"):
        await host.control.change("web", SettingsPatch(weight=2))

    assert (stands.written, stands.in_force) == (None, None)
    assert len(stands.faults) == 2
    assert host.file("web") == "wieght = 1\nminimum = 5\n"


async def test_settings_that_break_a_rule_can_be_mended(host: Bench) -> None:
    (host.folder / "web.toml").write_text('maximum = "64GiB"\n')

    change = await host.control.change("web", SettingsPatch(maximum_bytes=GIB))

    assert change.before.in_force is None
    assert "devices allow at most" in change.before.faults[0]
    assert change.after.faults == ()


@pytest.mark.parametrize("name", ["wbe", "../web", ".web", "we\0b", "w/b"])
async def test_a_name_that_no_vm_has_is_told_with_those_there_are(host: Bench, name: str) -> None:
    with pytest.raises(UnknownGuestError) as caught:
        await host.control.change(name, SettingsPatch(weight=1))

    assert "did you mean" in caught.value.hint or "there are: db, web" in caught.value.hint


async def test_before_the_first_look_is_over_it_is_waited_for(tmp_path: Path) -> None:
    waiting = bench(tmp_path)

    assert waiting.control.age_s is None
    with pytest.raises(ServiceError, match="not looked at yet"):
        await waiting.control.tick()
    asyncio.get_running_loop().call_later(3, waiting.control.on_tick, await waiting.balancer.look())
    assert (await waiting.control.tick()).snapshot.guests
    assert waiting.control.age_s == 3
