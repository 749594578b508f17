"""Real guests whose balloon does not do as it is told, or is all that is left to them."""

from __future__ import annotations

import pytest
from tests.lab.faults.ground import (
    CAPACITY_MIB,
    TIGHT_MIB,
    Capacity,
    codes,
    decided,
    ground,
    spec,
)

from barostat.core.reasons import ReasonCode
from barostat.engine.lane import Pace
from barostat.engine.loop import Tick
from barostat.hypervisors.plugging import BLOCK_BYTES
from barostat.lab.fleet import Kit
from barostat.units import MIB

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

BALLOON = "/machine/peripheral/balloon0"


@pytest.mark.trust("doubt", "a guest's statistics are switched off behind our back")
async def test_a_guest_whose_statistics_somebody_switches_off_is_asked_all_the_same(
    kit: Kit,
) -> None:
    async with ground(kit, spec("web"), spec("db")) as place:
        await place.lab.guests["db"].qmp(
            "qom-set", path=BALLOON, property="guest-stats-polling-interval", value=0
        )
        later = await place.passes(8)
        await place.serves("db")
        await place.serves("web")

    assert ReasonCode.STALE not in codes(later, "db")


@pytest.mark.trust("ends", "a balloon gets nothing (no swap, all memory in use)")
async def test_a_guest_that_cannot_give_is_let_be_and_asked_again_later(kit: Kit) -> None:
    guests = spec("web"), spec("full", swap_mib=0)
    async with ground(kit, *guests, capacity_mib=TIGHT_MIB) as place:
        await place.hold("full", 190)
        await place.lab.guests["full"].wait_held()
        await place.hold("web", 420)
        await place.until(
            lambda tick: codes(tick, "full") & {ReasonCode.STUCK, ReasonCode.RESTING},
            "full let be",
        )
        kept = await place.passes(3)
        await place.hold("full", 10)
        await place.until(
            lambda tick: decided(tick, "web").assigned_bytes > 340 * MIB,
            "web served with what full gives now",
            timeout_s=60,
        )

    assert decided(kept, "full").promised_bytes >= decided(kept, "full").assigned_bytes


def has_given(tick: Tick, name: str) -> bool:
    """Say whether a guest gave all that it was asked for: one on its way there cannot stray."""
    found = decided(tick, name)
    there = found.move is None and found.promised_bytes == found.assigned_bytes
    return there and found.balloon_bytes > 90 * MIB and ReasonCode.MOVING not in codes(tick, name)


@pytest.mark.trust("capacity", "a guest empties its balloon by itself (deflate-on-oom)")
async def test_what_a_guest_takes_out_of_its_balloon_is_granted_to_nobody_until_it_is_back(
    kit: Kit,
) -> None:
    guests = spec("web"), spec("db", swap_mib=0)
    pace = Pace(on=False)  # or db is served at once
    async with ground(kit, *guests, capacity_mib=TIGHT_MIB, pace=pace) as place:
        await place.hold("web", 300)
        await place.until(lambda tick: has_given(tick, "db"), "db gave by its balloon, all of it")
        place.books.excused = "db helps itself"
        await place.hold("db", 190)
        strayed = await place.held("db", ReasonCode.STRAYED)
        await place.until(
            lambda tick: tick.decision.in_hand_bytes > -2 * BLOCK_BYTES,
            "all within what there is again",
            timeout_s=60,
        )

    assert decided(strayed, "db").promised_bytes >= decided(strayed, "db").assigned_bytes


@pytest.mark.trust("unharmed", "a guest with a full balloon runs out of memory")
async def test_a_guest_that_runs_out_is_given_back_its_balloon_before_its_kernel_kills(
    kit: Kit,
) -> None:
    host = Capacity(TIGHT_MIB * MIB)
    async with ground(kit, spec("web"), spec("db", swap_mib=0), host=host) as place:
        await place.hold("web", 300)
        await place.until(
            lambda tick: decided(tick, "db").balloon_bytes > 90 * MIB, "db gave by its balloon"
        )
        host.capacity_bytes = CAPACITY_MIB * MIB
        await place.passes(2)
        await place.hold("db", 190)  # more than the balloon left it
        await place.lab.guests["db"].wait_held()
        await place.until(
            lambda tick: decided(tick, "db").assigned_bytes > 230 * MIB, "db has its buffer too"
        )
