"""The guest image is built once, whole or not at all."""

from __future__ import annotations

import lzma
from dataclasses import replace
from pathlib import Path

import pytest

from barostat.errors import LabError
from barostat.lab.fleet import Kit
from barostat.lab.image import build_image
from barostat.lab.kernel import Kernel, cache_folder, ensure_busybox, ensure_kernel


@pytest.fixture
def kernel(kit: Kit) -> Kernel:
    """Find the kernel that the session's image was built from."""
    return ensure_kernel(cache_folder(), progress=lambda _: None)


@pytest.fixture
def busybox(kit: Kit) -> Path:
    """Find the busybox that the session's image was built from."""
    return ensure_busybox(cache_folder(), progress=lambda _: None)


@pytest.mark.lab
def test_an_image_is_built_once_and_found_again(
    kernel: Kernel, busybox: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    first = build_image(kernel, busybox, tmp_path, progress=said.append)
    built_at = first.initrd.stat().st_mtime_ns

    second = build_image(kernel, busybox, tmp_path, progress=said.append)

    assert second == first
    assert second.initrd.stat().st_mtime_ns == built_at
    assert len(said) == 1
    assert [path.name for path in first.folder.parent.iterdir()] == [first.folder.name]


@pytest.mark.lab
def test_a_build_that_fails_leaves_nothing_behind(
    kernel: Kernel, busybox: Path, tmp_path: Path
) -> None:
    broken = replace(kernel, release="0", image=tmp_path / "vmlinuz")
    broken.image.mkdir()

    with pytest.raises(OSError, match="vmlinuz"):
        build_image(broken, busybox, tmp_path / "cache", progress=lambda _: None)

    assert list((tmp_path / "cache" / "image").iterdir()) == []


def module(folder: Path, name: str, *, needs: str) -> None:
    text = f"\0license=GPL\0depends={needs}\0name={name}\0".encode()
    packed = name.endswith("_packed")
    path = folder / "kernel" / f"{name}.ko{'.xz' if packed else ''}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(text) if packed else text)


def test_drivers_are_loaded_after_those_they_need(tmp_path: Path) -> None:
    module(tmp_path, "ring", needs="")
    module(tmp_path, "bus_packed", needs="ring")
    module(tmp_path, "virtio-disk", needs="bus_packed,ring,built_in")
    kernel = Kernel(release="1", image=tmp_path / "vmlinuz", modules=tmp_path)

    order = kernel.load_order(["virtio_disk", "also_built_in", "ring"])

    assert [path.name for path in order] == ["ring.ko", "bus_packed.ko.xz", "virtio-disk.ko"]


def cloud_kernel(root: Path, release: str) -> None:
    (root / "boot").mkdir(parents=True, exist_ok=True)
    (root / "boot" / f"vmlinuz-{release}").write_bytes(b"x")
    (root / "lib" / "modules" / release / "kernel").mkdir(parents=True)


def find_kernel(root: Path, cache: Path) -> str:
    return ensure_kernel(cache, progress=lambda _: None, root=root).release


def test_the_newest_installed_cloud_kernel_is_used(tmp_path: Path) -> None:
    for release in ("6.1.0-9-cloud-amd64", "6.1.0-40-cloud-amd64", "6.12.1-amd64"):
        cloud_kernel(tmp_path, release)

    assert find_kernel(tmp_path, tmp_path / "cache") == "6.1.0-40-cloud-amd64"


def test_a_kernel_in_the_cache_is_used_without_asking_anybody(tmp_path: Path) -> None:
    cloud_kernel(tmp_path / "cache" / "packages" / "linux-image-6.1.9", "6.1.0-9-cloud-amd64")
    cloud_kernel(tmp_path / "cache" / "packages" / "linux-image-6.1.40", "6.1.0-40-cloud-amd64")

    assert find_kernel(tmp_path / "root", tmp_path / "cache") == "6.1.0-40-cloud-amd64"


def test_a_kernel_without_its_modules_is_none(tmp_path: Path) -> None:
    cloud_kernel(tmp_path / "cache" / "packages" / "linux-image-1", "6.1.0-40-cloud-amd64")
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / "vmlinuz-6.1.0-50-cloud-amd64").write_bytes(b"x")

    assert find_kernel(tmp_path, tmp_path / "cache") == "6.1.0-40-cloud-amd64"


@pytest.mark.lab
def test_a_workload_that_does_not_compile_is_quoted(
    kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kit.image.folder.is_dir()  # all that a build needs has been fetched
    cloud_kernel(tmp_path, "6.1.0-40-cloud-amd64")
    kernel = ensure_kernel(tmp_path, progress=lambda _: None, root=tmp_path)
    broken = {"init.sh": b"", "witness.c": b"int main(void) { return nonsense; }\n"}
    monkeypatch.setattr("barostat.lab.image.sources_of", lambda _: broken)

    with pytest.raises(LabError, match="nonsense"):
        build_image(kernel, kernel.image, tmp_path / "cache", progress=lambda _: None)
