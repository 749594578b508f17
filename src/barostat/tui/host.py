"""The host in a few lines: its memory as one bar, and what is wrong with it. Pure.

The bar spans what may be handed out; where the daemon says how large the box is, all of the box,
with the reserve and what is used outside of VMs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from rich.text import Text

from barostat.core.allocation import Tier
from barostat.core.pressure import Status
from barostat.service.documents import Overview
from barostat.tui.cells import BLUE, CYAN, GREEN, MAGENTA, RED, STATUS_STYLES, YELLOW
from barostat.tui.following import Seen
from barostat.units import format_size

__all__ = ["count_line", "host_bar", "legend", "state_line", "troubles"]

_TIERS: Final = {
    Tier.PLENTY: ("plenty: every VM has all that it wants", GREEN),
    Tier.BUFFERS_CUT: ("every VM has what it needs, not every one its buffer", YELLOW),
    Tier.DEMAND_CUT: (
        "short: every VM has its minimum, not every one what it needs",
        f"bold {RED}",
    ),
    Tier.SHORT: ("short: not even the minimums fit", f"bold {RED}"),
}

_COUNTED: Final = {
    Status.PAGING: "in Paging",
    Status.WARNING: "in Warning",
    Status.LOW: "Low",
    Status.OK: "OK",
    Status.UNKNOWN: "not judged",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the bar."""

    name: str
    size_bytes: int
    sign: str
    style: str


def parts(seen: Seen) -> tuple[Part, ...]:
    """Say where the host's memory is, from left to right."""
    host, box = seen.overview.host, seen.box
    in_hand = max(0, host.in_hand_bytes)
    pool = min(in_hand, host.pool_bytes)
    found = [
        Part(name="VMs", size_bytes=host.promised_bytes, sign="█", style=BLUE),
        Part(name="pool", size_bytes=pool, sign="▒", style=CYAN),
        Part(name="free", size_bytes=in_hand - pool, sign="·", style="dim"),
    ]
    if box is not None:
        others = box.overhead_bytes + box.foreign_bytes + box.hugetlb_bytes
        found += [
            Part(name="other", size_bytes=others, sign="▚", style=MAGENTA),
            Part(name="reserve", size_bytes=box.reserve_bytes, sign="▓", style="dim"),
        ]
    return tuple(part for part in found if part.size_bytes > 0)


def host_bar(seen: Seen, *, width: int) -> Text:
    """Draw the host's memory in one line."""
    found = parts(seen)
    whole = max(1, sum(part.size_bytes for part in found))
    drawn, before, at = Text(no_wrap=True), 0, 0
    for part in found:
        before += part.size_bytes
        ends = round(before / whole * width)
        drawn.append(part.sign * (ends - at), part.style)
        at = ends
    return drawn


def legend(seen: Seen) -> Text:
    """Name the bar's parts with their sizes."""
    host, box = seen.overview.host, seen.box
    whole = host.capacity_bytes if box is None else box.total_bytes
    drawn = Text.assemble((_unbroken(f"{format_size(whole)}:"), "bold"))
    for part in parts(seen):
        drawn.append("  ").append(part.sign, part.style)
        drawn.append(_unbroken(f" {part.name} {format_size(part.size_bytes)}"))
    if host.in_hand_bytes < host.pool_bytes:
        missing = format_size(host.pool_bytes - max(0, host.in_hand_bytes))
        drawn.append("  ").append(_unbroken(f"the pool lacks {missing}"), YELLOW)
    return drawn


def _unbroken(text: str) -> str:
    """Keep what belongs together in one line."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def state_line(overview: Overview) -> Text:
    """Say how far the memory goes, and whether it is moved."""
    host = overview.host
    drawn = Text(*_TIERS[host.tier])
    if host.paused:
        drawn.append("; ").append("paused: every VM keeps its size", f"bold {YELLOW}")
    if not host.moving:
        drawn.append("; ").append("nothing is moved", f"bold {YELLOW}")
    return drawn


def count_line(overview: Overview) -> Text:
    """Say how many VMs there are, and how they are."""
    found = Counter(guest.status for guest in overview.guests)
    total = len(overview.guests)
    drawn = Text(f"{total} VM{'' if total == 1 else 's'}", no_wrap=True)
    for status, words in _COUNTED.items():
        if found[status]:
            drawn.append(", ").append(f"{found[status]} {words}", STATUS_STYLES[status])
    return drawn


def troubles(overview: Overview) -> Sequence[Text]:
    """Say all that is wrong: alarms first, then what is not seen."""
    return tuple(_troubles(overview))


def _troubles(overview: Overview) -> Iterator[Text]:
    for alarm in overview.host.alarms:
        yield Text.assemble(("ALARM ", f"bold {RED}"), alarm.sentence)
    for fault in overview.faults:
        hint = f"; {fault.hint}" if fault.hint else ""
        yield Text.assemble(("FAULT ", f"bold {YELLOW}"), f"{fault.name}: {fault.message}{hint}")
