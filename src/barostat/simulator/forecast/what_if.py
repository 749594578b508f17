"""Hosts that are not: VMs added or removed, another capacity; read from words, applied to history.

Words are "add 5 like web", "remove db" and "capacity 192GiB", several of them with commas between.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, assert_never

import numpy as np

from barostat.errors import InputError, SizeError
from barostat.simulator.forecast.recorded import Recorded
from barostat.simulator.trace import Integers
from barostat.units import format_size, parse_size

__all__ = ["Add", "Capacity", "Change", "Remove", "apply_changes", "read_what_if"]

MOST_ADDED: Final = 500
FORMS: Final = '"add 5 like web", "remove db" or "capacity 192GiB", several with commas between'


@dataclass(frozen=True, slots=True)
class Add:
    """So many more VMs that need what another one does."""

    count: int
    like: str


@dataclass(frozen=True, slots=True)
class Remove:
    """A VM goes."""

    vm: str


@dataclass(frozen=True, slots=True)
class Capacity:
    """The host may hand out as much."""

    capacity_bytes: int


Change = Add | Remove | Capacity


def read_what_if(text: str) -> tuple[Change, ...]:
    """Read what is to be supposed.

    Raises:
        InputError: it is none of the three forms.
    """
    parts = re.split(r",\s*(?=(?:add|remove|capacity)\s)", text.strip())
    return tuple(_read(part.strip(), text) for part in parts)


def _read(part: str, text: str) -> Change:
    if found := re.fullmatch(r"add\s+([0-9]{1,6})\s+like\s+(\S.*)", part):
        return Add(_count(int(found[1]), text), found[2])
    if found := re.fullmatch(r"remove\s+(\S.*)", part):
        return Remove(found[1])
    if found := re.fullmatch(r"capacity\s+(\S.*)", part):
        return Capacity(_size(found[1], text))
    raise InputError(f'"{text}" is nothing that can be supposed', hint=f"write {FORMS}")


def _count(count: int, text: str) -> int:
    if not 1 <= count <= MOST_ADDED:
        raise InputError(
            f'"{text}" adds {count} VMs', hint=f"between 1 and {MOST_ADDED} can be added"
        )
    return count


def _size(words: str, text: str) -> int:
    try:
        size_bytes = parse_size(words)
    except SizeError as error:
        raise InputError(f'"{text}": {error.message}', hint=error.hint) from error
    if not size_bytes:
        raise InputError(f'"{text}" leaves no memory at all', hint='as in "capacity 192GiB"')
    return size_bytes


def apply_changes(recorded: Recorded, changes: Collection[Change]) -> Recorded:
    """Make the history of a host that is not, one change after the other.

    Raises:
        InputError: a VM is not there, nobody is left, or what runs now would not fit.
    """
    smaller = False
    for change in changes:
        match change:
            case Add():
                recorded = _added(recorded, change)
            case Remove():
                place = _place(recorded, change.vm)
                recorded = _only(recorded, np.delete(np.arange(len(recorded.vms)), place))
            case Capacity():
                smaller = change.capacity_bytes < recorded.capacity_bytes
                recorded = replace(recorded, capacity_bytes=float(change.capacity_bytes))
            case _:
                assert_never(change)
    if not len(recorded.here):
        raise InputError("that would leave no VM on the host", hint="remove fewer of them")
    if smaller and recorded.now_bytes > recorded.capacity_bytes:
        raise _too_small(recorded)
    return recorded


def _too_small(recorded: Recorded) -> InputError:
    needed = format_size(int(recorded.now_bytes))
    return InputError(
        f"a capacity of {format_size(int(recorded.capacity_bytes))} is less than the VMs that run "
        f"need now, {needed}",
        hint=f"suppose more than {needed}, or remove VMs in the same --what-if",
    )


def _place(recorded: Recorded, vm: str) -> int:
    """Find a VM that is here."""
    names = [recorded.vms[place] for place in recorded.here.tolist()]
    if vm in names:
        return recorded.vms.index(vm)
    near = difflib.get_close_matches(vm, names, n=1)
    meant = f'did you mean "{near[0]}"?' if near else "there are: " + ", ".join(names[:20])
    when = " in the last 24 hours" if vm in recorded.vms else ""
    raise InputError(f'there was no VM "{vm}" on this host{when}', hint=meant)


def _added(recorded: Recorded, change: Add) -> Recorded:
    place = _place(recorded, change.like)
    everybody = np.arange(len(recorded.vms))
    more = _only(recorded, np.append(everybody, np.full(change.count, place)))
    taken, names, number = set(recorded.vms), list(recorded.vms), 1
    while len(names) < len(more.vms):
        number += 1
        if (name := f"{change.like} ({number})") not in taken:
            names.append(name)
    settings, devices = dict(recorded.settings), dict(recorded.devices_bytes)
    for name in names[len(recorded.vms) :]:
        if change.like in settings:
            settings[name] = settings[change.like]
        if change.like in devices:
            devices[name] = devices[change.like]
    return replace(more, vms=tuple(names), settings=settings, devices_bytes=devices)


def _only(recorded: Recorded, places: Integers) -> Recorded:
    """Keep VMs by their places, which may come twice."""
    return replace(
        recorded,
        vms=tuple(recorded.vms[place] for place in places.tolist()),
        demand_bytes=recorded.demand_bytes[:, places],
        assigned_bytes=recorded.assigned_bytes[:, places],
        said=recorded.said[:, places],
    )
