"""A VM whose name would steer the terminal is shown by the codes of its letters."""

from __future__ import annotations

from barostat.hypervisors.simulated import SimulatedSpec
from barostat.units import MIB

from .conftest import World, lines, seen

NAME = "\x1b[2J\x9b31mevil\u202e\nforged"

OURS = {"\xa0"}
"""Textual writes this blank itself."""


async def test_top_shows_a_strange_name_by_its_codes(world: World) -> None:
    spec = SimulatedSpec(name=NAME, boot_bytes=512 * MIB, maximum_bytes=1024 * MIB, boot_s=0)
    async with world.screen(size=(120, 30)) as pilot:
        world.hypervisor.add(spec)
        await world.look()
        await seen(pilot, "4 VMs")

        shown = set("".join(lines(pilot)))
        assert {letter for letter in shown if not letter.isprintable()} <= OURS
        await seen(pilot, "\\x1b[2J\\x9b31mevil")
