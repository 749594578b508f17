"""Which domains cannot be moved, as their XML says."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from barostat.core.reasons import Reason, ReasonCode, because
from barostat.hypervisors.domain_unfit import unfit_reasons

PCI = "<address domain='0x0000' bus='0x06' slot='0x12' function='0x5'/>"
UUID = "c2177883-f1bb-47f0-914d-32a22e3a8804"


def reasons(inside: str) -> tuple[Reason, ...]:
    return unfit_reasons(ET.fromstring(f"<domain>{inside}</domain>"))


def device(xml: str) -> str:
    return f"<devices>{xml}</devices>"


def passed(device: str) -> Reason:
    return because(ReasonCode.PASSTHROUGH, device=device)


@pytest.mark.parametrize(
    ("xml", "reason"),
    [
        ("<memoryBacking><hugepages/></memoryBacking>", because(ReasonCode.HUGEPAGES)),
        ("<memoryBacking><locked/></memoryBacking>", because(ReasonCode.LOCKED)),
        ("<launchSecurity type='sev'/>", because(ReasonCode.CONFIDENTIAL, technique="SEV")),
        ("<launchSecurity type='sev-snp'/>", because(ReasonCode.CONFIDENTIAL, technique="SEV-SNP")),
        ("<launchSecurity type='new'/>", because(ReasonCode.CONFIDENTIAL, technique="new")),
        (device(f"<hostdev type='pci'><source>{PCI}</source></hostdev>"), passed("0000:06:12.5")),
        (
            device(f"<hostdev type='mdev'><source><address uuid='{UUID}'/></source></hostdev>"),
            passed(UUID),
        ),
        (
            device(f"<interface type='hostdev'><source>{PCI}</source></interface>"),
            passed("0000:06:12.5"),
        ),
        (
            device("<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/></interface>"),
            passed("/dev/vhost-vdpa-0"),
        ),
        (device("<hostdev type='pci'/>"), passed("pci device")),
        (device("<interface type='vdpa'/>"), passed("vdpa interface")),
    ],
)
@pytest.mark.trust("capacity", "a VM whose memory is pinned, locked, encrypted or in hugepages")
def test_a_domain_whose_memory_cannot_be_had_back_says_why(xml: str, reason: Reason) -> None:
    assert reasons(xml) == (reason,)


@pytest.mark.parametrize(
    "xml",
    [
        "",
        "<memoryBacking><source type='memfd'/></memoryBacking>",
        "<devices><hostdev type='usb'/><hostdev type='scsi'/></devices>",
        "<devices><interface type='bridge'><source bridge='br0'/></interface></devices>",
    ],
)
def test_a_domain_whose_memory_can_be_had_back_has_no_reason(xml: str) -> None:
    assert reasons(xml) == ()


def test_names_of_any_length_are_cut() -> None:
    [reason] = reasons(f"<launchSecurity type='{'x' * 1000}'/>")

    assert len(str(reason.numbers["technique"])) == 64
