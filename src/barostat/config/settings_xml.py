"""A VM's settings in its libvirt domain's metadata, with which they travel. Pure: text and values.

One element, `<barostat:memory xmlns:barostat="urn:barostat:memory:1" minimum="512MiB" .../>`, with
the names, the sizes and the rules of a settings file. libvirt hands it out with its namespace
inside a domain's XML, and without when it is asked for alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from xml.etree import ElementTree as ET

from pydantic import ValidationError

from barostat.config.ranges import exact_size
from barostat.config.settings_file import SettingsFile
from barostat.config.toml_file import faults_of
from barostat.errors import SettingsError

__all__ = [
    "KEY",
    "NAMESPACE",
    "TAG",
    "parse_settings",
    "print_settings",
    "read_settings",
    "settings_fault",
]

NAMESPACE: Final = "urn:barostat:memory:1"
KEY: Final = "barostat"
TAG: Final = f"{{{NAMESPACE}}}memory"

LARGEST_CHARACTERS: Final = 4096
"""All settings together are a line; what is larger is something else."""

_SIZES: Final = ("startup", "minimum", "maximum")
_NUMBERS: Final = ("buffer", "weight")
_SWITCHES: Final = ("enabled", "paused")
_WORDS: Final = {"yes": True, "no": False}
_DIGITS: Final = 10
"""A number of as many digits is above any that a setting may have."""


def parse_settings(text: str, *, guest: str) -> SettingsFile:
    """Read the element that stands in a domain's metadata.

    Raises:
        SettingsError: with all faults; nothing was changed.
    """
    if len(text) > LARGEST_CHARACTERS or "<!DOCTYPE" in text:
        raise settings_fault(guest, ("it is no element of settings",))
    try:
        element = ET.fromstring(text)  # noqa: S314 - without a document type nothing expands
    except (ET.ParseError, UnicodeError) as error:
        raise settings_fault(guest, (f"it is not XML: {error}",)) from error
    return read_settings(element, guest=guest)


def read_settings(element: ET.Element, *, guest: str) -> SettingsFile:
    """Read an element that was parsed already.

    Raises:
        SettingsError: with all faults; nothing was changed.
    """
    faults = []
    if element.tag not in {TAG, "memory"}:
        name = element.tag.rpartition("}")[2][:40]
        faults.append(f'the element is <{name}>: it must be <memory> of "{NAMESPACE}"')
    if len(element) or (element.text or "").strip():
        faults.append("<memory> has content: settings are its attributes")
    try:
        settings = SettingsFile.model_validate(_values(element.attrib, faults))
    except ValidationError as error:
        faults.extend(faults_of(error, SettingsFile))
    else:
        if not faults:
            return settings
    raise settings_fault(guest, tuple(faults))


def _values(attributes: Mapping[str, str], faults: list[str]) -> dict[str, object]:
    """Turn attributes into what a settings file would hold; what cannot be is a fault."""
    values: dict[str, object] = {}
    for name, text in attributes.items():
        word = text.strip()
        if name in _NUMBERS:
            if word.isascii() and word.removeprefix("-").isdecimal() and len(word) < _DIGITS:
                values[name] = int(word)
            else:
                faults.append(f'{name}: "{text[:40]}" is not a whole number')
        elif name in _SWITCHES:
            if word in _WORDS:
                values[name] = _WORDS[word]
            else:
                faults.append(f'{name}: "{text[:40]}" is neither "yes" nor "no"')
        else:
            values[name] = text
    return values


def print_settings(settings: SettingsFile) -> str:
    """Write the element as libvirt wants it, without its namespace.

    What has its default is left out, so that it follows what the VM is made of.
    """
    words = {}
    for name, value in settings:
        if value == SettingsFile.model_fields[name].default:
            continue
        if name in _SIZES:
            words[name] = exact_size(value)
        elif name in _SWITCHES:
            words[name] = "yes" if value else "no"
        else:
            words[name] = str(value)
    return ET.tostring(ET.Element("memory", words), encoding="unicode")


def settings_fault(guest: str, faults: tuple[str, ...]) -> SettingsError:
    """Say what is wrong with a domain's metadata, and how to mend it."""
    return SettingsError(
        f'the settings in the metadata of VM "{guest}" cannot be used: ' + "; ".join(faults),
        faults=faults,
        hint=f"correct them with `virsh metadata {guest} {NAMESPACE} --edit`, or take them away "
        "with --remove; the VM keeps its size until then",
    )
