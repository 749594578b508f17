"""Barostat's agents in all guests of a host: the channels to them, and what of it is believed.

Every guest with a socket has a channel, in a task of its own; a socket that is there anew under the
same name is another channel. A look waits for none of them. Everything is judged against what the
host knows of the guest at that look, by the rules of `belief`.
"""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from barostat.core.observation import Depth, GuestObservation
from barostat.guest.base import Card, HostWord
from barostat.guest.belief import deepened
from barostat.guest.channel import Channel
from barostat.guest.protocol import Report

__all__ = ["Agents"]

DOUBT: Final = "its figures contradict each other, or what the VM has"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Socket:
    path: Path
    identity: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    socket: _Socket
    channel: Channel
    task: asyncio.Task[None]


class Agents:
    """All agents of one host.

    Args:
        sockets: where they are spoken to, by guest, as of now; must not block.
        clock: monotonic seconds, the clock of the guests' stamps.
        on_report: told at once of every report that is believed; must not raise.
    """

    def __init__(
        self,
        *,
        sockets: Callable[[], Mapping[str, Path]],
        clock: Callable[[], float] = time.monotonic,
        on_report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._sockets = sockets
        self._clock = clock
        self._on_report = on_report
        self._guests: frozenset[str] = frozenset()
        self._changed = asyncio.Event()
        self._kept: dict[str, _Kept] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Listen until told to stop.

        Raises:
            ExceptionGroup: a fault of our own.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._wake(stop), name="agents' end")
            try:
                while not stop.is_set():
                    self._changed.clear()
                    await self._keep(tasks)
                    await self._changed.wait()
            finally:
                for name in list(self._kept):
                    self._drop(name)

    async def _wake(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._changed.set()

    async def _keep(self, tasks: asyncio.TaskGroup) -> None:
        """Bring the channels in line with the guests and sockets that are there."""
        paths = {name: path for name, path in self._sockets().items() if name in self._guests}
        found = await asyncio.to_thread(_find, paths)
        for name in [name for name, kept in self._kept.items() if found.get(name) != kept.socket]:
            self._drop(name)
        for name, file in found.items():
            if name in self._kept:
                continue
            channel = Channel(name, file.path, clock=self._clock, on_report=self._on_report)
            task = tasks.create_task(channel.run(), name=f"agent {name}")
            self._kept[name] = _Kept(socket=file, channel=channel, task=task)

    def _drop(self, name: str) -> None:
        self._kept.pop(name).task.cancel()

    def _channel(self, guest: str) -> Channel | None:
        kept = self._kept.get(guest)
        return None if kept is None else kept.channel

    def follow(self, guests: Sequence[GuestObservation]) -> None:
        """Keep to the guests that were just seen; nothing is waited for."""
        self._guests = frozenset(guest.name for guest in guests)
        for guest in guests:
            channel = self._channel(guest.name)
            if channel is not None:
                channel.disturbed(guest.disturbed_at_s)
        self._changed.set()

    def deepen(self, guest: GuestObservation) -> GuestObservation:
        """Add to what was seen of a guest what its agent said, if that is fresh and can be true."""
        channel = self._channel(guest.name)
        if channel is None:
            return guest
        report, talk = channel.report, channel.talk
        if report is None or talk.report_at_s <= guest.disturbed_at_s:
            return guest
        deep = deepened(guest, report, at_s=talk.report_at_s)
        channel.doubt = DOUBT if deep is None else ""
        return deep or guest

    def card(self, guest: str) -> Card | None:
        """Say what is known of the agent in a guest, None if there was never one."""
        channel = self._channel(guest)
        if channel is None:
            return None
        hello, report, fault = channel.talk.hello, channel.talk.report, self._fault(channel)
        if hello is None:
            return Card(depth=Depth.BALLOON, fault=fault) if fault else None
        return Card(
            depth=Depth.BALLOON if fault else Depth.AGENT,
            version=hello.agent,
            kernel=hello.kernel,
            onlining=hello.online,
            block_bytes=hello.block_bytes,
            swap_bytes=None if report is None else report.swap_total_bytes,
            swap_free_bytes=None if report is None else _swap_free_bytes(report),
            committed_bytes=None if report is None else report.committed_bytes,
            hook=hello.hook,
            fault=fault,
        )

    def _fault(self, channel: Channel) -> str:
        """Say why the agent in a guest is not believed, or not heard; empty while it is."""
        now_s, talk = self._clock(), channel.talk
        if channel.fault:
            left_s = channel.due_s - now_s
            when = f"in {left_s:.0f} s" if left_s >= 1 else "now"
            return f"{channel.fault}; it is tried again {when}"
        if talk.hello is None:
            return ""
        if channel.report is None:
            return talk.doubt or f"it has not reported for {now_s - talk.report_at_s:.0f} s"
        return talk.doubt or channel.doubt

    def tell(self, guest: str, word: HostWord) -> None:
        """Tell a guest what it may have; where nobody listens, nothing happens."""
        channel = self._channel(guest)
        if channel is not None:
            channel.tell(word)

    async def before_shrink(self, guest: str, to_bytes: int) -> None:
        """Let the guest's programs give memory by themselves first, for 2 s at most."""
        channel = self._channel(guest)
        if channel is not None:
            await channel.before_shrink(to_bytes)

    async def after_grow(self, guest: str, to_bytes: int) -> None:
        """Let the guest's programs know that they may use more; waits for nobody."""
        channel = self._channel(guest)
        if channel is not None:
            channel.after_grow(to_bytes)


def _swap_free_bytes(report: Report) -> int:
    return min(report.swap_free_bytes, report.swap_total_bytes)


def _find(paths: Mapping[str, Path]) -> dict[str, _Socket]:
    """Say which sockets are there; a new one under an old name has another identity."""
    found = {}
    for name, path in paths.items():
        try:
            status = path.stat()
        except OSError:
            continue  # it went with its QEMU
        if stat.S_ISSOCK(status.st_mode):
            identity = (status.st_dev, status.st_ino, status.st_ctime_ns)
            found[name] = _Socket(path=path, identity=identity)
    return found
