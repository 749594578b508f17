"""Real guests whose programs take all that there is: it costs their own guest, and nobody else."""

from __future__ import annotations

import shlex

import pytest
from tests.lab.faults.ground import decided, ground, spec

from barostat.lab.fleet import Kit
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

BOMB_S = 12
FORKS = f"""
import os, time
end = time.monotonic() + {BOMB_S}
while time.monotonic() < end:
    try:
        os.fork()
    except OSError:
        time.sleep(0.1)
"""
"""Every child forks as well, until the kernel refuses, and ends when its time is over."""


@pytest.mark.trust("neighbours", "a fork bomb in a guest")
async def test_a_fork_bomb_slows_its_own_guest_and_no_neighbour(userland_kit: Kit) -> None:
    async with ground(userland_kit, spec("web"), spec("bomb", userland=True)) as place:
        place.ended.add("bomb")  # what its kernel kills there is its own affair
        await place.inside("bomb", f"python3 -S -c {shlex.quote(FORKS)}")
        await place.serves("web")
        await place.passes(BOMB_S)
        await place.well("bomb")
        await place.serves("bomb")


@pytest.mark.trust("liars", "a memory bomb in a guest")
async def test_a_memory_bomb_gets_its_maximum_at_most_and_its_neighbour_keeps_its_share(
    kit: Kit,
) -> None:
    guests = spec("web"), spec("bomb", swap_mib=0)
    async with ground(kit, *guests, capacity_mib=640) as place:
        await place.hold("web", 200)
        await place.lab.guests["web"].wait_held()
        place.ended.add("bomb")  # its own kernel kills it
        await place.hold("bomb", 4000)
        await place.lab.guests["bomb"].until(
            lambda witness: witness.holder_deaths > 0, "run out of memory"
        )
        after = await place.passes(2)
        await place.hold("bomb", 10)
        await place.serves("web")

    assert decided(after, "web").assigned_bytes >= 200 * MIB
