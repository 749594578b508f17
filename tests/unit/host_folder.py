"""A folder that looks like a host's /proc and /sys, as a test wants them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.unit.builders import guest

from barostat.core.observation import GuestObservation
from barostat.units import GIB, KIB, MIB

STATUS = """Name:\t{name}
State:\tS (sleeping)
Tgid:\t{pid}
VmPeak:\t 9999999 kB
VmLck:\t {locked} kB
VmPin:\t       0 kB
VmRSS:\t {rss} kB
RssAnon:\t {anon} kB
RssFile:\t   30000 kB
RssShmem:\t {shmem} kB
VmSwap:\t {swapped} kB
HugetlbPages:\t {hugetlb} kB
"""
WEB = ("-name", "guest=web,debug-threads=on", "-m", "size=1048576k")


@dataclass
class HostFolder:
    """Captured files, sizes in MiB; every field may be changed and written again."""

    root: Path
    total: int = 16384
    available: int = 12000
    hugetlb: int = 0
    swapped_out_pages: int = 0
    stalls: str | None = "0.00"
    up_s: float = 5000.0
    processes: dict[int, Path] = field(default_factory=dict)

    def write(self) -> None:
        """Put the host's own files where they belong."""
        self._put(
            "proc/meminfo",
            f"MemTotal:       {self.total * KIB} kB\nMemFree:          1000 kB\n"
            f"MemAvailable:   {self.available * KIB} kB\nSwapTotal:      2097152 kB\n"
            f"SwapFree:       1048576 kB\nHugePages_Total:       {self.hugetlb // 2}\n"
            f"Hugepagesize:       2048 kB\nHugetlb:        {self.hugetlb * KIB} kB\n",
        )
        self._put("proc/vmstat", f"nr_free_pages 9\npswpin 3\npswpout {self.swapped_out_pages}\n")
        self._put("proc/uptime", f"{self.up_s} 9999.99\n")
        self._put("proc/mounts", "hugetlbfs /dev/hugepages hugetlbfs rw 0 0\nproc /proc proc rw\n")
        if self.stalls is not None:
            self._put(
                "proc/pressure/memory",
                f"some avg10={self.stalls} avg60=0.00 avg300=0.00 total=9\n"
                "full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n",
            )

    def _put(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def qemu(
        self,
        pid: int = 1234,
        *options: str,
        rss: int = 900,
        shmem: int = 0,
        hugetlb: int = 0,
        locked: int = 0,
        name: str = "qemu-system-x86",
        started_s: float = 100.0,
    ) -> None:
        """Have a QEMU run; by default the one of guest "web"."""
        words = [f"/usr/bin/{name}", *(options or WEB)]
        ticks = int(started_s * 100)
        rest = " ".join(["S", "1", *["0"] * 17, str(ticks), "999", "8"])
        self._put(f"proc/{pid}/comm", name + "\n")
        self._put(f"proc/{pid}/cmdline", "\0".join(words) + "\0")
        self._put(f"proc/{pid}/stat", f"{pid} ({name}) {rest}\n")
        self._put(
            f"proc/{pid}/status",
            STATUS.format(
                name=name,
                pid=pid,
                locked=locked * KIB,
                rss=rss * KIB + 30000,
                anon=(rss - shmem) * KIB,
                shmem=shmem * KIB,
                swapped=0,
                hugetlb=hugetlb * KIB,
            ),
        )

    def put(self, path: str, text: str) -> None:
        """Put any file anywhere."""
        self._put(path, text)


def mib(size_bytes: int) -> int:
    return size_bytes // MIB


def seen(name: str = "web") -> GuestObservation:
    """A guest of 1 GiB."""
    found = guest(name)
    assert found.devices.boot_bytes == GIB
    return found
