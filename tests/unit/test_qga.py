"""Guests that are read through qemu-guest-agent, whatever it answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from tests.unit.played_agent import FILES, VMSTAT, PlayedAgent

from barostat.core.observation import Depth, Devices, GuestObservation, RunState
from barostat.core.pressure import Status
from barostat.core.statistics import Statistics
from barostat.errors import RefusedError
from barostat.guest.base import HostWord
from barostat.guest.qga import AT_ONCE, Qga
from barostat.guest.qga_files import number_in, read_inside
from barostat.units import KIB, MIB

pytestmark = pytest.mark.looptime

VMSTAT_PATH = "/proc/vmstat"
BOOT_PATH = "/proc/sys/kernel/random/boot_id"


def guest(name: str) -> GuestObservation:
    return GuestObservation(
        name=name,
        run_state=RunState.RUNNING,
        devices=Devices(boot_bytes=512 * MIB, balloon_actual_bytes=512 * MIB),
        statistics=Statistics(total_bytes=480 * MIB, available_bytes=300 * MIB),
        seen_at_s=0.0,
        statistics_at_s=0.0,
        disturbed_at_s=-1.0,
    )


@dataclass
class Stage:
    """Guests with played agents; every half second they are seen, as by a balancer."""

    agents: dict[str, PlayedAgent]
    guests: dict[str, GuestObservation] = field(init=False)
    unheard: set[str] = field(default_factory=set)  # somebody else hears these
    qga: Qga = field(init=False)

    def __post_init__(self) -> None:
        self.guests = {name: guest(name) for name in self.agents}
        self.qga = Qga(self.ask, clock=asyncio.get_running_loop().time)

    async def ask(
        self, name: str, command: str, arguments: Mapping[str, object], /, *, timeout_s: float
    ) -> object:
        if name not in self.agents:
            raise RefusedError("nobody is there")
        return await self.agents[name](name, command, arguments, timeout_s=timeout_s)

    def look(self) -> dict[str, GuestObservation]:
        self.qga.follow(list(self.guests.values()))
        return {
            name: self.qga.deepen(seen)
            for name, seen in self.guests.items()
            if name not in self.unheard
        }

    async def pass_time(self, seconds: float) -> dict[str, GuestObservation]:
        until_s = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < until_s:
            self.look()
            await asyncio.sleep(0.5)
        return self.look()

    def change(self, **changes: object) -> None:
        self.guests["web"] = replace(self.guests["web"], **changes)  # type: ignore[arg-type]

    @property
    def web(self) -> PlayedAgent:
        return self.agents["web"]

    def fault(self) -> str:
        card = self.qga.card("web")
        assert card is not None
        return card.fault


@asynccontextmanager
async def playing(*names: str, **agents: PlayedAgent) -> AsyncIterator[Stage]:
    stage = Stage({name: PlayedAgent() for name in names} | agents)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stage.qga.run(stop))
        yield stage
        stop.set()


def reads(agent: PlayedAgent) -> int:
    return agent.asked.count("guest-file-open")


async def test_what_a_guests_kernel_says_is_added_to_what_its_balloon_says() -> None:
    async with playing("web") as stage:
        seen = (await stage.pass_time(2))["web"]

    inside = seen.inside
    assert inside is not None
    assert seen.heard_by is seen.depth is Depth.QGA
    assert inside.committed_bytes == 100 * MIB
    assert inside.stalled_us == 1000
    assert inside.refaulted_bytes == 100 * 4096
    assert inside.scanned_bytes == 50 * 4096
    assert 0 <= inside.at_s <= 1
    assert seen.statistics == stage.guests["web"].statistics
    assert seen.statistics_at_s == stage.guests["web"].statistics_at_s
    assert not stage.web.opened


async def test_a_card_says_what_is_known_of_the_agent_and_its_guest() -> None:
    async with playing("web") as stage:
        unknown = stage.qga.card("web")
        await stage.pass_time(2)
        card = stage.qga.card("web")

    assert unknown is None
    assert card is not None
    assert card.depth is Depth.QGA
    assert (card.version, card.kernel) == ("7.2.22", "6.1.0-18-amd64")
    assert (card.onlining, card.block_bytes) == ("online_movable", 128 * MIB)
    assert (card.swap_bytes, card.swap_free_bytes) == (256 * MIB, 200_000 * KIB)
    assert card.committed_bytes == 100 * MIB
    assert (card.fault, card.hook) == ("", False)


async def test_a_guest_is_read_every_five_seconds_with_ten_questions() -> None:
    async with playing("web") as stage:
        await stage.pass_time(2)
        before = len(stage.web.asked)
        await stage.pass_time(60)

    assert len(stage.web.asked) - before == pytest.approx(120, abs=10)


async def test_many_guests_are_read_in_turn_and_never_more_than_a_few_at_once() -> None:
    names = [f"vm{number}" for number in range(40)]
    async with playing(*names) as stage:
        for agent in stage.agents.values():
            agent.slow_s = 0.02
        busiest = 0
        for _ in range(200):
            stage.look()
            busiest = max(busiest, sum(agent.at_once for agent in stage.agents.values()))
            await asyncio.sleep(0.05)
        seen = stage.look()

    assert {guest.heard_by for guest in seen.values()} == {Depth.QGA}
    assert 1 <= busiest <= AT_ONCE


async def test_so_many_guests_that_each_is_read_more_seldom_are_all_heard() -> None:
    names = [f"vm{number}" for number in range(200)]
    async with playing(*names) as stage:
        await stage.pass_time(30)
        before = {name: reads(agent) for name, agent in stage.agents.items()}
        seen = await stage.pass_time(60)

    assert {guest.heard_by for guest in seen.values()} == {Depth.QGA}
    rounds = [(reads(agent) - before[name]) / 3 for name, agent in stage.agents.items()]
    assert 4 <= min(rounds) <= max(rounds) <= 7  # every ten seconds


async def test_a_guest_that_somebody_else_hears_is_not_read() -> None:
    async with playing("web", "db") as stage:
        stage.unheard.add("web")
        await stage.pass_time(10)
        alone = list(stage.web.asked)
        stage.unheard.clear()
        seen = await stage.pass_time(2)

    assert alone == []
    assert seen["web"].heard_by is Depth.QGA


async def test_a_guest_that_does_not_run_is_not_read() -> None:
    async with playing("web") as stage:
        stage.change(run_state=RunState.PAUSED)
        await stage.pass_time(10)

    assert stage.web.asked == []


async def test_a_guest_that_is_gone_is_forgotten() -> None:
    async with playing("web", "db") as stage:
        await stage.pass_time(2)
        web = stage.guests.pop("web")
        await stage.pass_time(2)
        seen = stage.qga.deepen(web)

    assert seen is web
    assert stage.qga.card("web") is None


async def test_nothing_is_read_while_a_guest_is_frozen_for_a_backup() -> None:
    async with playing("web") as stage:
        await stage.pass_time(2)
        stage.web.frozen = True
        before = reads(stage.web)
        seen = (await stage.pass_time(20))["web"]
        read, fault = reads(stage.web) - before, stage.fault()
        stage.web.frozen = False
        thawed = (await stage.pass_time(6))["web"]

    assert read == 0
    assert seen.heard_by is Depth.BALLOON
    assert fault == "the guest is frozen for a backup"
    assert thawed.heard_by is Depth.QGA


async def test_a_guest_that_is_met_frozen_is_not_taken_for_one_that_allows_nothing() -> None:
    async with playing("web") as stage:
        stage.web.frozen = True
        await stage.pass_time(6)
        stage.web.frozen = False
        seen = (await stage.pass_time(6))["web"]

    assert seen.heard_by is Depth.QGA


async def test_an_agent_that_lets_no_file_be_read_is_said_so_and_asked_seldom() -> None:
    async with playing("web") as stage:
        stage.web.forbids = {"guest-file-open", "guest-get-osinfo"}
        await stage.pass_time(2)
        fault, before = stage.fault(), len(stage.web.asked)
        await stage.pass_time(590)
        asked = len(stage.web.asked) - before
        stage.web.forbids = set()
        seen = (await stage.pass_time(20))["web"]

    assert "allow guest-file-open, guest-file-read, guest-file-close" in fault
    assert asked == 0
    assert seen.heard_by is Depth.QGA


async def test_a_windows_is_left_alone_until_it_boots_again() -> None:
    async with playing("web") as stage:
        stage.web.system = {"id": "mswindows", "kernel-release": "17763"}
        await stage.pass_time(2)
        fault, before = stage.fault(), len(stage.web.asked)
        await stage.pass_time(4000)
        asked = len(stage.web.asked) - before
        stage.web.system = {"id": "debian"}
        stage.change(disturbed_at_s=4001.9)
        seen = (await stage.pass_time(2))["web"]

    assert "Windows" in fault
    assert asked == 0
    assert seen.heard_by is Depth.QGA


async def test_a_guest_without_an_agent_is_tried_with_growing_pauses_and_has_no_card() -> None:
    tried_s: list[float] = []
    clock = asyncio.get_running_loop().time

    async def ask(*_: object, timeout_s: float) -> object:
        assert timeout_s > 0
        tried_s.append(clock())
        raise RefusedError("nobody is there")

    qga, stop = Qga(ask, clock=clock), asyncio.Event()
    web = guest("web")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(qga.run(stop))
        for _ in range(5000):
            qga.follow([web])
            assert qga.deepen(web) is web
            await asyncio.sleep(0.5)
        stop.set()

    pauses_s = [b - a for a, b in pairwise(tried_s)]
    assert pauses_s[:5] == pytest.approx([30, 60, 120, 240, 480], abs=1)
    assert pauses_s[5:] == pytest.approx([600] * len(pauses_s[5:]), abs=1)
    assert qga.card("web") is None


async def test_an_agent_that_comes_back_is_heard_again() -> None:
    async with playing("web") as stage:
        await stage.pass_time(2)
        stage.web.silent_at = {"guest-fsfreeze-status"}
        lost = (await stage.pass_time(25))["web"]
        fault = stage.fault()
        stage.web.silent_at = set()
        back = (await stage.pass_time(40))["web"]

    assert lost.heard_by is Depth.BALLOON
    assert lost.inside is None
    assert fault == "it did not answer"
    assert back.heard_by is Depth.QGA
    assert stage.fault() == ""


@pytest.mark.parametrize("stuck", ["guest-file-read", "guest-file-close"])
async def test_a_file_that_could_not_be_closed_is_closed_before_another_is_opened(
    stuck: str,
) -> None:
    async with playing("web") as stage:
        stage.web.silent_at = {stuck}
        await stage.pass_time(10)
        left_open = len(stage.web.opened)
        stage.web.silent_at = set()
        stage.web.asked.clear()
        seen = (await stage.pass_time(40))["web"]

    assert left_open == 1
    assert stage.web.asked.index("guest-file-close") < stage.web.asked.index("guest-file-open")
    assert seen.heard_by is Depth.QGA
    assert not stage.web.opened


async def test_a_handle_of_an_agent_that_was_restarted_is_forgotten() -> None:
    async with playing("web") as stage:
        stage.web.silent_at = {"guest-file-read"}
        await stage.pass_time(10)
        stage.web.silent_at = set()
        stage.web.opened.clear()
        seen = (await stage.pass_time(40))["web"]

    assert seen.heard_by is Depth.QGA


async def test_a_file_that_cannot_be_read_is_closed_and_not_asked_for_again_in_this_boot() -> None:
    async with playing("web") as stage:
        del stage.web.files["/proc/pressure/memory"], stage.web.files[VMSTAT_PATH]
        seen = (await stage.pass_time(2))["web"]
        before = reads(stage.web)
        await stage.pass_time(5)

    assert seen.inside is not None
    assert seen.inside.committed_bytes == 100 * MIB
    assert (seen.inside.stalled_us, seen.inside.scanned_bytes) == (None, None)
    assert reads(stage.web) - before == 1


async def test_a_guest_that_answers_each_question_late_holds_up_nobody() -> None:
    tarpits = {f"slow{number}": PlayedAgent(slow_s=0.99) for number in range(8)}
    async with playing("web", **tarpits) as stage:
        await stage.pass_time(20)
        before = reads(stage.web)
        seen = await stage.pass_time(60)

    assert seen["web"].heard_by is Depth.QGA
    assert seen["slow0"].heard_by is Depth.BALLOON
    assert reads(stage.web) - before >= 3 * 9


async def test_what_was_read_long_ago_counts_no_more() -> None:
    async with playing("web") as stage:
        await stage.pass_time(2)
        stage.web.silent_at = {"guest-fsfreeze-status"}
        still = (await stage.pass_time(10))["web"]
        gone = (await stage.pass_time(8))["web"]

    assert still.heard_by is Depth.QGA
    assert (gone.heard_by, gone.inside) == (Depth.BALLOON, None)


async def test_what_was_read_before_a_reset_counts_no_more_and_is_learned_anew() -> None:
    async with playing("web") as stage:
        await stage.pass_time(2)
        stage.change(disturbed_at_s=1.9)
        stage.web.files[VMSTAT_PATH] = ""
        reset = stage.look()["web"]
        seen = (await stage.pass_time(2))["web"]

    assert reset.inside is None
    assert seen.inside is not None
    assert seen.inside.scanned_bytes is None


async def test_a_reset_during_a_reading_ends_in_a_reading_of_the_new_boot() -> None:
    async with playing("web") as stage:
        stage.web.slow_s = 0.1
        await stage.pass_time(1)
        stage.change(disturbed_at_s=1.0)
        during = stage.look()["web"]
        seen = (await stage.pass_time(4))["web"]

    assert during.inside is None
    assert seen.inside is not None
    assert seen.inside.at_s > 1.0


async def test_another_boot_that_nobody_saw_is_known_by_its_id() -> None:
    async with playing("web") as stage:
        await stage.pass_time(2)
        stage.web.files[VMSTAT_PATH] = VMSTAT.replace("100", "7")
        stage.web.files[BOOT_PATH] = "66666666\n"
        seen = (await stage.pass_time(5))["web"]

    assert seen.inside is not None
    assert seen.inside.refaulted_bytes == 7 * 4096


async def test_a_counter_that_fell_within_a_boot_stands_where_it_was() -> None:
    async with playing("web") as stage:
        await stage.pass_time(2)
        stage.web.files[VMSTAT_PATH] = "workingset_refault_file 7\n"
        seen = (await stage.pass_time(5))["web"]

    assert seen.inside is not None
    assert seen.inside.at_s > 2
    assert seen.inside.refaulted_bytes == 100 * 4096
    assert seen.inside.scanned_bytes == 50 * 4096


async def test_a_counter_that_rises_faster_than_a_machine_can_is_not_believed() -> None:
    async with playing("web") as stage:
        await stage.pass_time(2)
        stage.web.files["/proc/pressure/memory"] = "some avg10=0.00 total=999999999999\n"
        seen = (await stage.pass_time(20))["web"]

    assert seen.heard_by is Depth.BALLOON
    assert "faster than any machine" in stage.fault()


@pytest.mark.parametrize(
    ("command", "nonsense"),
    [
        ("guest-info", "hello"),
        ("guest-info", {"version": 7, "supported_commands": []}),
        ("guest-info", {"version": "7", "supported_commands": [{"name": 1}]}),
        ("guest-fsfreeze-status", {"frozen": False}),
        ("guest-get-osinfo", [1]),
        ("guest-file-open", -1),
        ("guest-file-open", "1000"),
        ("guest-file-open", 2**64),
        ("guest-file-open", True),
        ("guest-file-read", None),
        ("guest-file-read", {"count": 3, "buf-b64": "not base64!"}),
        ("guest-file-read", {"count": 3, "buf-b64": "é"}),
        ("guest-file-read", {"count": 3, "buf-b64": "QUJD" * 2**16}),
    ],
)
async def test_an_answer_of_another_shape_costs_the_guest_its_depth_and_no_more(
    command: str, nonsense: object
) -> None:
    async with playing("web", "db") as stage:
        stage.web.answers[command] = nonsense
        seen = await stage.pass_time(10)

    assert seen["web"] == stage.guests["web"]
    assert seen["db"].heard_by is Depth.QGA


async def test_words_of_a_guest_are_made_fit_to_be_shown() -> None:
    async with playing("web") as stage:
        stage.web.system = {"id": "x", "kernel-release": "6.1\x1b[31m<b>" + "x" * 100}
        stage.web.files["/sys/devices/system/memory/auto_online_blocks"] = "evil\n"
        stage.web.files["/sys/devices/system/memory/block_size_bytes"] = "-8"
        await stage.pass_time(2)
        card = stage.qga.card("web")

    assert card is not None
    assert card.kernel is not None
    assert card.kernel.startswith("6.1??31m?b?x")
    assert len(card.kernel) == 64
    assert (card.onlining, card.block_bytes) == (None, None)


async def test_stopping_lets_a_reading_come_to_its_end_so_that_no_file_stays_open() -> None:
    async with playing("web") as stage:
        stage.web.slow_s = 0.05
        await stage.pass_time(1)
        assert stage.web.at_once == 1

    assert not stage.web.opened


async def test_stopping_waits_for_a_silent_agent_no_longer_than_for_an_answer() -> None:
    loop = asyncio.get_running_loop()
    async with playing("web") as stage:
        stage.web.silent_at = {"guest-file-open"}
        await stage.pass_time(1)
        began_s = loop.time()

    assert loop.time() - began_s == pytest.approx(1.0, abs=0.01)


async def test_nothing_is_told_to_a_guest_that_cannot_use_it() -> None:
    word = HostWord(
        startup_bytes=1, minimum_bytes=1, maximum_bytes=1, assigned_bytes=1, status=Status.OK
    )
    async with playing("web") as stage:
        stage.qga.tell("web", word)
        await stage.qga.before_shrink("web", 1)
        await stage.qga.after_grow("web", 1)

    assert stage.web.asked == []


@pytest.mark.parametrize(
    "read",
    [
        lambda: read_inside("", None, None, at_s=0.0).committed_bytes,
        lambda: read_inside("Committed_AS: x kB", None, None, at_s=0.0).committed_bytes,
        lambda: read_inside(f"Committed_AS: {2**63} kB", None, None, at_s=0.0).committed_bytes,
        lambda: read_inside(f"Committed_AS: {2**62} kB", None, None, at_s=0.0).committed_bytes,
        lambda: read_inside("", f"pgscan_direct {'9' * 30_000}", None, at_s=0.0).scanned_bytes,
        lambda: read_inside("", None, f"some total={2**64}", at_s=0.0).stalled_us,
        lambda: read_inside("", None, "full avg10=0 total=7", at_s=0.0).stalled_us,
        lambda: number_in(None),
        lambda: number_in("-1"),
        lambda: number_in("1 2"),
    ],
)
def test_a_figure_that_is_none_is_unknown(read: Callable[[], object]) -> None:
    assert read() is None


def test_the_played_files_are_read_as_they_stand() -> None:
    inside = read_inside(
        FILES["/proc/meminfo"], FILES[VMSTAT_PATH], FILES["/proc/pressure/memory"], at_s=3.0
    )

    assert inside.at_s == 3.0
    assert inside.committed_bytes == 100 * MIB
