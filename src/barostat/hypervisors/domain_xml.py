"""A libvirt domain's XML, read and written as little as its memory needs. Pure: text in, text out.

libvirt writes sizes in KiB with a unit beside them, people in any unit. What is not touched stays
as it was, foreign namespaces and their prefixes too.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree as ET

from barostat.errors import InputError
from barostat.units import GIB, KIB, MIB, TIB

__all__ = [
    "child",
    "keep_prefixes",
    "parse_domain",
    "print_domain",
    "set_size",
    "size_bytes",
    "whole_number",
]

LARGEST_BYTES: Final = 2**60
"""An exbibyte: above any machine, below any arithmetic trouble."""

LONGEST_NUMBER: Final = 20
"""Digits: keeps absurd input out of int()."""

# libvirt's scaled integers (docs/formatdomain: "memory"): powers of 2 with "i" or alone, of 10
# with "B" behind.
_UNITS: Final = {
    "b": 1,
    "bytes": 1,
    "k": KIB,
    "kib": KIB,
    "kb": 10**3,
    "m": MIB,
    "mib": MIB,
    "mb": 10**6,
    "g": GIB,
    "gib": GIB,
    "gb": 10**9,
    "t": TIB,
    "tib": TIB,
    "tb": 10**12,
}


def parse_domain(xml: str) -> ET.Element:
    """Parse a domain's XML.

    Raises:
        InputError: it is not the XML of a domain.
    """
    if "<!DOCTYPE" in xml:  # nothing that libvirt writes; entities have no business here
        raise InputError("the domain's XML has a document type", hint="remove it")
    try:
        root = ET.fromstring(xml)  # noqa: S314 - without a document type there is nothing to expand
    except (ET.ParseError, UnicodeError) as error:
        raise InputError(
            f"this is not XML: {error}", hint="give what `virsh dumpxml` prints"
        ) from error
    if root.tag != "domain":
        raise InputError(
            f"this is the XML of a <{root.tag}>, not of a <domain>",
            hint="give what `virsh dumpxml` prints",
        )
    return root


def keep_prefixes(xml: str) -> None:
    """Have `print_domain` write the namespaces of this XML as they are written there.

    They are remembered for ever: this is for a command that ends, not for what goes on for years.
    """
    for _, (prefix, uri) in ET.iterparse(io.StringIO(xml), events=("start-ns",)):  # noqa: S314
        _keep_prefix(prefix, uri)


def _keep_prefix(prefix: str, uri: str) -> None:
    try:
        ET.register_namespace(prefix, uri)
    except ValueError:  # one of ElementTree's own, "ns0": it will make one up again
        return


def print_domain(root: ET.Element) -> str:
    """Print a domain's XML, indented as libvirt does it.

    Raises:
        InputError: its elements stand in each other too deep.
    """
    try:
        ET.indent(root, "  ")
        return ET.tostring(root, encoding="unicode") + "\n"
    except RecursionError as error:
        raise InputError(
            "the domain's elements stand in each other too deep",
            hint="give what `virsh dumpxml` prints; nothing was changed",
        ) from error


def size_bytes(element: ET.Element) -> int:
    """Read an element's size, in KiB where no unit is given.

    Raises:
        InputError: it is no size.
    """
    unit = element.get("unit", "KiB").lower()
    text = (element.text or "").strip()
    digits = text.isascii() and text.isdecimal() and len(text) <= LONGEST_NUMBER
    size = int(text) * _UNITS[unit] if digits and unit in _UNITS else None
    if size is None or size > LARGEST_BYTES:
        shown = f'"{text[:LONGEST_NUMBER]}" {element.get("unit", "KiB")[:LONGEST_NUMBER]}'
        raise InputError(
            f"<{element.tag}> of the domain is {shown}: no size",
            hint="correct it with `virsh edit`; nothing was changed",
        )
    return size


def whole_number(text: str, *, what: str) -> int:
    """Read a whole number.

    Args:
        text: as it stands in the XML.
        what: the element or attribute, for people.

    Raises:
        InputError: it is none.
    """
    word = text.strip()
    if not (word.isascii() and word.isdecimal() and len(word) <= LONGEST_NUMBER):
        raise InputError(
            f'{what} of the domain is "{word[:LONGEST_NUMBER]}": no number',
            hint="correct it with `virsh edit`; nothing was changed",
        )
    return int(word)


def set_size(element: ET.Element, size: int) -> None:
    """Write a size in bytes, in KiB as libvirt does it."""
    element.set("unit", "KiB")
    element.text = str(size // KIB)


def child(parent: ET.Element, path: str) -> ET.Element:
    """Find an element below another, making what is missing on the way."""
    for tag in _steps(path):
        found = parent.find(tag)
        parent = ET.SubElement(parent, tag) if found is None else found
    return parent


def _steps(path: str) -> Iterator[str]:
    yield from path.split("/")
