"""What a QEMU was started with, as far as it bears on its memory, from its command line.

Options come as `key=value,...`, where a comma within a value is doubled, or as JSON, as libvirt
writes them. What makes no sense is passed over: a command line is anybody's to write.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from barostat.units import GIB, KIB, MIB, TIB

__all__ = ["Balloon", "Command", "read_command"]

DEFAULT_SIZE_BYTES: Final = 128 * MIB
"""What QEMU gives a VM that was started without -m."""

MOST_OPTIONS: Final = 10_000
LARGEST_BYTES: Final = 2**60

_UNITS: Final = {"": MIB, "b": 1, "k": KIB, "m": MIB, "g": GIB, "t": TIB}
_SIZE: Final = re.compile(r"(\d{1,18})(?:\.(\d{1,18}))?([bkmgt]?)", re.IGNORECASE | re.ASCII)
_QMP_PATH: Final = re.compile(r"(?:unix:|path=)(?P<path>[^,]*?\.qmp)(?:,|$)")
_PINNING: Final = ("vfio-pci", "vhost-vdpa")  # vfio-ccw and vfio-ap pin what they use, not all
_ENCRYPTING: Final = {
    "sev-guest": "SEV",
    "sev-snp-guest": "SEV-SNP",
    "tdx-guest": "TDX",
    "s390-pv-guest": "Secure Execution",
    "pef-guest": "PEF",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Balloon:
    """A balloon device: whether it gives way before an OOM kill, and reports free pages."""

    deflate_on_oom: bool
    free_page_reporting: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A QEMU's command line, read.

    Attributes:
        name: the VM's name, if it was given one.
        sockets: names of its QMP sockets without their endings: a VM may be known by one.
        uuid: its UUID in small letters, if it was given one.
        size_bytes: the memory it was started with; 0 for a QEMU that runs no VM.
        most_bytes: the most that it can ever have, with what is plugged later; None where that is
            not on its command line.
        memory_paths: files that its memory stands in.
        hugepages: its memory was asked to be made of hugepages.
        devices: the host's devices that are passed through to it.
        locked: its memory is locked.
        encryption: by what its memory is encrypted, or None.
        balloon: its balloon device, or None.
    """

    name: str | None
    sockets: frozenset[str] = frozenset()
    uuid: str | None = None
    size_bytes: int = DEFAULT_SIZE_BYTES
    most_bytes: int | None = None
    memory_paths: tuple[str, ...] = ()
    hugepages: bool = False
    devices: tuple[str, ...] = ()
    locked: bool = False
    encryption: str | None = None
    balloon: Balloon | None = None


def read_command(words: Sequence[str]) -> Command:
    """Read a QEMU's command line, its own name first."""
    options = [
        (name, _fields(value), value) for name, value in _options(words[1 : MOST_OPTIONS + 1])
    ]
    values = {name: fields for name, fields, _ in options}
    objects = [fields for name, fields, _ in options if name == "object"]
    named = values.get("name", {})
    paths = [_text(fields, "mem-path") for fields in objects]
    paths += [value for name, _, value in options if name == "mem-path"]
    return Command(
        name=_text(named, "guest") or _text(named, "") or None,
        sockets=frozenset(_sockets(options)),
        uuid=_text(values.get("uuid", {}), "").lower() or None,
        size_bytes=_size_bytes(values),
        most_bytes=_most_bytes(values),
        memory_paths=tuple(path for path in paths if path),
        hugepages=any(_on(fields, "hugetlb") for fields in objects),
        devices=tuple(_devices(options)),
        locked=_on(values.get("overcommit", {}), "mem-lock")
        or _on(values.get("realtime", {}), "mlock"),
        encryption=next(filter(None, map(_encryption, objects)), None),
        balloon=_balloon(options),
    )


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Pair every option with the word after it; one that takes none is followed by another."""
    for word, following in itertools.pairwise([*words, ""]):
        if word.startswith("-") and len(word) > 1:
            yield word.lstrip("-"), following


def _fields(value: str) -> dict[str, Any]:
    """Read `first,key=value,...` or JSON; the first word without a key is under ""."""
    if value.startswith("{"):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}
    fields: dict[str, Any] = {}
    for part in value.replace(",,", "\0").split(","):
        key, separator, rest = part.replace("\0", ",").partition("=")
        if separator:
            fields[key] = rest
        else:
            fields.setdefault("", key)
    return fields


def _text(fields: dict[str, Any], key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def _on(fields: dict[str, Any], key: str) -> bool:
    return fields.get(key) in (True, "on", "yes", "true", "on-fault")


def _kind(fields: dict[str, Any], key: str) -> str:
    return _text(fields, key) or _text(fields, "")


def _sockets(options: Sequence[tuple[str, dict[str, Any], str]]) -> Iterator[str]:
    """Name the QMP sockets: all that end in .qmp, and any where QMP itself was asked for."""
    for name, _, value in options:
        if name in {"qmp", "qmp-pretty"} and value.startswith("unix:"):
            yield PurePosixPath(value.removeprefix("unix:").partition(",")[0]).stem
        elif name in {"chardev", "mon", "monitor"}:
            yield from (PurePosixPath(item["path"]).stem for item in _QMP_PATH.finditer(value))


def _devices(options: Sequence[tuple[str, dict[str, Any], str]]) -> Iterator[str]:
    for name, fields, _ in options:
        kind = _kind(fields, "driver" if name == "device" else "type")
        if name in {"device", "netdev"} and kind.startswith(_PINNING):
            where = (_text(fields, key) for key in ("host", "sysfsdev", "vhostdev"))
            yield next(filter(None, where), kind)


def _balloon(options: Sequence[tuple[str, dict[str, Any], str]]) -> Balloon | None:
    for name, fields, _ in options:
        if name == "device" and _kind(fields, "driver").startswith("virtio-balloon"):
            return Balloon(
                deflate_on_oom=_on(fields, "deflate-on-oom"),
                free_page_reporting=_on(fields, "free-page-reporting"),
            )
    return None


def _encryption(fields: dict[str, Any]) -> str | None:
    return _ENCRYPTING.get(_kind(fields, "qom-type"))


def _size_bytes(values: dict[str, dict[str, Any]]) -> int:
    machine = values.get("machine", values.get("M", {}))
    if _kind(machine, "type") == "none":  # libvirt asking QEMU what it can do
        return 0
    size = _parsed_bytes(_kind(values.get("m", {}), "size"))
    return DEFAULT_SIZE_BYTES if size is None else size


def _most_bytes(values: dict[str, dict[str, Any]]) -> int | None:
    memory = values.get("m", {})
    size = _parsed_bytes(_kind(memory, "size"))
    most = _parsed_bytes(_text(memory, "maxmem"))
    return size if size is None or most is None else max(size, most)


def _parsed_bytes(text: str) -> int | None:
    found = _SIZE.fullmatch(text)
    if found is None:
        return None
    whole, fraction, unit = found[1], found[2] or "", found[3].lower()
    scale: int = 10 ** len(fraction)
    return min(int(whole + fraction) * _UNITS[unit] // scale, LARGEST_BYTES)
