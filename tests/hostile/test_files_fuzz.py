"""Domain XML, metadata and TOML, garbled: values, or an error in words, soon."""

from __future__ import annotations

import contextlib
import time
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Final
from xml.etree import ElementTree as ET

import pytest
from tests.hostile.bounds import Note, bounded, cases
from tests.hostile.mutations import garbled

from barostat.config.layers import load
from barostat.config.settings_file import SettingsFile
from barostat.config.settings_xml import parse_settings
from barostat.config.toml_file import LARGEST_FILE_BYTES, read_toml
from barostat.errors import BarostatError, ConfigError, InputError
from barostat.hypervisors.libvirt_xml import read_memory
from barostat.hypervisors.prepare import prepare
from barostat.lab.scenario import read_scenario
from barostat.units import MIB

ROOT: Final = Path(__file__).parents[2]
SLOW_S: Final = 2.0
"""One reading, on a machine that does other things as well and while memory is traced."""

DOMAIN: Final = b"""<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>web</name><memory unit='KiB'>3145728</memory>
  <currentMemory unit='KiB'>1048576</currentMemory>
  <maxMemory slots='16' unit='KiB'>9437184</maxMemory>
  <metadata><barostat:memory xmlns:barostat="urn:barostat:memory:1" minimum="512MiB"
    buffer="20" weight="5000" enabled="yes"/></metadata>
  <cpu><numa><cell id='0' cpus='0-1' memory='1048576' unit='KiB'/></numa></cpu>
  <devices><memory model='virtio-mem'><target><size unit='KiB'>2097152</size><node>0</node>
    <block unit='KiB'>2048</block><requested unit='KiB'>0</requested><current unit='KiB'>0</current>
    </target><alias name='vmem0'/></memory>
    <memballoon model='virtio' autodeflate='on'><stats period='1'/></memballoon>
    <channel type='unix'><source mode='bind' path='/run/web.agent'/>
      <target type='virtio' name='org.barostat.agent.0'/></channel></devices></domain>"""
METADATA: Final = b'<memory minimum="512MiB" maximum="2GiB" buffer="20" weight="9" enabled="yes"/>'
XML_TOKENS: Final = (
    b"<!DOCTYPE x [<!ENTITY a 'bbbbbbbb'>]>",
    b"<!doctype x>",
    b"&a;&a;&a;",
    b"<a>" * 3000,
    b"<a>" * 3000 + b"</a>" * 3000,
    b"xmlns:x='urn:y'",
    b"unit='ZiB'",
    b"<?xml version='1.0' encoding='utf-16'?>",
    b"-1",
    b"9" * 5000,
)
SETTINGS: Final = (
    b'minimum = "256MiB"\nmaximum = "2GiB"\nbuffer = 20\nweight = 5_000\nenabled = true\n'
)
CONFIG: Final = b"""[host]
reserve = "1GiB"
[policy]
mode = "pressure"
tick_s = 1.0
[log]
level = "info"
[service]
group = "barostat"
"""
TOML_TOKENS: Final = (
    b"[" * 30_000,
    b"{a=" * 3000,
    b"a." * 20_000,
    b"'a'." * 5000,
    b"9" * 5000,
    b"0x" + b"f" * 8000,
    b"nan",
    b"1e999",
    b"-inf",
    b"9999-99-99T99:99:99Z",
    b'"""\n' + b"\n" * 20_000,
    b"[[host]]\n" * 500,
    b"k=1\n" * 500,
    b"\\uD800",
    b'"\\u0000" = 1\n',
    b"\xef\xbb\xbf",
)


@pytest.mark.trust("input", "domain XML or a domain's metadata is garbled")
@pytest.mark.parametrize("read", ["memory", "prepare", "settings"])
def test_garbled_xml_is_values_or_an_error_in_words(read: str, record_property: Note) -> None:
    def one(chance: Random) -> None:
        right = METADATA if read == "settings" else DOMAIN
        text = garbled(right, chance, tokens=XML_TOKENS).decode(errors="surrogateescape")
        began_s = time.monotonic()
        with contextlib.suppress(BarostatError):
            if read == "memory":
                found = read_memory(text, guest="web")
                assert found.boot_bytes >= 0
                assert all(plug.block_bytes > 0 for plug in found.plugs)
            elif read == "prepare":
                prepare(text, maximum_bytes=2048 * MIB)
            else:
                parse_settings(text, guest="web")
        assert time.monotonic() - began_s < SLOW_S

    one(Random(0))
    with bounded(within_s=10_000, kept_bytes=4 * MIB):
        for chance in cases(record_property):
            one(chance)


@pytest.mark.trust("input", "XML has entities that expand without end")
def test_entities_expand_to_nothing_because_a_document_type_is_refused() -> None:
    bomb = "<!DOCTYPE lol [<!ENTITY a 'lol'>" + "".join(
        f"<!ENTITY {name} '{f'&{inner};' * 10}'>" for inner, name in pairwise("abcdefghi")
    )
    text = f"{bomb}]><domain><name>&i;</name></domain>"

    for read in (
        lambda: read_memory(text, guest="web"),
        lambda: prepare(text),
        lambda: parse_settings(text, guest="web"),
    ):
        with bounded(within_s=1.0, peak_bytes=MIB), pytest.raises(BarostatError):
            read()


@pytest.mark.trust("input", "XML has ever new namespaces")
def test_namespaces_of_live_xml_are_not_remembered() -> None:
    namespaces = dict(ET._namespace_map)  # type: ignore[attr-defined]

    for number in range(100):
        other = f"<a:b xmlns:a='urn:{number}'/></metadata>"
        read_memory(DOMAIN.decode().replace("</metadata>", other), guest="web")

    assert ET._namespace_map == namespaces  # type: ignore[attr-defined]


@pytest.mark.trust("input", "settings, configuration or a scenario in TOML are garbled")
@pytest.mark.parametrize("what", ["settings", "configuration", "scenario"])
def test_garbled_toml_is_values_or_an_error_in_words(
    tmp_path: Path, what: str, record_property: Note
) -> None:
    path = tmp_path / "some.toml"
    scenario = (ROOT / "examples/three-guests.toml").read_bytes()
    right = {"settings": SETTINGS, "configuration": CONFIG, "scenario": scenario}[what]

    def one(chance: Random) -> None:
        path.write_bytes(garbled(right, chance, tokens=TOML_TOKENS))
        began_s = time.monotonic()
        with contextlib.suppress(InputError):
            if what == "settings":
                found, faults = read_toml(path, SettingsFile)
                assert (found is None) == bool(faults)
            elif what == "configuration":
                load(path, environment={})
            else:
                read_scenario(path)
        assert time.monotonic() - began_s < SLOW_S

    one(Random(0))
    with bounded(within_s=10_000, kept_bytes=4 * MIB):
        for chance in cases(record_property):
            one(chance)


@pytest.mark.trust("input", "environment variables are garbled")
def test_garbled_variables_are_a_configuration_or_an_error_in_words(record_property: Note) -> None:
    names = ("HOST__RESERVE", "POLICY__TICK_S", "LOG__LEVEL", "SERVICE__LISTEN", "POLICY__MODE")
    for chance in cases(record_property, seconds=2):
        text = garbled(b"1.0", chance, tokens=TOML_TOKENS).decode(errors="surrogateescape")
        name = garbled(chance.choice(names).encode(), chance) if chance.random() < 0.2 else None
        given = chance.choice(names) if name is None else name.decode(errors="surrogateescape")
        with contextlib.suppress(ConfigError):
            load(Path("/dev/null"), environment={f"BAROSTAT_{given}": text.replace("\0", "")})


@pytest.mark.trust("input", "a TOML file is made to keep its reader busy")
@pytest.mark.parametrize(
    "text",
    [
        "a." * 20_000 + "a = 1",
        "[" + "a." * 20_000 + "a]",
        "x = {b = 1, " + "a." * 20_000 + "a = 1}",
        "x = " + "[" * 60_000,
        "x = " + "9" * 60_000,
        'x = """' + "\n" * 60_000,
        'x = """' + "\n" * 60_000 + '"""',
        "\n".join(f"k{n} = 1" for n in range(6_000)),
    ],
    ids=lambda text: text[:12].encode("unicode_escape").decode(),
)
def test_no_file_keeps_its_reader_busy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "barostat.toml"
    path.write_text(text)
    assert len(text) <= LARGEST_FILE_BYTES
    began_s = time.monotonic()

    with pytest.raises(ConfigError):
        load(path, environment={})

    assert time.monotonic() - began_s < 5
