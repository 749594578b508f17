"""KVM is used where a guest has booted with it, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from barostat.lab.acceleration import boots, choose_accelerator
from barostat.lab.fleet import Kit
from barostat.lab.guests import Accelerator
from barostat.lab.image import Image


@pytest.fixture
def image(tmp_path: Path) -> Image:
    """Describe an image that no probe can boot."""
    return Image(folder=tmp_path, kernel=tmp_path / "vmlinuz", initrd=tmp_path / "initrd")


@pytest.fixture
def boot_id(tmp_path: Path) -> Path:
    """Write the host's boot id."""
    path = tmp_path / "boot_id"
    path.write_text("this-boot\n")
    return path


def choose(image: Image, boot_id: Path, *, kvm: Path, said: list[str]) -> Accelerator:
    return choose_accelerator(image, progress=said.append, kvm=kvm, boot_id=boot_id)


def test_without_kvm_nothing_is_probed(image: Image, boot_id: Path) -> None:
    said: list[str] = []

    chosen = choose(image, boot_id, kvm=image.folder / "no-kvm", said=said)

    assert chosen is Accelerator.TCG
    assert said == []


@pytest.mark.parametrize("verdict", list(Accelerator))
def test_a_verdict_holds_for_the_hosts_boot(
    image: Image, boot_id: Path, verdict: Accelerator
) -> None:
    (image.folder / "accelerator").write_text(f"this-boot {verdict.value}\n")
    said: list[str] = []

    assert choose(image, boot_id, kvm=boot_id, said=said) is verdict
    assert said == []


@pytest.mark.parametrize("kept", ["last-boot kvm\n", "this-boot magic\n", "", "this-boot"])
def test_a_verdict_of_another_boot_is_probed_again(image: Image, boot_id: Path, kept: str) -> None:
    (image.folder / "accelerator").write_text(kept)
    said: list[str] = []

    assert choose(image, boot_id, kvm=boot_id, said=said) is Accelerator.TCG
    assert "probing" in said[0]
    assert (image.folder / "accelerator").read_text() == "this-boot tcg\n"


@pytest.mark.lab
def test_a_probe_guest_that_boots_says_so(kit: Kit) -> None:
    assert boots(kit.image, Accelerator.TCG, timeout_s=60)


@pytest.mark.lab
def test_a_probe_guest_that_hangs_is_ended_in_time(kit: Kit) -> None:
    assert not boots(kit.image, Accelerator.TCG, timeout_s=0.2)


@pytest.mark.lab
def test_a_probe_guest_that_cannot_start_is_no_proof(kit: Kit, tmp_path: Path) -> None:
    image = replace(kit.image, kernel=tmp_path / "none")

    assert not boots(image, Accelerator.TCG, timeout_s=10)
