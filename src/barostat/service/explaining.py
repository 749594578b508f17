"""Why a VM has the memory it has, in sentences with numbers: the same wherever they are read.

All of them are made of the documents that anybody can read, and so hold nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

from barostat.core.pressure import Status
from barostat.doctor.depths import LOOKS, SHOWS
from barostat.service.documents import Guest, Host, Settings
from barostat.units import format_size

__all__ = ["depth_sentence", "explain", "host_line", "status_sentence"]


def explain(guest: Guest, host: Host) -> Iterator[str]:
    """Say why a VM has what it has, a sentence at a time."""
    yield (
        f"{guest.name} has {format_size(guest.assigned_bytes)}: {format_size(guest.boot_bytes)} of "
        f"boot RAM, less {format_size(guest.balloon_bytes)} in its balloon, "
        f"plus {format_size(guest.plugged_bytes)} plugged."
    )
    if guest.demand_bytes is not None and guest.kernel_bytes is not None:
        yield _demand_sentence(guest, guest.demand_bytes, guest.kernel_bytes)
    yield status_sentence(guest)
    yield depth_sentence(guest)
    if guest.settings is not None:
        yield _settings_sentence(guest.settings)
    if guest.target_bytes != guest.assigned_bytes:
        yield (
            f"With plenty it would get {format_size(guest.want_bytes)}; of what there is now its "
            f"share is {format_size(guest.target_bytes)}."
        )
    if guest.move is None:
        reasons = "; ".join(reason.sentence for reason in guest.reasons)
        yield f"Left as it is: {reasons}."
    elif host.moving:
        yield f"What is done now: {guest.name}: {guest.why}."
    else:
        yield f"What would be done now: {guest.name}: {guest.why}."
    yield f"The host: {host_line(host)}."


def status_sentence(guest: Guest) -> str:
    """Say what a VM's status means."""
    silent = guest.demand_bytes is None
    meaning = {
        Status.OK: "it has what it needs and at least 80 % of its buffer",
        Status.LOW: "it has what it needs, but less than 80 % of its buffer",
        Status.WARNING: "it has less than it needs, so its own kernel pages",
        Status.PAGING: "it restarted on a full host, which pages what is missing for it until that "
        "is found",
        Status.UNKNOWN: "it says nothing about its memory that can be believed"
        if silent
        else "Dynamic Memory is not at work in it",
    }[guest.status]
    pressure = "" if guest.pressure is None else f", pressure {guest.pressure * 100:.0f} %"
    return f"Status {guest.status.value}{pressure}: {meaning}."


def depth_sentence(guest: Guest) -> str:
    """Say how deep a VM can be looked into, and why it cannot be deeper."""
    said = f"It is seen {LOOKS[guest.depth]}; {SHOWS[guest.depth]}."
    program = guest.program
    if program is None or program.fault is None:
        return said
    return f"{said} A program in it is not heard, or not believed: {program.fault}."


def _demand_sentence(guest: Guest, demand_bytes: int, kernel_bytes: int) -> str:
    return (
        f"It needs {format_size(demand_bytes)}: {format_size(demand_bytes - kernel_bytes)} in use "
        f"that is not just cache, and {format_size(kernel_bytes)} that its kernel keeps; "
        f"{format_size(guest.available_bytes or 0)} are available in it."
    )


def _settings_sentence(settings: Settings) -> str:
    return (
        f"It may have {format_size(settings.minimum_bytes)} to "
        f"{format_size(settings.maximum_bytes)} (startup {format_size(settings.startup_bytes)}), "
        f"with {settings.buffer_percent} % buffer and weight {settings.weight}."
    )


def host_line(host: Host) -> str:
    """Say in one line how the host's memory stands."""
    paused = ", paused: every VM keeps its size" if host.paused else ""
    still = "" if host.moving else ", nothing is moved"
    return (
        f"capacity {format_size(host.capacity_bytes)}, "
        f"promised {format_size(host.promised_bytes)}, "
        f"in hand {format_size(host.in_hand_bytes)} "
        f"(kept for urgent grows: {format_size(host.pool_bytes)}), "
        f"memory: {host.tier.value.replace('_', ' ')}{paused}{still}"
    )
