"""What may happen to a host and its guests: each fault is done, lasts, and is undone.

A fault that takes memory unasked says so to the books before it does.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable, Mapping

from tests.soak.ground import BOOT_BYTES, MINIMUM_BYTES, Ground, Inmate

from barostat.config.settings_file import SettingsPatch
from barostat.errors import LabError
from barostat.hypervisors.plugging import BLOCK_BYTES
from barostat.service.client import open_daemon
from barostat.units import GIB, MIB

__all__ = ["DAEMON_IS_KILLED", "FAULTS", "Fault"]

Fault = Callable[[Ground, random.Random], Awaitable[None]]

RESET_EXCUSE_S = 90.0
BALLOON_EXCUSE_S = 30.0
BALLOON = "/machine/peripheral/balloon0"
DAEMON_IS_KILLED = "daemon is killed (SIGKILL)"
CALMED_S = 30.0
"""After a memory bomb: what its guest's kernel has still to do."""


async def reset(ground: Ground, chance: random.Random) -> None:
    """Have a guest boot anew: its balloon is gone, and so is what was plugged."""
    with ground.picked(chance) as inmate:
        ground.say(f"{inmate.name}: guest is reset")
        inmate.resets += 1
        inmate.deaf = True  # what its workload is told would be lost
        ballooned = BOOT_BYTES - (await inmate.measure()).base_bytes
        ground.books.excuse(
            "a reset guest has its ballooned memory",
            ballooned,
            until_s=ground.passed_s + RESET_EXCUSE_S,
        )
        async with inmate.line:
            await inmate.guest.qmp("set-action", reboot="reset")
            await inmate.guest.qmp("system_reset")
        await asyncio.sleep(chance.uniform(5, 10))


async def stop_qemu(ground: Ground, chance: random.Random) -> None:
    """Stop a QEMU whole: not even its monitor answers."""
    with ground.picked(chance) as inmate:
        seconds = chance.uniform(5, 20)
        ground.say(f"{inmate.name}: QEMU is stopped (SIGSTOP) for {seconds:.0f} s")
        inmate.deaf = True
        async with inmate.line:
            _signal(inmate, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            _signal(inmate, signal.SIGCONT)


async def kill_qemu(ground: Ground, chance: random.Random) -> None:
    """Kill a guest; another starts in its place."""
    with ground.picked(chance) as inmate:
        ground.say(f"{inmate.name}: QEMU is killed (SIGKILL), another guest starts")
        inmate.killed = inmate.deaf = True
        async with inmate.line:
            _signal(inmate, signal.SIGKILL)
        ground.inmates.pop(inmate.name, None)
        await asyncio.sleep(chance.uniform(0, 5))
        await ground.replace(inmate)


async def kill_daemon(ground: Ground, chance: random.Random) -> None:
    """Kill the daemon; it is started again a moment later."""
    ground.say(DAEMON_IS_KILLED)
    ground.daemon_killed = True
    try:
        await ground.daemon.kill()
        await asyncio.sleep(chance.uniform(0, 5))
    finally:
        await ground.daemon.start()
        ground.daemon_killed = False


async def lose_capacity(ground: Ground, chance: random.Random) -> None:
    """Have the host lose memory, and have it back."""
    lost_bytes = chance.randrange(64, 400) * MIB
    seconds = chance.uniform(10, 40)
    ground.say(f"the host loses {lost_bytes // MIB} MiB for {seconds:.0f} s")
    excuse = ground.books.excuse("the host lost memory", lost_bytes)
    ground.daemon.resize(ground.daemon.capacity_bytes - lost_bytes)
    try:
        await asyncio.sleep(seconds)
    finally:
        ground.daemon.resize(ground.daemon.capacity_bytes + lost_bytes)
        excuse.until_s = ground.passed_s


async def change_settings(ground: Ground, chance: random.Random) -> None:
    """Change one setting of a guest, as an operator would; what was off is on again later."""
    with ground.picked(chance) as inmate:
        choices: tuple[dict[str, int | bool], ...] = (
            {"weight": chance.randrange(0, 10_001)},
            {"buffer_percent": chance.randrange(5, 200)},
            {"enabled": False},
            {"paused": True},
        )
        asked = chance.choice(choices)
        await _change(ground, inmate, asked)
        if not asked.keys().isdisjoint({"enabled", "paused"}):
            await asyncio.sleep(chance.uniform(5, 20))
            await _change(ground, inmate, {"enabled": True, "paused": False})


async def _change(ground: Ground, inmate: Inmate, asked: Mapping[str, int | bool]) -> None:
    said = ", ".join(f"{key} {value}" for key, value in asked.items())
    ground.say(f"{inmate.name}: settings are changed: {said}")
    patch = SettingsPatch.model_validate(asked)
    async with open_daemon(ground.daemon.socket) as desk:
        await desk.change(inmate.name, patch)


async def set_balloon(ground: Ground, chance: random.Random) -> None:
    """Set a guest's balloon behind the daemon's back."""
    with ground.picked(chance) as inmate:
        base = chance.randrange(MINIMUM_BYTES, BOOT_BYTES + 1, BLOCK_BYTES)
        ground.say(f"{inmate.name}: balloon is set to {base // MIB} MiB behind our back")
        now = (await inmate.measure()).base_bytes
        ground.books.excuse(
            "a balloon was let go unasked",
            max(0, base - now),
            until_s=ground.passed_s + BALLOON_EXCUSE_S,
        )
        async with inmate.line:
            await inmate.guest.qmp("balloon", value=base)


async def pause(ground: Ground, chance: random.Random) -> None:
    """Pause a guest; its monitor answers."""
    with ground.picked(chance) as inmate:
        seconds = chance.uniform(5, 20)
        ground.say(f"{inmate.name}: guest is paused for {seconds:.0f} s")
        inmate.deaf = True
        async with inmate.line:
            await inmate.guest.qmp("stop")
        try:
            await asyncio.sleep(seconds)
        finally:
            async with inmate.line:
                await inmate.guest.qmp("cont")


async def bomb(ground: Ground, chance: random.Random) -> None:
    """Have a guest's workload want more than there can be, until its kernel kills it."""
    with ground.picked(chance) as inmate:
        ground.say(f"{inmate.name}: memory bomb")
        inmate.bombed_until_s = float("inf")
        try:
            await inmate.guest.hold(4 * GIB)
            await asyncio.sleep(chance.uniform(10, 30))
            await inmate.guest.hold(0)
        finally:
            inmate.bombed_until_s = ground.passed_s + CALMED_S


async def blind(ground: Ground, chance: random.Random) -> None:
    """Switch a guest's statistics off for a while, behind the daemon's back."""
    with ground.picked(chance) as inmate:
        ground.say(f"{inmate.name}: statistics are switched off")
        for seconds in (0, 1):
            async with inmate.line:
                await inmate.guest.qmp(
                    "qom-set", path=BALLOON, property="guest-stats-polling-interval", value=seconds
                )
            await asyncio.sleep(chance.uniform(5, 20))


def _signal(inmate: Inmate, number: signal.Signals) -> None:
    pid = inmate.guest.pid
    if pid is None:
        raise LabError(f"{inmate.name} does not run")
    os.kill(pid, number)


FAULTS: Mapping[str, Fault] = {
    "guest is reset": reset,
    "QEMU is stopped (SIGSTOP)": stop_qemu,
    "QEMU is killed (SIGKILL), another guest starts": kill_qemu,
    DAEMON_IS_KILLED: kill_daemon,
    "the host loses memory and has it back": lose_capacity,
    "settings are changed": change_settings,
    "balloon is set behind our back": set_balloon,
    "guest is paused": pause,
    "memory bomb": bomb,
    "statistics are switched off": blind,
}
