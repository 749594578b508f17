"""The man pages say what the program says, and groff has nothing against them."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "man"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("manpages", ROOT / "tools" / "manpages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_a_page_for_every_command_and_no_other() -> None:
    pages = generator().pages()

    assert {path.name: path.read_text() for path in FOLDER.glob("*.1")} == pages, "run `make docs`"


def test_a_page_names_only_pages_that_exist() -> None:
    names = {path.stem for path in FOLDER.glob("*.1")}
    named = {
        name.replace("\\-", "-")
        for path in FOLDER.glob("*.1")
        for name in re.findall(r"\\fB(barostat[\w\\-]*)\\fR\(1\)", path.read_text())
    }

    assert named <= names
    assert len(named) > 20


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_groff_reads_every_page_without_a_word() -> None:
    words = ("groff", "-ww", "-man", "-Tutf8", "-K", "utf8")
    done = subprocess.run(
        [*words, *sorted(FOLDER.glob("*.1"))], capture_output=True, text=True, check=True
    )

    assert done.stderr == ""
    plain = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
    assert "--until [ok|low|warning|paging|unknown|off]" in plain
    assert not re.search(r"\\[a-z(]", plain)
