"""What libvirt's errors mean; how a missing binding is told."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from barostat.errors import (
    DeadlineError,
    GuestGoneError,
    HypervisorError,
    RefusedError,
    UnreachableError,
)

libvirt = pytest.importorskip("libvirt")

from barostat.hypervisors.libvirt_errors import translate, translate_opening  # noqa: E402

WITHOUT = """
import sys
sys.modules["libvirt"] = None
from barostat.errors import InputError
from barostat.hypervisors.libvirt import LibvirtHypervisor
try:
    LibvirtHypervisor("qemu:///system")
except InputError as error:
    print(error.message, error.hint)
"""


def error(code: int, said: str, *, domain: int | None = None) -> Any:
    made = libvirt.libvirtError(said)
    where = libvirt.VIR_FROM_QEMU if domain is None else domain
    made.err = (code, where, said, 2, said, None, None, -1, -1)
    made.args = (said,)
    return made


@pytest.mark.parametrize(
    ("code", "said", "kind"),
    [
        (libvirt.VIR_ERR_NO_DOMAIN, "Domain not found", GuestGoneError),
        (libvirt.VIR_ERR_OPERATION_INVALID, "domain is not running", GuestGoneError),
        (libvirt.VIR_ERR_OPERATION_TIMEOUT, "cannot acquire state change lock", DeadlineError),
        (libvirt.VIR_ERR_OPERATION_DENIED, "read only access prevents this", RefusedError),
        (libvirt.VIR_ERR_ACCESS_DENIED, "access denied", RefusedError),
        (libvirt.VIR_ERR_INVALID_ARG, "cannot set memory higher than max memory", RefusedError),
        (libvirt.VIR_ERR_CONFIG_UNSUPPORTED, "changing of memory device", RefusedError),
    ],
)
def test_an_error_of_a_call_says_whose_fault_it_is_and_what_to_do(
    code: int, said: str, kind: type[HypervisorError]
) -> None:
    meant = translate("qemu:///system", error(code, said), guest="web")

    assert type(meant) is kind
    assert 'VM "web"' in meant.message
    assert meant.hint


def test_a_denied_call_names_who_may() -> None:
    denied = error(libvirt.VIR_ERR_ACCESS_DENIED, "access denied")

    assert "group libvirt" in translate("qemu:///system", denied, guest="web").hint


def test_a_broken_connection_is_no_guests_fault() -> None:
    broken = error(
        libvirt.VIR_ERR_INTERNAL_ERROR, "client socket is closed", domain=libvirt.VIR_FROM_RPC
    )

    meant = translate("qemu:///system", broken, guest="web")

    assert type(meant) is UnreachableError
    assert meant.message.startswith("qemu:///system")


@pytest.mark.parametrize(
    ("code", "said", "hint"),
    [
        (libvirt.VIR_ERR_AUTH_UNAVAILABLE, "no polkit agent", "polkit"),
        (libvirt.VIR_ERR_SYSTEM_ERROR, "Failed to connect: Permission denied", "group libvirt"),
        (libvirt.VIR_ERR_SYSTEM_ERROR, "No such file or directory", "running"),
        (libvirt.VIR_ERR_NO_CONNECT, "no connection driver available", "qemu:///system"),
    ],
)
def test_why_a_connection_cannot_be_opened_comes_with_a_remedy(
    code: int, said: str, hint: str
) -> None:
    meant = translate_opening("qemu:///system", error(code, said))

    assert "qemu:///system" in meant.message
    assert hint in meant.hint


def test_without_the_binding_a_hypervisor_says_how_to_get_it() -> None:
    said = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=True
    )

    assert "binding to libvirt is not installed" in said.stdout
    assert "pip install 'barostat[libvirt]'" in said.stdout
    assert said.stderr == ""
