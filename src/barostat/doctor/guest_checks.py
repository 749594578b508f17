"""What should hold of a guest, each thing with its remedy. Pure: facts in, verdicts out."""

from __future__ import annotations

from typing import Final

from barostat.core.explain import sentence
from barostat.core.reasons import ReasonCode
from barostat.core.usage import balloon_floor_bytes
from barostat.doctor.facts import GuestFacts
from barostat.doctor.findings import Check, Verdict, advise, block, fine
from barostat.hypervisors.plugging import CAREFUL_GROWTH, LARGEST_GROWTH
from barostat.units import format_size

__all__ = ["ANSWERS", "GUEST_CHECKS"]

ANSWERS: Final = "answers"
"""The check that what is not seen at all fails."""

STALE_S: Final = 5.0
"""Guests speak every second; one that has not for this long is not moved (`Policy.stale_s`)."""

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


def _onlining(facts: GuestFacts) -> Verdict | None:
    if facts.total_bytes is None or not facts.plugged_bytes:
        return None
    kernels = balloon_floor_bytes(facts.boot_bytes)
    dark = facts.assigned_bytes - facts.total_bytes - kernels
    if dark < facts.plugged_bytes // 2:
        return fine(f"it uses the {format_size(facts.plugged_bytes)} that are plugged")
    return block(
        f"{format_size(facts.plugged_bytes)} are plugged, and it does not use them: they are not "
        "brought online",
        "put memhp_default_state=online_movable on the guest's kernel command line, or a udev rule "
        "that brings memory online as movable",
    )


def _swap(facts: GuestFacts) -> Verdict | None:
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
    Check(id="deflate-on-oom", wants="the balloon gives way before an OOM kill", judge=_deflate),
    Check(id="reporting", wants="free pages are reported to the host", judge=_reporting),
    Check(
        id="virtio-mem",
        wants="a virtio-mem device, up to 4 times the boot RAM with it, 32 at most",
        judge=_virtio_mem,
    ),
    Check(id="onlining", wants="what is plugged is in the guest's own total", judge=_onlining),
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
