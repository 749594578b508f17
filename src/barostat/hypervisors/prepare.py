"""What a libvirt domain needs for Dynamic Memory, written into its XML. Pure: text in, text out.

A balloon with statistics, that gives way before the guest's kernel kills, and reports free pages;
above the boot RAM one virtio-mem device for each of the guest's NUMA nodes; ports for the agents in
the guest. What cannot be made to work (huge pages, passed-through devices, encrypted or locked
memory) is refused with the reason.
Nothing here defines a domain: that is for who asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from barostat.core.explain import sentence
from barostat.errors import InputError
from barostat.hypervisors.domain_unfit import unfit_reasons
from barostat.hypervisors.domain_xml import (
    child,
    keep_prefixes,
    parse_domain,
    print_domain,
    size_bytes,
)
from barostat.hypervisors.plugging import BLOCK_BYTES, CAREFUL_GROWTH, LARGEST_GROWTH
from barostat.hypervisors.prepare_channels import INSTALLING, add_channels
from barostat.hypervisors.prepare_memory import (
    boot_bytes,
    drop_plugs,
    plug_devices,
    set_balloon,
    set_boot,
    set_regions,
)
from barostat.units import format_size

__all__ = ["Preparation", "prepare"]

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
    keep_prefixes(xml)
    _refuse_unfit(root)
    has_bytes = boot_bytes(root)
    startup = has_bytes if startup_bytes is None else startup_bytes
    region = sum(size_bytes(child(plug, "target/size")) for plug in plug_devices(root))
    maximum = startup + region if maximum_bytes is None else maximum_bytes
    _refuse_sizes(startup, maximum)
    region = maximum - startup
    changes = set_boot(root, startup, has_bytes)
    changes += set_regions(root, startup, region) if region else drop_plugs(root)
    changes += set_balloon(root)
    channels = add_channels(root)
    return Preparation(
        xml=print_domain(root),
        changes=(*changes, *channels),
        remarks=(
            *_remarks(startup, region),
            *((INSTALLING,) if channels else ()),
            *_secrets(root),
        ),
        startup_bytes=startup,
        maximum_bytes=startup
        + sum(size_bytes(child(p, "target/size")) for p in plug_devices(root)),
    )


def _refuse_unfit(root: ET.Element) -> None:
    """Refuse a domain whose memory cannot be moved, with every reason."""
    faults = [sentence(reason) for reason in unfit_reasons(root)]
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
