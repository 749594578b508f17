"""What a domain's memory is made of, read from its live XML. Pure: text in, values out.

libvirt counts the largest size of each memory device into <memory>, and what virtio-mem has plugged
into <currentMemory>. Boot RAM, as QEMU and its balloon count it, is <memory> without all devices
but DIMMs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from barostat.config.settings_file import SettingsFile
from barostat.config.settings_xml import TAG, read_settings
from barostat.core.observation import Devices, PlugDevice
from barostat.core.reasons import Reason
from barostat.core.settings import DEFAULT_WEIGHT
from barostat.errors import InputError, RefusedError, SettingsError
from barostat.hypervisors.base import Startup
from barostat.hypervisors.domain_unfit import unfit_reasons
from barostat.hypervisors.domain_xml import parse_domain, set_size, size_bytes, whole_number

__all__ = ["DomainMemory", "plug_element", "read_memory", "read_startup"]

PLUG: Final = "virtio-mem"
AGENT_PORT: Final = "org.barostat.agent.0"
BALLOONS: Final = frozenset({"virtio", "virtio-transitional", "virtio-non-transitional"})


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainMemory:
    """A domain's memory as its XML tells it.

    Attributes:
        boot_bytes: base RAM with DIMMs.
        current_bytes: what libvirt believes that the balloon leaves of it.
        has_balloon: there is a balloon device.
        deflate_on_oom: the balloon's "autodeflate".
        period_s: how often QEMU asks for statistics, 0 for never.
        plugs: the virtio-mem devices by their aliases.
        settings: what stands in the metadata; None if nothing does.
        settings_faults: why it cannot be used.
        agent: the socket of the channel to Barostat's agent in it, None if it has none.
        unfit: why the host cannot have back what it gives, None if it can.
    """

    boot_bytes: int
    current_bytes: int
    has_balloon: bool
    deflate_on_oom: bool
    period_s: int
    plugs: tuple[PlugDevice, ...]
    settings: SettingsFile | None
    settings_faults: tuple[str, ...]
    agent: Path | None = None
    unfit: Reason | None = None

    def devices(
        self, *, actual_bytes: int | None, target_bytes: int | None, loaded: bool
    ) -> Devices:
        """Put the sizes together.

        Args:
            actual_bytes: what QEMU says that the balloon leaves; None if it was not asked. A guest
                wrote it: it is clamped.
            target_bytes: what was last asked of the balloon.
            loaded: the balloon driver is there. Until it is, the guest holds all of its base RAM.
        """
        actual = self.current_bytes if actual_bytes is None else actual_bytes
        held = self.has_balloon and loaded
        return Devices(
            boot_bytes=self.boot_bytes,
            balloon_actual_bytes=max(0, min(actual, self.boot_bytes)) if held else self.boot_bytes,
            balloon_target_bytes=target_bytes,
            has_balloon=self.has_balloon,
            deflate_on_oom=self.deflate_on_oom,
            plugs=self.plugs,
        )


def read_memory(xml: str, *, guest: str) -> DomainMemory:
    """Read a domain's live XML.

    Raises:
        RefusedError: it is not what libvirt writes.
    """
    try:
        return _read(parse_domain(xml), guest)
    except InputError as error:
        raise RefusedError(
            f'the XML of VM "{guest}" cannot be understood: {error}',
            hint="is this libvirt older than 7.9?",
        ) from error


def _read(root: ET.Element, guest: str) -> DomainMemory:
    plugs = tuple(sorted((_plug(device) for device in _plugs(root)), key=lambda plug: plug.name))
    balloon = root.find("devices/memballoon")
    has_balloon = balloon is not None and balloon.get("model") in BALLOONS
    stats = root.find("devices/memballoon/stats")
    settings, faults = _settings(root, guest)
    plugged_bytes = sum(plug.size_bytes for plug in plugs)
    return DomainMemory(
        boot_bytes=_boot_bytes(root),
        current_bytes=_size(root, "currentMemory") - plugged_bytes,
        has_balloon=has_balloon,
        deflate_on_oom=balloon is not None and balloon.get("autodeflate") == "on",
        period_s=0 if stats is None else _period_s(stats),
        plugs=plugs,
        settings=settings,
        settings_faults=faults,
        agent=_agent(root),
        unfit=next(iter(unfit_reasons(root)), None),
    )


def _boot_bytes(root: ET.Element) -> int:
    others_bytes = sum(
        _size(device, "target/size")
        for device in root.iterfind("devices/memory")
        if device.get("model") != "dimm"
    )
    boot_bytes = _size(root, "memory") - others_bytes
    if boot_bytes < 0:
        raise InputError("its memory devices have more than all of its <memory>")
    return boot_bytes


def read_startup(xml: str, *, guest: str) -> Startup:
    """Read what a domain takes when it starts, of its XML of any kind.

    Raises:
        RefusedError: it is not what libvirt writes.
    """
    try:
        root = parse_domain(xml)
        apart = root.find("memoryBacking/hugepages") is not None
        plugged = sum(_size(device, "target/requested") for device in _plugs(root))
        size_bytes = 0 if apart else _boot_bytes(root) + plugged
    except InputError as error:
        raise RefusedError(
            f'the XML of VM "{guest}" cannot be understood: {error}',
            hint="give what `virsh dumpxml` prints, or --size",
        ) from error
    settings, _ = _settings(root, guest)
    return Startup(
        size_bytes=size_bytes, weight=DEFAULT_WEIGHT if settings is None else settings.weight
    )


def _agent(root: ET.Element) -> Path | None:
    for channel in root.iterfind("devices/channel[@type='unix']"):
        target, source = channel.find("target"), channel.find("source")
        if target is not None and source is not None and target.get("name") == AGENT_PORT:
            path = source.get("path")
            return None if path is None else Path(path)
    return None


def _plugs(root: ET.Element) -> Iterator[ET.Element]:
    return (device for device in root.iterfind("devices/memory") if device.get("model") == PLUG)


def _period_s(stats: ET.Element) -> int:
    return whole_number(stats.get("period", "0"), what="the period of <stats>")


def _plug(device: ET.Element) -> PlugDevice:
    if not _size(device, "target/block"):
        raise InputError("a virtio-mem device has blocks of no size")
    return PlugDevice(
        name=_alias(device),
        requested_bytes=_size(device, "target/requested"),
        size_bytes=_size(device, "target/current"),
        maximum_bytes=_size(device, "target/size"),
        block_bytes=_size(device, "target/block"),
    )


def _alias(device: ET.Element) -> str:
    alias = device.find("alias")
    return "" if alias is None else alias.get("name", "")


def _size(parent: ET.Element, path: str) -> int:
    found = parent.find(path)
    if found is None:
        raise InputError(f"there is no <{path}>")
    return size_bytes(found)


def _settings(root: ET.Element, guest: str) -> tuple[SettingsFile | None, tuple[str, ...]]:
    element = root.find(f"metadata/{TAG}")
    if element is None:
        return None, ()
    try:
        return read_settings(element, guest=guest), ()
    except SettingsError as error:
        return None, error.faults


def plug_element(xml: str, device: str, requested_bytes: int) -> str:
    """Write a live virtio-mem element with another requested size, as libvirt wants an update.

    Args:
        xml: the domain's live XML, in which the device was found.
        device: its alias.
        requested_bytes: what to ask it for.
    """
    element = next(found for found in _plugs(parse_domain(xml)) if _alias(found) == device)
    requested = element.find("target/requested")
    if requested is not None:
        set_size(requested, requested_bytes)
    return ET.tostring(element, encoding="unicode")
