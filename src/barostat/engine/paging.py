"""Have the host page for a guest that restarts, as was decided, and leave no trace of it.

While a guest boots it is seen whether the host could page for it; where `core.paging` says so, its
cgroup's `memory.high` and `memory.swap.max` are set, followed as memory is found, and put back as
they were when it is over, when this ends, and, from a note on disk, after a daemon that was killed.
Where one cannot be set nobody counts on it: why is told once, and shown.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from barostat.core.observation import GuestObservation, HostObservation, RunState
from barostat.core.paging import LEAST_BYTES
from barostat.engine.fencing import Limiter
from barostat.engine.loop import Tick
from barostat.engine.paging_note import Before, PagingNote
from barostat.errors import BarostatError, HostError
from barostat.host.cgroup import set_limit
from barostat.host.host import Host
from barostat.host.memory import Memory
from barostat.host.swap import SwapLimits, check_swap, read_swap_limits, set_swap_limit
from barostat.host.threads import in_thread, within
from barostat.host.tree import Tree

__all__ = ["SmartPaging"]

LOOK_S: Final = 2.0
SET_S: Final = 5.0
"""The kernel pages out for long before a limit below what is used stands."""
LIFT_S: Final = 5.0

OBSERVING: Final = "the daemon only observes"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What one guest may have now: so much in memory with QEMU's own, and so much in swap."""

    pid: int
    memory_bytes: int
    swap_bytes: int


class SmartPaging:
    """Sees to what is paged; the box, for a balancer, that can also say whether it could.

    Args:
        host: the box.
        limiter: who may own the cgroups.
        fenced: whether `memory.high` is the fence's, which then puts it where it belongs itself.
        note: where it is noted what is to be put back.
        observing: nothing is moved, so nothing is paged.
        root: where /proc and /sys are.

    Attributes:
        faults: by guest, why its limits do not stand as they should.
    """

    def __init__(
        self,
        host: Host,
        limiter: Limiter,
        *,
        note: Path,
        fenced: Callable[[], bool] = lambda: False,
        observing: bool = False,
        root: Path = Path("/"),
    ) -> None:
        self.faults: dict[str, str] = {}
        self._host, self._limiter, self._fenced = host, limiter, fenced
        self._tree, self._observing = Tree(root), observing
        self._note = PagingNote(note)
        self._wishes: Mapping[str, _Wish] = {}
        self._fresh = asyncio.Event()

    async def observe(self, guests: Sequence[GuestObservation]) -> HostObservation:
        """Look at the box, and for guests that boot, whether it could page for them.

        Raises:
            HostError: it cannot be looked at, and never could be.
        """
        box, report = await self._host.observe(guests), self._host.report
        booting = [guest.name for guest in guests if guest.run_state is RunState.BOOTING]
        if report is None or not (booting or self.faults):
            return box
        if self._observing:
            return replace(box, unpageable=dict.fromkeys(booting, OBSERVING))
        pids = {name: item.pid for name in booting if (item := report.holdings.get(name))}
        unseen = (name for name in booting if name not in pids)
        unpageable = dict.fromkeys(unseen, "its QEMU is not to be seen")
        unpageable |= await self._why_not(pids, report.memory)
        promised = sum(wish.swap_bytes for wish in self._wishes.values())
        free = max(0, report.memory.swap_free_bytes - promised)
        pageable = {name: free for name in pids if name not in unpageable}
        return replace(box, pageable=pageable, unpageable=unpageable)

    async def _why_not(self, pids: Mapping[str, int], memory: Memory) -> dict[str, str]:
        """Say for whom the host could not page, and why."""
        look = in_thread(lambda: _faults(self._tree, pids, memory), name="swap")
        try:
            found = await within(look, LOOK_S, what="reading cgroups")
        except HostError as error:
            found = dict.fromkeys(pids, error.message)
        return found | self.faults

    def on_tick(self, tick: Tick) -> None:
        """Take in a pass; waits for nobody."""
        report = self._host.report
        holdings = {} if report is None else report.holdings
        self._wishes = {
            guest.guest: _Wish(
                pid=holding.pid,
                memory_bytes=guest.promised_bytes + holding.own_bytes,
                swap_bytes=guest.paged_bytes,
            )
            for guest in tick.decision.guests
            if guest.paged_bytes and (holding := holdings.get(guest.guest)) is not None
        }
        there = {guest.name for guest in tick.snapshot.guests if guest.statistics is None}
        self.faults = {name: fault for name, fault in self.faults.items() if name in there}
        self._fresh.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Follow what is decided until told to stop; then put everything back.

        Raises:
            ExceptionGroup: a fault of our own; everything is put back all the same.
        """
        await self._note.read()
        try:
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(self._follow(), name="follow with paging")
                await stop.wait()
                following.cancel()
        finally:
            await self._put_all_back()

    async def _follow(self) -> None:
        """See to all limits after every pass; of several passes only to the newest."""
        for guest in list(self._note.kept):  # of a daemon that was killed
            await self._or_tell(guest, self._put_back(guest))
        while True:
            await self._fresh.wait()
            self._fresh.clear()
            wishes = self._wishes
            for guest in self._note.kept.keys() - wishes.keys():
                await self._or_tell(guest, self._put_back(guest))
            for guest, wish in wishes.items():
                await self._or_tell(guest, self._page(guest, wish))

    async def _or_tell(self, guest: str, work: Awaitable[None]) -> None:
        """Do one thing for one guest: the boundary at which its fault ends."""
        try:
            await work
        except BarostatError as error:
            if self.faults.get(guest) != error.message:
                _log.warning("%s: Smart Paging: %s; %s", guest, error.message, error.hint)
            self.faults[guest] = error.message

    async def _page(self, guest: str, wish: _Wish) -> None:
        """Have a guest's limits where they belong now; what they were is noted before."""
        stands = await self._read(wish.pid)
        before = self._note.kept.get(guest)
        if before is None:
            before = Before(
                pid=wish.pid,
                folder=stands.group.folder,
                high_bytes=None if self._fenced() else stands.high_bytes,
                swap_bytes=stands.swap_bytes,
                swapped_bytes=stands.swapped_bytes,
            )
            await self._note.keep(guest, before)
        swap_bytes = before.swapped_bytes + wish.swap_bytes
        if _differs(stands.swap_bytes, swap_bytes):
            await self._set_swap(stands, swap_bytes)
        if _differs(stands.high_bytes, wish.memory_bytes):
            await self._set_high(guest, stands, wish.memory_bytes)

    async def _put_back(self, guest: str) -> None:
        """Have a guest's limits as they were; one whose QEMU has gone has none."""
        before = self._note.kept[guest]
        if not self._tree.has(f"proc/{before.pid}"):
            await self._note.forget(guest)
            return
        stands = await self._read(before.pid)
        if stands.group.folder == before.folder:
            await self._set_high(guest, stands, before.high_bytes)
            await self._set_swap(stands, before.swap_bytes)
        await self._note.forget(guest)

    async def _put_all_back(self) -> None:
        try:
            async with asyncio.timeout(LIFT_S):
                for guest in list(self._note.kept):
                    await self._or_tell(guest, self._put_back(guest))
        except TimeoutError:
            _log.warning("there was no time to end all Smart Paging; the next daemon does")

    async def _read(self, pid: int) -> SwapLimits:
        look = in_thread(partial(read_swap_limits, self._tree, pid), name="swap")
        return await within(look, LOOK_S, what="reading a cgroup")

    async def _set_swap(self, stands: SwapLimits, limit_bytes: int | None) -> None:
        # libvirt takes this limit only together with a hard one, which would kill: it is set here.
        write = in_thread(
            partial(set_swap_limit, self._tree, stands.group, limit_bytes), name="swap"
        )
        await within(write, SET_S, what="setting a cgroup's limit")

    async def _set_high(self, guest: str, stands: SwapLimits, limit_bytes: int | None) -> None:
        """Set `memory.high` through whoever owns the cgroup."""
        if await self._limiter.limit(guest, limit_bytes, hard=False):
            return
        write = in_thread(
            partial(set_limit, self._tree, stands.group, limit_bytes, hard=False), name="swap"
        )
        await within(write, SET_S, what="setting a cgroup's limit")


def _differs(stands_bytes: int | None, wanted_bytes: int) -> bool:
    """Say whether a limit is worth setting again."""
    return stands_bytes is None or abs(stands_bytes - wanted_bytes) >= LEAST_BYTES


def _faults(tree: Tree, pids: Mapping[str, int], memory: Memory) -> dict[str, str]:
    """Say for which guests the host could not page, and why."""
    found = {}
    for guest, pid in pids.items():
        try:
            check_swap(tree, pid, memory)
        except HostError as error:
            found[guest] = error.message
    return found
