"""Settings in a domain's metadata: the same names, sizes and rules as in a file."""

from __future__ import annotations

import pytest

from barostat.config.settings_file import SettingsFile
from barostat.config.settings_xml import NAMESPACE, parse_settings, print_settings
from barostat.errors import SettingsError
from barostat.units import GIB, MIB

FULL = (
    f'<barostat:memory xmlns:barostat="{NAMESPACE}" startup="1GiB" minimum="512MiB" '
    'maximum="8GiB" buffer="30" weight="7000" enabled="no" paused="yes"/>'
)


def faults_of(text: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as broken:
        parse_settings(text, guest="web")
    assert broken.value.message.startswith('the settings in the metadata of VM "web"')
    assert f"virsh metadata web {NAMESPACE} --edit" in broken.value.hint
    return broken.value.faults


def test_every_setting_is_read() -> None:
    settings = parse_settings(FULL, guest="web")

    assert settings.startup == 1 * GIB
    assert settings.minimum == 512 * MIB
    assert settings.maximum == 8 * GIB
    assert (settings.buffer, settings.weight) == (30, 7000)
    assert (settings.enabled, settings.paused) == (False, True)


def test_what_is_left_out_has_its_default() -> None:
    assert parse_settings("<memory/>", guest="web") == SettingsFile()


@pytest.mark.parametrize(
    "written",
    [
        {},
        {"minimum": "512MiB"},
        {"startup": "1GiB", "maximum": "1234567KiB", "buffer": 5, "weight": 0},
        {"enabled": False, "paused": True},
    ],
)
def test_what_was_written_is_read_back(written: dict[str, object]) -> None:
    settings = SettingsFile.model_validate(written)

    assert parse_settings(print_settings(settings), guest="web") == settings


def test_what_has_its_default_is_not_written() -> None:
    assert print_settings(SettingsFile.model_validate({"weight": 7000})) == (
        '<memory weight="7000" />'
    )


def test_all_faults_are_told_at_once_each_with_what_would_be_right() -> None:
    faults = faults_of('<memory minimum="512" wieght="3" buffer="a lot" enabled="true" weight=""/>')

    assert len(faults) == 5
    told = "; ".join(faults)
    assert "minimum" in told
    assert 'did you mean "weight"?' in told
    assert 'buffer: "a lot" is not a whole number' in told
    assert 'enabled: "true" is neither "yes" nor "no"' in told
    assert 'weight: "" is not a whole number' in told


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("<memory", "not XML"),
        ("<memory>512MiB</memory>", "has content"),
        ("<memory><minimum/></memory>", "has content"),
        ("<disk/>", "<disk>"),
        (f'<x:memory xmlns:x="{NAMESPACE}0"/>', "must be <memory>"),
        ('<!DOCTYPE memory [<!ENTITY a "b">]><memory/>', "no element of settings"),
        (f'<memory minimum="{"1" * 5000}"/>', "no element of settings"),
        ('<memory weight="99999999999999999999"/>', "not a whole number"),
    ],
)
def test_what_is_no_element_of_settings_is_a_fault(text: str, fault: str) -> None:
    assert fault in faults_of(text)[0]


def test_another_prefix_for_the_same_namespace_is_the_same_element() -> None:
    text = f'<m:memory xmlns:m="{NAMESPACE}" minimum="64MiB"/>'

    assert parse_settings(text, guest="web").minimum == 64 * MIB
