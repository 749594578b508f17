"""TOML files: all faults at once, each with its place; nothing is half read."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from barostat.config.toml_file import LARGEST_FILE_BYTES, FileModel, Size, read_toml
from barostat.errors import InputError
from barostat.units import MIB

MEANT_SIZE = 'there is no such key; did you mean "size"?'


class Child(FileModel):
    size: Size


class Parent(FileModel):
    name: str = "x"
    child: Child | None = None
    children: list[Child] = Field(default_factory=list)


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "file.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_a_size_is_read_as_people_write_it(tmp_path: Path) -> None:
    content, faults = read_toml(written(tmp_path, 'child = { size = "512MiB" }'), Parent)

    assert faults == ()
    assert content is not None
    assert content.child == Child(size="512MiB")  # type: ignore[arg-type]
    assert content.child.size == 512 * MIB


def test_every_fault_is_named_with_its_place(tmp_path: Path) -> None:
    text = """
    name = 3
    [[children]]
    size = 512
    [[children]]
    size = "512MB"
    [[children]]
    """

    content, faults = read_toml(written(tmp_path, text), Parent)

    assert content is None
    assert faults == (
        "name: input should be a valid string",
        'children.1.size: a size is written in quotes with its unit, as in "512MiB"',
        'children.2.size: "512MB" has a decimal unit: write "512MiB" if you mean that',
        "children.3.size: it is missing",
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("nmae = 'x'", 'nmae: there is no such key; did you mean "name"?'),
        ("zzz = 1", "zzz: there is no such key; known are name, child, children"),
        ("child.sise = 1\nchild.size = '1B'", "child.sise: " + MEANT_SIZE),
        ("[[children]]\nsize = '1B'\nsiz = 1", "children.1.siz: " + MEANT_SIZE),
    ],
)
def test_an_unknown_key_is_a_fault_with_a_suggestion(tmp_path: Path, text: str, fault: str) -> None:
    assert read_toml(written(tmp_path, text), Parent) == (None, (fault,))


def test_a_size_with_braces_in_it_is_refused_like_any_other(tmp_path: Path) -> None:
    _, faults = read_toml(written(tmp_path, "child = { size = '{x}' }"), Parent)

    assert faults[0].startswith('child.size: "(x)" is not a size of memory')


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"name = ", "it is not TOML: Invalid value (at end of document)"),
        (b"name = '\xff'", "it is not text in UTF-8"),
        (b"#" * (LARGEST_FILE_BYTES + 1), f"it is larger than {LARGEST_FILE_BYTES} bytes"),
    ],
)
def test_what_is_not_a_small_toml_file_is_refused(tmp_path: Path, data: bytes, fault: str) -> None:
    assert read_toml(written(tmp_path, data), Parent) == (None, (fault,))


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_toml(tmp_path / "absent.toml", Parent)
