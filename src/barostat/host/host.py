"""The box, looked at once a tick: what may be handed out, how hard it brakes, whom it cannot use.

Reading happens in a thread of its own, with a deadline; judging is pure and elsewhere. A host that
cannot be looked at is as it was last seen, and nobody grows: doubt means hold.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from barostat.core.observation import GuestObservation, HostObservation
from barostat.core.reasons import Reason, ReasonCode, because
from barostat.errors import HostError
from barostat.host.accounts import Accounts, Overhead, draw_up, watch_overhead
from barostat.host.brake import BrakeState, Stage, alarms, brake, wanted_back_bytes
from barostat.host.claimed import counted_bytes, false_size
from barostat.host.holding import Holding, hold, is_suspect, takes_more
from barostat.host.matching import Matches, match, of_names, unfit
from barostat.host.memory import Memory, read_memory
from barostat.host.policy import HostPolicy
from barostat.host.processes import ProcessTable, QemuProcess
from barostat.host.reserve import ReserveState, outside_bytes, reserve_bytes, watch
from barostat.host.threads import in_thread, within
from barostat.host.tree import Tree
from barostat.host.witness import Witness, WitnessPace
from barostat.units import MIB

__all__ = ["Host", "HostReport"]

GRAIN_BYTES: Final = 16 * MIB

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReport:
    """The box as it was last seen, for people and for metrics.

    Attributes:
        seen_at_s: when, on the clock of the host's owner.
        memory: as its kernel says it.
        accounts: where it goes.
        stage: how hard the host brakes.
        wanted_back_bytes: what VMs are asked to give back.
        swap_out_bytes_per_s: what it swaps out, averaged over about 10 s.
        outside_bytes: what is used outside VMs now.
        vms: how many QEMU processes run VMs.
        foreign: the names of those that run VMs which are not seen.
        unfit: by guest, why the host cannot have back what that guest gives.
        alarms: what is wrong with it.
        holdings: by guest, what its QEMU holds; one whose QEMU is not to be seen is missing.
        counted: by guest whose hypervisor is not believed, at what it is counted, in bytes.
    """

    seen_at_s: float
    memory: Memory
    accounts: Accounts
    stage: Stage
    wanted_back_bytes: int
    swap_out_bytes_per_s: float
    outside_bytes: int
    vms: int
    foreign: tuple[str, ...]
    unfit: dict[str, Reason]
    alarms: tuple[Reason, ...]
    holdings: dict[str, Holding] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Seen:
    memory: Memory
    processes: tuple[QemuProcess, ...]
    host_up_s: float


class Host:
    """Looks at the box under a root.

    Args:
        policy: the numbers to judge by.
        root: where /proc and /sys are; another folder holds captured ones.
        clock: monotonic seconds.
        silent: names the VMs that should be seen and do not answer.

    Attributes:
        policy: the numbers to judge by; may be replaced between two looks.
        report: the box as it was last seen, None before the first look.
        fenced: QEMU's own memory is told from its guest's for every VM, not only for those that
            hold too much.
    """

    def __init__(
        self,
        policy: HostPolicy | None = None,
        *,
        root: Path = Path("/"),
        clock: Callable[[], float] = time.monotonic,
        silent: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self.policy = policy or HostPolicy()
        self.report: HostReport | None = None
        self._tree = Tree(root)
        self._table = ProcessTable(self._tree)
        self._clock = clock
        self._silent = silent
        self._looking: asyncio.Future[_Seen] | None = None
        self._reserve = ReserveState()
        self._brake = BrakeState()
        self._overheads: dict[str, Overhead] = {}
        self._told_of_stalls = False
        self.fenced = False
        self._witness = Witness(self._tree, clock=clock)

    async def observe(self, guests: Sequence[GuestObservation]) -> HostObservation:
        """Look at the box now; where that cannot be done, say what was seen last.

        Args:
            guests: those that were just seen on it.

        Raises:
            HostError: it cannot be looked at, and never could be.
        """
        try:
            seen = await self._look()
        except HostError as error:
            return self._unseen(error)
        self._tell_once(seen.memory)
        self.report = self._judge(seen, guests)
        return HostObservation(
            capacity_bytes=self.report.accounts.capacity_bytes,
            granting=self.report.stage is Stage.FREE,
            wanted_back_bytes=self.report.wanted_back_bytes,
            alarms=self.report.alarms,
            unfit=self.report.unfit,
            in_use=self._in_use(),
            counted=self.report.counted,
        )

    def _in_use(self) -> dict[str, int]:
        """Say the most that guests can be using, rounded up: history notes whatever changes."""
        holdings = {} if self.report is None else self.report.holdings
        return {
            guest: -(-holding.in_use_bytes // GRAIN_BYTES) * GRAIN_BYTES
            for guest, holding in holdings.items()
            if holding.in_use_bytes is not None
        }

    async def _look(self) -> _Seen:
        """Read in a thread. One that hangs is waited for again, so there is never more than one."""
        looking = self._looking or in_thread(self._read, name="host")
        self._looking = looking
        try:
            return await within(looking, self.policy.deadline_s, what="reading /proc")
        finally:
            if looking.done():
                self._looking = None

    def _read(self) -> _Seen:
        memory = read_memory(self._tree)
        words = (self._tree.word("proc/uptime") or "").split()
        up_s = float(words[0]) if words and words[0].replace(".", "", 1).isdecimal() else 0.0
        return _Seen(memory, self._table.look(), up_s)

    def _unseen(self, error: HostError) -> HostObservation:
        last = self.report
        if last is None:
            raise error
        age_s = self._clock() - last.seen_at_s
        unseen = because(ReasonCode.HOST_UNSEEN, fault=error.message, age_s=age_s)
        self.report = replace(last, alarms=(unseen,))
        return HostObservation(
            capacity_bytes=last.accounts.capacity_bytes,
            granting=False,
            alarms=(unseen,),
            unfit=last.unfit,
            counted=last.counted,
        )

    def _judge(self, seen: _Seen, guests: Sequence[GuestObservation]) -> HostReport:
        now_s, policy, memory = self._clock(), self.policy, seen.memory
        boots = {guest.name: guest.devices.boot_bytes for guest in guests}
        matches = match(boots, seen.processes)
        false = _false_sizes(guests, matches, memory)
        counted = {name: counted_bytes(matches.by_guest.get(name), memory) for name in false}
        guests = [
            guest.counted_at(counted[guest.name]) if guest.name in counted else guest
            for guest in guests
        ]
        held = sum(process.resident_bytes for process in seen.processes)
        outside = outside_bytes(memory, held)
        self._reserve = watch(self._reserve, outside, now_s=now_s, policy=policy)
        self._brake = brake(self._brake, memory, now_s=now_s, policy=policy)
        self._measure(guests, matches, now_s)
        holdings = self._look_closer(guests, matches)
        accounts = draw_up(
            memory,
            reserve_bytes=reserve_bytes(self._reserve, memory, policy),
            guests=guests,
            processes=matches.by_guest,
            foreign=matches.foreign,
            overheads=self._overheads,
            host_up_s=seen.host_up_s,
            policy=policy,
            silent=of_names(matches.foreign, self._silent()),
        )
        return HostReport(
            seen_at_s=now_s,
            memory=memory,
            accounts=accounts,
            stage=self._brake.stage,
            wanted_back_bytes=wanted_back_bytes(self._brake, memory, policy),
            swap_out_bytes_per_s=self._brake.swap_out_bytes_per_s,
            outside_bytes=outside,
            vms=len(seen.processes),
            foreign=tuple(item.command.name or f"process {item.pid}" for item in matches.foreign),
            unfit=unfit(matches.by_guest) | false,
            alarms=(
                *alarms(self._brake, memory, policy),
                *_takers(guests, holdings),
                *false.values(),
            ),
            holdings=holdings,
            counted=counted,
        )

    def _look_closer(
        self, guests: Sequence[GuestObservation], matches: Matches
    ) -> dict[str, Holding]:
        """Say what each guest's QEMU holds, and have those looked at closer that are due."""
        policy, witness = self.policy, self._witness
        pairs = [
            (guest, process)
            for guest in guests
            if (process := matches.by_guest.get(guest.name)) is not None
        ]
        witness.see(
            {guest.name: process.pid for guest, process in pairs},
            {guest.name for guest, process in pairs if is_suspect(guest, process, policy)},
            pace=WitnessPace(
                own_s=policy.witness_s if self.fenced else None,
                touched_s=policy.witness_s if policy.witness else None,
                budget_ratio=policy.witness_ratio,
            ),
        )
        return {
            guest.name: hold(
                guest,
                process,
                witness.ram.get(guest.name),
                witness.touched.get(guest.name),
                policy,
            )
            for guest, process in pairs
        }

    def _measure(self, guests: Sequence[GuestObservation], matches: Matches, now_s: float) -> None:
        """Bring the overhead of every guest up to now; those that are gone are forgotten."""
        measured = {}
        for guest in guests:
            process, before = matches.by_guest.get(guest.name), self._overheads.get(guest.name)
            if process is not None:
                measured[guest.name] = watch_overhead(before, guest, process, now_s=now_s)
        self._overheads = measured

    def _tell_once(self, memory: Memory) -> None:
        if memory.stall_ratio is None and not self._told_of_stalls:
            self._told_of_stalls = True
            _log.warning(
                "this kernel does not say whether the host's processes wait for memory (PSI): "
                "only what is available and what is swapped out act as brakes"
            )


def _false_sizes(
    guests: Sequence[GuestObservation], matches: Matches, memory: Memory
) -> dict[str, Reason]:
    """Say of which guests the hypervisor cannot be believed, and why."""
    found = {
        guest.name: false_size(guest, matches.by_guest.get(guest.name), memory) for guest in guests
    }
    return {guest: reason for guest, reason in found.items() if reason is not None}


def _takers(
    guests: Sequence[GuestObservation], holdings: Mapping[str, Holding]
) -> tuple[Reason, ...]:
    """Name the guests that use more than they have."""
    seen = [guest for guest in guests if guest.name in holdings]
    found = (takes_more(guest, holdings[guest.name]) for guest in seen)
    return tuple(reason for reason in found if reason is not None)
