"""Every setting of a VM is on its page, and the page's examples can be used."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from barostat.config.settings_file import SettingsFile
from barostat.config.settings_xml import NAMESPACE, parse_settings

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "settings.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_every_setting_has_its_row() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(SettingsFile.model_fields)


def test_both_examples_say_the_same() -> None:
    element = re.search(r"<barostat:memory.*?/>", block("xml"))
    assert element is not None

    by_libvirt = parse_settings(element[0], guest="web")
    by_file = SettingsFile.model_validate(tomllib.loads(block("toml")))

    assert by_libvirt == by_file
    assert by_libvirt.minimum is not None


def test_every_command_names_the_namespace() -> None:
    commands = block("sh").splitlines()

    assert all(NAMESPACE in command for command in commands)
