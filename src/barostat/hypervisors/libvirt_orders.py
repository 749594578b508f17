"""What an operator or the balancer wants of one domain. Everything here blocks: it runs in workers.

Settings are written for now and for the next start, as far as there is either: a domain that is off
has no now, one that is transient no next start.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final, assert_never

from barostat.config.settings_file import SettingsFile
from barostat.config.settings_xml import KEY, NAMESPACE, parse_settings, print_settings
from barostat.errors import ConflictError, GuestGoneError, UnknownGuestError
from barostat.hypervisors.base import BalloonWish, PlugWish, Wish
from barostat.hypervisors.libvirt_api import libvirt
from barostat.hypervisors.libvirt_errors import translate
from barostat.hypervisors.libvirt_line import Line
from barostat.hypervisors.libvirt_xml import plug_element, read_memory
from barostat.hypervisors.refusals import check_wish
from barostat.units import KIB

__all__ = [
    "define",
    "limit_memory",
    "powered_off",
    "read_metadata",
    "read_xml",
    "send_wish",
    "versions",
    "write_metadata",
]


UNLIMITED_KIB: Final = 2**53 - 1
"""libvirt's VIR_DOMAIN_MEMORY_PARAM_UNLIMITED, which its Python binding leaves out."""


def send_wish(line: Line, name: str, wish: Wish) -> None:
    """Note a wish with a domain's device.

    Raises:
        RefusedError: the devices cannot take it; nothing was sent.
        HypervisorError
    """
    with line.asking(name) as domain:
        xml = domain.XMLDesc(0)
        memory = read_memory(xml, guest=name)
        check_wish(name, memory.devices(actual_bytes=None, target_bytes=None, loaded=True), wish)
        live = libvirt.VIR_DOMAIN_AFFECT_LIVE
        match wish:
            case BalloonWish(target_bytes=target_bytes):
                # Of the base RAM: libvirt leaves virtio-mem out of it, as QEMU does.
                domain.setMemoryFlags(target_bytes // KIB, live)
            case PlugWish(device=device, requested_bytes=requested_bytes):
                domain.updateDeviceFlags(plug_element(xml, device, requested_bytes), live)
            case _:
                assert_never(wish)


def limit_memory(line: Line, name: str, limit_bytes: int | None, *, hard: bool) -> None:
    """Limit what a domain's QEMU holds while it runs; None takes the limit away.

    Libvirt writes it into the cgroup that it made: `memory.max` or, if not hard, `memory.high`.

    Raises:
        HypervisorError
    """
    limit_kib = UNLIMITED_KIB if limit_bytes is None else -(-limit_bytes // KIB)
    key = "hard_limit" if hard else "soft_limit"
    with line.asking(name) as domain:
        domain.setMemoryParameters({key: limit_kib}, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def read_metadata(line: Line, name: str) -> SettingsFile | None:
    """Read a domain's settings, None if it has none.

    Raises:
        SettingsError: they cannot be used.
        UnknownGuestError, HypervisorError.
    """
    with _known(line, name) as domain:
        return _settings(domain, name)


def _settings(domain: Any, name: str) -> SettingsFile | None:
    kind = libvirt.VIR_DOMAIN_METADATA_ELEMENT
    try:
        text = domain.metadata(kind, NAMESPACE, libvirt.VIR_DOMAIN_AFFECT_CURRENT)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return None
        raise
    return parse_settings(text, guest=name)


def write_metadata(
    line: Line, name: str, settings: SettingsFile | None, before: SettingsFile | None
) -> None:
    """Write a domain's settings; None takes them away.

    Raises:
        ConflictError: something else than `before` stands there by now.
        UnknownGuestError, HypervisorError.
    """
    with _known(line, name) as domain:
        if _settings(domain, name) != before:
            raise ConflictError(
                f'somebody else changed the settings of VM "{name}" meanwhile; theirs were left '
                "as they are",
                hint=f"`barostat show {name}` shows what they are now; then try again",
            )
        flags = 0
        if domain.isActive():
            flags |= libvirt.VIR_DOMAIN_AFFECT_LIVE
        if domain.isPersistent():
            flags |= libvirt.VIR_DOMAIN_AFFECT_CONFIG
        text = None if settings is None else print_settings(settings)
        domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, text, KEY, NAMESPACE, flags)


def read_xml(line: Line, name: str, *, inactive: bool) -> str:
    """Read a domain's XML.

    Raises:
        UnknownGuestError, HypervisorError.
    """
    flags = 0
    if inactive:  # without SECURE, who defines it again would lose the passwords in it
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
    with _known(line, name) as domain:
        return str(domain.XMLDesc(flags))


def define(line: Line, xml: str) -> None:
    """Define a domain.

    Raises:
        HypervisorError
    """
    with _asking_libvirt(line):
        line.connection.defineXML(xml)


def powered_off(line: Line) -> tuple[str, ...]:
    """Name the domains that are defined and do not run.

    Raises:
        HypervisorError
    """
    with _asking_libvirt(line):
        found = line.connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_INACTIVE)
        return tuple(sorted(domain.name() for domain in found))


def versions(line: Line) -> tuple[str, str]:
    """Say the versions of libvirt and of its hypervisor.

    Raises:
        HypervisorError
    """
    with _asking_libvirt(line):
        return _dotted(line.connection.getLibVersion()), _dotted(line.connection.getVersion())


def _dotted(version: int) -> str:
    """Write a version as people do (libvirt: major * 1,000,000 + minor * 1,000 + release)."""
    return f"{version // 1_000_000}.{version // 1_000 % 1_000}.{version % 1_000}"


@contextlib.contextmanager
def _known(line: Line, name: str) -> Iterator[Any]:
    """Give a domain, running or not."""
    try:
        with line.asking(name) as domain:
            yield domain
    except GuestGoneError as error:
        raise UnknownGuestError(
            f'no VM "{name}" is known at {line.uri}', hint="`virsh list --all` shows those that are"
        ) from error


@contextlib.contextmanager
def _asking_libvirt(line: Line) -> Iterator[None]:
    try:
        yield
    except libvirt.libvirtError as error:
        raise translate(line.uri, error) from error
