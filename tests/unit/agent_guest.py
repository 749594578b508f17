"""A folder that looks like a guest to the real agent, and the host's end of its port."""

from __future__ import annotations

import json
import os
import pty
import select
import socket
import subprocess
import sys
import time
import tty
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from barostat.guest import agent
from barostat.guest.protocol import Done, Hello, Message, Report, parse
from barostat.units import KIB, MIB

AGENT: Final = Path(agent.__file__)
SESSION: Final = "0123456789abcdef"
PATIENCE_S: Final = 20.0  # of a test with a machine that is busy; nothing is measured by it

MEMINFO: Final = """MemTotal:       {total:12} kB
MemFree:        {free:12} kB
MemAvailable:   {available:12} kB
Buffers:                1000 kB
Cached:                20000 kB
SwapCached:              300 kB
SwapTotal:            262144 kB
SwapFree:             200000 kB
Committed_AS:         333333 kB
HugePages_Total:           0
"""
VMSTAT: Final = """nr_free_pages 1
workingset_refault_anon 5
workingset_refault_file 7
pswpin 11
pswpout 13
allocstall_normal 2
allocstall_movable 3
pgmajfault 17
pgscan_kswapd 19
pgscan_direct 23
pgscan_direct_throttle 99
pgscan_anon 40
oom_kill 1
"""
PRESSURE: Final = """some avg10=0.00 avg60=0.00 avg300=0.00 total={some:12}
full avg10=0.00 avg60=0.00 avg300=0.00 total={full:12}
"""


class AgentGuest:
    """A guest of 512 MiB."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = root / "port"
        self.hook = root / "etc" / "barostat-agent" / "hook"
        self.status = root / "run" / "barostat-agent" / "status.json"
        self.errors = root / "stderr"
        self.process: subprocess.Popen[bytes] | None = None
        self._host = self._guest = -1
        self._read = b""
        for folder in ("proc/pressure", "proc/sys/kernel/random", "etc/barostat-agent"):
            (root / folder).mkdir(parents=True)
        self.file("sys/devices/system/memory/block_size_bytes", "8000000\n")
        self.file("sys/devices/system/memory/auto_online_blocks", "online_movable\n")
        self.file("proc/sys/kernel/random/boot_id", "4a1b7d3c-0000-4000-8000-000000000001\n")
        self.file("proc/vmstat", VMSTAT)
        self.memory(available_mib=200)
        self.stalls(0)
        self.connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)
        self.leave()

    def file(self, path: str, text: str) -> None:
        """Write in place, as the kernel does: who has it open sees it."""
        whole = self.root / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(whole, os.O_WRONLY | os.O_CREAT, 0o644)
        os.pwrite(descriptor, text.encode(), 0)
        os.ftruncate(descriptor, len(text))
        os.close(descriptor)

    def memory(self, *, available_mib: float, total_mib: int = 512) -> None:
        available = int(available_mib * MIB) // KIB
        total = total_mib * MIB // KIB
        self.file(
            "proc/meminfo",
            MEMINFO.format(total=total, free=available // 2, available=available),
        )

    def stalls(self, some_us: int) -> None:
        self.file("proc/pressure/memory", PRESSURE.format(some=some_us, full=some_us // 2))

    def write_hook(self, text: str) -> None:
        self.hook.write_text("#!/bin/sh\n" + text)
        self.hook.chmod(0o755)

    def connect(self) -> None:
        """Open the host's end of the port."""
        self._host, self._guest = pty.openpty()
        tty.setraw(self._guest)
        os.set_blocking(self._host, False)
        self._read = b""
        new = self.root / "port.new"
        new.symlink_to(os.ttyname(self._guest))
        new.replace(self.port)

    def pair(self) -> int:
        """Have a pair of sockets for a port, which passes on at once; give the guest's end."""
        self.leave()
        host, guest = socket.socketpair()
        host.setblocking(False)
        guest.setblocking(False)
        self._host = host.detach()
        return guest.detach()

    def leave(self) -> None:
        """Close the host's end of the port."""
        for descriptor in (self._host, self._guest):
            if descriptor >= 0:
                os.close(descriptor)
        self._host = self._guest = -1

    def start(self, *, root: Path | None = None) -> None:
        """Run the agent, as its service does."""
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-IS",
                    str(AGENT),
                    "run",
                    f"--port={self.port}",
                    f"--root={root or self.root}",
                ],
                stderr=errors,
            )

    def say(self, kind: str, **words: object) -> None:
        self.say_raw(json.dumps({"v": 1, "type": kind, **words}).encode() + b"\n")

    def say_raw(self, text: bytes) -> None:
        limit = time.monotonic() + PATIENCE_S
        while text:
            _, ready, _ = select.select([], [self._host], [], limit - time.monotonic())
            assert ready, "the agent does not read"
            text = text[os.write(self._host, text) :]

    def welcome(self, session: str = SESSION, *, every_ms: int = 200) -> None:
        self.say("welcome", session=session, every_ms=every_ms, least_ms=20)

    def word(self) -> None:
        sizes = {"startup": 512, "minimum": 256, "maximum": 2048, "assigned": 512}
        self.say("word", status="ok", **{key: size * MIB for key, size in sizes.items()})

    def next(self, *, patience_s: float = PATIENCE_S) -> Message:
        """Take the next line that the agent sent; the host's own protocol has to know it."""
        limit = time.monotonic() + patience_s
        while b"\n" not in self._read:
            ready, _, _ = select.select([self._host], [], [], max(0, limit - time.monotonic()))
            assert ready, f"the agent is silent; see {self.errors}"
            self._read += os.read(self._host, 65536)
        line, self._read = self._read.split(b"\n", 1)
        message = parse(line)
        assert message is not None
        return message

    def hello(self) -> Hello:
        while not isinstance(message := self.next(), Hello):
            pass
        return message

    def report(self, why: str = "") -> Report:
        """Take the next report, or the next with this reason."""
        while not isinstance(message := self.next(), Report) or why not in ("", message.why):
            pass
        return message

    def done(self) -> Done:
        while not isinstance(message := self.next(), Done):
            pass
        return message

    def silent(self) -> bool:
        """Say whether nothing waits to be read."""
        return not self._read and not select.select([self._host], [], [], 0)[0]


class Inside:
    """The agent in this process, where a test is its clock."""

    def __init__(self, guest: AgentGuest) -> None:
        descriptor = guest.pair()
        self.agent = agent.Agent(f"/proc/self/fd/{descriptor}", str(guest.root))
        self.agent.port.fd = descriptor
        self.now = 1000.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        kernel = self.agent.kernel
        kernel.meminfo.close()
        kernel.vmstat.close()
        for descriptor in (kernel.pressure, kernel.trigger, self.agent.port.fd):
            if descriptor >= 0:
                os.close(descriptor)

    def after(self, seconds: float, *, called: bool = False) -> None:
        """Let time pass; `called`: by the kernel, because programs wait for memory."""
        self.now += seconds
        self.agent.turn(self.now, called, heard=True)
