"""Why a domain's memory cannot be moved, by its XML: what it gives is pinned, and not freed. Pure.

The host sees the same in the QEMU process of a domain, where it may see that; the XML says it
wherever the domain is, and before it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree as ET

from barostat.core.reasons import Reason, ReasonCode, because

__all__ = ["unfit_reasons"]

_TECHNIQUES: Final = {
    "sev": "SEV",
    "sev-snp": "SEV-SNP",
    "tdx": "TDX",
    "s390-pv": "Secure Execution",
}
_PINNING_DEVICES: Final = ("pci", "mdev")  # a USB or SCSI device of the host pins nothing
_PINNING_CARDS: Final = ("hostdev", "vdpa")
LONGEST_NAME: Final = 64


def unfit_reasons(root: ET.Element) -> tuple[Reason, ...]:
    """Say why the host cannot have back what a domain gives; nothing if it can.

    Args:
        root: the domain.
    """
    return tuple(_reasons(root))


def _reasons(root: ET.Element) -> Iterator[Reason]:
    security = root.find("launchSecurity")
    if security is not None:
        kind = security.get("type", "")
        yield because(ReasonCode.CONFIDENTIAL, technique=_TECHNIQUES.get(kind, kind[:LONGEST_NAME]))
    device = next(_pinning(root), None)
    if device is not None:
        yield because(ReasonCode.PASSTHROUGH, device=device)
    if root.find("memoryBacking/hugepages") is not None:
        yield because(ReasonCode.HUGEPAGES)
    if root.find("memoryBacking/locked") is not None:
        yield because(ReasonCode.LOCKED)


def _pinning(root: ET.Element) -> Iterator[str]:
    """Name the devices of the host that pin a guest's memory."""
    for device in root.iterfind("devices/hostdev"):
        if device.get("type") in _PINNING_DEVICES:
            yield _address(device, f"{device.get('type')} device")
    for card in root.iterfind("devices/interface"):
        if card.get("type") in _PINNING_CARDS:
            yield _address(card, f"{card.get('type')} interface")


def _address(device: ET.Element, otherwise: str) -> str:
    """Say where on the host a device is, as people know it."""
    source = device.find("source")
    if source is not None and source.get("dev") is not None:
        return source.get("dev", "")[:LONGEST_NAME]
    address = device.find("source/address")
    if address is None:
        return otherwise
    if address.get("uuid") is not None:
        return address.get("uuid", "")[:LONGEST_NAME]
    parts = [address.get(key, "0x0").removeprefix("0x") for key in ("domain", "bus", "slot")]
    function = address.get("function", "0x0").removeprefix("0x")
    domain, bus, slot = (part.zfill(width) for part, width in zip(parts, (4, 2, 2), strict=True))
    return f"{domain}:{bus}:{slot}.{function}"[:LONGEST_NAME]
