"""The ways into a guest that a libvirt domain needs: virtio-serial ports for the agents in it.

A port that is there is left as it is, whatever is at its host end: a guest has only one of a name.
"""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree as ET

from barostat.hypervisors.domain_xml import child
from barostat.hypervisors.libvirt_xml import AGENT_PORT

__all__ = ["INSTALLING", "add_channels"]

GUEST_AGENT_PORT: Final = "org.qemu.guest_agent.0"

CHANNELS: Final = {
    AGENT_PORT: "Barostat's agent in the guest, which says at once when memory runs short",
    GUEST_AGENT_PORT: "qemu-guest-agent, which can say more than the balloon",
}
"""The name of each port, and for whom it is."""

INSTALLING: Final = (
    "inside the guest Barostat's agent must be installed before it says anything: "
    "docs/howto/guest-agent.md"
)


def add_channels(root: ET.Element) -> list[str]:
    """Add the ports that a domain lacks, and say which; libvirt picks their sockets itself."""
    devices = child(root, "devices")
    there = {target.get("name") for target in devices.iterfind("channel/target[@type='virtio']")}
    missing = [name for name in CHANNELS if name not in there]
    for name in missing:
        channel = ET.SubElement(devices, "channel", {"type": "unix"})
        ET.SubElement(channel, "target", {"type": "virtio", "name": name})
    return [f"channel {name}: for {CHANNELS[name]}" for name in missing]
