"""A qemu-guest-agent played by the test: it has files, and may be slow, strict, strange or gone."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from barostat.errors import DeadlineError, RefusedError

COMMANDS = (
    "guest-info",
    "guest-fsfreeze-status",
    "guest-get-osinfo",
    "guest-file-open",
    "guest-file-read",
    "guest-file-close",
)
MEMINFO = """\
MemTotal:         500000 kB
MemAvailable:     300000 kB
Active(anon):       1000 kB
SwapTotal:        262144 kB
SwapFree:         200000 kB
Committed_AS:     102400 kB
HugePages_Total:       0
"""
VMSTAT = """\
workingset_refault_anon 5
workingset_refault_file 100
pgscan_kswapd 30
pgscan_direct 20
pgscan_khugepaged 9
"""
PRESSURE = """\
some avg10=0.00 avg60=0.00 avg300=0.00 total=1000
full avg10=0.00 avg60=0.00 avg300=0.00 total=400
"""
FILES = {
    "/proc/meminfo": MEMINFO,
    "/proc/vmstat": VMSTAT,
    "/proc/pressure/memory": PRESSURE,
    "/proc/sys/kernel/random/boot_id": "11111111-2222-3333-4444-555555555555\n",
    "/sys/devices/system/memory/auto_online_blocks": "online_movable\n",
    "/sys/devices/system/memory/block_size_bytes": "8000000\n",
}


@dataclass
class PlayedAgent:
    """One guest's agent; what a test may change."""

    files: dict[str, str] = field(default_factory=lambda: dict(FILES))
    forbids: set[str] = field(default_factory=set)
    silent_at: set[str] = field(default_factory=set)
    answers: dict[str, object] = field(default_factory=dict)
    frozen: bool = False
    system: dict[str, object] = field(
        default_factory=lambda: {"id": "debian", "kernel-release": "6.1.0-18-amd64"}
    )
    asked: list[str] = field(default_factory=list)
    opened: dict[int, str] = field(default_factory=dict)
    last_handle: int = 1000
    slow_s: float = 0.0
    at_once: int = 0

    async def __call__(
        self, _guest: str, command: str, arguments: Mapping[str, object], /, *, timeout_s: float
    ) -> object:
        self.asked.append(command)
        self.at_once += 1
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.sleep(self.slow_s)
                if command in self.silent_at:
                    await asyncio.Event().wait()
        except TimeoutError as error:
            raise DeadlineError("it did not answer") from error
        finally:
            self.at_once -= 1
        return self.answer(command, arguments)

    def answer(self, command: str, arguments: Mapping[str, object]) -> object:
        if command in self.answers:
            return self.answers[command]
        if command in self.forbidden or command not in COMMANDS:
            raise RefusedError("it was not allowed")
        answers: dict[str, Callable[..., object]] = {
            "guest-info": self.info,
            "guest-fsfreeze-status": lambda: "frozen" if self.frozen else "thawed",
            "guest-get-osinfo": lambda: self.system,
            "guest-file-open": self.open,
            "guest-file-read": self.read,
            "guest-file-close": self.close,
        }
        return answers[command](**arguments)

    @property
    def forbidden(self) -> set[str]:
        """What it does not allow now: a frozen guest allows next to nothing."""
        frozen = {name for name in COMMANDS if "file" in name or "osinfo" in name}
        return self.forbids | frozen if self.frozen else self.forbids

    def info(self) -> object:
        commands = [
            {"name": name, "enabled": name not in self.forbidden, "success-response": True}
            for name in COMMANDS
        ]
        return {"version": "7.2.22", "supported_commands": commands}

    def open(self, path: str, mode: str) -> int:
        if path not in self.files or mode != "r":
            raise RefusedError("No such file or directory")
        self.last_handle += 1
        self.opened[self.last_handle] = path
        return self.last_handle

    def read(self, handle: int, count: int) -> object:
        if handle not in self.opened:
            raise RefusedError("no such handle")
        text = self.files[self.opened[handle]].encode()[:count]
        return {"count": len(text), "buf-b64": base64.b64encode(text).decode(), "eof": True}

    def close(self, handle: int) -> object:
        if self.opened.pop(handle, None) is None:
            raise RefusedError("no such handle")
        return {}
