"""What libvirt's states mean in the words of QEMU's, which `Life` knows."""

from __future__ import annotations

from functools import cache

from barostat.hypervisors.libvirt_api import libvirt

__all__ = ["is_moving", "status_of"]


def status_of(state: int) -> str:
    """Say a virDomainState as QEMU says its run state."""
    if state in {libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_BLOCKED}:
        return "running"
    if state == libvirt.VIR_DOMAIN_SHUTDOWN:
        return "shutdown"
    return "guest-panicked" if state == libvirt.VIR_DOMAIN_CRASHED else "paused"


def is_moving(state: int, reason: int) -> bool:
    """Say whether a state belongs to a migration, a save, a restore or a dump."""
    return (state, reason) in _moving_states()


@cache
def _moving_states() -> frozenset[tuple[int, int]]:
    paused = (
        libvirt.VIR_DOMAIN_PAUSED_MIGRATION,
        libvirt.VIR_DOMAIN_PAUSED_SAVE,
        libvirt.VIR_DOMAIN_PAUSED_DUMP,
        libvirt.VIR_DOMAIN_PAUSED_SNAPSHOT,
        libvirt.VIR_DOMAIN_PAUSED_STARTING_UP,
        libvirt.VIR_DOMAIN_PAUSED_POSTCOPY,
        libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED,
    )
    running = (libvirt.VIR_DOMAIN_RUNNING_POSTCOPY, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY_FAILED)
    return frozenset(
        {(libvirt.VIR_DOMAIN_PAUSED, reason) for reason in paused}
        | {(libvirt.VIR_DOMAIN_RUNNING, reason) for reason in running}
    )
