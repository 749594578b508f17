"""The memory devices of a libvirt domain, written into its XML: boot RAM, virtio-mem, the balloon.

Each function changes a part of the domain and returns what it changed, a sentence each. What is
right already is left as it is.
"""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree as ET

from barostat.hypervisors.domain_xml import child, set_size, size_bytes, whole_number
from barostat.hypervisors.plugging import BLOCK_BYTES, SECTION_BYTES
from barostat.units import GIB, format_size

__all__ = ["boot_bytes", "drop_plugs", "plug_devices", "set_balloon", "set_boot", "set_regions"]

SPARE_BYTES: Final = GIB
"""Address space that QEMU needs to align each device."""


def _cells(root: ET.Element) -> list[ET.Element]:
    return root.findall("cpu/numa/cell")


def _cell_bytes(cell: ET.Element) -> int:
    size = ET.Element("memory", {"unit": cell.get("unit", "KiB")})
    size.text = cell.get("memory", "")
    return size_bytes(size)


def plug_devices(root: ET.Element) -> list[ET.Element]:
    """Find the virtio-mem devices."""
    return root.findall("devices/memory[@model='virtio-mem']")


def boot_bytes(root: ET.Element) -> int:
    """Say the boot RAM: the NUMA cells where there are any, because <memory> counts devices in."""
    cells = _cells(root)
    return sum(map(_cell_bytes, cells)) if cells else size_bytes(child(root, "memory"))


def set_boot(root: ET.Element, startup: int, has_bytes: int) -> list[str]:
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


def set_regions(root: ET.Element, startup: int, region: int) -> list[str]:
    """Give each NUMA node its part of the region."""
    changes = []
    if not _cells(root):
        _add_cell(root, startup)
        changes.append("one NUMA node with all processors: virtio-mem belongs to a node")
    cells = _cells(root)
    share = -(-region // (len(cells) * SECTION_BYTES)) * SECTION_BYTES
    plugs = {plug.findtext("target/node", "0"): plug for plug in plug_devices(root)}
    for index, cell in enumerate(cells):
        node = cell.get("id", str(index))
        changes += _set_plug(root, plugs.get(node), node, share)
    total = startup + sum(size_bytes(child(plug, "target/size")) for plug in plug_devices(root))
    changes += _set_room(root, total + SPARE_BYTES * len(cells), len(cells))
    set_size(child(root, "memory"), total)
    return changes


def drop_plugs(root: ET.Element) -> list[str]:
    """Take away what a guest that cannot grow has no use for."""
    plugs = plug_devices(root)
    for plug in plugs:
        child(root, "devices").remove(plug)
    return ["no virtio-mem: its maximum is its boot RAM"] if plugs else []


def _add_cell(root: ET.Element, startup: int) -> None:
    processors = whole_number(root.findtext("vcpu", "1"), what="<vcpu>")
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
    slots = max(whole_number(room.get("slots", "0"), what="slots of <maxMemory>"), devices)
    room.set("slots", str(slots))
    if before >= needed:
        return []
    set_size(room, needed)
    return [f"maxMemory: {format_size(needed)} of address space"]


def set_balloon(root: ET.Element) -> list[str]:
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
