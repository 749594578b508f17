"""`barostat daemon` as a process of its own over a lab's guests, and what virsh says of them."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from barostat.core.settings import MemorySettings
from barostat.errors import ServiceError
from barostat.lab.fleet import Lab
from barostat.lab.libvirtd import PrivateLibvirtd
from barostat.service.client import open_daemon
from barostat.service.documents import Guest, Overview
from barostat.units import KIB, MIB

LOOK_EVERY_S = 0.2
BOOT_BYTES = 256 * MIB
MINIMUM_BYTES = 128 * MIB
MAXIMUM_BYTES = 640 * MIB

CONFIG = """
[host]
capacity = "{capacity_mib}MiB"

[libvirt]
uris = {uris}

[qmp]
folders = {folders}

[service]
socket = "{socket}"
group = ""

[history]
path = "{history}"

[policy]
settle_s = {settle_s}

[log]
format = "text"
"""


class RealDaemon:
    """A daemon that can be killed and started again; it ends with the tests in any case."""

    def __init__(
        self, lab: Lab, *, capacity_mib: int, settle_s: float, history: Path | None = None
    ) -> None:
        bare = lab.libvirtd is None
        self._socket = lab.folder / "daemon" / "sock"
        self._config = lab.folder / "barostat.toml"
        self.log = lab.folder / "daemon.log"
        self._config.write_text(
            CONFIG.format(
                capacity_mib=capacity_mib,
                settle_s=settle_s,
                uris=[] if bare else [lab.uri],
                folders=[str(lab.folder)] if bare else [],
                socket=self._socket,
                history=history or "",
            )
        )
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        program = str(Path(sys.executable).parent / "barostat")
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig=KILL", program, "daemon", "--config", str(self._config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        assert self._process.returncode is None, self.log.read_text()
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """End it as an operator would, unless it ended."""
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await asyncio.wait_for(self._process.wait(), 10)

    async def ended(self) -> int:
        """Wait until it ends by itself, and say its exit code."""
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), 60)

    async def overview(self) -> Overview:
        async with open_daemon(self._socket) as desk:
            return await desk.overview()

    async def pause(self, *, paused: bool) -> None:
        """Have it hold every guest at its size, or let it go on."""
        async with open_daemon(self._socket) as desk:
            await desk.pause_host(paused=paused)

    async def until(self, fits: Callable[[Overview], bool], *, timeout_s: float = 20) -> Overview:
        """Ask until the answer fits; a daemon that is not there yet is asked again."""
        said: Overview | None = None
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        said = await self.overview()
                    except ServiceError:
                        said = None
                    if said is not None and fits(said):
                        return said
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            text = self.log.read_text()[-3000:]
            still = [] if said is None else said.guests
            short = [guest.model_dump(exclude={"settings", "reasons"}) for guest in still]
            raise AssertionError(f"still: {short}\n{text}") from None


def guest_of(overview: Overview, name: str) -> Guest:
    [found] = [guest for guest in overview.guests if guest.name == name]
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """A domain's own sizes: what its balloon leaves, what is plugged and what was asked for."""

    actual_bytes: int
    current_bytes: int
    requested_bytes: int

    @property
    def assigned_bytes(self) -> int:
        return self.actual_bytes + self.current_bytes

    @property
    def promised_bytes(self) -> int:
        return self.actual_bytes + max(self.current_bytes, self.requested_bytes)


async def sizes_of(libvirtd: PrivateLibvirtd, name: str) -> Sizes:
    """Ask virsh, as an operator would."""
    pairs = (line.split() for line in (await libvirtd.virsh("dommemstat", name)).splitlines())
    memory = {words[0]: int(words[1]) * KIB for words in pairs if words}
    target = ET.fromstring(await libvirtd.virsh("dumpxml", name)).find("devices/memory/target")
    assert target is not None
    return Sizes(
        actual_bytes=memory["actual"],
        current_bytes=int(target.findtext("current", "")) * KIB,
        requested_bytes=int(target.findtext("requested", "")) * KIB,
    )


def settings(*, weight: int = 5000) -> MemorySettings:
    return MemorySettings(
        startup_bytes=BOOT_BYTES,
        minimum_bytes=MINIMUM_BYTES,
        maximum_bytes=MAXIMUM_BYTES,
        weight=weight,
    )
