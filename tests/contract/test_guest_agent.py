"""What every hypervisor keeps to where a guest has no qemu-guest-agent to be asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from barostat.core.observation import RunState
from barostat.errors import HypervisorError, RefusedError, UnknownGuestError

if TYPE_CHECKING:
    from tests.contract.conftest import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ask(world: World, name: str) -> object:
    return await world.hypervisor.ask_guest_agent(name, "guest-ping", {}, timeout_s=1)


async def test_a_guest_without_an_agent_refuses_at_once_and_says_what_to_do(world: World) -> None:
    began_s = time.monotonic()
    with pytest.raises(RefusedError) as refused:
        await ask(world, "alpha")
    took_s = time.monotonic() - began_s
    seen = await world.look()

    assert "alpha" in refused.value.message
    assert "qemu-guest-agent" in refused.value.hint
    assert took_s < 0.5
    assert seen["alpha"].run_state is RunState.RUNNING


async def test_nobody_of_that_name_can_be_asked(world: World) -> None:
    with pytest.raises(UnknownGuestError, match="alphaa"):
        await ask(world, "alphaa")


async def test_a_guest_that_hangs_costs_who_asks_no_more_than_its_deadline(world: World) -> None:
    world.hang("alpha")
    try:
        began_s = time.monotonic()
        with pytest.raises(HypervisorError) as failed:
            await ask(world, "alpha")
        took_s = time.monotonic() - began_s
        seen = await world.look()
    finally:
        world.answer("alpha")
    await world.until(lambda seen: seen["alpha"].run_state is RunState.RUNNING)

    assert failed.value.hint
    assert took_s < 2
    assert seen["beta"].run_state is RunState.RUNNING
