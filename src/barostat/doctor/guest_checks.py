"""What should hold of a guest, each thing with its remedy. Pure: facts in, verdicts out."""

from __future__ import annotations

from typing import Final

from barostat.core.explain import sentence
from barostat.core.observation import Depth
from barostat.core.reasons import ReasonCode
from barostat.core.usage import balloon_floor_bytes
from barostat.doctor.depths import AGENT_PAGE, LOOKS, SHOWS, deeper
from barostat.doctor.facts import GuestFacts
from barostat.doctor.findings import Check, Level, Verdict, advise, block, fine
from barostat.hypervisors.plugging import CAREFUL_GROWTH, LARGEST_GROWTH
from barostat.units import MIB, format_size

__all__ = ["ANSWERS", "GUEST_CHECKS"]

ANSWERS: Final = "answers"
"""The check that what is not seen at all fails."""

STALE_S: Final = 5.0
"""Guests speak every second; one that has not for this long is not moved (`Policy.stale_s`)."""

USUAL_BLOCK_BYTES: Final = 128 * MIB
"""Linux's memory blocks on x86, up to 64 GiB of boot RAM; larger ones above."""

_FIXED_ONLINE: Final = frozenset({"online", "online_kernel"})
"""Ways to bring plugged memory online by which the kernel may use it for itself."""

_PROGRAM_DEPTHS: Final = frozenset({Depth.QGA, Depth.AGENT})

_MOVABLE: Final = (
    "put memhp_default_state=online_movable on the guest's kernel command line, or a udev rule "
    "that brings memory online as movable"
)

_UNFIT: Final = {
    ReasonCode.HUGEPAGES: "take <hugepages/> or the hugepage-backed memory out of the VM, and use "
    "transparent hugepages",
    ReasonCode.PASSTHROUGH: "give it a virtual device instead, or leave its memory fixed",
    ReasonCode.LOCKED: "take <locked/> or mem-lock=on out of the VM",
    ReasonCode.CONFIDENTIAL: "leave its memory fixed: it cannot be resized",
}


def _answers(facts: GuestFacts) -> Verdict | None:
    if facts.fault is None:
        return fine("its hypervisor answers")
    return block(facts.fault, "see whether its QEMU hangs, or somebody else holds its socket")


def _balloon(facts: GuestFacts) -> Verdict | None:
    if facts.has_balloon:
        return fine("it has a balloon device")
    return block(
        "it has no balloon device: it counts at its full size and is never moved",
        "add <memballoon model='virtio'/>, or -device virtio-balloon-pci, and start it anew; "
        "`barostat prepare` writes it",
    )


def _statistics(facts: GuestFacts) -> Verdict | None:
    if not facts.has_balloon or facts.fault is not None:
        return None
    if facts.booting:
        return advise("its balloon driver has not spoken since it booted", "wait until it is up")
    if facts.statistics_age_s is None:
        return block(
            "it says nothing about its memory that can be believed",
            "load virtio_balloon in the guest; on Windows, install the balloon driver and service",
        )
    if facts.statistics_age_s > STALE_S:
        return block(
            f"it last spoke {facts.statistics_age_s:.0f} s ago",
            "see whether the guest hangs, and whether the driver's service runs (Windows)",
        )
    return fine("its balloon driver speaks")


def _deflate(facts: GuestFacts) -> Verdict | None:
    if facts.deflate_on_oom is None or not facts.has_balloon:
        return None
    if facts.deflate_on_oom:
        return fine("its balloon gives way before its kernel kills")
    return advise(
        "its balloon does not give way before its kernel kills (deflate-on-oom is off), so that "
        "less is taken from it",
        "set autodeflate='on' (libvirt) or deflate-on-oom=on (QEMU) and start it anew",
    )


def _reporting(facts: GuestFacts) -> Verdict | None:
    if facts.free_page_reporting is None or not facts.has_balloon:
        return None
    if facts.free_page_reporting:
        return fine("it tells the host of free pages")
    return advise(
        "it does not tell the host of free pages: what it frees stays on the host until it is "
        "taken",
        "set freePageReporting='on' (libvirt) or free-page-reporting=on (QEMU) and start it anew",
    )


def _virtio_mem(facts: GuestFacts) -> Verdict | None:
    boot, region = facts.boot_bytes, facts.ceiling_bytes - facts.boot_bytes
    if region <= 0:
        return advise(
            f"it has no virtio-mem device, so it cannot grow beyond its boot RAM, "
            f"{format_size(boot)}",
            "`barostat prepare` writes what its domain needs; start it anew with that",
        )
    ratio = facts.ceiling_bytes / max(1, boot)
    said = f"it can grow from {format_size(boot)} of boot RAM to {format_size(facts.ceiling_bytes)}"
    if ratio > LARGEST_GROWTH:
        least = format_size(facts.ceiling_bytes // LARGEST_GROWTH)
        return block(
            f"{said}, which is {ratio:.0f} times that: plugging stops short beyond "
            f"{LARGEST_GROWTH} times",
            f"give it at least {least} of boot RAM, or a smaller device",
        )
    if ratio > CAREFUL_GROWTH:
        return advise(
            f"{said}, {ratio:.0f} times that: what its kernel needs must fit into the boot RAM",
            f"give it {format_size(facts.ceiling_bytes // CAREFUL_GROWTH)} of boot RAM if its "
            "kernel runs short of memory",
        )
    return fine(said)


def _depth(facts: GuestFacts) -> Verdict | None:
    if facts.fault is not None or facts.booting:
        return None
    said = f"it is seen {LOOKS[facts.depth]}; {SHOWS[facts.depth]}"
    remedy = deeper(facts.depth, has_balloon=facts.has_balloon)
    return advise(said, remedy) if remedy else fine(said)


def _program(facts: GuestFacts) -> Verdict | None:
    if facts.program_fault is not None:
        return advise(
            f"a program in it is not heard, or not believed: {facts.program_fault}",
            f"{AGENT_PAGE} says what an agent needs, and how to see in the guest how it fares",
        )
    return fine("the program in it is believed") if facts.depth in _PROGRAM_DEPTHS else None


def _onlining(facts: GuestFacts) -> Verdict | None:
    used = _plugged_is_used(facts)
    if used is not None and used.level is Level.BLOCKS:
        return used
    if facts.onlining in _FIXED_ONLINE:
        return advise(
            "its kernel may use plugged memory for itself, and of that little can be taken back "
            f"({facts.onlining})",
            _MOVABLE,
        )
    if used is None and facts.onlining == "offline":
        return advise(
            "its kernel leaves plugged memory offline: it cannot use it unless a udev rule brings "
            "it online",
            _MOVABLE,
        )
    if used is None and facts.onlining is not None:
        return fine("its kernel brings plugged memory online so that it can leave again")
    return used


def _plugged_is_used(facts: GuestFacts) -> Verdict | None:
    if facts.total_bytes is None or not facts.plugged_bytes:
        return None
    kernels = balloon_floor_bytes(facts.boot_bytes)
    dark = facts.assigned_bytes - facts.total_bytes - kernels
    if dark < facts.plugged_bytes // 2:
        return fine(f"it uses the {format_size(facts.plugged_bytes)} that are plugged")
    return block(
        f"{format_size(facts.plugged_bytes)} are plugged, and it does not use them: they are not "
        "brought online",
        _MOVABLE,
    )


def _blocks(facts: GuestFacts) -> Verdict | None:
    if facts.block_bytes is None:
        return None
    said = f"its kernel takes plugged memory in blocks of {format_size(facts.block_bytes)}"
    if facts.block_bytes <= USUAL_BLOCK_BYTES:
        return fine(said)
    return advise(
        f"{said}: what describes a whole block, a 64th of it, is needed at once for its first byte",
        "boot it with less than 64 GiB and plug the rest: Linux on x86 takes larger blocks beyond",
    )


def _swap(facts: GuestFacts) -> Verdict | None:
    if facts.swap_bytes == 0:
        return advise(
            "it has no swap, so it cannot page under a shortage",
            "give the guest swap of about half its maximum",
        )
    if facts.swap_bytes is not None:
        return fine(f"it has {format_size(facts.swap_bytes)} of swap")
    if facts.swapped_out_bytes is None:
        return None
    if facts.swapped_out_bytes:
        return fine(f"it has swap, and moved {format_size(facts.swapped_out_bytes)} there")
    return advise(
        "it never swapped; whether it has swap cannot be seen from outside, and without any it "
        "cannot page under a shortage",
        "give the guest swap of about half its maximum, if it has none",
    )


def _backing(facts: GuestFacts) -> Verdict | None:
    if facts.unfit is None:
        return fine("what it gives, the host has back")
    return block(sentence(facts.unfit), _UNFIT[facts.unfit.code])


def _settings(facts: GuestFacts) -> Verdict | None:
    if facts.settings_fault is not None:
        return block(
            f"its settings cannot be used: {facts.settings_fault}",
            f"correct them with `barostat set {facts.name}`; it keeps its size until then",
        )
    if facts.minimum_bytes is None or facts.maximum_bytes is None:
        return advise(
            "it has no Dynamic Memory settings: it keeps its size",
            f"barostat enable {facts.name}",
        )
    sizes = f"{format_size(facts.minimum_bytes)} to {format_size(facts.maximum_bytes)}"
    if not facts.enabled:
        return fine(f"Dynamic Memory is off for it, as set ({sizes})")
    return fine(f"it may have {sizes}")


def _maximum(facts: GuestFacts) -> Verdict | None:
    if facts.maximum_bytes is None or facts.settings_fault is not None:
        return None
    maximum, most = format_size(facts.maximum_bytes), format_size(facts.ceiling_bytes)
    if facts.maximum_bytes <= facts.ceiling_bytes:
        return fine(f"its maximum, {maximum}, is within its devices, {most}")
    return block(
        f"its maximum, {maximum}, is above what its devices allow, {most}",
        f"barostat set {facts.name} --maximum {facts.ceiling_bytes}B",
    )


GUEST_CHECKS: Final = (
    Check(id=ANSWERS, wants="its hypervisor answers", judge=_answers),
    Check(id="balloon", wants="a virtio-balloon device", judge=_balloon),
    Check(id="statistics", wants="its balloon driver speaks every second", judge=_statistics),
    Check(id="depth", wants="Barostat's agent speaks for it, or qemu-guest-agent", judge=_depth),
    Check(id="program", wants="who speaks in the guest is heard and believed", judge=_program),
    Check(id="deflate-on-oom", wants="the balloon gives way before an OOM kill", judge=_deflate),
    Check(id="reporting", wants="free pages are reported to the host", judge=_reporting),
    Check(
        id="virtio-mem",
        wants="a virtio-mem device, up to 4 times the boot RAM with it, 32 at most",
        judge=_virtio_mem,
    ),
    Check(
        id="onlining",
        wants="what is plugged is in the guest's own total, and can leave again",
        judge=_onlining,
    ),
    Check(id="memory-blocks", wants="memory blocks of 128 MiB at most", judge=_blocks),
    Check(id="swap", wants="the guest has swap", judge=_swap),
    Check(
        id="backing",
        wants="no hugepages, passed-through devices, locked or encrypted memory",
        judge=_backing,
    ),
    Check(id="settings", wants="settings are there and can be used", judge=_settings),
    Check(id="maximum", wants="the maximum is within what the devices allow", judge=_maximum),
)
"""In the order in which they are told."""
