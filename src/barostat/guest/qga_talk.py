"""What qemu-guest-agent in one guest is asked, in which order, and how far it is believed.

First who it is and what it allows; then, each time, whether the guest is frozen for a backup, in
which case nothing is read; then three files of /proc. Within one boot a counter that fell stands
where it was, and none rises faster than a machine can make it rise. Times are arguments.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

from msgspec import Struct

from barostat.core.statistics import Inside
from barostat.errors import RefusedError
from barostat.guest.belief import MOVED_BYTES_PER_S, STALL_RATIO
from barostat.guest.protocol import ONLININGS, SHOWN_CHARACTERS, ProtocolError
from barostat.guest.qga_files import GuestFiles, Swap, number_in, read_inside, read_swap

__all__ = ["About", "Talk"]

FILE_COMMANDS: Final = ("guest-file-open", "guest-file-read", "guest-file-close")

SHUT: Final = (
    "qemu-guest-agent in the guest does not allow files to be read: allow "
    f"{', '.join(FILE_COMMANDS)} in its qemu-ga.conf (or /etc/sysconfig/qemu-ga) and restart it"
)
WINDOWS: Final = "the guest is a Windows: what it needs cannot be read through qemu-guest-agent"

BLOCKS: Final = "/sys/devices/system/memory"
BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"
"""Another one each time a kernel starts, also where the hypervisor sees no reset (kexec)."""

COUNTERS: Final = {
    "stalled_us": 1_000_000 * STALL_RATIO,
    "refaulted_bytes": MOVED_BYTES_PER_S,
    "scanned_bytes": MOVED_BYTES_PER_S,
}
"""What only rises within a boot, and by how much a second at most."""

LATE_S: Final = 1.0
"""Three files are read one after the other: so far apart may two readings of one be besides."""


class _Command(Struct):
    name: str
    enabled: bool


class _Info(Struct):
    version: str
    supported_commands: list[_Command]


class _System(Struct, rename="kebab"):
    id: str = ""
    kernel_release: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """Who the agent is and what does not change while its guest runs.

    Attributes:
        version: the agent's; like all words here fit to be shown.
        kernel: the guest's release.
        onlining: what its kernel does with plugged memory.
        block_bytes: the size of its memory blocks.
        boot: which boot this is.
        fault: why nothing can be read; empty if it can.
        hopeless: and never will be, before it boots something else.
    """

    version: str | None = None
    kernel: str | None = None
    onlining: str | None = None
    block_bytes: int | None = None
    boot: str | None = None
    fault: str = ""
    hopeless: bool = False


class Talk:
    """What was learned of one guest, and is remembered between the readings.

    Args:
        files: the guest's files.
        clock: monotonic seconds, the clock of the guest's stamps.

    Attributes:
        about: who answers, None until that is known.
        inside: the newest reading that is believed, of this boot.
        swap: the guest's swap, as read with it.
        frozen: its file systems are frozen for a backup.
    """

    def __init__(self, files: GuestFiles, *, clock: Callable[[], float]) -> None:
        self.files = files
        self.about: About | None = None
        self.inside: Inside | None = None
        self.swap: Swap = (None, None)
        self.frozen = False
        self._clock = clock
        self._freezes = False
        self._absent: set[str] = set()

    async def turn(self) -> None:
        """Learn what can be learned now.

        Raises:
            ProtocolError: an answer does not fit, or cannot be believed.
            HypervisorError, UnknownGuestError: there was none.
        """
        about = self.about
        if about is None or about.fault:
            info = await self.files.say("guest-info", _Info)
            allowed = {command.name for command in info.supported_commands if command.enabled}
            self._freezes = "guest-fsfreeze-status" in allowed
            if await self._is_frozen():  # then next to nothing is allowed, which tells nothing
                return
            await self.files.close_left_open()
            about = self.about = await self._introduce(info.version, allowed)
        elif await self._is_frozen():
            return
        if not about.fault:
            await self.files.close_left_open()
            await self._read(about)

    async def _is_frozen(self) -> bool:
        ask = self._freezes
        self.frozen = ask and await self.files.say("guest-fsfreeze-status", str) != "thawed"
        return self.frozen

    async def _introduce(self, version: str, allowed: Collection[str]) -> About:
        system = _System()
        if "guest-get-osinfo" in allowed:
            with contextlib.suppress(RefusedError):
                system = await self.files.say("guest-get-osinfo", _System)
        about = About(version=_shown(version), kernel=_shown(system.kernel_release))
        if system.id == "mswindows":
            return replace(about, fault=WINDOWS, hopeless=True)
        if not set(FILE_COMMANDS) <= set(allowed):
            return replace(about, fault=SHUT)
        onlining = (await self._text(f"{BLOCKS}/auto_online_blocks") or "").strip()
        return replace(
            about,
            onlining=onlining if onlining in ONLININGS else None,
            block_bytes=number_in(await self._text(f"{BLOCKS}/block_size_bytes"), base=16),
            boot=await self._text(BOOT_ID),
        )

    async def _read(self, about: About) -> None:
        at_s = self._clock()
        meminfo = await self.files.read("/proc/meminfo")
        vmstat = await self._text("/proc/vmstat")
        now = read_inside(meminfo, vmstat, await self._text("/proc/pressure/memory"), at_s=at_s)
        before = self.inside
        if before is not None and _fell(before, now) and await self._text(BOOT_ID) != about.boot:
            self.about = before = None  # another boot: all that was learned is of the last
            self._absent.clear()
        self.inside = now if before is None else _believed(before, now)
        self.swap = read_swap(meminfo)

    async def _text(self, path: str) -> str | None:
        """Read a file that a guest may not have; what it lacks in this boot is not asked again."""
        if path in self._absent:
            return None
        try:
            return await self.files.read(path)
        except RefusedError:
            self._absent.add(path)
            return None


def _shown(text: str) -> str | None:
    """Make a guest's word fit for a terminal, a page and a log."""
    return re.sub(r"[^A-Za-z0-9._+~@:-]", "?", text[:SHOWN_CHARACTERS]) or None


def _fell(before: Inside, now: Inside) -> bool:
    pairs = ((getattr(before, name), getattr(now, name)) for name in COUNTERS)
    return any(was is not None and said is not None and said < was for was, said in pairs)


def _believed(before: Inside, now: Inside) -> Inside:
    """Hold a reading against the one before it, of the same boot.

    Raises:
        ProtocolError: it cannot be true.
    """
    elapsed_s = now.at_s - before.at_s
    held: dict[str, int] = {}
    for name, most_per_s in COUNTERS.items():
        was, said = getattr(before, name), getattr(now, name)
        most = 0 if was is None else was + int(most_per_s * (elapsed_s + LATE_S))
        if was is None:
            continue
        if said is None or said < was:
            held[name] = was
        elif said > most:
            raise ProtocolError("what the guest counts rises faster than any machine can count")
    return replace(now, **held)
