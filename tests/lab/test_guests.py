"""What a lab guest may be, and the command that comes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from barostat.errors import LabError
from barostat.lab.command import qemu_command
from barostat.lab.guests import Accelerator, GuestFiles, GuestSpec
from barostat.lab.image import Image
from barostat.units import MIB

IMAGE = Image(folder=Path("/i"), kernel=Path("/i/vmlinuz"), initrd=Path("/i/initrd"))


def command_of(spec: GuestSpec) -> str:
    files = GuestFiles(folder=Path("/run/lab"), name=spec.name)
    return " ".join(qemu_command(spec, files, image=IMAGE, accelerator=Accelerator.TCG))


@pytest.mark.parametrize(
    ("name", "boot_mib", "maximum_mib", "swap_mib", "said"),
    [
        ("Web", 256, 512, 0, "a letter first"),
        ("a/b", 256, 512, 0, "a letter first"),
        ("w" * 33, 256, 512, 0, "1 to 32"),
        ("web", 96, 512, 0, "at least 128 MiB"),
        ("web", 256, 128, 0, "between boot size"),
        ("web", 128, 128 * 33, 0, "32 times"),
        ("web", 257, 512, 0, "multiples of 2 MiB"),
        ("web", 256, 512, 1, "swap must be"),
        ("web", 256, 512, -2, "swap must be"),
    ],
)
def test_a_guest_that_cannot_boot_is_refused_with_the_reason(
    name: str, boot_mib: int, maximum_mib: int, swap_mib: int, said: str
) -> None:
    with pytest.raises(LabError, match=said):
        GuestSpec(
            name=name,
            boot_bytes=boot_mib * MIB,
            maximum_bytes=maximum_mib * MIB,
            swap_bytes=swap_mib * MIB,
        )


def test_a_region_has_whole_linux_sections_so_that_none_of_it_is_lost() -> None:
    spec = GuestSpec(name="web", boot_bytes=256 * MIB, maximum_bytes=458 * MIB)

    assert spec.region_bytes == 256 * MIB
    assert f"size={256 * MIB}" in command_of(spec)


def test_a_guest_that_cannot_grow_has_no_plug() -> None:
    spec = GuestSpec(name="web", boot_bytes=256 * MIB, maximum_bytes=256 * MIB)

    command = command_of(spec)

    assert "virtio-mem" not in command
    assert "-m 256M " in command
    assert "virtio-balloon-pci,id=balloon0,deflate-on-oom=on" in command


def test_a_guest_without_swap_has_one_disk() -> None:
    spec = GuestSpec(name="web", boot_bytes=256 * MIB, maximum_bytes=512 * MIB)

    assert command_of(spec).count("virtio-blk-pci") == 1


def test_a_userland_needs_more_memory_and_only_with_one_is_there_a_network() -> None:
    size = 128 * MIB

    with pytest.raises(LabError, match="at least 256 MiB"):
        GuestSpec(name="web", boot_bytes=size, maximum_bytes=size, userland=True)
    with pytest.raises(LabError, match="only a guest with a userland has a network"):
        GuestSpec(name="web", boot_bytes=size, maximum_bytes=size, forwards=(80,))


def test_a_disk_for_root_is_read_only_and_comes_with_more_ports() -> None:
    spec = GuestSpec(name="web", boot_bytes=256 * MIB, maximum_bytes=512 * MIB, userland=True)
    files = GuestFiles(folder=Path("/run/lab"), name=spec.name)
    image = replace(IMAGE, disk=Path("/i/root.disk"))

    command = " ".join(qemu_command(spec, files, image=image, accelerator=Accelerator.TCG))

    assert "file=/i/root.disk,if=none,id=userland,format=raw,readonly=on" in command
    assert "restrict=on" in command
    named = [f"name={port}" for port in ("org.barostat.lab.0", "org.barostat.agent.0")]
    more = ["name=org.qemu.guest_agent.0", "name=org.barostat.lab.1"]
    assert [word for word in command.replace(",", " ").split() if word in named + more] == (
        named + more
    )
    assert more[0] not in command_of(spec)


def test_a_folder_too_deep_for_sockets_is_refused_with_a_way_out() -> None:
    files = GuestFiles(folder=Path("/" + "x" * 100), name="web")

    with pytest.raises(LabError, match="107") as caught:
        files.check()

    assert "TMPDIR" in caught.value.hint
