from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from barostat.errors import InputError
from barostat.hypervisors.domain_xml import size_bytes
from barostat.hypervisors.prepare import Preparation, prepare
from barostat.hypervisors.prepare_channels import INSTALLING
from barostat.units import GIB, MIB

PLAIN = """
<domain type='kvm'>
  <name>web</name>
  <memory unit='KiB'>1048576</memory>
  <currentMemory unit='KiB'>1048576</currentMemory>
  <metadata>
    <info:libosinfo xmlns:info="http://libosinfo.org/xmlns/libvirt/domain/1.0">
      <info:os id="http://debian.org/debian/12"/>
    </info:libosinfo>
  </metadata>
  <vcpu>2</vcpu>
  {more}
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    {devices}
  </devices>
</domain>
"""

TWO_NODES = """
<cpu mode='host-model'>
  <numa>
    <cell id='0' cpus='0' memory='768' unit='MiB'/>
    <cell id='1' cpus='1' memory='256' unit='MiB'/>
  </numa>
</cpu>
"""


def plain(more: str = "", devices: str = "<memballoon model='virtio'/>") -> str:
    return PLAIN.format(more=more, devices=devices)


def tree(preparation: Preparation) -> ET.Element:
    return ET.fromstring(preparation.xml)


def size(root: ET.Element, path: str) -> int:
    found = root.find(path)
    assert found is not None, path
    return size_bytes(found)


def test_a_plain_domain_gets_a_node_a_device_address_space_and_a_balloon_that_speaks() -> None:
    done = prepare(plain(), startup_bytes=512 * MIB, maximum_bytes=4 * GIB)
    root = tree(done)

    assert (done.startup_bytes, done.maximum_bytes) == (512 * MIB, 4 * GIB)
    assert size(root, "currentMemory") == 512 * MIB
    assert size(root, "memory") == 4 * GIB  # libvirt counts devices in
    assert size(root, "maxMemory") == 5 * GIB
    assert root.find("cpu/numa/cell[@cpus='0-1'][@memory='524288']") is not None
    plug = "devices/memory[@model='virtio-mem']/target"
    assert size(root, f"{plug}/size") == 3584 * MIB
    assert size(root, f"{plug}/requested") == 0
    assert size(root, f"{plug}/block") == 2 * MIB
    balloon = root.find("devices/memballoon[@autodeflate='on'][@freePageReporting='on']")
    assert balloon is not None
    assert balloon.find("stats[@period='1']") is not None
    assert len(done.changes) == 9


def test_what_was_prepared_is_left_as_it_is() -> None:
    first = prepare(plain(), startup_bytes=512 * MIB, maximum_bytes=4 * GIB)

    again = prepare(first.xml)

    assert again.changes == ()
    assert again.xml == first.xml
    assert (again.startup_bytes, again.maximum_bytes) == (512 * MIB, 4 * GIB)


def test_a_region_is_whole_sections_of_what_linux_hot_adds() -> None:
    done = prepare(plain(), startup_bytes=1 * GIB, maximum_bytes=1500 * MIB)

    assert done.maximum_bytes == 1 * GIB + 512 * MIB


def test_without_a_maximum_only_the_balloon_is_seen_to() -> None:
    done = prepare(plain())
    root = tree(done)

    assert root.find("devices/memory") is None
    assert root.find("maxMemory") is None
    assert root.find("cpu") is None
    assert done.maximum_bytes == done.startup_bytes == 1 * GIB
    assert done.remarks == (
        "the changes take effect when the VM is next started from off",
        "it cannot grow beyond its boot RAM: for that, name a larger maximum",
        INSTALLING,
    )


def test_every_numa_node_has_its_part_of_boot_ram_and_a_device_of_its_own() -> None:
    done = prepare(plain(TWO_NODES), startup_bytes=512 * MIB, maximum_bytes=1 * GIB)
    root = tree(done)

    cells = {cell.get("id"): cell.get("memory") for cell in root.iterfind("cpu/numa/cell")}
    assert cells == {"0": str(384 * 1024), "1": str(128 * 1024)}
    nodes = [plug.findtext("target/node") for plug in root.iterfind("devices/memory")]
    assert nodes == ["0", "1"]
    assert done.maximum_bytes == 1 * GIB
    maximum = root.find("maxMemory")
    assert maximum is not None
    assert maximum.get("slots") == "2"


def test_a_device_that_is_too_small_is_made_larger_and_one_that_is_plugged_stays_plugged() -> None:
    small = prepare(plain(), startup_bytes=1 * GIB, maximum_bytes=2 * GIB).xml
    plugged = small.replace(
        '<requested unit="KiB">0</requested>', '<requested unit="KiB">262144</requested>'
    )

    done = prepare(plugged, maximum_bytes=3 * GIB)

    assert size(tree(done), "devices/memory/target/size") == 2 * GIB
    assert size(tree(done), "devices/memory/target/requested") == 256 * MIB
    assert any("2048 MiB instead of 1024 MiB" in change for change in done.changes)


def test_a_device_is_not_asked_for_more_than_it_has_when_it_is_made_smaller() -> None:
    large = prepare(plain(), startup_bytes=1 * GIB, maximum_bytes=3 * GIB).xml
    plugged = large.replace(
        '<requested unit="KiB">0</requested>', '<requested unit="KiB">2097152</requested>'
    )

    done = prepare(plugged, maximum_bytes=2 * GIB)

    assert size(tree(done), "devices/memory/target/requested") == 0


def test_a_password_in_the_xml_is_kept_and_remarked_on() -> None:
    done = prepare(plain(devices="<graphics type='vnc' passwd='hush'/>"))

    assert 'passwd="hush"' in done.xml
    assert any("password" in remark for remark in done.remarks)


@pytest.mark.parametrize("devices", ["<memballoon model='none'/>", ""])
def test_a_domain_without_a_balloon_gets_one(devices: str) -> None:
    done = prepare(plain(devices=devices))

    models = [balloon.get("model") for balloon in tree(done).iterfind("devices/memballoon")]
    assert models == ["virtio"]
    assert "a virtio balloon" in done.changes


def test_a_balloon_that_would_be_inflated_at_boot_is_not() -> None:
    less = plain().replace(
        "<currentMemory unit='KiB'>1048576<", "<currentMemory unit='KiB'>524288<"
    )

    done = prepare(less)

    assert size(tree(done), "currentMemory") == 1 * GIB
    assert any(change.startswith("currentMemory") for change in done.changes)


def test_a_maximum_that_is_the_boot_ram_takes_the_device_away() -> None:
    large = prepare(plain(), startup_bytes=1 * GIB, maximum_bytes=3 * GIB).xml

    done = prepare(large, maximum_bytes=1 * GIB)

    assert tree(done).find("devices/memory") is None
    assert done.changes == ("no virtio-mem: its maximum is its boot RAM",)


def test_what_is_not_about_memory_stays_with_its_namespace() -> None:
    done = prepare(plain())

    assert '<info:os id="http://debian.org/debian/12" />' in done.xml


def test_all_that_makes_a_domain_unfit_is_said_at_once() -> None:
    unfit = plain(
        "<memoryBacking><hugepages/><locked/></memoryBacking><launchSecurity type='sev'/>",
        "<hostdev mode='subsystem' type='pci'/>",
    )

    with pytest.raises(InputError) as refused:
        prepare(unfit)

    for reason in ("hugepages", "locked", "passed through", "encrypted (SEV)"):
        assert reason in refused.value.message
    assert "nothing was changed" in refused.value.hint


@pytest.mark.parametrize(
    ("startup", "maximum", "says"),
    [
        (512 * MIB, 256 * MIB, "between startup"),
        (128 * MIB, 8 * GIB, "between startup"),
        (3 * MIB, None, "multiple of 2 MiB"),
        (0, None, "multiple of 2 MiB"),
    ],
)
def test_sizes_that_no_guest_can_have_are_refused(
    startup: int, maximum: int | None, says: str
) -> None:
    with pytest.raises(InputError, match=says):
        prepare(plain(), startup_bytes=startup, maximum_bytes=maximum)


@pytest.mark.parametrize(
    ("xml", "says"),
    [
        ("<domain>", "not XML"),
        ("<network/>", "not of a <domain>"),
        ("<!DOCTYPE domain [<!ENTITY a 'b'>]><domain/>", "document type"),
        ("<domain><memory unit='furlong'>3</memory></domain>", "no size"),
        ("<domain/>", "no size"),
    ],
)
def test_what_is_no_domain_is_said_to_be_none(xml: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        prepare(xml)


def test_a_guest_that_can_grow_far_beyond_its_boot_ram_is_remarked_on() -> None:
    done = prepare(plain(), startup_bytes=512 * MIB, maximum_bytes=4 * GIB)

    assert any("4 times its boot RAM" in remark for remark in done.remarks)
    assert any("memhp_default_state=online_movable" in remark for remark in done.remarks)


AGENT = "<channel type='unix'><target type='virtio' name='org.barostat.agent.0'/></channel>"
GUEST_AGENT = (
    "<channel type='pty'><target type='virtio' name='org.qemu.guest_agent.0' state='connected'/>"
    "</channel>"
)


def ports(preparation: Preparation) -> list[str | None]:
    return [target.get("name") for target in tree(preparation).iterfind("devices/channel/target")]


def test_a_domain_gets_ports_for_both_agents_and_a_word_on_installing_ours() -> None:
    done = prepare(plain())

    assert ports(done) == ["org.barostat.agent.0", "org.qemu.guest_agent.0"]
    channels = tree(done).findall("devices/channel[@type='unix']/target[@type='virtio']")
    assert len(channels) == 2
    said = [change for change in done.changes if change.startswith("channel ")]
    assert [change.split(":")[0] for change in said] == [f"channel {name}" for name in ports(done)]
    assert "when memory runs short" in said[0]
    assert any("docs/howto/guest-agent.md" in remark for remark in done.remarks)


def test_a_port_that_is_there_is_left_as_it_is() -> None:
    done = prepare(plain(devices=GUEST_AGENT))
    again = prepare(plain(devices=AGENT + GUEST_AGENT))

    assert ports(done) == ["org.qemu.guest_agent.0", "org.barostat.agent.0"]
    assert tree(done).find("devices/channel[@type='pty']") is not None
    assert ports(again) == ["org.barostat.agent.0", "org.qemu.guest_agent.0"]
    assert not any("channel" in change for change in again.changes)
    assert INSTALLING not in again.remarks
