"""The binding to libvirt, which is an extra and may be missing, and the one thread that it needs.

Nothing here fails while it is imported; `require_libvirt` says how to get what is missing. libvirt
reads events and keeps connections alive from an event loop that is registered once a process,
before the first connection. It is libvirt's own, in a thread: connections are used from many
threads, which libvirtaio's asyncio does not bear, and it goes on while our loop computes.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any, Final

from barostat.errors import InputError

try:
    import libvirt
    import libvirt_qemu
except ModuleNotFoundError:
    libvirt = libvirt_qemu = None

__all__ = [
    "KEEP_ALIVE_COUNT",
    "KEEP_ALIVE_S",
    "libvirt",
    "libvirt_qemu",
    "open_connection",
    "require_libvirt",
]

KEEP_ALIVE_S: Final = 5
KEEP_ALIVE_COUNT: Final = 3
"""A libvirtd that is silent for 20 s is given up; one that crashed is noticed at once."""

_once: Final = threading.Lock()
_running: threading.Thread | None = None


def require_libvirt() -> None:
    """See that the binding is there.

    Raises:
        InputError: it is not installed.
    """
    if libvirt is None:
        raise InputError(
            "the Python binding to libvirt is not installed",
            hint="install your distribution's package (python3-libvirt), or "
            "`pip install 'barostat[libvirt]'`, which needs libvirt-dev, pkg-config and gcc",
        )


def open_connection(uri: str) -> Any:
    """Open a connection that is kept alive. Blocks, so it belongs in a worker thread.

    Raises:
        libvirt.libvirtError
    """
    _see_to_events()
    connection = libvirt.open(uri)
    with contextlib.suppress(libvirt.libvirtError):  # libvirt's test driver has nobody to ask
        connection.setKeepAlive(KEEP_ALIVE_S, KEEP_ALIVE_COUNT)
    return connection


def _see_to_events() -> None:
    global _running  # noqa: PLW0603 - libvirt itself has one event loop a process
    with _once:
        if _running is None:
            libvirt.registerErrorHandler(_unheard, None)
            libvirt.virEventRegisterDefaultImpl()
            _running = threading.Thread(target=_run_events, name="libvirt events", daemon=True)
            _running.start()


def _unheard(_context: object, _error: object) -> None:
    """Print nothing: all errors come to us as exceptions."""


def _run_events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()
