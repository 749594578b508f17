"""Several hypervisors as one: nobody is hidden, nobody is taken for another."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from barostat.config.settings_file import SettingsFile, SettingsFolder
from barostat.core.observation import GuestObservation, RunState
from barostat.errors import (
    DeadlineError,
    HypervisorError,
    SettingsError,
    UnknownGuestError,
    UnreachableError,
)
from barostat.hypervisors.base import BalloonWish, Startup
from barostat.hypervisors.combined import Combined
from barostat.hypervisors.member import LOOK_S, Member
from barostat.hypervisors.simulated import SimulatedHypervisor
from barostat.hypervisors.simulated_spec import SimulatedSpec
from barostat.units import MIB

pytestmark = pytest.mark.looptime


class Moody(SimulatedHypervisor):
    """A hypervisor that looks late, or fails to."""

    def __init__(self) -> None:
        super().__init__(lambda: asyncio.get_running_loop().time())
        self.late_s = 0.0
        self.fails: Exception | None = None
        self.closed = False
        self.off: tuple[str, ...] = ()
        self.told: dict[str, HypervisorError] = {}
        self.closes_in_s = 0.0

    @property
    def faults(self) -> Mapping[str, HypervisorError]:
        return self.told

    async def observe(self, *, now_s: float) -> Sequence[GuestObservation]:
        await asyncio.sleep(self.late_s)
        if self.fails is not None:
            raise self.fails
        return await super().observe(now_s=now_s)

    async def close(self) -> None:
        await asyncio.sleep(self.closes_in_s)
        self.closed = True

    async def powered_off(self) -> tuple[str, ...]:
        if self.fails is not None:
            raise self.fails
        return self.off

    def boot(self, name: str, boot_mib: int = 512) -> None:
        """Power a guest on."""
        size_bytes = boot_mib * MIB
        self.add(SimulatedSpec(name=name, boot_bytes=size_bytes, maximum_bytes=2 * size_bytes))


class House:
    """Two hypervisors, "a/" and "b/", and their settings' folders of these names."""

    def __init__(self, folder: Path) -> None:
        self.a, self.b = Moody(), Moody()
        for name in ("a", "b"):
            (folder / name).mkdir()
        self.folder = folder
        self.both = Combined(
            [
                Member(
                    label=f"{name}/",
                    hypervisor=hypervisor,
                    settings=SettingsFolder(folder / name),
                    powered_off=hypervisor.powered_off,
                )
                for name, hypervisor in (("a", self.a), ("b", self.b))
            ]
        )

    async def look(self) -> dict[str, GuestObservation]:
        """See who is there."""
        now_s = asyncio.get_running_loop().time()
        return {guest.name: guest for guest in await self.both.observe(now_s=now_s)}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_guests_of_all_members_are_seen_and_spoken_to_where_they_are(house: House) -> None:
    house.a.boot("web")
    house.b.boot("db", 1024)

    seen = await house.look()
    await house.both.request("db", BalloonWish(target_bytes=900 * MIB))

    assert seen.keys() == {"web", "db"}
    assert (await house.both.devices("web")).boot_bytes == 512 * MIB
    assert (await house.both.devices("db")).balloon_target_bytes == 900 * MIB
    assert not await house.both.changed("web", timeout_s=0.1)
    assert house.both.faults == {}


async def test_a_name_that_nobody_has_is_refused_with_a_near_one(house: House) -> None:
    house.a.boot("web")
    await house.look()

    with pytest.raises(UnknownGuestError) as caught:
        await house.both.devices("wbe")

    assert "web" in caught.value.hint


async def test_the_second_guest_of_a_name_is_counted_and_held(house: House) -> None:
    house.a.boot("web")
    house.b.boot("web", 1024)

    seen = await house.look()

    assert seen["web"].devices.boot_bytes == 512 * MIB
    assert seen["web@b/"].devices.boot_bytes == 1024 * MIB
    assert "another VM" in house.both.faults["web@b/"].message
    with pytest.raises(SettingsError, match='named "web" too'):
        house.both.settings_of(seen["web@b/"])
    with pytest.raises(SettingsError, match='named "web" too'):
        await house.both.read("web@b/")
    assert (await house.both.devices("web@b/")).boot_bytes == 1024 * MIB


async def test_who_had_a_name_first_in_time_keeps_it(house: House) -> None:
    house.b.boot("web", 1024)
    await house.look()
    house.a.boot("web")

    seen = await house.look()

    assert seen["web"].devices.boot_bytes == 1024 * MIB
    assert seen["web@a/"].devices.boot_bytes == 512 * MIB


async def test_a_name_that_is_free_again_is_nobodys_for_one_look(house: House) -> None:
    house.a.boot("web")
    house.b.boot("web", 1024)
    await house.look()
    house.a.guests["web"].die()

    assert (await house.look()).keys() == {"web@b/"}
    with pytest.raises(UnknownGuestError):
        await house.both.devices("web")
    assert (await house.look()).keys() == {"web"}
    assert (await house.both.devices("web")).boot_bytes == 1024 * MIB


async def test_a_member_that_fails_hides_nobody_and_keeps_its_guests(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.a.boot("web")
    house.b.boot("db")
    await house.look()
    house.a.fails = UnreachableError("no libvirtd answers", hint="start it")

    with caplog.at_level(logging.WARNING):
        seen = [await house.look() for _ in range(3)][-1]

    assert seen["web"].run_state is RunState.UNREACHABLE
    assert seen["db"].run_state is not RunState.UNREACHABLE
    assert house.both.faults["a/"] is house.a.fails
    assert len(caplog.records) == 1, "told once, not at every look"

    house.a.fails = None
    assert (await house.look())["web"].run_state is not RunState.UNREACHABLE
    assert house.both.faults == {}


async def test_a_fault_of_our_own_in_one_member_is_told_and_hides_nobody(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.b.boot("db")
    house.a.fails = ZeroDivisionError("oops")

    seen = await house.look()

    assert seen.keys() == {"db"}
    assert "oops" in house.both.faults["a/"].message
    assert any(record.exc_info for record in caplog.records)


async def test_a_member_that_is_late_is_waited_for_once(house: House) -> None:
    loop = asyncio.get_running_loop()
    house.a.boot("web")
    house.b.boot("db")
    await house.look()
    house.a.late_s = 10.0
    began_s = loop.time()

    first, first_s = await house.look(), loop.time()
    second, second_s = await house.look(), loop.time()

    assert first_s - began_s == pytest.approx(LOOK_S)
    assert second_s == pytest.approx(first_s)
    for seen in (first, second):
        assert seen["web"].run_state is RunState.UNREACHABLE
        assert seen["db"].run_state is not RunState.UNREACHABLE
    assert isinstance(house.both.faults["a/"], DeadlineError)

    await asyncio.sleep(10)
    assert (await house.look())["web"].run_state is not RunState.UNREACHABLE


async def test_settings_are_read_and_written_where_their_guest_is(house: House) -> None:
    house.a.boot("web")
    house.b.boot("db")
    for member, name in (("a", "web"), ("b", "db")):
        (house.folder / member / f"{name}.qmp").touch()
    seen = await house.look()

    await house.both.write("db", SettingsFile(weight=7000), before=None)

    settings = house.both.settings_of(seen["db"])
    assert settings is not None
    assert settings.weight == 7000
    assert await house.both.read("db") == SettingsFile(weight=7000)
    assert house.both.settings_of(seen["web"]) is None
    assert house.both.place_of("db") == str(house.folder / "b" / "db.toml")


async def test_settings_of_one_that_is_off_are_found_with_who_knows_it(house: House) -> None:
    (house.folder / "b" / "off.toml").write_text("weight = 1\n")
    (house.folder / "b" / "broken.toml").write_text("weight = 'x'\n")

    assert await house.both.read("off") == SettingsFile(weight=1)
    with pytest.raises(SettingsError):
        await house.both.read("broken")
    with pytest.raises(UnknownGuestError):
        await house.both.read("nobody")


async def test_those_that_are_off_are_named_by_who_can(house: House) -> None:
    house.a.off, house.b.off = ("x", "y"), ("y", "z")
    assert await house.both.powered_off() == ("x", "y", "z")

    house.a.fails = UnreachableError("gone")
    assert await house.both.powered_off() == ("y", "z")


async def test_closing_lets_go_of_every_member_even_while_one_looks(house: House) -> None:
    house.a.late_s = 60.0
    await house.look()

    await house.both.close()

    assert house.a.closed
    assert house.b.closed


async def test_the_faults_of_guests_of_one_name_are_told_apart(house: House) -> None:
    house.a.boot("web")
    house.b.boot("web")
    await house.look()
    house.a.told = {"web": DeadlineError("of a")}
    house.b.told = {"web": DeadlineError("of b"), "old": DeadlineError("nobody is there")}

    faults = house.both.faults

    assert faults["web"].message == "of a"
    assert 'named "web" too' in faults["web@b/"].message
    assert faults["old"].message == "nobody is there"


async def test_a_member_that_cannot_be_closed_holds_up_nobody_for_long(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    house.a.closes_in_s = 600.0

    await house.both.close()

    assert house.b.closed
    assert "let go of" in caplog.text


async def test_a_limit_goes_to_who_makes_the_guests_cgroup_and_to_nobody_else(
    house: House,
) -> None:
    asked: list[tuple[str, int | None, bool]] = []

    class Owner:
        async def limit(self, guest: str, limit_bytes: int | None, *, hard: bool) -> None:
            asked.append((guest, limit_bytes, hard))

    owned = Member(
        label="a/",
        hypervisor=house.a,
        settings=SettingsFolder(house.folder / "a"),
        limiter=Owner(),
    )
    free = Member(label="b/", hypervisor=house.b, settings=SettingsFolder(house.folder / "b"))
    both = Combined([owned, free])
    house.a.boot("web")
    house.b.boot("db")
    await both.observe(now_s=asyncio.get_running_loop().time())

    by_owner = await both.limit("web", 700 * MIB, hard=True)
    by_nobody = await both.limit("db", 700 * MIB, hard=True)

    assert (by_owner, by_nobody) == (True, False)
    assert asked == [("web", 700 * MIB, True)]


async def test_what_a_vm_starts_with_is_asked_of_whoever_knows_it(tmp_path: Path) -> None:
    async def startup(name: str) -> Startup:
        if name != "web":
            raise UnknownGuestError(f'no VM "{name}" is known')
        return Startup(size_bytes=512 * MIB, weight=7)

    hypervisor, settings = Moody(), SettingsFolder(tmp_path)
    both = Combined(
        [
            Member(label="a/", hypervisor=hypervisor, settings=settings),
            Member(label="b/", hypervisor=hypervisor, settings=settings, startup=startup),
        ]
    )

    assert await both.startup("web") == Startup(size_bytes=512 * MIB, weight=7)
    assert await both.startup("new") is None
