"""A reel of film shown again: every decision is made anew, by `decide`, from what it saw then.

Nothing of a decision is read back but what it saw. What comes out is what was decided, as long as
the same version of Barostat decides; each scene says which one recorded it.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

from barostat.core.decide import Decision, State, decide
from barostat.core.observation import Snapshot
from barostat.core.policy import Policy
from barostat.core.statistics import Inside, Statistics
from barostat.errors import HistoryError
from barostat.history.film import (
    FIGURES,
    INSIDE_FIGURES,
    LENGTH_BYTES,
    RAW,
    STAMP_BYTES,
    Frame,
    Key,
    figures_of,
    inside_figures_of,
    timed,
)

__all__ = ["Scene", "project"]

MOST_BYTES: Final = 2**25
"""No picture is larger, unpacked: 10,000 guests fill a third of it. A damaged one may say anything,
and a small one may unpack to any size: so it is unpacked picture by picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One decision, made again from what it saw. `version` is Barostat's that recorded it."""

    version: str
    snapshot: Snapshot
    state: State
    policy: Policy
    decision: Decision


def project(reel: bytes) -> Iterator[Scene]:
    """Decide again what was decided, one scene after the other.

    Args:
        reel: its pictures' data in one piece, from the first as far as there are.

    Raises:
        HistoryError: they cannot be read.
    """
    scene: Scene | None = None
    try:
        for content in _pictures(reel):
            scene = _opening(content) if scene is None else _next(scene, content)
            yield scene
    except (
        zlib.error,
        msgspec.MsgspecError,
        ArithmeticError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:  # of what it says, or of deciding on what cannot have been
        raise HistoryError(
            f"what that decision saw cannot be read: {error}",
            hint="it was damaged, or written by another version; another moment may be readable",
        ) from error


def _pictures(reel: bytes) -> Iterator[bytes]:
    """Take the pictures out of the stream, as far as they are whole."""
    unpack = _unpacking(reel)
    while len(head := unpack(LENGTH_BYTES)) == LENGTH_BYTES:
        size = int.from_bytes(head, "big")
        if size > MOST_BYTES:
            raise ValueError(f"a picture of {size} bytes")
        content = unpack(size)
        if len(content) == size:
            yield content


def _unpacking(reel: bytes) -> Callable[[int], bytes]:
    """Give what unpacks the next so many bytes, or what is left."""
    stream, packed = zlib.decompressobj(wbits=RAW), reel

    def unpack(size: int) -> bytes:
        nonlocal packed
        content = b""
        while len(content) < size and (part := stream.decompress(packed, size - len(content))):
            packed, content = stream.unconsumed_tail, content + part
        return content

    return unpack


def _opening(content: bytes) -> Scene:
    key = msgspec.msgpack.decode(content, type=Key)
    return Scene(
        version=key.version,
        snapshot=key.snapshot,
        state=key.state,
        policy=key.policy,
        decision=decide(key.snapshot, key.state, key.policy),
    )


def _next(scene: Scene, content: bytes) -> Scene:
    frame = msgspec.msgpack.decode(content, type=Frame)
    was, decision = scene.snapshot, scene.decision
    stamps, count = _unpacked(frame.now_s, frame.stamps), len(was.guests)
    inner_stamps = iter(stamps[2 * count :])
    guests = []
    for number, before in enumerate(was.guests):
        guest = frame.whole.get(number)
        if guest is not None:
            if guest.inside is not None:
                next(inner_stamps, None)
        else:
            change = frame.said.get(number)
            said = before.statistics
            guest = replace(
                before,
                devices=frame.devices.get(number, before.devices),
                statistics=said if change is None else _changed(said, change),
                seen_at_s=stamps[number],
                statistics_at_s=stamps[count + number],
                inside=_heard(before.inside, frame.heard.get(number), inner_stamps),
            )
        guests.append(guest)
    snapshot = replace(
        was,
        now_s=frame.now_s,
        host=frame.host or was.host,
        guests=tuple(guests),
        hurried=frame.hurried,
    )
    state = decision.state if frame.carried_out else decision.before
    return replace(
        scene, snapshot=snapshot, state=state, decision=decide(snapshot, state, scene.policy)
    )


def _heard(
    before: Inside | None, change: Sequence[int] | None, stamps: Iterator[float]
) -> Inside | None:
    if before is None:
        return None
    at_s = next(stamps, before.at_s)
    figures: dict[str, Any] = {}
    if change is not None:
        figures = {
            name: None if value is None else value + difference
            for name, value, difference in zip(
                INSIDE_FIGURES, inside_figures_of(before), change, strict=True
            )
        }
    return replace(before, at_s=at_s, **figures)


def _unpacked(now_s: float, stamps: bytes | list[int]) -> Sequence[float]:
    if not isinstance(stamps, bytes):
        return timed(round(now_s * 1000), stamps)
    count = len(stamps) // STAMP_BYTES
    packed = bytearray(len(stamps))
    for place in range(STAMP_BYTES):
        packed[place::STAMP_BYTES] = stamps[place * count : (place + 1) * count]
    return array("d", bytes(packed))


def _changed(before: Statistics | None, change: Sequence[int]) -> Statistics | None:
    if before is None:
        return None
    figures: dict[str, Any] = {
        name: None if value is None else value + difference
        for name, value, difference in zip(FIGURES, figures_of(before), change, strict=True)
    }
    return replace(before, **figures)
