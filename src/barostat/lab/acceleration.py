"""KVM or emulation? Only a guest that really boots is proof.

On nested hosts /dev/kvm may open, a guest may start, and hang for ever. So KVM is used only after a
probe guest has booted with it in time. The verdict holds for the host's boot and is kept beside the
image; without /dev/kvm there is nothing to probe.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from barostat.lab.command import machine_arguments
from barostat.lab.guests import Accelerator
from barostat.lab.image import Image
from barostat.lab.packages import Progress

__all__ = ["choose_accelerator"]

PROBE_TIMEOUT_S: Final = 10.0
"""A guest boots in 1 s with KVM, in 2 s without; one that needs longer hangs."""
BOOTED: Final = "lab: booted"
KVM_DEVICE: Final = Path("/dev/kvm")
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def choose_accelerator(
    image: Image,
    *,
    progress: Progress,
    kvm: Path = KVM_DEVICE,
    boot_id: Path = BOOT_ID,
    timeout_s: float = PROBE_TIMEOUT_S,
) -> Accelerator:
    """Say what guests run on here; boots a probe guest the first time after the host's boot.

    Args:
        image: what the probe boots, and where the verdict is kept.
        progress: is told what happens.
        kvm: the device that KVM needs.
        boot_id: tells one boot of the host from the next.
        timeout_s: how long the probe guest has.
    """
    if not os.access(kvm, os.R_OK | os.W_OK):
        return Accelerator.TCG
    kept, boot = image.folder / "accelerator", boot_id.read_text().strip()
    known = _known(kept, boot)
    if known is not None:
        return known
    progress(f"probing whether a guest boots with KVM (at most {timeout_s:g} s, once a boot)")
    works = boots(image, Accelerator.KVM, timeout_s=timeout_s)
    verdict = Accelerator.KVM if works else Accelerator.TCG
    if not works:
        progress("no guest boots with KVM here: guests are emulated")
    kept.write_text(f"{boot} {verdict.value}\n")
    return verdict


def _known(kept: Path, boot: str) -> Accelerator | None:
    try:
        seen_boot, verdict = kept.read_text().split()
        return Accelerator(verdict) if seen_boot == boot else None
    except (OSError, ValueError):
        return None


def boots(image: Image, accelerator: Accelerator, *, timeout_s: float) -> bool:
    """Boot a bare guest that says so and ends; after the time-out its process is ended."""
    probe = machine_arguments(image, accelerator, extra="lab.probe")
    command = ["setpriv", "--pdeathsig=KILL", "qemu-system-x86_64", *probe]
    try:
        done = subprocess.run(
            [*command, "-m", "256M", "-serial", "stdio"],
            capture_output=True,
            check=False,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and BOOTED in done.stdout.decode(errors="replace")
