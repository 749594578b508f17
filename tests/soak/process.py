"""The daemon under soak: a process of its own, which is killed and started again, and measured."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from barostat.units import KIB, MIB

__all__ = ["DaemonProcess", "Footprint"]

END_S = 15.0

CONFIG = """
[host]
capacity = "{capacity_mib}MiB"

[libvirt]
uris = []

[qmp]
folders = ["{folder}"]

[service]
socket = "{folder}/daemon/sock"
group = ""
tokens = "{folder}/tokens.json"

[history]
path = "{folder}/history.db"

[log]
format = "text"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """What a process holds."""

    rss_bytes: int
    handles: int


class DaemonProcess:
    """`barostat daemon` over the guests of a folder.

    Attributes:
        capacity_bytes: what it may hand out, as configured last.
        socket: where it is spoken to.
        log: what it says.
        lives: how often it was started.
        ready: it has been heard.
    """

    def __init__(self, folder: Path, *, capacity_bytes: int) -> None:
        self.capacity_bytes = capacity_bytes
        self.socket = folder / "daemon" / "sock"
        self.log = folder / "daemon.log"
        self.lives = 0
        self.ready = False
        self._folder = folder
        self._config = folder / "barostat.toml"
        self._process: asyncio.subprocess.Process | None = None
        self._write()

    def _write(self) -> None:
        text = CONFIG.format(capacity_mib=self.capacity_bytes // MIB, folder=self._folder)
        fresh = self._config.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(self._config)

    async def start(self) -> None:
        """Start it; it is not ready yet."""
        program = str(Path(sys.executable).parent / "barostat")
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("BAROSTAT_")
        }
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig=KILL", program, "daemon", "--config", str(self._config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C is the soak's
            )
        self.lives += 1

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.returncode is None

    def resize(self, capacity_bytes: int) -> None:
        """Have it hand out another capacity from its next pass on."""
        self.capacity_bytes = capacity_bytes
        self._write()
        self.reload()

    def reload(self) -> None:
        """Have it read its configuration anew; while it starts, SIGHUP would end it."""
        if self.ready and self._process is not None and self.runs:
            self._process.send_signal(signal.SIGHUP)

    async def kill(self) -> None:
        """End it as a crash would."""
        self.ready = False
        if self._process is not None and self.runs:
            self._process.kill()
            await self._process.wait()

    async def stop(self) -> int | None:
        """End it as an operator would, and say its exit code; None: it had to be killed."""
        if self._process is None:
            return None
        if self.runs:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), END_S)
            except TimeoutError:
                await self.kill()
                return None
        return self._process.returncode

    def footprint(self) -> Footprint | None:
        """Measure it; None while it does not run."""
        if self._process is None or not self.runs:
            return None
        proc = Path(f"/proc/{self._process.pid}")
        try:
            lines = (proc / "status").read_text().splitlines()
            handles = sum(1 for _ in (proc / "fd").iterdir())
        except OSError:
            return None
        kib = [int(line.split()[1]) for line in lines if line.startswith("VmRSS:")]
        if not kib:
            return None  # it has just ended
        return Footprint(rss_bytes=kib[0] * KIB, handles=handles)
