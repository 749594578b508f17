"""What a QEMU guest's memory is made of, read from its own answers.

Knows which commands ask for it and which shapes the answers have; remembers nothing. A balloon or
a virtio-mem device without an id lives under a path that only the object tree tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import msgspec

from barostat.core.observation import Devices, PlugDevice
from barostat.errors import RefusedError, UnreachableError
from barostat.hypervisors.qmp_link import QmpLink

__all__ = ["Anatomy", "GuestStatistics", "Sizes", "dissect", "read_sizes", "read_statistics_of"]

Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**60)]
"""No machine has an exbibyte. A QEMU that says so, or less than nothing, is not believed at all:
a negative size would be memory to hand out that nobody has."""

BytesOfSome = Annotated[int, msgspec.Meta(gt=0, le=2**60)]

Second = Annotated[int, msgspec.Meta(ge=0, le=2**40)]

MOST_DEVICES: Final = 256
"""QEMU has so many slots for memory devices, and every look goes through all of them."""

NAMED: Final = "/machine/peripheral"
NAMELESS: Final = "/machine/peripheral-anon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """What does not change while a guest runs.

    Attributes:
        base_bytes: the RAM of -m, without DIMMs.
        balloon_path: where the virtio-balloon device is, None if there is none.
        deflate_on_oom: the balloon's property.
        nameless_plugs: paths of virtio-mem devices without an id, by their address.
    """

    base_bytes: int
    balloon_path: str | None
    deflate_on_oom: bool
    nameless_plugs: Mapping[int, str]

    def plug_path(self, name: str) -> str:
        """Say where a virtio-mem device is: a nameless one is called by its path."""
        return name if name.startswith("/") else f"{NAMED}/{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What changes: base RAM with DIMMs, what the balloon leaves of it, and the plugs."""

    boot_bytes: int
    actual_bytes: int
    plugs: tuple[PlugDevice, ...]

    def devices(self, anatomy: Anatomy, *, target_bytes: int | None, loaded: bool) -> Devices:
        """Put sizes and anatomy together.

        Args:
            anatomy: of the same guest.
            target_bytes: what was last asked of the balloon.
            loaded: the guest's balloon driver is there. Until it is, the guest holds all of its
                base RAM, whatever the balloon of its life before the reset had.
        """
        return Devices(
            boot_bytes=self.boot_bytes,
            balloon_actual_bytes=self.actual_bytes if loaded else self.boot_bytes,
            balloon_target_bytes=target_bytes,
            has_balloon=anatomy.balloon_path is not None,
            deflate_on_oom=anatomy.deflate_on_oom,
            plugs=self.plugs,
        )


class GuestStatistics(msgspec.Struct, frozen=True, rename={"last_update": "last-update"}):
    """The balloon driver's words, and when it said them: seconds of the host's clock, 0 never."""

    stats: dict[str, int]
    last_update: Second


class _BalloonInfo(msgspec.Struct):
    actual: int


class _MemorySize(msgspec.Struct, rename="kebab"):
    base_memory: BytesOfSome


class _Property(msgspec.Struct):
    name: str
    type: str


class _MemoryData(msgspec.Struct, rename="kebab"):
    """A device of any kind: DIMMs have a size alone, virtio-mem has it all."""

    id: str | None = None
    memaddr: int = 0
    size: Bytes = 0
    requested_size: Bytes = 0
    max_size: Bytes = 0
    block_size: BytesOfSome = 1


class _MemoryDevice(msgspec.Struct):
    type: str
    data: _MemoryData


_MemoryDevices = Annotated[list[_MemoryDevice], msgspec.Meta(max_length=MOST_DEVICES)]


async def dissect(guest: str, link: QmpLink) -> Anatomy:
    """Find a guest's memory devices.

    Raises:
        UnreachableError: what speaks QMP here is no VM.
        DeadlineError, GuestGoneError.
    """
    try:
        memory = await link.ask("query-memory-size-summary", _MemorySize)
        children = [
            (f"{folder}/{child.name}", child.type)
            for folder in (NAMED, NAMELESS)
            for child in await link.ask("qom-list", list[_Property], path=folder)
        ]
        balloon_path = next((path for path, kind in children if "virtio-balloon" in kind), None)
        return Anatomy(
            base_bytes=memory.base_memory,
            balloon_path=balloon_path,
            deflate_on_oom=balloon_path is not None
            and await _get(link, balloon_path, "deflate-on-oom", bool),
            nameless_plugs={
                await _get(link, path, "memaddr", int): path
                for path, kind in children
                if "virtio-mem" in kind and path.startswith(NAMELESS)
            },
        )
    except RefusedError as error:
        raise UnreachableError(
            f'VM "{guest}": what answers at {link.path} speaks QMP but is no VM: {error.message}',
            hint="give the QMP socket of a VM; QEMU's storage daemon, for one, is none",
        ) from error


async def _get(link: QmpLink, path: str, name: str, shape: type[Any]) -> Any:
    return await link.ask("qom-get", shape, path=path, property=name)


async def read_statistics_of(link: QmpLink, balloon_path: str) -> GuestStatistics:
    """Read what the balloon driver last said; nothing is asked of the guest."""
    answer: GuestStatistics = await _get(link, balloon_path, "guest-stats", GuestStatistics)
    return answer


async def read_sizes(link: QmpLink, anatomy: Anatomy) -> Sizes:
    """Ask how much of everything is there now.

    What the guest wrote as "actual" is clamped: it can be any number.
    """
    balloon = None
    if anatomy.balloon_path is not None:
        balloon = await link.ask("query-balloon", _BalloonInfo)
    found = await link.ask("query-memory-devices", _MemoryDevices)
    # QEMU counts DIMMs, but not virtio-mem, as RAM that the balloon can take from.
    boot_bytes = anatomy.base_bytes + sum(
        device.data.size for device in found if device.type == "dimm"
    )
    plugs = (_plug(device.data, anatomy) for device in found if device.type == "virtio-mem")
    return Sizes(
        boot_bytes=boot_bytes,
        actual_bytes=boot_bytes if balloon is None else max(0, min(balloon.actual, boot_bytes)),
        plugs=tuple(sorted(plugs, key=lambda plug: plug.name)),
    )


def _plug(device: _MemoryData, anatomy: Anatomy) -> PlugDevice:
    # One without an id that came after `dissect` is counted all the same; wishes it will refuse.
    nameless = anatomy.nameless_plugs.get(device.memaddr, f"{NAMELESS}/{device.memaddr:#x}")
    return PlugDevice(
        name=device.id or nameless,
        requested_bytes=device.requested_size,
        size_bytes=device.size,
        maximum_bytes=device.max_size,
        block_bytes=device.block_size,
    )
