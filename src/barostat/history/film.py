"""What decisions saw, small enough to keep every second of a day, exact enough to decide again.

A reel is a minute of decisions. Its first picture stands by itself: snapshot, policy, and the state
that the decision started from. Every further one only says what changed in the snapshot: the state
is not stored, because `decide` makes it again. So a reel is cut wherever a decision did not start
from what the one before it left. All pictures of a reel are one compressed stream, flushed after
each: what was written is readable, whatever happens to the rest, in one piece or in many.
"""

from __future__ import annotations

import operator
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from barostat import __version__
from barostat.core.decide import Decision, State
from barostat.core.observation import Devices, GuestObservation, HostObservation, Snapshot
from barostat.core.policy import Policy
from barostat.core.statistics import Inside, Statistics

__all__ = ["Camera", "Frame", "Key", "Pass", "Picture", "timed"]

REEL_TICKS: Final = 60
"""A replay decides a reel up to the moment asked for: with 100 guests a minute takes 0.2 s."""

RAW: Final = -zlib.MAX_WBITS
STAMP_BYTES: Final = 8
LENGTH_BYTES: Final = 4

FIGURES: Final = (
    "total_bytes",
    "available_bytes",
    "disk_caches_bytes",
    "swap_in_bytes",
    "swap_out_bytes",
    "major_faults",
    "oom_kills",
    "alloc_stalls",
    "free_bytes",
)
figures_of = operator.attrgetter(*FIGURES)

INSIDE_FIGURES: Final = ("committed_bytes", "stalled_us", "refaulted_bytes", "scanned_bytes")
inside_figures_of = operator.attrgetter(*INSIDE_FIGURES)


class Pass(Protocol):
    """One pass of a balancer."""

    @property
    def snapshot(self) -> Snapshot:
        """What was seen."""
        ...

    @property
    def state(self) -> State:
        """What the decision started from."""
        ...

    @property
    def policy(self) -> Policy:
        """By which numbers it was decided."""
        ...

    @property
    def decision(self) -> Decision:
        """What was decided."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One decision's part of a reel's stream; `first` begins a new reel."""

    first: bool
    data: bytes


class Key(msgspec.Struct, array_like=True):
    """A picture that stands by itself. `version` is Barostat's that took it."""

    version: str
    policy: Policy
    state: State
    snapshot: Snapshot


class Frame(msgspec.Struct, array_like=True):
    """What changed since the picture before. Guests are numbered in the snapshot's order.

    Attributes:
        carried_out: the decision before was carried out; False: it was only looked at.
        now_s: the snapshot's moment.
        host: the box, where it changed.
        stamps: when each guest was seen, then when each spoke, then when the program in each that
            has one spoke; see `_stamps`.
        whole: guests of whom more changed than the following.
        devices: their sizes.
        said: by how much each figure of their statistics changed.
        heard: by how much each figure changed that a program in them said.
        hurried: for whom this was decided out of turn.
    """

    carried_out: bool
    now_s: float
    host: HostObservation | None
    stamps: bytes | list[int]
    whole: dict[int, GuestObservation]
    devices: dict[int, Devices]
    said: dict[int, tuple[int, ...]]
    heard: dict[int, tuple[int, ...]] = {}
    hurried: frozenset[str] = frozenset()


class Camera:
    """Makes pictures of passes that follow each other."""

    def __init__(self) -> None:
        self._last: Pass | None = None
        self._taken = 0
        self._stream = zlib.compressobj(wbits=RAW)
        self._encoder = msgspec.msgpack.Encoder()

    def take(self, now: Pass) -> Picture:
        """Make a picture of a pass: of what changed, if it follows the last one."""
        last = self._last
        self._last = now
        carried_out = None if last is None else _carried_out(last, now)
        if last is None or carried_out is None or self._taken >= REEL_TICKS or _cut(last, now):
            self._taken, self._stream = 0, zlib.compressobj(wbits=RAW)
            content: Key | Frame = Key(__version__, now.policy, now.state, now.snapshot)
        else:
            content = _frame(last.snapshot, now.snapshot, carried_out=carried_out)
        self._taken += 1
        encoded = self._encoder.encode(content)
        data = self._stream.compress(len(encoded).to_bytes(LENGTH_BYTES, "big") + encoded)
        return Picture(first=self._taken == 1, data=data + self._stream.flush(zlib.Z_SYNC_FLUSH))


def _carried_out(last: Pass, now: Pass) -> bool | None:
    """Say how a pass follows another, None if it does not."""
    if now.state is last.decision.state:
        return True
    return False if now.state is last.decision.before else None


def _cut(last: Pass, now: Pass) -> bool:
    """Say whether something changed that changes seldom: it is not worth a difference."""
    was, found = last.snapshot, now.snapshot
    return (
        now.policy != last.policy
        or found.settings != was.settings
        or found.settings_faults != was.settings_faults
        or found.reservations != was.reservations
        or found.paused != was.paused
        or len(found.guests) != len(was.guests)
        or any(
            guest.name != other.name for guest, other in zip(found.guests, was.guests, strict=True)
        )
    )


def _frame(was: Snapshot, now: Snapshot, *, carried_out: bool) -> Frame:
    whole: dict[int, GuestObservation] = {}
    devices: dict[int, Devices] = {}
    said: dict[int, tuple[int, ...]] = {}
    heard: dict[int, tuple[int, ...]] = {}
    for number, (before, guest) in enumerate(zip(was.guests, now.guests, strict=True)):
        change = _change(before.statistics, guest.statistics)
        inner = _inner_change(before.inside, guest.inside)
        if (
            change is None
            or inner is None
            or guest.heard_by is not before.heard_by
            or guest.unfit != before.unfit
            or guest.run_state is not before.run_state
            or guest.disturbed_at_s != before.disturbed_at_s
        ):
            whole[number] = guest
            continue
        if any(change):
            said[number] = change
        if any(inner):
            heard[number] = inner
        if guest.devices != before.devices:
            devices[number] = guest.devices
    return Frame(
        carried_out=carried_out,
        now_s=now.now_s,
        host=None if now.host == was.host else now.host,
        stamps=_stamps(now.now_s, now.guests),
        whole=whole,
        devices=devices,
        said=said,
        heard=heard,
        hurried=now.hurried,
    )


def _change(before: Statistics | None, now: Statistics | None) -> tuple[int, ...] | None:
    """Say by how much each figure changed, None if one came or went."""
    if before is now:
        return ()
    if before is None or now is None:
        return None
    was, found = figures_of(before), figures_of(now)
    if (was[2] is None, was[6] is None, was[7] is None, was[8] is None) != (
        found[2] is None,
        found[6] is None,
        found[7] is None,
        found[8] is None,
    ):
        return None
    return tuple((value or 0) - (other or 0) for value, other in zip(found, was, strict=True))


def _inner_change(before: Inside | None, now: Inside | None) -> tuple[int, ...] | None:
    """Say by how much each figure from within changed, None if one came or went."""
    if before is now:
        return ()
    if before is None or now is None:
        return None
    was, found = inside_figures_of(before), inside_figures_of(now)
    if any((value is None) is not (other is None) for value, other in zip(found, was, strict=True)):
        return None
    return tuple((value or 0) - (other or 0) for value, other in zip(found, was, strict=True))


def _stamps(now_s: float, guests: Sequence[GuestObservation]) -> bytes | list[int]:
    """Pack the times: as ages in milliseconds where that loses nothing, else whole.

    Whole ones have all their first bytes before all their second ones: the highest are alike.
    """
    stamps = [guest.seen_at_s for guest in guests]
    stamps += [guest.statistics_at_s for guest in guests]
    stamps += [guest.inside.at_s for guest in guests if guest.inside is not None]
    now_ms = round(now_s * 1000)
    ages = [now_ms - round(stamp * 1000) for stamp in stamps]
    if timed(now_ms, ages) == stamps:
        return ages
    packed = array("d", stamps).tobytes()
    return b"".join(packed[place::STAMP_BYTES] for place in range(STAMP_BYTES))


def timed(now_ms: int, ages: Sequence[int]) -> list[float]:
    """Make times of ages, in seconds of milliseconds."""
    return [(now_ms - age) / 1000 for age in ages]
