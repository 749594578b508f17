"""A domain's memory, read from live XML as libvirt writes it."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from barostat.config.settings_xml import NAMESPACE
from barostat.core.observation import PlugDevice
from barostat.core.reasons import ReasonCode, because
from barostat.errors import RefusedError
from barostat.hypervisors.base import Startup
from barostat.hypervisors.libvirt_xml import plug_element, read_memory, read_startup
from barostat.units import GIB, MIB

PLUG = """
    <memory model='virtio-mem'>
      <target>
        <size unit='KiB'>{size}</size>
        <node>0</node>
        <block unit='KiB'>2048</block>
        <requested unit='KiB'>{requested}</requested>
        <current unit='KiB'>{current}</current>
      </target>
      <alias name='{alias}'/>
      <address type='pci' domain='0x0000' bus='0x02' slot='0x00' function='0x0'/>
    </memory>"""

DIMM = """
    <memory model='{model}'>
      <target><size unit='KiB'>524288</size><node>0</node></target>
      <alias name='dimm0'/>
    </memory>"""


def domain(
    *,
    memory_kib: int = 1048576,
    current_kib: int = 1048576,
    devices: str = "",
    balloon: str = "<memballoon model='virtio' autodeflate='on'><stats period='5'/></memballoon>",
    metadata: str = "",
) -> str:
    return f"""<domain type='kvm' id='1' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>web</name>
  <metadata>{metadata}</metadata>
  <memory unit='KiB'>{memory_kib}</memory>
  <currentMemory unit='KiB'>{current_kib}</currentMemory>
  <devices>{devices}
    {balloon}
  </devices>
</domain>"""


def plugged(alias: str, size: int, requested: int, current: int) -> str:
    return PLUG.format(alias=alias, size=size, requested=requested, current=current)


TWO_PLUGS = domain(
    memory_kib=(1 + 4 + 2) * 2**20,
    current_kib=2**20 + 2**18 + 2**10,
    devices=plugged("ua-b", 4 * 2**20, 2**19, 2**18) + plugged("ua-a", 2 * 2**20, 0, 2**10),
)


def test_plain_memory_is_boot_ram_and_its_balloon() -> None:
    memory = read_memory(domain(current_kib=786432), guest="web")

    assert (memory.boot_bytes, memory.current_bytes) == (1 * GIB, 768 * MIB)
    assert memory.has_balloon
    assert memory.deflate_on_oom
    assert memory.period_s == 5
    assert memory.plugs == ()
    assert (memory.settings, memory.settings_faults) == (None, ())


def test_memory_that_the_host_cannot_have_back_is_told() -> None:
    locked = domain().replace("</domain>", "<memoryBacking><locked/></memoryBacking></domain>")

    assert read_memory(domain(), guest="web").unfit is None
    assert read_memory(locked, guest="web").unfit == because(ReasonCode.LOCKED)


def test_virtio_mem_is_neither_boot_ram_nor_what_the_balloon_leaves() -> None:
    memory = read_memory(TWO_PLUGS, guest="web")

    assert (memory.boot_bytes, memory.current_bytes) == (1 * GIB, 1 * GIB)
    assert memory.plugs == (
        PlugDevice(
            name="ua-a",
            requested_bytes=0,
            size_bytes=1 * MIB,
            maximum_bytes=2 * GIB,
            block_bytes=2 * MIB,
        ),
        PlugDevice(
            name="ua-b",
            requested_bytes=512 * MIB,
            size_bytes=256 * MIB,
            maximum_bytes=4 * GIB,
            block_bytes=2 * MIB,
        ),
    )


@pytest.mark.parametrize(("model", "boot_bytes"), [("dimm", 1536 * MIB), ("nvdimm", 1 * GIB)])
def test_of_other_memory_devices_dimms_alone_are_ram_that_a_balloon_can_take(
    model: str, boot_bytes: int
) -> None:
    xml = domain(memory_kib=1572864, devices=DIMM.format(model=model))

    assert read_memory(xml, guest="web").boot_bytes == boot_bytes


@pytest.mark.parametrize(
    ("balloon", "has"),
    [
        ("<memballoon model='none'/>", False),
        ("", False),
        ("<memballoon model='virtio-non-transitional'/>", True),
    ],
)
def test_a_balloon_is_there_or_not(balloon: str, *, has: bool) -> None:
    memory = read_memory(domain(balloon=balloon, current_kib=1), guest="web")
    devices = memory.devices(actual_bytes=None, target_bytes=None, loaded=True)

    assert (memory.has_balloon, memory.period_s, memory.deflate_on_oom) == (has, 0, False)
    assert devices.has_balloon == has
    assert devices.balloon_actual_bytes == (1024 if has else 1 * GIB)


@pytest.mark.parametrize("actual_bytes", [-1, 2**64 - 1, 5 * GIB])
def test_what_a_guest_wrote_as_its_size_is_clamped(actual_bytes: int) -> None:
    devices = read_memory(domain(), guest="web").devices(
        actual_bytes=actual_bytes, target_bytes=None, loaded=True
    )

    assert 0 <= devices.balloon_actual_bytes <= 1 * GIB


def test_until_its_driver_is_loaded_a_guest_holds_all_of_its_base_ram() -> None:
    devices = read_memory(domain(), guest="web").devices(
        actual_bytes=1 * MIB, target_bytes=1 * MIB, loaded=False
    )

    assert devices.balloon_actual_bytes == 1 * GIB
    assert devices.balloon_target_bytes == 1 * MIB


def test_settings_are_found_among_other_metadata() -> None:
    metadata = (
        "<nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'/>"
        "<barostat:memory xmlns:barostat='urn:barostat:memory:1' minimum='512MiB'/>"
    )

    settings = read_memory(domain(metadata=metadata), guest="web").settings

    assert settings is not None
    assert settings.minimum == 512 * MIB


def test_broken_settings_are_faults_and_everything_else_is_read() -> None:
    metadata = "<b:memory xmlns:b='urn:barostat:memory:1' minimum='lots' x='1'/>"

    memory = read_memory(domain(metadata=metadata), guest="web")

    assert memory.settings is None
    assert len(memory.settings_faults) == 2
    assert memory.boot_bytes == 1 * GIB


@pytest.mark.parametrize("xml", ["", "<network/>", "<domain/>", domain(memory_kib=-1)])
def test_xml_that_is_no_domain_is_refused(xml: str) -> None:
    with pytest.raises(RefusedError, match='VM "web"'):
        read_memory(xml, guest="web")


def test_an_update_differs_from_the_live_element_in_nothing_but_the_requested_size() -> None:
    element = plug_element(TWO_PLUGS, "ua-b", 1 * GIB)

    live = plugged("ua-b", 4 * 2**20, 2**20, 2**18)
    assert ET.canonicalize(element, strip_text=True) == ET.canonicalize(live, strip_text=True)


def test_a_domain_starts_with_its_boot_ram_and_what_is_to_be_plugged_at_once() -> None:
    xml = TWO_PLUGS.replace("<current unit", "<before unit").replace("</current>", "</before>")

    assert read_startup(xml, guest="web") == Startup(size_bytes=GIB + GIB // 2, weight=5000)


def test_a_domain_on_hugepages_starts_without_any_of_what_is_handed_out() -> None:
    xml = domain().replace("<devices>", "<memoryBacking><hugepages/></memoryBacking><devices>")

    assert read_startup(xml, guest="web").size_bytes == 0


def test_a_domain_starts_with_the_weight_of_its_settings() -> None:
    written = f'<b:memory xmlns:b="{NAMESPACE}" weight="123"/>'

    assert read_startup(domain(metadata=written), guest="web").weight == 123


@pytest.mark.trust("input", "the XML of a VM that starts is garbled")
@pytest.mark.parametrize(
    "xml", ["", "<domain", "<network/>", domain(memory_kib=1, devices=DIMM.format(model="nvdimm"))]
)
def test_a_start_with_xml_that_is_none_is_refused(xml: str) -> None:
    with pytest.raises(RefusedError, match="cannot be understood") as caught:
        read_startup(xml, guest="web")

    assert "--size" in caught.value.hint
