"""Reason codes to sentences: the same words in the terminal, the log, the web page and the API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from barostat.core.moves import Move, MoveKind
from barostat.core.reasons import Reason, ReasonCode
from barostat.units import format_size

__all__ = ["reason_json", "sentence", "summary", "template"]

_SENTENCES: Final[Mapping[ReasonCode, str]] = {
    ReasonCode.DEMAND: (
        "it needs {demand_bytes}; with {buffer_percent} % buffer and its recent peaks it should "
        "have {want_bytes}"
    ),
    ReasonCode.GROWTH: "it lately grew by {rate_bytes_per_s} a second, so room is given ahead",
    ReasonCode.DISTRESS: (
        "it pages with only {available_bytes} available, so it needs more than can be seen"
    ),
    ReasonCode.STALLED: (
        "something in it waits for memory {stall_percent} % of the time while its kernel reclaims, "
        "so it is given more, to find out what it needs"
    ),
    ReasonCode.COMMITTED: (
        "by what its programs were promised it needs {demand_bytes}; with {buffer_percent} % "
        "buffer and its recent peaks it should have {want_bytes}"
    ),
    ReasonCode.BELOW_MINIMUM: "it has less than its minimum, {minimum_bytes}",
    ReasonCode.PARTIAL: "{missing_bytes} more must wait until others have given it",
    ReasonCode.STEPWISE: (
        "what is plugged has to be described in what it has free, and that is little: "
        "{missing_bytes} more follow when this is there"
    ),
    ReasonCode.TRICKLE: (
        "{excess_bytes} lie idle in it; nobody waits for them, so they are taken back slowly"
    ),
    ReasonCode.TAKEN: "it has more than its share, and memory is short for {who}",
    ReasonCode.PAGED: (
        "the host is short: it needs {demand_bytes}, its share is {target_bytes}, so its own "
        "kernel pages out what it uses least"
    ),
    ReasonCode.TRIMMED: (
        "it hardly waits for memory, {stall_percent} % of the time, so it is trimmed below what it "
        "should have: what it uses least is paged out, a little at a time"
    ),
    ReasonCode.ABOVE_MAXIMUM: "it has more than its maximum, {maximum_bytes}",
    ReasonCode.STUCK: (
        "it did not move for a while with {missing_bytes} still to go; the wish is cancelled, "
        "its memory counts as taken, others are asked"
    ),
    ReasonCode.NEEDED_BACK: "it now needs {demand_bytes} itself, so its shrink is cancelled",
    ReasonCode.ADOPTED: (
        "what was asked of it before us, or was cancelled in vain, is half done; it stays at "
        "{assigned_bytes}"
    ),
    ReasonCode.HALTED: (
        "its shrink is cancelled with {missing_bytes} still to go, because it cannot be judged"
    ),
    ReasonCode.RECALLED: (
        "more is promised than the host has, so the {missing_bytes} that it has not taken yet are "
        "not granted any more"
    ),
    ReasonCode.BRAKED: (
        "the host itself is short of memory, so the {missing_bytes} that it has not taken yet are "
        "not granted any more"
    ),
    ReasonCode.STRAYED: (
        "it was at {goal_bytes} as asked and left by itself; it is held where it is now"
    ),
    ReasonCode.NUDGED: "no progress with {missing_bytes} to go; the wish is written again",
    ReasonCode.BY_BALLOON: (
        "its unplug got stuck while the host is short, so the balloon takes the rest"
    ),
    ReasonCode.NO_SETTINGS: "it has no Dynamic Memory settings",
    ReasonCode.BAD_SETTINGS: "its settings cannot be used: {fault}",
    ReasonCode.DISABLED: "Dynamic Memory is off for it",
    ReasonCode.HELD: "its operator has paused it: it keeps its size",
    ReasonCode.BOOTING: "its balloon driver has not spoken since it booted",
    ReasonCode.PAUSED: "it is paused, suspended or crashed: its processors stand still",
    ReasonCode.MIGRATING: "it is being migrated or saved",
    ReasonCode.UNREACHABLE: "its hypervisor has not answered for {since_s}",
    ReasonCode.HUGEPAGES: "its memory is made of hugepages, and no balloon can free those",
    ReasonCode.PASSTHROUGH: (
        "a device of the host is passed through to it ({device}), which pins its memory"
    ),
    ReasonCode.LOCKED: "its memory is locked on the host, so what it gives back is not freed",
    ReasonCode.CONFIDENTIAL: (
        "its memory is encrypted ({technique}), so what it gives back is not freed"
    ),
    ReasonCode.FALSE_SIZE: (
        "{guest}'s QEMU says that it has {claimed_bytes}, and by what the host sees it can have "
        "{most_bytes} at most: it is counted at what its process holds or was started with"
    ),
    ReasonCode.NO_STATISTICS: "it says nothing about its memory that can be believed",
    ReasonCode.STALE: "its statistics are {age_s} old",
    ReasonCode.RESTING: (
        "it did not {did} when it was asked ({failures} times); it is asked again in {wait_s}"
    ),
    ReasonCode.OFFLINE: (
        "{offline_bytes} that were plugged never came online in it, so nothing more is plugged: "
        "boot it with memhp_default_state=online_movable, or have it online memory by itself"
    ),
    ReasonCode.SETTLING: "it is new or was disturbed; it keeps what it has for {wait_s} more",
    ReasonCode.MOVING: "it is on its way to {goal_bytes}",
    ReasonCode.WAITING: (
        "its share is {target_bytes}; the missing {missing_bytes} are being taken from others"
    ),
    ReasonCode.HOST_PRESSED: (
        "its share is {target_bytes}, but the host itself is short of memory, so nobody is given "
        "more now"
    ),
    ReasonCode.ENOUGH: "it has {assigned_bytes}, and {target_bytes} is its share",
    ReasonCode.CALM: (
        "it has {assigned_bytes}, less than it should, and hardly waits for memory with it, "
        "{stall_percent} % of the time"
    ),
    ReasonCode.SHORT: (
        "it needs {demand_bytes}, but the host is short and its share is {target_bytes}; its own "
        "kernel pages out what it uses least"
    ),
    ReasonCode.SPARE: (
        "{excess_bytes} more than it should have, but nobody waits for them; looked at again "
        "in {wait_s}"
    ),
    ReasonCode.IN_USE: (
        "it needs {demand_bytes} of its {assigned_bytes}, and no other guest waits for them"
    ),
    ReasonCode.NOTHING_TO_SPARE: (
        "only {available_bytes} are available in it: nothing is taken in one step"
    ),
    ReasonCode.REGAINED: (
        "what others had of it ({regained_bytes}) it needed back; it pages no more for them "
        "for {wait_s}"
    ),
    ReasonCode.NO_SAFE_PAGING: (
        "it needs {demand_bytes} and its balloon does not give way before its kernel kills "
        "(deflate-on-oom is off), so it is not taken below that"
    ),
    ReasonCode.DOUBTED: (
        "it says that it needs {demand_bytes}, but by what its QEMU holds it can need "
        "{credible_bytes} at most; while memory is short that is what counts"
    ),
    ReasonCode.PAGING: (
        "it restarted, and {paged_bytes} of its memory are not there yet: the host pages that "
        "much of it, for {most_s} at most"
    ),
    ReasonCode.NOT_PAGED: (
        "it restarted, and {missing_bytes} are promised beyond what the host has; the host cannot "
        "page for it: {why}"
    ),
    ReasonCode.CAPACITY_LOST: (
        "more is promised than the host has, by {missing_bytes}: nothing is granted until guests "
        "have given it back"
    ),
    ReasonCode.MINIMUMS_TOO_LARGE: (
        "the guests' minimums alone are {missing_bytes} more than there is: nobody is taken "
        "below the minimum; stop or move a VM"
    ),
    ReasonCode.NO_ROOM: (
        "{guest} needs {size_bytes} to start, and all that can be made free for it now is "
        "{possible_bytes}; stop or move a VM"
    ),
    ReasonCode.TAKES_MORE: (
        "{guest} holds {held_bytes} on the host: {taken_bytes} more than its assigned "
        "{assigned_bytes} and what QEMU itself needs; nobody else is granted that"
    ),
    ReasonCode.HOST_LOW: (
        "only {available_bytes} of the host's {total_bytes} are available, and {mark_bytes} should "
        "be: no VM is given more"
    ),
    ReasonCode.HOST_STALLS: (
        "something on the host waited for memory during {stall_percent} % of the last 10 s: no VM "
        "is given more"
    ),
    ReasonCode.HOST_SWAPS: ("the host swaps out {rate_bytes_per_s} a second: no VM is given more"),
    ReasonCode.HOST_RECOVERING: (
        "the host was short of memory a moment ago: no VM is given more until it has been calm for "
        "{wait_s} more"
    ),
    ReasonCode.HOST_TAKES_BACK: "VMs are asked to give {wanted_bytes} back to the host",
    ReasonCode.HOST_UNSEEN: (
        "the host cannot be looked at ({fault}): what was seen {age_s} ago counts, and no VM is "
        "given more"
    ),
}

_VERBS: Final[Mapping[MoveKind, str]] = {
    MoveKind.GROW: "grow",
    MoveKind.SHRINK: "shrink",
    MoveKind.CANCEL: "stay",
    MoveKind.NUDGE: "go on",
}


def sentence(reason: Reason) -> str:
    """Say a reason in words, with its numbers."""
    shown = {name: _shown(name, value) for name, value in reason.numbers.items()}
    return _SENTENCES[reason.code].format(**shown)


def _shown(name: str, value: float | str) -> str:
    if isinstance(value, str):
        return value
    if name.endswith(("_bytes", "_bytes_per_s")):
        return format_size(int(value))
    if name.endswith("_s"):
        return f"{value:.0f} s"
    return f"{value:g}"


def template(code: ReasonCode) -> str:
    """Say the sentence of a reason code, with the names of its numbers in braces."""
    return _SENTENCES[code]


def reason_json(reason: Reason) -> dict[str, object]:
    """Make plain values of a reason, its sentence among them: what `--output json` shows."""
    return {
        "code": reason.code.value,
        "numbers": dict(reason.numbers),
        "sentence": sentence(reason),
    }


def summary(move: Move) -> str:
    """Say a move in one sentence: what, from where to where, and why."""
    why = "; ".join(sentence(reason) for reason in move.reasons)
    verb = _VERBS[move.kind]
    if move.kind is MoveKind.CANCEL:
        return f"{move.guest}: {verb} at {format_size(move.to_bytes)}: {why}"
    sizes = f"from {format_size(move.from_bytes)} to {format_size(move.to_bytes)}"
    return f"{move.guest}: {verb} {sizes}: {why}"
