"""A pass that fails costs itself alone: guests keep what they have, and the next pass goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from barostat.core.observation import GuestObservation, HostObservation
from barostat.engine.loop import Balancer
from barostat.engine.observe import FixedSettings
from barostat.errors import HostError, first_fault
from barostat.units import MIB

from .conftest import Host

pytestmark = pytest.mark.looptime


class Hidden:
    """A box that cannot be looked at for its first three looks."""

    def __init__(self) -> None:
        self.looks = 0

    async def observe(self, guests: Sequence[GuestObservation]) -> HostObservation:
        self.looks += 1
        if self.looks <= 3:
            raise HostError("the box cannot be looked at")
        return HostObservation(capacity_bytes=2048 * MIB)


@pytest.mark.trust("input", "a pass fails")
async def test_after_a_pass_that_failed_the_next_is_tried(host: Host) -> None:
    host.add("web")
    faults: list[Exception] = []
    balancer = Balancer(
        host.hypervisor,
        FixedSettings(host.settings),
        Hidden(),
        on_tick=host.ticks.append,
        on_fault=faults.append,
        clock=asyncio.get_running_loop().time,
    )

    await host.run(balancer, 6.5)

    assert [str(fault) for fault in faults] == ["the box cannot be looked at"] * 3
    assert len(host.ticks) == 4


async def test_where_nobody_is_told_of_faults_the_first_ends_the_run(host: Host) -> None:
    balancer = Balancer(
        host.hypervisor,
        FixedSettings({}),
        Hidden(),
        clock=asyncio.get_running_loop().time,
    )

    with pytest.raises(ExceptionGroup) as caught:
        await balancer.run(asyncio.Event())

    assert isinstance(first_fault(caught.value), HostError)
