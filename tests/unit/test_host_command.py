"""What is read off QEMU's command lines, whoever wrote them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barostat.host.command import DEFAULT_SIZE_BYTES, Balloon, Command, read_command
from barostat.units import GIB, MIB


def read(*words: str) -> Command:
    return read_command(["qemu-system-x86_64", *words])


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("-name", "guest=web,debug-threads=on"), "web"),
        (("-name", "web"), "web"),
        (("-name", "web,debug-threads=on"), "web"),
        (("--name", "web"), "web"),
        (("-name", "guest=a,,b=c"), "a,b=c"),
        (("-name", ""), None),
        (("-name",), None),
        ((), None),
    ],
)
def test_a_vm_is_named_as_qemu_was_told(words: tuple[str, ...], name: str | None) -> None:
    assert read(*words).name == name


@pytest.mark.parametrize(
    "words",
    [
        ("-qmp", "unix:/run/vms/web.qmp,server=on,wait=off"),
        ("-qmp-pretty", "unix:/run/vms/web.sock,server=on"),
        ("-chardev", "socket,id=m,path=/run/vms/web.qmp,server=on,wait=off"),
    ],
)
def test_a_vm_without_a_name_is_known_by_its_qmp_socket(words: tuple[str, str]) -> None:
    assert "web" in read(*words).sockets


def test_a_socket_of_libvirt_names_no_vm() -> None:
    command = read("-chardev", "socket,id=m,path=/var/lib/libvirt/qemu/domain-1-web/monitor.sock")

    assert command.sockets == frozenset()


@pytest.mark.parametrize(
    ("said", "size"),
    [
        ("512", 512 * MIB),
        ("2G", 2 * GIB),
        ("1.5G", 3 * GIB // 2),
        ("size=4194304k", 4 * GIB),
        ("size=1048576k,slots=0,maxmem=8388608k", GIB),
        ("lots", DEFAULT_SIZE_BYTES),
        ("-1", DEFAULT_SIZE_BYTES),
        ("99999999999999t", 2**60),
    ],
)
def test_a_size_is_read_as_qemu_reads_it(said: str, size: int) -> None:
    assert read("-m", said).size_bytes == size


def test_a_vm_without_a_size_has_qemus_default() -> None:
    assert read("-name", "web").size_bytes == DEFAULT_SIZE_BYTES


def test_a_qemu_that_is_only_asked_what_it_can_do_has_no_memory() -> None:
    assert read("-machine", "none,accel=kvm:tcg", "-qmp", "unix:/x/y.qmp").size_bytes == 0
    assert read("-M", "none").size_bytes == 0


@pytest.mark.parametrize(
    "words",
    [
        ("-object", "memory-backend-memfd,id=ram,size=1G,hugetlb=on"),
        ("-object", json.dumps({"qom-type": "memory-backend-memfd", "hugetlb": True})),
    ],
)
def test_memory_of_hugepages_is_recognised(words: tuple[str, str]) -> None:
    assert read(*words).hugepages


def test_where_memory_stands_in_files_is_said() -> None:
    by_object = read("-object", "memory-backend-file,id=ram,mem-path=/dev/hugepages/web,size=1G")

    assert by_object.memory_paths == ("/dev/hugepages/web",)
    assert read("-mem-path", "/dev/hugepages").memory_paths == ("/dev/hugepages",)


@pytest.mark.parametrize(
    ("words", "device"),
    [
        (("-device", "vfio-pci,host=0000:01:00.0,id=gpu"), "0000:01:00.0"),
        (("-device", json.dumps({"driver": "vfio-pci", "host": "0000:02:00.0"})), "0000:02:00.0"),
        (("-device", "vfio-pci-nohotplug,sysfsdev=/sys/bus/mdev/x"), "/sys/bus/mdev/x"),
        (("-netdev", "type=vhost-vdpa,vhostdev=/dev/vhost-vdpa-0,id=n"), "/dev/vhost-vdpa-0"),
        (("-netdev", "vhost-vdpa,id=n"), "vhost-vdpa"),
    ],
)
def test_devices_that_are_passed_through_are_named(words: tuple[str, str], device: str) -> None:
    assert read(*words).devices == (device,)


def test_devices_that_pin_nothing_are_none_of_these() -> None:
    assert read("-device", "virtio-net-pci,netdev=n", "-netdev", "tap,id=n").devices == ()


@pytest.mark.parametrize(
    "words",
    [
        ("-overcommit", "mem-lock=on"),
        ("-overcommit", "mem-lock=on-fault"),
        ("-realtime", "mlock=on"),
    ],
)
def test_locked_memory_is_recognised(words: tuple[str, str]) -> None:
    assert read(*words).locked
    assert not read(words[0], "mem-lock=off").locked


@pytest.mark.parametrize(
    "words",
    [
        ("-object", "sev-snp-guest,id=s,cbitpos=51"),
        ("-object", json.dumps({"qom-type": "sev-snp-guest"})),
    ],
)
def test_encrypted_memory_is_recognised(words: tuple[str, str]) -> None:
    assert read(*words).encryption == "SEV-SNP"


@pytest.mark.parametrize(
    ("said", "balloon"),
    [
        (
            "virtio-balloon-pci,id=b,deflate-on-oom=on",
            Balloon(deflate_on_oom=True, free_page_reporting=False),
        ),
        (
            json.dumps({"driver": "virtio-balloon-pci", "free-page-reporting": True}),
            Balloon(deflate_on_oom=False, free_page_reporting=True),
        ),
        ("virtio-net-pci,id=n", None),
    ],
)
def test_what_the_balloon_can_do_is_read(said: str, balloon: Balloon | None) -> None:
    assert read("-device", said).balloon == balloon


@given(st.lists(st.text(max_size=30), max_size=12))
def test_no_command_line_is_too_odd_to_be_read(words: list[str]) -> None:
    assert read_command(words).size_bytes >= 0


@given(
    st.sampled_from(["-m", "-name", "-object", "-device", "-machine", "-qmp", "-overcommit"]),
    st.one_of(
        st.text(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=8), inner),
        ).map(json.dumps),
        st.dictionaries(
            st.sampled_from(["qom-type", "driver", "size", "guest", "hugetlb", "host"]),
            st.none() | st.integers() | st.lists(st.none()),
        ).map(json.dumps),
    ),
)
def test_no_value_is_too_odd_to_be_read(option: str, value: str) -> None:
    assert read(option, value).size_bytes >= 0
