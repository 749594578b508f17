"""What a libvirt domain needs for Dynamic Memory, written into its XML. Pure: text in, text out.

A balloon with statistics, that gives way before the guest's kernel kills, and reports free pages;
above the boot RAM one virtio-mem device for each of the guest's NUMA nodes. What cannot be made to
work (huge pages, passed-through devices, encrypted or locked memory) is refused with the reason.
Nothing here defines a domain: that is for who asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from barostat.errors import InputError
from barostat.hypervisors.domain_xml import (
    child,
    parse_domain,
    print_domain,
    set_size,
    size_bytes,
)
from barostat.hypervisors.plugging import BLOCK_BYTES, CAREFUL_GROWTH, LARGEST_GROWTH, SECTION_BYTES
from barostat.units import GIB, format_size

__all__ = ["Preparation", "prepare"]

SPARE_BYTES: Final = GIB
"""Address space that QEMU needs to align each device."""

ONLINING: Final = (
    "inside a Linux guest plugged memory must be brought online as movable: "
    "memhp_default_state=online_movable on its kernel command line, or a udev rule"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What came of preparing a domain.

    Attributes:
        xml: the domain's XML as it should be.
        changes: what is different in it, a sentence each; none if it was ready.
        remarks: what the XML cannot say.
        startup_bytes, maximum_bytes: boot RAM, and what the devices allow.
    """

    xml: str
    changes: tuple[str, ...]
    remarks: tuple[str, ...]
    startup_bytes: int
    maximum_bytes: int


def prepare(
    xml: str, *, startup_bytes: int | None = None, maximum_bytes: int | None = None
) -> Preparation:
    """Make a domain's XML fit for Dynamic Memory.

    Args:
        xml: the persistent XML of a domain, as `virsh dumpxml --inactive` prints it.
        startup_bytes: its boot RAM from now on; None leaves it.
        maximum_bytes: the most that its devices are to allow, rounded up to whole sections; None
            leaves it.

    Raises:
        InputError: this is no domain, or one that cannot have Dynamic Memory; with every reason.
    """
    root = parse_domain(xml)
    _refuse_unfit(root)
    has_bytes = _boot_bytes(root)
    startup = has_bytes if startup_bytes is None else startup_bytes
    region = sum(size_bytes(child(plug, "target/size")) for plug in _plugs(root))
    maximum = startup + region if maximum_bytes is None else maximum_bytes
    _refuse_sizes(startup, maximum)
    region = maximum - startup
    changes = _set_boot(root, startup, has_bytes)
    changes += _set_regions(root, startup, region) if region else _drop_plugs(root)
    changes += _set_balloon(root)
    return Preparation(
        xml=print_domain(root),
        changes=tuple(changes),
        remarks=(*_remarks(startup, region), *_secrets(root)),
        startup_bytes=startup,
        maximum_bytes=startup + sum(size_bytes(child(p, "target/size")) for p in _plugs(root)),
    )


def _refuse_unfit(root: ET.Element) -> None:
    """Refuse a domain whose memory cannot be moved, with every reason."""
    faults = []
    if root.find("memoryBacking/hugepages") is not None:
        faults.append("its memory is in huge pages, of which a balloon frees nothing")
    if root.find("memoryBacking/locked") is not None:
        faults.append("its memory is locked")
    if root.find("devices/hostdev") is not None:
        faults.append("a host device is passed through to it, which pins all of its memory")
    if root.find("launchSecurity") is not None:
        faults.append("its memory is encrypted, and the host cannot take it back")
    if faults:
        raise InputError(
            f'VM "{root.findtext("name", "?")}" cannot have Dynamic Memory: ' + "; ".join(faults),
            hint="leave it static; nothing was changed",
        )


def _refuse_sizes(startup: int, maximum: int) -> None:
    faults = []
    for name, size in (("startup", startup), ("maximum", maximum)):
        if size % BLOCK_BYTES or not size:
            faults.append(f"{name} must be a multiple of {format_size(BLOCK_BYTES)}")
    if startup and not startup <= maximum <= LARGEST_GROWTH * startup:
        faults.append(
            f"maximum is {format_size(maximum)}: it must be between startup, "
            f"{format_size(startup)}, and {LARGEST_GROWTH} times that"
        )
    if faults:
        raise InputError("; ".join(faults), hint="give other sizes; nothing was changed")


def _cells(root: ET.Element) -> list[ET.Element]:
    return root.findall("cpu/numa/cell")


def _cell_bytes(cell: ET.Element) -> int:
    size = ET.Element("memory", {"unit": cell.get("unit", "KiB")})
    size.text = cell.get("memory", "")
    return size_bytes(size)


def _plugs(root: ET.Element) -> list[ET.Element]:
    return root.findall("devices/memory[@model='virtio-mem']")


def _boot_bytes(root: ET.Element) -> int:
    """Say the boot RAM: the NUMA cells where there are any, because <memory> counts devices in."""
    cells = _cells(root)
    return sum(map(_cell_bytes, cells)) if cells else size_bytes(child(root, "memory"))


def _set_boot(root: ET.Element, startup: int, has_bytes: int) -> list[str]:
    """Set the boot RAM, spread over the NUMA nodes as it was."""
    current = child(root, "currentMemory")
    before = size_bytes(current) if current.text else has_bytes
    set_size(current, startup)
    if startup == has_bytes:
        return [] if before >= startup else [_balloon_at_boot(before, startup)]
    cells = _cells(root)
    for cell in cells[1:]:
        share = startup * _cell_bytes(cell) // has_bytes
        _set_cell(cell, share - share % BLOCK_BYTES)
    if cells:
        _set_cell(cells[0], startup - sum(map(_cell_bytes, cells[1:])))
    set_size(child(root, "memory"), startup)
    return [f"boot RAM: {format_size(startup)} instead of {format_size(has_bytes)}"]


def _balloon_at_boot(before: int, startup: int) -> str:
    return (
        f"currentMemory: {format_size(startup)} instead of {format_size(before)}: it boots with "
        "all of its boot RAM, and Barostat takes back what it does not need"
    )


def _set_cell(cell: ET.Element, size: int) -> None:
    cell.set("unit", "KiB")
    cell.set("memory", str(size // 1024))


def _set_regions(root: ET.Element, startup: int, region: int) -> list[str]:
    """Give each NUMA node its part of the region."""
    changes = []
    if not _cells(root):
        _add_cell(root, startup)
        changes.append("one NUMA node with all processors: virtio-mem belongs to a node")
    cells = _cells(root)
    share = -(-region // (len(cells) * SECTION_BYTES)) * SECTION_BYTES
    plugs = {plug.findtext("target/node", "0"): plug for plug in _plugs(root)}
    for index, cell in enumerate(cells):
        node = cell.get("id", str(index))
        changes += _set_plug(root, plugs.get(node), node, share)
    total = startup + sum(size_bytes(child(plug, "target/size")) for plug in _plugs(root))
    changes += _set_room(root, total + SPARE_BYTES * len(cells), len(cells))
    set_size(child(root, "memory"), total)
    return changes


def _drop_plugs(root: ET.Element) -> list[str]:
    """Take away what a guest that cannot grow has no use for."""
    plugs = _plugs(root)
    for plug in plugs:
        child(root, "devices").remove(plug)
    return ["no virtio-mem: its maximum is its boot RAM"] if plugs else []


def _add_cell(root: ET.Element, startup: int) -> None:
    processors = int(root.findtext("vcpu", "1"))
    cell = ET.SubElement(
        child(root, "cpu/numa"), "cell", {"id": "0", "cpus": f"0-{processors - 1}"}
    )
    _set_cell(cell, startup)


def _set_plug(root: ET.Element, plug: ET.Element | None, node: str, share: int) -> list[str]:
    """Set one node's virtio-mem device; one that is as large already is left as it is."""
    if plug is None:
        plug = ET.SubElement(child(root, "devices"), "memory", {"model": "virtio-mem"})
        child(plug, "target/node").text = node
        set_size(child(plug, "target/block"), BLOCK_BYTES)
        set_size(child(plug, "target/requested"), 0)
        set_size(child(plug, "target/size"), share)
        return [f"virtio-mem for NUMA node {node}: {format_size(share)}, nothing plugged at boot"]
    size = child(plug, "target/size")
    before = size_bytes(size)
    if before == share:
        return []
    set_size(size, share)
    requested = child(plug, "target/requested")
    if size_bytes(requested) > share:
        set_size(requested, 0)
    return [
        f"virtio-mem for NUMA node {node}: {format_size(share)} instead of {format_size(before)}"
    ]


def _set_room(root: ET.Element, needed: int, devices: int) -> list[str]:
    """See that the address space has room for every device, and a slot for it."""
    room = child(root, "maxMemory")
    before = size_bytes(room) if room.text else 0
    # libvirt before 9.5 counts a slot for each virtio-mem device.
    slots = max(int(room.get("slots", "0")), devices)
    room.set("slots", str(slots))
    if before >= needed:
        return []
    set_size(room, needed)
    return [f"maxMemory: {format_size(needed)} of address space"]


def _set_balloon(root: ET.Element) -> list[str]:
    """See that there is a balloon that speaks, and that gives way."""
    changes = []
    devices = child(root, "devices")
    balloon = devices.find("memballoon")
    if balloon is not None and balloon.get("model") != "virtio":
        devices.remove(balloon)
        balloon = None
    if balloon is None:
        balloon = ET.SubElement(devices, "memballoon", {"model": "virtio"})
        changes.append("a virtio balloon")
    wanted = {
        "autodeflate": "the balloon gives way before the guest's kernel kills",
        "freePageReporting": "memory that the guest frees goes back to the host by itself",
    }
    for attribute, meaning in wanted.items():
        if balloon.get(attribute) != "on":
            balloon.set(attribute, "on")
            changes.append(f"{attribute}: {meaning}")
    statistics = child(balloon, "stats")
    if statistics.get("period") != "1":
        statistics.set("period", "1")
        changes.append("balloon statistics once a second")
    return changes


def _secrets(root: ET.Element) -> tuple[str, ...]:
    """Warn of what should not stand on a screen: without it, defining would take it away."""
    if root.find(".//*[@passwd]") is None:
        return ()
    return ("the XML holds a password, so that defining it does not take that away",)


def _remarks(startup: int, region: int) -> tuple[str, ...]:
    remarks = ["the changes take effect when the VM is next started from off"]
    if region:
        remarks.append(ONLINING)
    else:
        remarks.append("it cannot grow beyond its boot RAM: for that, name a larger maximum")
    if startup + region > CAREFUL_GROWTH * startup:
        remarks.append(
            f"it can grow to more than {CAREFUL_GROWTH} times its boot RAM: what its kernel itself "
            "needs must fit into the boot RAM; a larger startup is safer"
        )
    return tuple(remarks)
