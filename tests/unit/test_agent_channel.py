"""All agents of a host over real sockets, on the event loop's own, fast-forwarded time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.unit.agent_peer import BOOT, Peer, hello, honest, line, report
from tests.unit.builders import devices

from barostat.core.observation import Depth, GuestObservation, RunState
from barostat.core.pressure import Status
from barostat.guest.agents import Agents
from barostat.guest.base import Card, HostWord
from barostat.guest.conversation import BURST_LINES
from barostat.guest.wire import READ_PAUSE_S, Wire
from barostat.units import MIB

pytestmark = pytest.mark.looptime

OTHER_BOOT = "00000000-0000-4000-8000-000000000000"
WORD = HostWord(
    startup_bytes=512 * MIB,
    minimum_bytes=256 * MIB,
    maximum_bytes=2048 * MIB,
    assigned_bytes=1024 * MIB,
    status=Status.OK,
)


@pytest.fixture(autouse=True)
def nothing_left_behind(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No task's exception is left for asyncio to complain of."""
    yield
    assert [r.message for r in caplog.records if r.name == "asyncio"] == []


@dataclass
class Host:
    """A host's end: its agents, and the guests as it sees them."""

    agents: Agents
    sockets: dict[str, Path]
    heard: list[str]
    disturbed_s: dict[str, float] = field(default_factory=dict)

    def seen(self, name: str = "web") -> GuestObservation:
        return GuestObservation(
            name=name,
            run_state=RunState.RUNNING,
            devices=devices(),
            statistics=None,
            seen_at_s=asyncio.get_running_loop().time(),
            statistics_at_s=0.0,
            disturbed_at_s=self.disturbed_s.get(name, -1.0),
        )

    async def look(self, *, after_s: float = 0.1) -> GuestObservation:
        """Follow the guests, let some time pass, and see one from within."""
        self.agents.follow([self.seen(name) for name in self.sockets])
        await asyncio.sleep(after_s)
        return self.agents.deepen(self.seen())

    def card(self) -> Card:
        card = self.agents.card("web")
        assert card is not None
        return card


@asynccontextmanager
async def host(*peers: Peer) -> AsyncIterator[Host]:
    sockets = {peer.path.stem: peer.path for peer in peers}
    heard: list[str] = []
    clock = asyncio.get_running_loop().time
    agents = Agents(sockets=lambda: sockets, clock=clock, on_report=heard.append)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(agents.run(stop))
        try:
            yield Host(agents, sockets, heard)
        finally:
            stop.set()


async def test_a_guest_whose_agent_reports_is_seen_from_within(tmp_path: Path) -> None:
    async with honest(tmp_path / "web.agent", hook=True) as peer, host(peer) as here:
        deep = await here.look()

        assert (deep.depth, here.heard) == (Depth.AGENT, ["web"])
        assert deep.inside is not None
        assert 0 <= deep.inside.at_s <= asyncio.get_running_loop().time()
        assert here.card() == Card(
            depth=Depth.AGENT,
            version="0.1.0",
            kernel="6.1.0-32-cloud-amd64",
            onlining="online_movable",
            block_bytes=128 * MIB,
            swap_bytes=256 * MIB,
            swap_free_bytes=255 * MIB,
            committed_bytes=500 * MIB,
            hook=True,
        )
        assert peer.kinds() == ["welcome", "ask"]


async def test_a_guest_with_nobody_inside_is_seen_as_before(tmp_path: Path) -> None:
    async with Peer(tmp_path / "web.agent") as peer, host(peer) as here:
        guest = await here.look(after_s=10.0)

        assert guest.inside is None
        assert here.agents.card("web") is None
        assert here.agents.card("another") is None
        assert here.agents.deepen(here.seen("another")) == here.seen("another")


async def test_an_agent_that_starts_later_is_welcomed_again(tmp_path: Path) -> None:
    async with Peer(tmp_path / "web.agent") as peer, host(peer) as here:
        await here.look()
        peer.greet = lambda session: hello(session) + report(session, 1)
        peer.say(hello(""))

        assert (await here.look()).heard_by is Depth.AGENT
        sessions = {m["session"] for m in peer.heard if m["type"] == "welcome"}
        assert len(sessions) == 1


async def test_a_silent_agent_is_not_believed_but_listened_to(tmp_path: Path) -> None:
    async with honest(tmp_path / "web.agent") as peer, host(peer) as here:
        assert (await here.look()).heard_by is Depth.AGENT

        assert (await here.look(after_s=4.0)).heard_by is Depth.BALLOON
        assert here.card().depth is Depth.BALLOON
        assert here.card().fault == "it has not reported for 4 s"

        peer.report()
        assert (await here.look()).heard_by is Depth.AGENT
        assert here.card().fault == ""
        assert peer.connections == 1


async def test_half_a_line_and_then_nothing_is_silence(tmp_path: Path) -> None:
    async with Peer(tmp_path / "web.agent") as peer, host(peer) as here:
        peer.greet = lambda session: hello(session) + report(session, 1)[:100]

        assert (await here.look(after_s=5.0)).heard_by is Depth.BALLOON
        assert here.card().fault == "it has not reported for 5 s"
        assert peer.connections == 1


async def test_what_was_said_before_a_reset_is_not_of_now(tmp_path: Path) -> None:
    async with honest(tmp_path / "web.agent") as peer, host(peer) as here:
        await here.look()
        first = peer.session
        peer.greet = lambda _: b""

        here.disturbed_s["web"] = asyncio.get_running_loop().time()
        assert here.agents.deepen(here.seen()).heard_by is Depth.BALLOON
        await here.look()
        assert peer.session != first
        assert peer.connections == 1

        peer.say(report(first, 2), hello(peer.session, boot=OTHER_BOOT))
        assert (await here.look()).heard_by is Depth.BALLOON
        peer.say(report(peer.session, 1, boot=OTHER_BOOT))
        assert (await here.look()).heard_by is Depth.AGENT


async def test_figures_that_do_not_fit_the_guest_are_told_of(tmp_path: Path) -> None:
    async with Peer(tmp_path / "web.agent") as peer, host(peer) as here:
        peer.greet = lambda session: hello(session) + report(session, 1, total=2**62)

        assert (await here.look()).heard_by is Depth.BALLOON
        assert "contradict" in here.card().fault
        assert here.card().depth is Depth.BALLOON


async def test_a_misbehaving_agent_is_left_alone_for_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with honest(tmp_path / "web.agent") as peer, host(peer) as here:
        await here.look()
        with caplog.at_level(logging.WARNING):
            peer.say(*[b"secret\n"] * 3)
            assert (await here.look()).heard_by is Depth.BALLOON

        card = here.card()
        assert card.depth is Depth.BALLOON
        assert card.fault.startswith("it sent 3 bad lines within a minute")
        assert "tried again in" in card.fault
        assert 'VM "web": its agent is not listened to for' in caplog.text
        assert "secret" not in caplog.text + card.fault

        assert (await here.look(after_s=7.0)).heard_by is Depth.BALLOON
        assert peer.connections == 1
        await here.look(after_s=5.0)
        assert peer.connections == 2
        peer.report()
        assert (await here.look()).heard_by is Depth.AGENT
        assert here.card().fault == ""


@pytest.mark.parametrize(
    ("attack", "why"),
    [
        (b"x" * 5000, "a line of more than 4096 bytes"),
        (line(type="weather") * (BURST_LINES + 10), "more than 25 lines a second"),
        (b"\n" * 60, "3 bad lines"),
    ],
)
async def test_each_excess_is_told_in_words(tmp_path: Path, attack: bytes, why: str) -> None:
    async with Peer(tmp_path / "web.agent") as peer, host(peer) as here:
        peer.greet = lambda _: attack
        await here.look()

        assert why in here.card().fault
        assert here.card().depth is Depth.BALLOON


async def test_boots_that_nobody_saw_end_the_talk(tmp_path: Path) -> None:
    async with honest(tmp_path / "web.agent") as peer, host(peer) as here:
        await here.look()
        peer.say(hello(peer.session, boot=OTHER_BOOT), hello(peer.session, boot=BOOT))
        await here.look()

        assert "booted twice" in here.card().fault


async def test_a_peer_that_always_hangs_up_is_tried_ever_more_seldom(tmp_path: Path) -> None:
    async with Peer(tmp_path / "web.agent") as peer, host(peer) as here:
        peer.close_at_once = True
        await here.look(after_s=10.0)
        soon = peer.connections
        await asyncio.sleep(60.0)

        assert 4 <= soon <= 8
        assert peer.connections - soon <= 8


async def test_a_connection_that_is_lost_is_made_again_at_once(tmp_path: Path) -> None:
    async with honest(tmp_path / "web.agent") as peer, host(peer) as here:
        await here.look(after_s=15.0)
        peer.hang_up()

        assert (await here.look(after_s=0.5)).heard_by is Depth.AGENT
        assert peer.connections == 2


async def test_a_socket_that_is_there_anew_is_another_guest(tmp_path: Path) -> None:
    path = tmp_path / "web.agent"
    async with honest(path) as old, host(old) as here:
        await here.look()
        old.say(*[b"secret\n"] * 3)
        await here.look()
        path.unlink()

        async with honest(path) as new:
            await here.look()
            assert (await here.look()).heard_by is Depth.AGENT
            assert (old.connections, new.connections) == (1, 1)


async def test_a_guest_that_is_gone_is_let_go_of(tmp_path: Path) -> None:
    async with honest(tmp_path / "web.agent") as peer, host(peer) as here:
        await here.look()
        here.agents.follow([])
        await asyncio.sleep(0.1)

        assert here.agents.card("web") is None
        assert not peer.connected.is_set()


async def test_a_socket_that_nobody_listens_at_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "web.agent"
    async with Peer(path) as peer, host(peer) as here:
        assert peer._server is not None
        peer._server.close()

        assert (await here.look(after_s=3.0)).heard_by is Depth.BALLOON
        assert here.agents.card("web") is None


async def test_what_is_no_socket_or_is_not_there_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "web.agent").write_text("")
    async with honest(tmp_path / "db.agent") as peer, host(peer) as here:
        here.sockets |= {"web": tmp_path / "web.agent", "new": tmp_path / "new.agent"}
        await here.look()

        assert here.agents.card("web") is None
        assert here.heard == ["db"]


async def test_a_socket_that_cannot_be_connected_to_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "web.agent"
    async with Peer(path) as peer, host(peer) as here:
        long = tmp_path / ("x" * 120)
        long.symlink_to(path)  # a name that is too long to connect to, whoever we are
        here.sockets["web"] = long
        await here.look()

        assert here.card().fault.startswith("its channel cannot be connected to: ")
        assert "tried again" in here.card().fault


async def test_a_guest_is_told_what_it_may_have_when_that_changes(tmp_path: Path) -> None:
    async with honest(tmp_path / "web.agent") as peer, host(peer) as here:
        here.agents.tell("web", WORD)
        here.agents.tell("another", WORD)
        for _ in range(5):
            await here.look(after_s=0.5)
            here.agents.tell("web", WORD)
            peer.report()

        words = [message for message in peer.heard if message["type"] == "word"]
        assert words == [
            {
                "v": 1,
                "type": "word",
                "startup": 512 * MIB,
                "minimum": 256 * MIB,
                "maximum": 2048 * MIB,
                "assigned": 1024 * MIB,
                "status": "ok",
            }
        ]


async def test_a_word_that_changes_often_is_told_once_a_second(tmp_path: Path) -> None:
    async with honest(tmp_path / "web.agent") as peer, host(peer) as here:
        for number in range(50):
            await here.look()
            here.agents.tell("web", replace(WORD, assigned_bytes=number))
            if number % 5 == 0:
                peer.report()

        assert 4 <= peer.kinds().count("word") <= 6


async def shrinking(here: Host) -> float:
    """Say how long a shrink waits for the guest's programs."""
    clock = asyncio.get_running_loop().time
    began_s = clock()
    await here.agents.before_shrink("web", 300 * MIB)
    return clock() - began_s


async def test_a_guest_without_a_hook_is_waited_for_by_nobody(tmp_path: Path) -> None:
    async with honest(tmp_path / "web.agent") as peer, host(peer) as here:
        await here.look()

        assert await shrinking(here) == 0.0
        await here.agents.before_shrink("another", MIB)
        await here.agents.after_grow("another", MIB)
        assert "shrink" not in peer.kinds()


async def test_a_hook_is_waited_for_until_it_is_done(tmp_path: Path) -> None:
    async with honest(tmp_path / "web.agent", hook=True) as peer, host(peer) as here:
        await here.look()
        loop = asyncio.get_running_loop()

        def done(number: int) -> None:
            said = {"session": peer.session, "boot": BOOT, "id": number, "ok": True}
            peer.say(line(type="done", **said))

        loop.call_later(0.2, done, 7)
        loop.call_later(0.5, done, 1)
        took_s = await shrinking(here)

        assert took_s == pytest.approx(0.5, abs=0.05)
        assert peer.heard[-1] == {
            "v": 1,
            "type": "shrink",
            "id": 1,
            "to": 300 * MIB,
            "deadline_ms": 2000,
        }


async def test_a_hook_that_never_ends_costs_two_seconds_in_five(tmp_path: Path) -> None:
    async with honest(tmp_path / "web.agent", hook=True) as peer, host(peer) as here:
        await here.look()
        first, second = await asyncio.gather(shrinking(here), shrinking(here))
        third = await shrinking(here)
        await asyncio.sleep(3.0)
        peer.report()
        await here.look()
        fourth = await shrinking(here)

        assert first == pytest.approx(2.0, abs=0.05)
        assert (second, third) == (0.0, 0.0)
        assert fourth == pytest.approx(2.0, abs=0.05)
        assert [m["id"] for m in peer.heard if m["type"] == "shrink"] == [1, 2]


async def test_a_hook_in_a_guest_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    async with honest(tmp_path / "web.agent", hook=True) as peer, host(peer) as here:
        await here.look()
        asyncio.get_running_loop().call_later(0.3, peer.hang_up)

        assert await shrinking(here) == pytest.approx(0.3, abs=0.05)


async def test_a_guest_that_grew_is_told_so(tmp_path: Path) -> None:
    async with honest(tmp_path / "web.agent") as peer, host(peer) as here:
        await here.look()
        await here.agents.after_grow("web", 700 * MIB)
        await here.look()

        assert peer.heard[-1] == {"v": 1, "type": "grown", "to": 700 * MIB}


async def test_a_guest_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    async with Peer(tmp_path / "web.agent") as peer, host(peer) as here:
        peer.reading = False
        await here.look()
        channel = here.agents._kept["web"].channel
        session = channel.talk.session
        peer.say(hello(session), report(session, 1))
        await here.look()

        for number in range(20_000):
            await here.agents.after_grow("web", number)

        assert channel._wire is not None
        assert channel._wire._transport is not None
        assert 0 < channel._wire._transport.get_write_buffer_size() <= 16 * 1024
        assert here.agents.deepen(here.seen()).heard_by is Depth.AGENT


async def test_bytes_that_come_one_by_one_are_read_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces: list[int] = []
    as_it_is = Wire.buffer_updated

    def count(wire: Wire, nbytes: int) -> None:
        pieces.append(nbytes)
        as_it_is(wire, nbytes)

    monkeypatch.setattr(Wire, "buffer_updated", count)
    async with Peer(tmp_path / "web.agent") as peer, host(peer) as here:
        await here.look()
        said = hello(peer.session) + report(peer.session, 1)
        for byte in said:
            peer.say(bytes([byte]))
            await asyncio.sleep(0.001)

        assert (await here.look()).heard_by is Depth.AGENT
        assert sum(pieces) == len(said)
        assert len(pieces) <= len(said) * 0.001 / READ_PAUSE_S + 2


async def test_when_told_to_stop_every_guest_is_let_go_of(tmp_path: Path) -> None:
    async with honest(tmp_path / "web.agent") as peer:
        async with host(peer) as here:
            await here.look()
        await asyncio.sleep(0.1)

        assert here.agents.card("web") is None
        assert not peer.connected.is_set()
