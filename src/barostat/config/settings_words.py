"""A VM's settings in a person's words: every word read, or everything wrong with them said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from barostat.config.settings_file import SettingsPatch
from barostat.errors import InputError, SettingsError
from barostat.units import parse_size

__all__ = ["read_settings_words"]

LONGEST_NUMBER: Final = 9
"""No buffer or weight has more digits; keeps absurd input out of int()."""


def read_settings_words(vm: str, words: Mapping[str, str | None]) -> SettingsPatch:
    """Read what is to change of a VM's settings.

    Args:
        vm: its name.
        words: by the keys of `SettingsPatch`, such as "minimum_bytes": sizes as in "512MiB",
            numbers in digits. None: the default again.

    Raises:
        SettingsError: with a fault for every word that cannot be read.
    """
    values: dict[str, int | None] = {}
    faults = []
    for name, text in words.items():
        read: Callable[[str], int] = parse_size if name.endswith("_bytes") else _number
        try:
            values[name] = None if text is None else read(text)
        except InputError as error:
            setting = name.removesuffix("_bytes").removesuffix("_percent")
            faults.append(f"{setting}: {error.message}; {error.hint}")
    if faults:
        raise SettingsError(
            f'settings of VM "{vm}" cannot be changed so: ' + "; ".join(faults),
            faults=tuple(faults),
            hint="correct what is named above; nothing was changed",
        )
    return SettingsPatch.model_validate(values)


def _number(text: str) -> int:
    digits = text.strip().removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > LONGEST_NUMBER:
        raise InputError(f'"{text}" is no whole number', hint='write it in digits, as in "20"')
    return int(text)
