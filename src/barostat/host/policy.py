"""The numbers by which the box is judged, each with its reason. An operator may change any."""

from __future__ import annotations

from dataclasses import dataclass

from barostat.units import GIB, MIB

__all__ = ["HostPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPolicy:
    """What the host keeps for itself, and when it brakes.

    Sizes in bytes, times in seconds, shares as ratios of the host's memory unless it says else.

    Attributes:
        capacity_bytes: all that VMs may have together; unset: worked out from the host's memory,
            its reserve, and what else is on it. The brakes act either way, and what a VM holds
            that should be seen and has not answered yet is subtracted.
        reserve_bytes: what the host keeps for itself; unset: the largest of the three below.
        reserve_ratio: a share of its memory: the kernel's tables and caches grow with it; peers
            keep 1 to 6 %.
        reserve_low_bytes: but at least this: Hyper-V's guidance was 512 MiB, and a host of today
            with its management and monitoring takes about twice that.
        reserve_margin_ratio: and at least what is seen to be used outside VMs, with so much
            besides: twice the low mark of the brakes, so that a host whose memory is all promised
            and all used does not brake yet.
        reserve_half_life_s: how long it is remembered what was used outside VMs: backups and
            updates come again.
        overhead_bytes: what QEMU takes for itself, a VM.
        overhead_ratio: and so much of the VM's memory, for page tables (1/512, twice under
            hardware virtualization) and bitmaps: with Hyper-V, 8 MB for each GB. Where a VM is
            seen to take more than both, that counts.
        low_ratio: with less of its memory available than this the host brakes: nobody grows.
        critical_ratio: with less than this it takes memory back from VMs at once.
        comfort_ratio: with more than this available neither stalls nor swapping brake, because
            they are those of something with a limit of its own; oVirt calls a host short below
            the same share.
        stall_ratio: the host brakes while some of its processes wait for memory during more than
            this share of the last 10 s (PSI).
        swap_out_bytes_per_s: and while it swaps out more than this in a second; oomd bears as
            much.
        lasting_s: what brakes for longer than this takes memory back from VMs.
        calm_s: brakes are let go when nothing has called for them for so long.
        witness: see now and then what each VM touches of its memory (`/proc/PID/clear_refs`), to
            check what VMs say and to see those that say nothing; nothing is ever taken by it. It
            makes the host's kernel forget what was used lately, so it is off unless it is wanted.
            A VM under KVM is not seen: its processor notes what it touches where the kernel does
            not look for this.
        witness_s: how often each VM is seen so.
        witness_ratio: and what share of the time all of these looks may take together: 60 ms a
            minute. One takes 2 ms for a small VM, 16 ms for each 4 GiB of small pages, and QEMU
            can map nothing meanwhile.
        deadline_s: a look at the host that takes longer is given up: nobody grows until the next
            that does not.
    """

    capacity_bytes: int | None = None
    reserve_bytes: int | None = None
    reserve_ratio: float = 0.05
    reserve_low_bytes: int = 1 * GIB
    reserve_margin_ratio: float = 0.04
    reserve_half_life_s: float = 300.0
    overhead_bytes: int = 64 * MIB
    overhead_ratio: float = 1 / 128
    low_ratio: float = 0.02
    critical_ratio: float = 0.01
    comfort_ratio: float = 0.20
    stall_ratio: float = 0.10
    swap_out_bytes_per_s: int = 1 * MIB
    lasting_s: float = 10.0
    calm_s: float = 10.0
    witness: bool = False
    witness_s: float = 300.0
    witness_ratio: float = 0.001
    deadline_s: float = 2.0
