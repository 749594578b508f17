"""What others may do with a guest: pause it, save it, move it, resize it, have it lie."""

from __future__ import annotations

import asyncio
import shlex

import pytest
from tests.lab.faults.ground import Ground, codes, decided, ground, seen, spec, state

from barostat.core.moves import MoveKind
from barostat.core.observation import Depth, RunState
from barostat.core.reasons import ReasonCode
from barostat.engine.loop import Tick
from barostat.lab.fleet import Kit
from barostat.lab.guests import AGENT_PORT
from barostat.lab.machine import LabGuest
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

NAMELESS = "/machine/peripheral-anon"
PLUG = "/machine/peripheral/vmem0"
SLOWLY = 2 * MIB
"""Bytes a second of a migration that is not to end by itself."""


@pytest.mark.trust("doubt", "a guest is paused")
async def test_a_paused_guest_is_held_and_its_neighbour_served(kit: Kit) -> None:
    async with ground(kit, spec("web"), spec("db")) as place:
        await place.lab.guests["db"].qmp("stop")
        paused = await place.held("db", ReasonCode.PAUSED)
        await place.serves("web")
        after = await place.passes(1)
        await place.lab.guests["db"].qmp("cont")
        await place.serves("db")

    assert state(paused, "db") is RunState.PAUSED
    assert decided(after, "db").assigned_bytes == decided(paused, "db").assigned_bytes
    assert decided(after, "db").move is None


@pytest.mark.trust("doubt", "a guest is paused while it gives memory")
async def test_a_guest_that_is_paused_while_it_gives_is_asked_to_give_no_more(kit: Kit) -> None:
    async with ground(kit, spec("web"), spec("db"), capacity_mib=512) as place:
        await place.hold("web", 330)
        await place.until(lambda tick: kind(place, "db") is MoveKind.SHRINK, "db asked to give")
        await place.lab.guests["db"].qmp("stop")
        paused = await place.held("db", ReasonCode.PAUSED)
        await place.passes(8)
        await place.lab.guests["db"].qmp("cont")
        await place.until(
            lambda tick: decided(tick, "db").assigned_bytes < 200 * MIB, "db gives again"
        )

    assert state(paused, "db") is RunState.PAUSED


def kind(place: Ground, name: str) -> MoveKind | None:
    """Say what is asked of a guest now."""
    move = decided(place.newest, name).move
    return None if move is None else move.kind


@pytest.mark.trust("doubt", "a guest is saved to a file")
async def test_a_guest_that_is_saved_is_held_and_goes_on_when_it_is_let_run(kit: Kit) -> None:
    async with ground(kit, spec("web"), spec("db")) as place:
        db = place.lab.guests["db"]
        await db.qmp("stop")
        await db.qmp("migrate", uri=f"exec:cat > {place.lab.folder}/db.saved")
        saved = await place.until(
            lambda tick: {ReasonCode.PAUSED, ReasonCode.MIGRATING} & codes(tick, "db"), "db held"
        )
        await place.serves("web")
        await until_migration(place, "db", "completed")
        await db.qmp("cont")
        await place.serves("db")

    assert decided(saved, "db").move is None
    assert decided(saved, "db").promised_bytes >= decided(saved, "db").assigned_bytes


async def until_migration(place: Ground, name: str, status: str) -> None:
    """Wait until QEMU says so of a migration."""
    async with asyncio.timeout(20):
        while True:
            said = await place.lab.guests[name].qmp("query-migrate")
            if said.get("status") == status:
                return
            await asyncio.sleep(0.1)


@pytest.mark.trust("doubt", "a guest migrates")
async def test_a_guest_that_migrates_is_held_and_its_neighbour_served(kit: Kit) -> None:
    async with ground(kit, spec("web"), spec("db")) as place:
        db = place.lab.guests["db"]
        place.ended.add("db")  # it is elsewhere then
        await db.qmp("migrate-set-parameters", max_bandwidth=40 * MIB)
        await db.qmp("migrate", uri="exec:cat > /dev/null")
        moving = await place.held("db", ReasonCode.MIGRATING)
        await place.serves("web")
        await until_migration(place, "db", "completed")
        await place.until(
            lambda tick: state(tick, "db") in {RunState.PAUSED, RunState.MIGRATING}, "db stays"
        )
        await db.qmp("quit")
        await place.until(lambda tick: seen(tick, "db") is None, "db gone")

    assert decided(moving, "db").move is None


@pytest.mark.trust("doubt", "a migration is cancelled")
async def test_a_guest_whose_migration_is_cancelled_is_served_again(kit: Kit) -> None:
    async with ground(kit, spec("web"), spec("db")) as place:
        db = place.lab.guests["db"]
        await db.qmp("migrate-set-parameters", max_bandwidth=SLOWLY)
        await db.qmp("migrate", uri="exec:cat > /dev/null")
        moving = await place.held("db", ReasonCode.MIGRATING)
        await place.serves("web")
        await db.qmp("migrate_cancel")
        await place.serves("db")

    assert decided(moving, "db").move is None


@pytest.mark.trust("capacity", "another program plugs memory behind our back")
async def test_what_another_program_plugs_is_counted_at_once_and_comes_back(kit: Kit) -> None:
    async with ground(kit, spec("web"), spec("db"), capacity_mib=600) as place:
        place.books.excused = "another program gave db more than there was"
        await place.lab.guests["db"].qmp(
            "qom-set", path=PLUG, property="requested-size", value=256 * MIB
        )
        taken = await place.until(
            lambda tick: decided(tick, "db").promised_bytes >= 512 * MIB, "it is counted"
        )
        await place.until(lambda tick: tick.decision.promised_bytes <= 600 * MIB, "it comes back")
        place.books.excused = ""
        await place.serves("web")

    assert ReasonCode.CAPACITY_LOST in {alarm.code for alarm in taken.decision.alarms}


@pytest.mark.trust("minimum", "another program inflates the balloon behind our back")
async def test_a_guest_that_another_program_takes_below_its_minimum_is_given_it_back(
    kit: Kit,
) -> None:
    async with ground(kit, spec("web"), spec("db")) as place:
        await place.lab.guests["db"].qmp("balloon", value=100 * MIB)
        await place.until(
            lambda tick: decided(tick, "db").assigned_bytes < 128 * MIB, "db is too small"
        )
        await place.until(
            lambda tick: decided(tick, "db").assigned_bytes >= 128 * MIB, "db has its minimum"
        )
        await place.serves("web")


LIES = """
import os, time
while True:
    try:
        port = os.open('/dev/virtio-ports/org.barostat.agent.0', os.O_RDWR)
        while True:
            os.write(port, b'{"barostat": 1e999, "total_bytes": ' + b'[' * 9999 + b'\\n\\xff' * 999)
    except OSError:
        time.sleep(0.001)
"""
KILL = """kill -9 $(sed 's/.*"pid": \\([0-9]*\\).*/\\1/' /run/barostat-agent/status.json)"""


@pytest.mark.trust("input", "a hostile program speaks at the agent's port")
async def test_a_guest_with_a_hostile_program_at_its_agents_port_is_seen_as_without_an_agent(
    userland_kit: Kit,
) -> None:
    guests = spec("web"), spec("liar", userland=True)
    async with ground(userland_kit, *guests, agents=True) as place:
        await place.until(lambda tick: depth(tick, "liar") is Depth.AGENT, "its agent is heard")
        await place.inside("liar", f"python3 -c {shlex.quote(LIES)} & sleep 1; {KILL}; wait")
        await place.until(lambda tick: depth(tick, "liar") is Depth.BALLOON, "it is heard no more")
        await place.serves("web")
        await place.serves("liar")
        assert depth(place.newest, "liar") is Depth.BALLOON


@pytest.mark.trust("doubt", "the agent's port is unplugged")
async def test_a_guest_whose_agents_port_is_unplugged_is_seen_as_without_an_agent(
    userland_kit: Kit,
) -> None:
    guests = spec("web"), spec("mute", userland=True)
    async with ground(userland_kit, *guests, agents=True) as place:
        await place.until(lambda tick: depth(tick, "mute") is Depth.AGENT, "its agent is heard")
        mute = place.lab.guests["mute"]
        await mute.qmp("device_del", id=await port_of(mute, AGENT_PORT))
        await place.until(lambda tick: depth(tick, "mute") is Depth.BALLOON, "it is heard no more")
        await place.serves("mute")


async def port_of(guest: LabGuest, name: str) -> str:
    """Find the path of a port that has no id."""
    for child in await guest.qmp("qom-list", path=NAMELESS):
        path = f"{NAMELESS}/{child['name']}"
        if child["type"] == "child<virtserialport>":
            said = await guest.qmp("qom-get", path=path, property="name")
            if said == name:
                return path
    raise AssertionError(f"no port {name}")


def depth(tick: Tick, name: str) -> Depth | None:
    """Say how deep a guest is seen into."""
    guest = seen(tick, name)
    return None if guest is None else guest.depth
