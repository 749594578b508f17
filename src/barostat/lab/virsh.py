"""One virsh command at a time: how the lab speaks to its own libvirtd, as an operator would.

Each is a process of its own with a deadline, so that a libvirtd that hangs holds up nobody.
Barostat's own way to libvirt is `barostat.hypervisors`.
"""

from __future__ import annotations

import asyncio
import os
from typing import Final

from barostat.errors import LabError

__all__ = ["virsh"]

TIMEOUT_S: Final = 30.0
"""20 ms as a rule; starting a guest waits for its QEMU, seconds where many start at once."""


async def virsh(uri: str, *words: str, timeout_s: float = TIMEOUT_S) -> str:
    """Run one virsh command and return what it printed.

    Raises:
        LabError: libvirt said no, or nothing in time.
    """
    asking = await asyncio.create_subprocess_exec(
        *("virsh", "--quiet", "--connect", uri, *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C at the terminal is ours
        env={**os.environ, "LC_ALL": "C"},
    )
    try:
        async with asyncio.timeout(timeout_s):
            said, complained = await asking.communicate()
    except TimeoutError as error:
        raise LabError(
            f"`virsh {words[0]}` was not answered within {timeout_s:g} s",
            hint="is a guest of the lab's libvirtd stopped, or the machine very busy?",
        ) from error
    finally:
        if asking.returncode is None:
            asking.kill()
            await asking.wait()
    if asking.returncode != 0:
        why = complained.decode(errors="replace").strip()
        raise LabError(f"`virsh {' '.join(words)}` failed: {why}", hint=f"it was asked on {uri}")
    return said.decode(errors="replace")
