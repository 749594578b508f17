"""Real guests that cannot take, or cannot give, what virtio-mem is asked for."""

from __future__ import annotations

import pytest
from tests.lab.faults.ground import (
    CAPACITY_MIB,
    TIGHT_MIB,
    Capacity,
    codes,
    decided,
    ground,
    seen,
    spec,
)

from barostat.core.moves import MoveKind
from barostat.core.reach import SECTION_BYTES, reach_bytes
from barostat.core.reasons import ReasonCode
from barostat.core.sizes import measure
from barostat.engine.loop import Tick
from barostat.lab.fleet import Kit
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

ONLINING = "/sys/devices/system/memory/auto_online_blocks"


@pytest.mark.trust("ends", "an unplug stops halfway (no swap, all memory in use)")
async def test_an_unplug_that_stops_halfway_is_cancelled_and_its_neighbour_served(
    kit: Kit,
) -> None:
    host = Capacity(CAPACITY_MIB * MIB)
    async with ground(kit, spec("web"), spec("hot", swap_mib=0), host=host) as place:
        await place.hold("hot", 400)
        await place.lab.guests["hot"].wait_held()
        grown = decided(await place.passes(2), "hot").assigned_bytes
        place.books.excused = "the host loses memory"
        host.capacity_bytes = TIGHT_MIB * MIB
        await place.held("hot", ReasonCode.STUCK)
        left = await place.passes(2)
        host.capacity_bytes = CAPACITY_MIB * MIB
        await place.serves("web")
        await place.hold("hot", 10)
        await place.until(
            lambda tick: decided(tick, "hot").assigned_bytes < grown - 64 * MIB,
            "hot gives once it can",
            timeout_s=90,
        )

    guest = seen(left, "hot")
    assert guest is not None
    assert guest.devices.plugged_bytes > 0
    assert guest.devices.requested_bytes - guest.devices.plugged_bytes < 2 * MIB


def beyond_reach(tick: Tick, name: str) -> bool:
    """Say whether a guest was asked to take more at once than it can describe."""
    guest = seen(tick, name)
    if guest is None or guest.statistics is None:
        return False
    reach = reach_bytes(measure(guest.devices), guest.statistics)
    grown = [m.to_bytes for m in tick.decision.moves if (m.guest, m.kind) == (name, MoveKind.GROW)]
    return reach is not None and any(to_bytes > reach for to_bytes in grown)


@pytest.mark.trust("unharmed", "a guest is plugged with hardly a free page in it")
async def test_a_guest_with_hardly_a_free_page_is_plugged_in_steps_and_lives(kit: Kit) -> None:
    host = Capacity(TIGHT_MIB * MIB)
    async with ground(kit, spec("web"), spec("full"), host=host) as place:
        await place.hold("web", 200)
        await place.hold("full", 330)  # more than it may have: it pages, and has nothing free
        await place.until(
            lambda tick: codes(tick, "full") & {ReasonCode.SHORT, ReasonCode.WAITING},
            "full short",
        )
        await place.passes(2)
        host.capacity_bytes = CAPACITY_MIB * MIB
        stepped = await place.held("full", ReasonCode.STEPWISE)
        await place.until(
            lambda tick: decided(tick, "full").assigned_bytes > 400 * MIB, "full served"
        )
        await place.lab.guests["full"].wait_held()
        await place.serves("web")

    assert not beyond_reach(stepped, "full")


@pytest.mark.trust("capacity", "a guest does not put plugged memory online")
async def test_a_guest_that_leaves_plugged_memory_offline_is_plugged_with_no_more(
    userland_kit: Kit,
) -> None:
    async with ground(userland_kit, spec("web"), spec("dark", userland=True)) as place:
        await place.inside("dark", f"echo offline > {ONLINING}")
        await place.passes(2)
        await place.hold("dark", 280)  # it pages: there is never more than its boot RAM for it
        held = await place.held("dark", ReasonCode.OFFLINE, timeout_s=60)
        later = await place.passes(5)
        await place.serves("web")

    lost = decided(held, "dark").plugged_bytes
    assert 0 < lost <= 2 * SECTION_BYTES
    assert decided(later, "dark").plugged_bytes <= lost
