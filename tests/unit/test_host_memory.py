"""What the host's kernel says of its memory, in every form that it says it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.host_folder import HostFolder, mib

from barostat.errors import HostError
from barostat.host.memory import PAGE_BYTES, read_memory
from barostat.host.tree import LARGEST_BYTES, Tree, field_bytes, number


@pytest.fixture
def host(tmp_path: Path) -> HostFolder:
    folder = HostFolder(tmp_path)
    folder.write()
    return folder


def test_everything_is_read(host: HostFolder) -> None:
    host.hugetlb, host.swapped_out_pages, host.stalls = 1024, 7, "12.50"
    host.write()
    host.put("sys/kernel/mm/ksm/pages_sharing", "100\n")

    found = read_memory(Tree(host.root))

    assert (mib(found.total_bytes), mib(found.available_bytes)) == (16384, 12000)
    assert (mib(found.swap_total_bytes), mib(found.swap_free_bytes)) == (2048, 1024)
    assert mib(found.hugetlb_bytes) == 1024
    assert found.swapped_out_bytes == 7 * PAGE_BYTES
    assert found.ksm_saved_bytes == 100 * PAGE_BYTES
    assert found.stall_ratio == 0.125


def test_a_kernel_without_psi_says_nothing_of_stalls(host: HostFolder) -> None:
    (host.root / "proc/pressure/memory").unlink()

    assert read_memory(Tree(host.root)).stall_ratio is None


@pytest.mark.parametrize(
    "said", ["", "some\n", "some avg10=lots avg60=0\n", "some avg10=1e9 x=1\n"]
)
def test_stalls_that_cannot_be_read_are_not_known(host: HostFolder, said: str) -> None:
    host.put("proc/pressure/memory", said)

    assert read_memory(Tree(host.root)).stall_ratio is None


def test_a_kernel_that_does_not_add_up_its_pools_says_those_of_the_usual_size(
    host: HostFolder,
) -> None:
    host.put(
        "proc/meminfo",
        "MemTotal: 2000 kB\nMemAvailable: 1000 kB\nHugePages_Total: 3\nHugepagesize: 8 kB\n",
    )

    found = read_memory(Tree(host.root))

    assert found.hugetlb_bytes == 24 * 1024
    assert found.swap_total_bytes == 0


@pytest.mark.parametrize(
    "said",
    [
        "",
        "MemTotal: 100 kB\n",
        "MemTotal: 0 kB\nMemAvailable: 0 kB\n",
        "MemTotal: 100 kB\nMemAvailable: 200 kB\n",
        "MemTotal: -5 kB\nMemAvailable: 1 kB\n",
    ],
)
def test_a_host_that_does_not_say_what_it_has_is_an_error(host: HostFolder, said: str) -> None:
    host.put("proc/meminfo", said)

    with pytest.raises(HostError, match="/proc/meminfo") as error:
        read_memory(Tree(host.root))

    assert error.value.hint


def test_a_field_is_found_by_its_whole_name() -> None:
    data = b"SwapCached: 7 kB\nCached: 5 kB\nThreads:\t3\nEmpty:\n"

    assert field_bytes(data, b"Cached") == 5 * 1024
    assert field_bytes(data, b"SwapCached") == 7 * 1024
    assert field_bytes(data, b"Threads") == 3
    assert field_bytes(data, b"Empty") is None
    assert field_bytes(data, b"Swap") is None
    assert field_bytes(b"", b"Swap") is None


@pytest.mark.parametrize("text", [None, "", "-1", "1.5", "\u0664", "9" * 40])
def test_no_number_is_read_where_there_is_none(text: str | None) -> None:
    assert number(text) is None


def test_what_is_not_there_is_none_and_what_is_endless_is_cut(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    (tmp_path / "long").write_bytes(b"x" * (LARGEST_BYTES + 10))
    (tmp_path / "link").symlink_to("long")

    assert tree.data("missing") is None
    assert tree.text("missing") is None
    assert tree.word("missing") is None
    assert tree.link("missing") is None
    assert tree.data(".") is None, "a folder"
    assert tree.names("missing") == ()
    assert tree.link("link") == "long"
    assert tree.has("link")
    assert not tree.has("missing")
    assert len(tree.data("long") or b"") == LARGEST_BYTES
