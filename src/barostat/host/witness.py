"""A closer look at single guests, for what /proc/PID/status cannot tell: rare, and under a budget.

A guest whose QEMU holds more than it should is looked at to tell QEMU's own memory from the
guest's. Where the operator allows it, every guest is looked at now and then for what it touches:
the kernel is told to forget, and asked a while later. Both are used to check what guests say and to
see those that say nothing, never to shrink anybody. One look at a time, in a thread of its own that
nobody waits for: a QEMU that hangs costs these looks and nothing else.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import math
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from barostat.errors import HostError
from barostat.host.mappings import RamUse, forget_references, has_own_page_tables, read_ram
from barostat.host.threads import in_thread
from barostat.host.tree import Tree

__all__ = ["Touched", "Witness", "WitnessPace"]

WINDOW_S: Final = 10.0
"""What is not touched for so long is not hot; over 3 s a guest's hot set was seen within 40 MiB."""

SUSPECT_S: Final = 30.0
"""How often a guest whose QEMU holds too much is looked at."""

MINUTE_S: Final = 60.0
"""What was not spent is saved for so long."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """What a guest touched of its RAM.

    Attributes:
        touched_bytes: that.
        resident_bytes: what of its RAM was on the host.
        over_s: within how long.
        at_s: when it was seen, on the host's clock.
    """

    touched_bytes: int
    resident_bytes: int
    over_s: float
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessPace:
    """How often guests are looked at closer.

    Attributes:
        own_s: how often QEMU's own memory is told from its guest's; None: of suspects only.
        touched_s: how often it is seen what a guest touches; None: never.
        budget_ratio: the share of the time that all of it may take.
    """

    own_s: float | None
    touched_s: float | None
    budget_ratio: float


class _Kind(enum.Enum):
    """What a look is for."""

    RAM = "ram"  # to tell QEMU's own memory from the guest's
    CLEAR = "clear"  # to begin a window in which it is seen what a guest touches
    HOT = "hot"  # to end one


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """One look: whom at, what for, and when it began."""

    guest: str
    pid: int
    kind: _Kind
    began_s: float


class Witness:
    """Looks closer at single guests.

    Args:
        tree: the kernel's files.
        clock: monotonic seconds.

    Attributes:
        ram: by guest, its RAM on the host and QEMU's own memory when they were last looked at.
        touched: by guest, what it touched, where that is allowed and can be seen.
    """

    def __init__(self, tree: Tree, *, clock: Callable[[], float]) -> None:
        self.ram: dict[str, RamUse] = {}
        self.touched: dict[str, Touched] = {}
        self._tree = tree
        self._clock = clock
        self._under_way: tuple[_Look, asyncio.Future[tuple[RamUse | None, float]]] | None = None
        self._pids: Mapping[str, int] = {}
        self._looked_s: dict[tuple[str, _Kind], float] = {}
        self._windows: dict[str, float] = {}
        self._credit_s = 0.0
        self._credited_s = clock()
        self._told = False

    def see(self, pids: Mapping[str, int], suspects: Collection[str], *, pace: WitnessPace) -> None:
        """Take in what the last look found, and begin the next if one is due. Waits for nobody.

        Args:
            pids: the QEMUs, by guest.
            suspects: whose QEMU holds more than it should.
            pace: how often, and how much of the time all of this may take.
        """
        now_s = self._clock()
        most_s = MINUTE_S * pace.budget_ratio
        earned_s = (now_s - self._credited_s) * pace.budget_ratio
        self._credit_s, self._credited_s = min(self._credit_s + earned_s, most_s), now_s
        self._take_in()
        self._keep_to(pids, hot=pace.touched_s is not None)
        if self._under_way is not None or self._credit_s < 0:
            return
        look = self._ended(now_s) or self._due(suspects, pace, now_s)
        if look is not None:
            self._under_way = look, in_thread(lambda: self._timed(look), name="witness")

    def _keep_to(self, pids: Mapping[str, int], *, hot: bool) -> None:
        """Forget who is gone or is another process by now, and what is not asked for any more."""
        same = {guest for guest, pid in pids.items() if self._pids.get(guest) == pid}
        self._pids = dict(pids)
        self._windows = {guest: at for guest, at in self._windows.items() if hot and guest in same}
        self.touched = {guest: saw for guest, saw in self.touched.items() if hot and guest in same}
        self.ram = {guest: ram for guest, ram in self.ram.items() if guest in same}
        self._looked_s = {key: due for key, due in self._looked_s.items() if key[0] in same}

    def _ended(self, now_s: float) -> _Look | None:
        """Find a guest whose window is over."""
        for guest, began_s in self._windows.items():
            if now_s - began_s >= WINDOW_S:
                return self._look(guest, _Kind.HOT, now_s)
        return None

    def _due(self, suspects: Collection[str], pace: WitnessPace, now_s: float) -> _Look | None:
        """Find the guest that has waited longest to be looked at."""
        wanted = [
            (guest, _Kind.RAM, SUSPECT_S if guest in suspects else pace.own_s)
            for guest in self._pids
        ]
        wanted += [
            (guest, _Kind.CLEAR, pace.touched_s)
            for guest in self._pids
            if guest not in self._windows
        ]
        due = [
            (self._looked_s.get((guest, kind), -math.inf) + pause_s, kind.value, guest, kind)
            for guest, kind, pause_s in wanted
            if pause_s is not None
        ]
        if not due or min(due)[0] > now_s:
            return None
        _, _, guest, kind = min(due)
        self._looked_s[guest, kind] = now_s
        return self._look(guest, kind, now_s)

    def _look(self, guest: str, kind: _Kind, now_s: float) -> _Look:
        return _Look(guest=guest, pid=self._pids[guest], kind=kind, began_s=now_s)

    def _timed(self, look: _Look) -> tuple[RamUse | None, float]:
        """Do a look, in a thread, and say how long it took."""
        began_s = time.perf_counter()
        match look.kind:
            case _Kind.RAM | _Kind.HOT:
                seen = read_ram(self._tree, look.pid)
            case _Kind.CLEAR:
                seen = self._clear(look.pid)
            case _:
                assert_never(look.kind)
        return seen, time.perf_counter() - began_s

    def _clear(self, pid: int) -> RamUse | None:
        """Begin a window, where anything could be seen in it."""
        if has_own_page_tables(self._tree, pid):
            return None
        forget_references(self._tree, pid)
        return RamUse(resident_bytes=0, swapped_bytes=0, referenced_bytes=0)

    def _take_in(self) -> None:
        """Take in what a look found, if it is done."""
        if self._under_way is None or not self._under_way[1].done():
            return
        (look, future), self._under_way = self._under_way, None
        try:
            seen, took_s = future.result()
        except HostError as error:
            if not self._told:
                _log.warning("%s; %s", error.message, error.hint)
            self._told = True
            return
        self._credit_s -= took_s
        if self._pids.get(look.guest) == look.pid:
            self._found(look, seen)

    def _found(self, look: _Look, seen: RamUse | None) -> None:
        guest = look.guest
        match look.kind:
            case _Kind.RAM:
                self.ram.pop(guest, None)
                if seen is not None:
                    self.ram[guest] = seen
            case _Kind.CLEAR:
                if seen is not None:
                    self._windows[guest] = self._clock()
            case _Kind.HOT:
                began_s = self._windows.pop(guest, look.began_s)
                if seen is not None:
                    self.touched[guest] = Touched(
                        touched_bytes=seen.referenced_bytes,
                        resident_bytes=seen.resident_bytes,
                        over_s=look.began_s - began_s,
                        at_s=look.began_s,
                    )
            case _:
                assert_never(look.kind)
