"""How deep one can look into a guest, in words: the same wherever they are read.

A guest speaks through its balloon driver, through programs in it, or not at all. What is said here
of a depth is what decisions are made of there, and what it takes to get one deeper.
"""

from __future__ import annotations

from typing import Final

from barostat.core.observation import Depth

__all__ = ["AGENT_PAGE", "LOOKS", "SHOWS", "deeper"]

LOOKS: Final = {
    Depth.STATIC: "from outside alone: it says nothing of its memory",
    Depth.BALLOON: "through its balloon driver's statistics",
    Depth.QGA: "through its balloon driver's statistics and qemu-guest-agent",
    Depth.AGENT: "through Barostat's agent in it",
}
"""What a guest is looked into through: "it is seen ..."."""

SHOWS: Final = {
    Depth.STATIC: "what it needs is not known, so it keeps its size",
    Depth.BALLOON: "what it has in use is known, what its programs were promised and how long they "
    "wait for memory is not",
    Depth.QGA: "what its programs were promised and how long they wait for memory is known, some "
    "seconds late",
    Depth.AGENT: "it says by itself what it needs, at once when memory runs short",
}
"""What is seen at a depth."""

AGENT_PAGE: Final = "docs/howto/guest-agent.md"

_AGENT: Final = (
    f"give it Barostat's agent: `barostat prepare` adds the port, {AGENT_PAGE} installs it"
)


def deeper(depth: Depth, *, has_balloon: bool) -> str:
    """Say how to get to the next depth; blank at the deepest."""
    return {
        Depth.STATIC: "load virtio_balloon in it (on Windows, the balloon driver and its service)"
        if has_balloon
        else "`barostat prepare` writes the balloon device that it lacks; start it anew with that",
        Depth.BALLOON: "install qemu-guest-agent in it and let it run guest-file-open, "
        f"guest-file-read and guest-file-close; or {_AGENT}",
        Depth.QGA: _AGENT,
        Depth.AGENT: "",
    }[depth]
