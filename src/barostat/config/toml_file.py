"""TOML files into checked values: all faults at once, each with its place and what would be right.

Nothing is half read: a file gives one whole value, or an error that names everything wrong in it.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from barostat.errors import InputError, SizeError
from barostat.units import parse_size

__all__ = ["FileModel", "Size", "faults_of", "parse_toml", "read_text", "read_toml", "sentence_of"]

LARGEST_FILE_BYTES: Final = 2**16
"""A settings file or a scenario is a page or two; what is larger is something else."""

DEEPEST_KEY: Final = 32
"""Ours have three parts. Python's parser takes a time that grows with the cube of their number."""

LARGEST_NUMBER: Final = 2**63
"""TOML's numbers are no larger; Python's parser takes any that is not written in tens."""

_DEEP_KEY: Final = re.compile(
    rf"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){{{DEEPEST_KEY}}}"""
)


def _size(value: object) -> int:
    if not isinstance(value, str):
        text = 'a size is written in quotes with its unit, as in "512MiB"'
        raise PydanticCustomError("size", text)
    try:
        return parse_size(value)
    except SizeError as error:
        text = f"{error.message}: {error.hint}".replace("{", "(").replace("}", ")")
        raise PydanticCustomError("size", text) from error


Size = Annotated[int, BeforeValidator(_size)]
"""A field that people write as "512MiB" and the program reads as bytes."""


class FileModel(BaseModel):
    """Base of all that is read from files: frozen, and an unknown key is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Model = TypeVar("Model", bound=FileModel)


def read_toml(path: Path, model: type[Model]) -> tuple[Model | None, tuple[str, ...]]:
    """Read a file into a model.

    Returns:
        The model and no faults, or None and every fault as a sentence.

    Raises:
        InputError: the file cannot be read at all.
    """
    text, fault = read_text(path)
    if text is None:
        return None, (fault,)
    raw, fault = parse_toml(text)
    if raw is None:
        return None, (fault,)
    try:
        return model.model_validate(raw), ()
    except ValidationError as error:
        return None, faults_of(error, model)


def read_text(path: Path) -> tuple[str | None, str]:
    """Read a file that people write.

    Returns:
        Its text, or None and what is wrong with it as a sentence.

    Raises:
        InputError: the file cannot be read at all.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        hint = "check the name and that you may read it"
        raise InputError(f"cannot read {path}: {reason}", hint=hint) from error
    if len(data) > LARGEST_FILE_BYTES:
        return None, f"it is larger than {LARGEST_FILE_BYTES} bytes"
    try:
        return data.decode(), ""
    except UnicodeDecodeError:
        return None, "it is not text in UTF-8"


def parse_toml(text: str) -> tuple[dict[str, Any] | None, str]:
    """Parse TOML; None and what is wrong with it, with the line, if it is none."""
    if _DEEP_KEY.search(text):
        return None, f"it has a key of more than {DEEPEST_KEY} parts"
    try:
        content = tomllib.loads(text)
    except ValueError as error:  # no TOML, or a number of thousands of digits
        return None, f"it is not TOML: {error}"
    except RecursionError:
        return None, "its lists or tables stand in each other too deep"
    if any(isinstance(value, int) and abs(value) > LARGEST_NUMBER for value in _values(content)):
        return None, "it is not TOML: a number has more than 64 bits"
    return content, ""


def _values(content: dict[str, Any]) -> Iterator[object]:
    """Give every value, however deep it stands."""
    left: list[Any] = [content]
    while left:
        value = left.pop()
        yield value
        if isinstance(value, dict | list):
            left.extend(value.values() if isinstance(value, dict) else value)


def faults_of(error: ValidationError, model: type[BaseModel]) -> tuple[str, ...]:
    """Say everything that a validation found, each with its place in the file."""
    return tuple(_fault(details, model) for details in error.errors())


def _fault(details: ErrorDetails, model: type[BaseModel]) -> str:
    place = ".".join(str(part + 1) if isinstance(part, int) else part for part in details["loc"])
    text = sentence_of(details, model)
    return f"{place}: {text}" if place else text


def sentence_of(details: ErrorDetails, model: type[BaseModel]) -> str:
    """Say one thing that a validation found, without its place."""
    if details["type"] == "extra_forbidden":
        known = _keys_at(details["loc"], model)
        near = difflib.get_close_matches(str(details["loc"][-1]), known, n=1)
        meant = f'; did you mean "{near[0]}"?' if near else f"; known are {', '.join(known)}"
        return f"there is no such key{meant}"
    if details["type"] == "missing":
        return "it is missing"
    if details["type"] == "model_type":
        return "it must be a table of keys"
    message = details["msg"]
    return message if not details["loc"] else f"{message[0].lower()}{message[1:]}"


def _keys_at(loc: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """Find the keys that are known where an unknown one stood."""
    current: Any = model
    for part in loc[:-1]:
        if isinstance(part, str):
            current = _model_in(current.model_fields[part].annotation)
    return list(current.model_fields)


def _model_in(annotation: Any) -> Any:
    """Find the model inside `Model`, `tuple[Model, ...]` or `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(found for item in annotation.__args__ if (found := _model_in(item)))
