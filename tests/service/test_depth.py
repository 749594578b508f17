"""How deep a VM is seen into is said by every way to ask, with the program that says it."""

from __future__ import annotations

from dataclasses import replace

import httpx2
import pytest

from barostat.core.observation import Depth, GuestObservation
from barostat.core.statistics import Inside
from barostat.guest.base import Card
from barostat.service.desk import LocalDesk
from barostat.service.documents import Guest
from barostat.service.examining import Asked, examine_all
from barostat.service.explaining import depth_sentence
from barostat.units import GIB, MIB

from .conftest import Daemon

AGENT = Card(
    depth=Depth.AGENT,
    version="0.1.0",
    kernel="6.1.0-18-amd64",
    onlining="online_movable",
    block_bytes=128 * MIB,
    swap_bytes=GIB,
    swap_free_bytes=GIB - MIB,
    committed_bytes=700 * MIB,
    hook=True,
)


async def heard(daemon: Daemon, depth: Depth, card: Card) -> LocalDesk:
    """Have somebody in `web` speak."""
    tick = await daemon.balancer.look()
    now_s = tick.snapshot.now_s

    def deepened(guest: GuestObservation) -> GuestObservation:
        if guest.name != "web":
            return guest
        return replace(guest, heard_by=depth, inside=Inside(at_s=now_s - 0.25))

    guests = tuple(map(deepened, tick.snapshot.guests))
    daemon.control.cards = {"web": card}.get
    daemon.control.on_tick(replace(tick, snapshot=replace(tick.snapshot, guests=guests)))
    return LocalDesk(daemon.control)


async def web(desk: LocalDesk) -> Guest:
    found = (await desk.details("web")).guest
    assert found is not None
    return found


async def test_a_vm_whose_agent_speaks_says_so_in_every_answer(daemon: Daemon) -> None:
    desk = await heard(daemon, Depth.AGENT, AGENT)

    guest = await web(desk)
    listed = {item.name: item for item in (await desk.overview()).guests}
    explained = (await desk.explanation("web")).guest

    assert guest.depth is Depth.AGENT
    assert guest.program_age_s == pytest.approx(0.25)
    assert guest.program is not None
    said = guest.program.model_dump() | {"fault": ""}
    assert said == {name: getattr(AGENT, name) for name in Card.__dataclass_fields__}
    assert listed["web"].program == explained.program == guest.program
    assert (listed["db"].depth, listed["db"].program) == (Depth.BALLOON, None)
    assert listed["db"].program_age_s is None


async def test_json_says_it_in_the_field_s_words(api: httpx2.AsyncClient, daemon: Daemon) -> None:
    await heard(daemon, Depth.QGA, replace(AGENT, depth=Depth.QGA, hook=False))

    guest = (await api.get("/v1/guests/web")).json()["guest"]

    assert (guest["depth"], guest["program"]["depth"]) == ("qga", "qga")
    assert guest["program"]["fault"] is None


@pytest.mark.parametrize(
    ("depth", "words"),
    [
        (Depth.AGENT, "through Barostat's agent in it; it says by itself what it needs"),
        (Depth.QGA, "and qemu-guest-agent; what its programs were promised"),
        (Depth.BALLOON, "through its balloon driver's statistics; what it has in use is known"),
    ],
)
async def test_explain_says_how_deep_one_looks(daemon: Daemon, depth: Depth, words: str) -> None:
    desk = await heard(daemon, depth, replace(AGENT, depth=depth))

    sentences = (await desk.explanation("web")).sentences

    assert [words in sentence for sentence in sentences].count(True) == 1


async def test_why_an_agent_is_not_believed_is_said(daemon: Daemon) -> None:
    card = replace(AGENT, depth=Depth.BALLOON, fault="3 bad lines in a minute")

    guest = await web(await heard(daemon, Depth.BALLOON, card))

    said = depth_sentence(guest)
    assert said.endswith("A program in it is not heard, or not believed: 3 bad lines in a minute.")


async def test_a_vm_that_says_nothing_is_seen_from_outside_alone(daemon: Daemon) -> None:
    tick = await daemon.balancer.look()
    guests = tuple(replace(guest, statistics=None) for guest in tick.snapshot.guests)
    daemon.control.on_tick(replace(tick, snapshot=replace(tick.snapshot, guests=guests)))

    guest = await web(LocalDesk(daemon.control))

    assert (guest.depth, guest.has_balloon) == (Depth.STATIC, True)
    assert "from outside alone" in depth_sentence(guest)


async def test_doctor_judges_what_the_program_says(daemon: Daemon) -> None:
    card = replace(AGENT, onlining="online_kernel", swap_bytes=0)
    overview = await (await heard(daemon, Depth.AGENT, card)).overview()

    found = {
        item.check: item
        for item in await examine_all(Asked(overview=overview))
        if item.subject == "web"
    }

    assert found["depth"].remedy == ""
    assert "online_kernel" in found["onlining"].says
    assert found["swap"].says.startswith("it has no swap")
    assert found["memory-blocks"].remedy == ""
