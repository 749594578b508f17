"""Scripts can rely on it: the keys of every document are those that docs/reference lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from barostat.lab.witness import Witness

from .conftest import Run, Shell

REFERENCE = Path(__file__).parent.parent.parent / "docs" / "reference"


def documented(page: str, heading: str) -> set[str]:
    """Take the keys from a section's table: a column with where they stand, one with them."""
    section = (REFERENCE / page).read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ?(?:`(.*?)`)? \| (.*?) \|", section, re.MULTILINE)
    return {
        f"{place}.{key}" if place else key
        for place, keys in rows
        for key in re.findall("`(.*?)`", keys)
    }


def keys_of(value: object, place: str = "") -> Iterator[str]:
    """Name everything in a document; what stands under names of guests, as NAME."""
    match value:
        case Mapping():
            by_name = place.endswith(("numbers", "witness")) or place.rpartition(".")[2] == "guests"
            for key, item in value.items():
                yield from keys_of(item, f"{place}.{'NAME' if by_name else key}".lstrip("."))
        case list():
            yield place + ("" if value else "[]")
            for item in value:
                yield from keys_of(item, f"{place}[]")
        case _:
            yield place


def check(run: Run, known: set[str]) -> None:
    """Find nothing that is not listed, and everything that is."""
    found = set(keys_of(run.document))
    inner = {key for key in found if any(name.startswith((f"{key}.", f"{key}[")) for name in known)}

    assert found - inner == known


def test_list_and_plan_have_the_documented_keys(barostat: Shell, vms: Path) -> None:
    known = documented("output.md", "`barostat list` and `barostat plan`")
    words = ("--qmp", vms, "--capacity", "900MiB", "--output", "json")

    check(barostat("list", *words), known)
    check(barostat("plan", *words), known)


def test_explain_has_the_documented_keys(barostat: Shell, vms: Path) -> None:
    host = documented("output.md", "`barostat list` and `barostat plan`")
    known = {key.replace("guests[]", "guest") for key in host}
    known |= documented("output.md", "`barostat explain VM`")
    words = ("--qmp", vms, "--capacity", "900MiB", "--output", "json")

    check(barostat("explain", "web", *words), known)
    settings = barostat("explain", "db", *words).document["guest"]["settings"]
    assert settings is None


@pytest.mark.usefixtures("fast_time")
def test_a_report_has_the_documented_keys(barostat: Shell, scenario: Path) -> None:
    words = ("lab", "run", scenario, "--simulated", "--seconds", "20", "--output", "json")

    run = barostat(*words)

    check(run, documented("lab.md", "Running one"))


@pytest.mark.usefixtures("fast_time")
def test_the_demos_document_is_two_reports(barostat: Shell, scenario: Path) -> None:
    words = ("--simulated", "--seconds", "5", "--output", "json")

    demo = barostat("demo", *words).document
    report = barostat("lab", "run", scenario, *words).document

    assert list(demo) == ["barostat", "static"]
    assert list(demo["barostat"]) == list(demo["static"]) == list(report)


@pytest.mark.usefixtures("fast_time")
def test_what_the_witness_says_is_documented(barostat: Shell, scenario: Path) -> None:
    words = ("lab", "run", scenario, "--simulated", "--seconds", "1", "--output", "json")

    [sample] = barostat(*words).document["guests"]["web"]["series"]

    assert {field.name for field in fields(Witness)} == witness_keys()
    assert list(sample["witness"]) == [
        "held_bytes",
        "wished_bytes",
        "total_bytes",
        "available_bytes",
        "swap_in_bytes",
        "swap_out_bytes",
        "oom_kills",
        "stalled_us",
    ]


def witness_keys() -> set[str]:
    """Take the figures from the table below the witness."""
    page = (REFERENCE / "lab.md").read_text()
    table = page.partition("| figures |")[2].partition("\n\n")[0]
    return set(re.findall("`(.*?)`", table))
