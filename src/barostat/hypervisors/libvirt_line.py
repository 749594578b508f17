"""One connection to libvirt and what is asked on it. Everything here blocks: it runs in workers.

libvirt speaks KiB. `balloon.current` of its statistics counts virtio-mem in and is off after a
reset, so it only shows that something changed: the balloon's size comes from `memoryStats`,
straight from QEMU, and what is plugged from the domain's XML, which libvirt keeps by QEMU's events.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from barostat.hypervisors.guest_agent import read_answer, write_command
from barostat.hypervisors.libvirt_api import libvirt, libvirt_qemu, open_connection
from barostat.hypervisors.libvirt_errors import translate, translate_agent, translate_opening

__all__ = ["Exact", "Figures", "Line", "Listed"]

PERIOD_S: Final = 1
"""How often QEMU is to ask a guest for statistics: as often as they are looked at."""

PATIENCE_S: Final = 0.05
"""A guest that is asked answers in 1 to 10 ms. One that gets no processor is not waited for."""
SHORT_PATIENCE_S: Final = 0.02
FIRST_PAUSE_S: Final = 0.001
"""And twice as long each time: a question costs libvirt and QEMU a millisecond."""

OUTSIDE: Final = frozenset({"actual", "rss"})
"""What of libvirt's figures is not the guest's word."""

Figures = Mapping[str, int]
"""The balloon group of libvirt's statistics, without "balloon."; empty if the guest was busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What libvirt says of a domain that runs, without asking its QEMU.

    Attributes:
        identity: another one each time it is started.
        state, reason: virDomainState, and the reason that goes with it.
    """

    identity: tuple[str, int]
    state: int
    reason: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """A domain asked by itself.

    Attributes:
        xml: the live one.
        figures: of `memoryStats`, called as those of lists; None if QEMU was not asked.
        moving: a migration, save or dump is under way; None if that was not asked.
        fresh: the guest itself said the figures after it was asked.
    """

    xml: str
    figures: Figures | None
    moving: bool | None
    fresh: bool = False


class Line:
    """A connection, and the domains that were met on it."""

    def __init__(self, uri: str, connection: Any) -> None:
        self.uri = uri
        self.connection = connection
        self._domains: dict[str, Any] = {}

    @classmethod
    def open(cls, uri: str) -> Self:
        """Connect.

        Raises:
            UnreachableError
        """
        try:
            return cls(uri, open_connection(uri))
        except libvirt.libvirtError as error:
            raise translate_opening(uri, error) from error

    @property
    def alive(self) -> bool:
        """Whether the connection stands, as far as this side knows; asks nobody."""
        try:
            return bool(self.connection.isAlive())
        except libvirt.libvirtError:
            return False

    def close(self) -> None:
        """Let go of the connection, and of the domains first: each of them holds it open."""
        self._domains.clear()
        with contextlib.suppress(libvirt.libvirtError):
            self.connection.close()

    def domain(self, name: str) -> Any:
        """Find a domain by its name.

        Raises:
            libvirt.libvirtError: there is none.
        """
        found = self._domains.get(name)
        if found is None:
            found = self._domains[name] = self.connection.lookupByName(name)
        return found

    def forget(self, name: str) -> None:
        """Look a domain up anew the next time: it may be another one of that name by now."""
        self._domains.pop(name, None)

    def list_running(self) -> dict[str, Listed]:
        """Say who runs.

        Raises:
            HypervisorError
        """
        flags = (
            libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
            | libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        )
        try:
            records = self.connection.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, flags)
        except libvirt.libvirtError as error:
            raise translate(self.uri, error) from error
        return {
            domain.name(): Listed(
                identity=(domain.UUIDString(), domain.ID()),
                state=figures.get("state.state", libvirt.VIR_DOMAIN_NOSTATE),
                reason=figures.get("state.reason", 0),
            )
            for domain, figures in records
        }

    def list_figures(self, names: Sequence[str]) -> dict[str, Figures]:
        """Read what several guests' balloon drivers last said; one that is busy is left empty.

        Who is not running is left out.

        Raises:
            HypervisorError
        """
        flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
        try:
            known = list(self._known(names))
            records = known and self.connection.domainListGetStats(
                known, libvirt.VIR_DOMAIN_STATS_BALLOON, flags
            )
        except libvirt.libvirtError as error:
            raise translate(self.uri, error) from error
        found: dict[str, Figures] = {
            domain.name(): {key.removeprefix("balloon."): figure for key, figure in said.items()}
            for domain, said in records
        }
        for name in names:
            if name not in found:
                self.forget(name)
        return found

    def _known(self, names: Sequence[str]) -> Iterator[Any]:
        """Find domains by their names, one by one: a list waits for those that are being started.

        Raises:
            libvirt.libvirtError
        """
        for name in names:
            try:
                yield self.domain(name)
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise

    def exact(self, name: str, *, from_qemu: bool, job: bool, anew: bool = False) -> Exact:
        """Ask one domain.

        Args:
            name: its name.
            from_qemu: ask its QEMU too; one that is being received answers nothing.
            job: ask whether it is being moved.
            anew: have the guest itself asked, and wait a moment until it says something else
                than before.

        Raises:
            HypervisorError
        """
        with self.asking(name) as domain:
            moving = _moving(domain) if job else None
            figures = _memory_stats(domain) if from_qemu else None
            before = figures
            if before is not None and anew and not moving:
                figures = _ask_guest(domain, before)
            fresh = _words(figures) != _words(before)
            return Exact(xml=domain.XMLDesc(0), figures=figures, moving=moving, fresh=fresh)

    def set_period(self, name: str) -> None:
        """Have a domain's QEMU ask its guest for statistics, from now on while it runs.

        Raises:
            HypervisorError
        """
        with self.asking(name) as domain:
            domain.setMemoryStatsPeriod(PERIOD_S, libvirt.VIR_DOMAIN_AFFECT_LIVE)

    def ask_agent(
        self, name: str, *, command: str, arguments: Mapping[str, object], timeout_s: int
    ) -> object:
        """Have qemu-guest-agent in a domain run a command.

        Raises:
            HypervisorError
        """
        said = write_command(command, arguments)
        try:
            answer: str = libvirt_qemu.qemuAgentCommand(self.domain(name), said, timeout_s, 0)
        except libvirt.libvirtError as error:
            self.forget(name)
            raise translate_agent(self.uri, error, guest=name, command=command) from error
        return read_answer(name, command, answer.encode())

    @contextlib.contextmanager
    def asking(self, name: str) -> Iterator[Any]:
        """Give a domain to be asked.

        Raises:
            HypervisorError: for every libvirtError.
        """
        try:
            yield self.domain(name)
        except libvirt.libvirtError as error:
            self.forget(name)
            raise translate(self.uri, error, guest=name) from error


def _ask_guest(domain: Any, before: Figures) -> Figures:
    """Have the guest asked at once: QEMU does so when its interval is set from 0 to another."""
    live = libvirt.VIR_DOMAIN_AFFECT_LIVE
    with contextlib.suppress(libvirt.libvirtError):  # denied: then it says what it said last
        domain.setMemoryStatsPeriod(0, live)
        domain.setMemoryStatsPeriod(PERIOD_S, live)
    # While the last answer is of this very second, an unchanged one cannot be told from none.
    hopeless = before.get("last-update", 0) == int(time.time())
    until_s = time.monotonic() + (SHORT_PATIENCE_S if hopeless else PATIENCE_S)
    pause_s = FIRST_PAUSE_S
    while True:
        time.sleep(pause_s)  # in a worker, of which there are several
        figures = _memory_stats(domain)
        if time.monotonic() >= until_s or _words(figures) != _words(before):
            return figures
        pause_s *= 2


def _words(figures: Figures | None) -> Figures:
    """Keep what the guest said: the rest is QEMU's, and changes by itself."""
    return {key: figures[key] for key in figures if key not in OUTSIDE} if figures else {}


def _memory_stats(domain: Any) -> Figures:
    try:
        said = domain.memoryStats()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        return {}
    return {"last-update" if key == "last_update" else key: said[key] for key in said}


def _moving(domain: Any) -> bool:
    """Say whether a job moves or freezes the guest's memory; a backup does neither."""
    try:
        job = domain.jobStats()
    except libvirt.libvirtError:  # not to be had from this driver, or now: the state tells
        return False
    busy = {libvirt.VIR_DOMAIN_JOB_BOUNDED, libvirt.VIR_DOMAIN_JOB_UNBOUNDED}
    backup = libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP
    return job.get("type") in busy and job.get("operation") != backup
