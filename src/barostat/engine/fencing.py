"""Keep a fence around every guest: raised before it grows, lowered after it gave.

After each pass every guest's cgroup is read; where `core.fence` says so, its limit is set, through
whoever owns the cgroup. A grow waits until the fence has been raised for it, and is not sent where
that fails. A guest whose QEMU's own need has not been measured, or whose cgroup is not its own, has
no fence, and why is told once. When this ends all fences are lifted: one that nobody moves must not
hurt, and a guest cannot take more than its devices allow.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from barostat.core.fence import Change, FenceMode, FencePolicy, Inmate, set_fence
from barostat.engine.loop import Tick
from barostat.errors import BarostatError
from barostat.host.cgroup import check_limit, set_limit
from barostat.host.fenced import Fenced, look_at, look_at_all
from barostat.host.holding import Holding
from barostat.host.host import Host
from barostat.host.threads import in_thread, within
from barostat.host.tree import Tree

__all__ = ["Fencing", "Limiter"]

LOOK_S: Final = 2.0
SET_S: Final = 5.0
"""The kernel pages out for long before a limit below what is used stands."""
LIFT_S: Final = 5.0

HOST: Final = ""
"""Under this name stands what is wrong with the host itself."""

AT_ONCE: Final = 8
"""So many limits are set side by side at most: each has a thread."""

_log = logging.getLogger(__name__)


class Limiter(Protocol):
    """Who may own the cgroups of guests."""

    async def limit(self, guest: str, limit_bytes: int | None, *, hard: bool) -> bool:
        """Limit what a guest's QEMU holds; None takes the limit away.

        Returns:
            False if the guest's cgroup is not this one's to limit; nothing was changed then.

        Raises:
            HypervisorError
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Guest:
    """One guest as of the newest pass: what its fence is decided by, but for its cgroup."""

    inmate: Inmate
    pid: int


class Fencing:
    """Keeps fences.

    Args:
        policy: whether, and how.
        limiter: who may own the cgroups.
        host: the box; told whether fences are kept, because that takes a closer look.
        root: where /proc and /sys are.

    Attributes:
        faults: by guest, why its fence does not stand where it belongs; the host's own under "".
    """

    def __init__(
        self, policy: FencePolicy, limiter: Limiter, host: Host, *, root: Path = Path("/")
    ) -> None:
        self.faults: dict[str, str] = {}
        self._limiter, self._host, self._tree = limiter, host, Tree(root)
        self._guests: Mapping[str, _Guest] = {}
        self._fresh = asyncio.Event()
        self._kept: dict[str, bool] = {}  # who has a fence, and whether it is a hard one
        self._locks: dict[str, asyncio.Lock] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._ended = False
        self.policy = policy

    @property
    def policy(self) -> FencePolicy:
        """Whether and how fences are kept; may be replaced at any time."""
        return self._policy

    @policy.setter
    def policy(self, policy: FencePolicy) -> None:
        self._policy = policy
        self._host.fenced = policy.mode is not FenceMode.OFF
        self._fresh.set()

    @property
    def kept(self) -> frozenset[str]:
        """The guests around which a fence stands."""
        return frozenset(self._kept)

    def on_tick(self, tick: Tick) -> None:
        """Take in a pass; waits for nobody."""
        report = self._host.report
        self._guests = {} if report is None else _guests(tick, report.holdings)
        self._fresh.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Follow what guests have until told to stop; then lift every fence.

        Raises:
            ExceptionGroup: a fault of our own; fences are lifted all the same.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(self._follow(), name="follow with fences")
                await stop.wait()
                following.cancel()
        finally:
            self._ended = True
            await self._lift_all()

    async def before_grow(self, guest: str, to_bytes: int) -> None:
        """Raise a guest's fence for what it is about to be given, and wait until it stands.

        Raises:
            HostError, HypervisorError: it does not; the guest must not be given more.
        """
        # Who is not in here has no fence, and gets none before it was seen with what it is granted.
        if guest in self._locks and not self._ended:
            await self._adjust(guest, granted_bytes=to_bytes)

    async def _follow(self) -> None:
        """See to all fences after every pass; of several passes only to the newest."""
        while True:
            await self._fresh.wait()
            self._fresh.clear()
            for known in (self._kept, self._locks, self.faults):
                for guest in known.keys() - self._guests.keys() - {HOST}:
                    del known[guest]
            hard = self._policy.mode is FenceMode.HARD
            for guest, was_hard in list(self._kept.items()):
                if self._policy.mode is FenceMode.OFF or hard is not was_hard:
                    await self._lift(guest)
            if self._policy.mode is not FenceMode.OFF:
                await self._adjust_all(hard=hard)

    async def _adjust_all(self, *, hard: bool) -> None:
        """Look at every cgroup at once, and see to the fences that are not where they belong."""
        pids = {name: guest.pid for name, guest in self._guests.items()}
        try:
            read = in_thread(lambda: look_at_all(self._tree, pids, hard=hard), name="fences")
            seen = await within(read, LOOK_S, what="reading cgroups")
        except BarostatError as error:
            self._tell(HOST, error)
            return
        self.faults.pop(HOST, None)
        wrong = []
        for name, found in seen.items():
            guest = self._guests.get(name)
            if guest is None or found is None:
                continue
            fence = set_fence(found.inmate(guest.inmate), self._policy)
            if found.fault or fence.change is not Change.HOLD:
                wrong.append(name)
            elif found.fence_bytes is not None:  # from before us, and right where it stands
                self._kept.setdefault(name, hard)
        await asyncio.gather(*(self._adjust_or_tell(name) for name in wrong))

    async def _adjust_or_tell(self, guest: str) -> None:
        """See to one fence: the boundary at which a fault of one guest ends."""
        try:
            async with self._slots:
                await self._adjust(guest)
        except BarostatError as error:
            self._tell(guest, error)
        else:
            self.faults.pop(guest, None)

    async def _adjust(self, guest: str, *, granted_bytes: int = 0) -> None:
        """Have one fence where it belongs by what is seen now; one change of a guest at a time."""
        async with self._locks.setdefault(guest, asyncio.Lock()):
            known, hard = self._guests.get(guest), self._policy.mode is FenceMode.HARD
            found = None if known is None else await self._look(known.pid, hard=hard)
            if known is None or found is None:
                return
            check_limit(found.group, hard=hard)
            # Only now: while it was looked at, more may have been granted.
            newest = self._guests.get(guest, known).inmate
            fence = set_fence(found.inmate(newest, granted_bytes=granted_bytes), self._policy)
            if fence.change is not Change.HOLD:
                await self._set(guest, found, fence.limit_bytes, hard=hard)

    async def _look(self, pid: int, *, hard: bool) -> Fenced | None:
        look = in_thread(lambda: look_at(self._tree, pid, hard=hard), name="fence")
        return await within(look, LOOK_S, what="reading a cgroup")

    async def _set(self, guest: str, found: Fenced, limit_bytes: int | None, *, hard: bool) -> None:
        """Set a limit through whoever owns the cgroup."""
        if not await self._limiter.limit(guest, limit_bytes, hard=hard):
            write = in_thread(
                lambda: set_limit(self._tree, found.group, limit_bytes, hard=hard), name="fence"
            )
            await within(write, SET_S, what="setting a cgroup's limit")
        if limit_bytes is None:
            self._kept.pop(guest, None)
        else:
            self._kept[guest] = hard

    async def _lift(self, guest: str) -> None:
        """Take a guest's fence away; where that fails, say so, and try again later."""
        hard, known = self._kept[guest], self._guests.get(guest)
        try:
            async with self._locks.setdefault(guest, asyncio.Lock()):
                found = None if known is None else await self._look(known.pid, hard=hard)
                if found is not None:
                    await self._set(guest, found, None, hard=hard)
                self._kept.pop(guest, None)
        except BarostatError as error:
            self._tell(guest, error)

    async def _lift_all(self) -> None:
        try:
            async with asyncio.timeout(LIFT_S):
                await asyncio.gather(*(self._lift(guest) for guest in list(self._kept)))
        except TimeoutError:
            _log.warning("there was no time to lift every fence")
        for guest in self._kept:
            _log.warning("%s: its fence stands as it is", guest)

    def _tell(self, guest: str, error: BarostatError) -> None:
        """Log what is wrong with a guest's fence, once."""
        if self.faults.get(guest) != error.message:
            _log.warning("%s: %s; %s", guest or "the host", error.message, error.hint)
        self.faults[guest] = error.message


def _guests(tick: Tick, holdings: Mapping[str, Holding]) -> dict[str, _Guest]:
    """Put together what the newest pass says of guests that can have a fence."""
    found = {}
    for seen, decided in zip(tick.snapshot.guests, tick.decision.guests, strict=True):
        holding, devices = holdings.get(seen.name), seen.devices
        if holding is None or not holding.measured or decided.paged_bytes:
            continue  # while the host pages for it, its limit follows that
        inmate = Inmate(
            run_state=seen.run_state,
            actual_bytes=devices.assigned_bytes,
            promised_bytes=decided.promised_bytes,
            restart_bytes=devices.boot_bytes + devices.plugged_bytes,
            overhead_bytes=holding.own_bytes,
            used_bytes=holding.resident_bytes,
            fence_bytes=None,
        )
        found[seen.name] = _Guest(inmate=inmate, pid=holding.pid)
    return found
