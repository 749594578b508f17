"""The configuration put into words: every key, what it takes, its default, what it is and why.

The reference, `barostat config example` and `barostat config show` all say what stands here, and
it all comes from the sections themselves.
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args, get_origin

from pydantic.fields import FieldInfo

from barostat.config.numbers import key_of
from barostat.config.ranges import AUTO, Between, Endpoint, exact_size
from barostat.config.sections import DaemonConfig
from barostat.config.toml_file import FileModel

__all__ = ["Entry", "SectionText", "attributes_of", "example", "sections", "values"]

WIDTH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key: what may be written, what is written by default, and what it is for."""

    key: str
    accepts: str
    default: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionText:
    """One section."""

    name: str
    about: str
    entries: tuple[Entry, ...]


def sections(explained_by: Mapping[str, type]) -> Iterator[SectionText]:
    """Describe every section.

    Args:
        explained_by: by section, the class whose docstring explains its keys, where that is not
            the section itself.
    """
    for name, field in DaemonConfig.model_fields.items():
        model = cast("type[FileModel]", field.annotation)
        about = inspect.cleandoc(model.__doc__ or "").partition("\n\nAttributes:")[0]
        whys = attributes_of(explained_by.get(name, model))
        by_key = {key_of(attribute): why for attribute, why in whys.items()}
        entries = tuple(
            Entry(
                key=key,
                accepts=_accepts(info),
                default=_written(_shown_default(info), info),
                why=by_key[key],
            )
            for key, info in model.model_fields.items()
        )
        yield SectionText(name=name, about=re.sub(r"\s+", " ", about), entries=entries)


def attributes_of(documented: type) -> dict[str, str]:
    """Take from a class's docstring what it says of each of its attributes."""
    text = inspect.cleandoc(documented.__doc__ or "").partition("Attributes:\n")[2]
    entries = re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {6,}.*)*)", text, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", why) for names, why in entries for name in names.split(", ")}


def example(explained_by: Mapping[str, type]) -> str:
    """Write a configuration file in which everything is explained, and nothing is set."""
    lines = [
        "# The configuration of the Barostat daemon. Every key stands here with its default, in a",
        "# comment: take the mark away to set it. `barostat config check` says what is wrong.",
    ]
    for section in sections(explained_by):
        lines += ["", "", *_comment(section.about), f"[{section.name}]"]
        for entry in section.entries:
            lines += ["", *_comment(f"{_sentence(entry.why)} Takes {entry.accepts}.")]
            lines.append(f"#{entry.key} = {entry.default}")
    return "\n".join(lines) + "\n"


def values(config: DaemonConfig) -> dict[tuple[str, str], str]:
    """Write every value as it stands in a file, by section and key.

    What is not set and has no name for that has a blank text.
    """
    return {
        (section, key): _written(value, info)
        for section in DaemonConfig.model_fields
        for key, info in type(getattr(config, section)).model_fields.items()
        for value in (getattr(getattr(config, section), key),)
    }


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )


def _written(value: object, info: FieldInfo) -> str:
    """Write a key's value as it stands in a file."""
    if value is None:
        return json.dumps(AUTO) if _is_size(info) else ""
    if isinstance(value, tuple):
        return f"[{', '.join(_written(item, info) for item in value)}]"
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int) and _is_size(info):
        return json.dumps(exact_size(value))
    return f"{value:g}" if isinstance(value, float) else json.dumps(str(value))


def _shown_default(info: FieldInfo) -> Any:
    """Say a key's default; where that depends on the machine, what it mostly is."""
    if info.default is None and info.examples:
        first = info.examples[0]
        return tuple(first) if isinstance(first, list) else first
    return info.default


def _accepts(info: FieldInfo) -> str:
    kinds = set(_leaves(info.annotation))
    if Literal in kinds:
        return " or ".join(f'"{choice}"' for choice in get_args(info.annotation))
    if bool in kinds:
        return "true or false"
    ranges = [str(item) for item in info.metadata if isinstance(item, Between)]
    if ranges:
        return f'{ranges[0]}, or "{AUTO}" (unset)' if type(None) in kinds else ranges[0]
    if Endpoint in get_args(info.annotation):
        return "an address and port"
    what = "path" if Path in kinds else "text"
    return f"a list of {what}s" if tuple in kinds else f"a {what}"


def _leaves(annotation: Any) -> Iterator[Any]:
    """Name everything that a type is made of."""
    yield get_origin(annotation) or annotation
    for inner in get_args(annotation):
        yield from _leaves(inner)


def _is_size(info: FieldInfo) -> bool:
    return any(isinstance(item, Between) and item.unit == "bytes" for item in info.metadata)
