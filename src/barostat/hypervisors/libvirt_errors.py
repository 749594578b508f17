"""What libvirt's errors mean to us: who is at fault, and what to do about it."""

from __future__ import annotations

from functools import cache
from typing import Any

from barostat.errors import (
    DeadlineError,
    GuestGoneError,
    HypervisorError,
    RefusedError,
    UnreachableError,
)
from barostat.hypervisors.guest_agent import no_agent, refused_by_agent, silent_agent
from barostat.hypervisors.libvirt_api import libvirt

__all__ = ["translate", "translate_agent", "translate_opening"]

RIGHTS = (
    "run as root or as a member of the group libvirt, or let polkit grant org.libvirt.unix.manage"
)


def translate_opening(uri: str, error: Any) -> UnreachableError:
    """Say why a connection could not be opened."""
    said = str(error)
    if error.get_error_code() in _denials() or "Permission denied" in said:
        hint = RIGHTS
    elif "No such file" in said or "Connection refused" in said:
        hint = "is libvirtd (or virtqemud) installed and running?"
    else:
        hint = "give a URI of libvirt's, as in qemu:///system"
    return UnreachableError(f"{uri} cannot be connected to: {said}", hint=hint)


def translate(uri: str, error: Any, *, guest: str = "") -> HypervisorError:
    """Say what an error of a call means.

    Args:
        uri: of the connection.
        error: a libvirtError.
        guest: whom the call was about, if it was about one.
    """
    said = str(error)
    subject = f'VM "{guest}"' if guest else uri
    code = error.get_error_code()
    if code == libvirt.VIR_ERR_NO_DOMAIN or "domain is not running" in said:
        return GuestGoneError(f"{subject} does not run", hint="start it")
    if code == libvirt.VIR_ERR_OPERATION_TIMEOUT:
        return DeadlineError(
            f"{subject} is busy with something else: {said}",
            hint="wait until its migration, snapshot or backup is over",
        )
    if code in _denials():
        return RefusedError(f"{subject}: libvirt denies it: {said}", hint=RIGHTS)
    if error.get_error_domain() in {libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE}:
        return UnreachableError(
            f"{uri} does not answer: {said}", hint="it is connected to again by itself"
        )
    return RefusedError(
        f"{subject}: libvirt refused: {said}", hint="nothing was changed; libvirt's log says more"
    )


def translate_agent(uri: str, error: Any, *, guest: str, command: str) -> HypervisorError:
    """Say what an error of a command to qemu-guest-agent means.

    Its text may be the guest's own: no more of it is shown than is fit to be.
    """
    said, code = str(error), error.get_error_code()
    if code == libvirt.VIR_ERR_AGENT_UNRESPONSIVE:
        unconnected = "not connected" in said or "due to an error" in said
        return no_agent(guest, said) if unconnected else silent_agent(guest, command)
    if code in {libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, libvirt.VIR_ERR_NO_SUPPORT}:
        return no_agent(guest, said)
    if code == libvirt.VIR_ERR_INTERNAL_ERROR:
        return refused_by_agent(guest, command, said)
    return translate(uri, error, guest=guest)


@cache
def _denials() -> frozenset[int]:
    return frozenset(
        {
            libvirt.VIR_ERR_ACCESS_DENIED,
            libvirt.VIR_ERR_AUTH_CANCELLED,
            libvirt.VIR_ERR_AUTH_FAILED,
            libvirt.VIR_ERR_AUTH_UNAVAILABLE,
            libvirt.VIR_ERR_OPERATION_DENIED,
        }
    )
