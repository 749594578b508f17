"""Scripts can rely on it: the keys of every document are those that docs/reference lists."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path

import pytest

from barostat.lab.witness import Witness
from barostat.service.documents import LimitFault, Program, StartingVm

from .conftest import Run, Shell

REFERENCE = Path(__file__).parent.parent.parent / "docs" / "reference"


def documented(page: str, heading: str) -> set[str]:
    """Take the keys from a section's table: a column with where they stand, one with them."""
    section = (REFERENCE / page).read_text().partition(f"## {heading}\n")[2].partition("\n##")[0]
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

    of_a_daemon = {key for key in known if key.startswith(ONLY_OF_A_DAEMON)}
    assert found - inner == known - of_a_daemon


ONLY_OF_A_DAEMON = ("host.starting[].", "limit_faults[].")
"""Entries of lists that are empty where no daemon admits VMs or sets limits."""

LOOKED = "`barostat list` and `barostat plan`"


@pytest.fixture
def looked(vms: Path) -> tuple[str | Path, ...]:
    """Words that look at two VMs on too little memory, beside a socket that a VM left behind."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(vms / "old.qmp"))
    return ("--qmp", vms, "--capacity", "900MiB", "--output", "json")


def test_list_and_plan_have_the_documented_keys(
    barostat: Shell, looked: tuple[str | Path, ...]
) -> None:
    known = documented("output.md", LOOKED)

    check(barostat("list", *looked), known)
    check(barostat("plan", *looked), known)


def test_a_program_in_a_vm_has_the_documented_keys() -> None:
    page = (REFERENCE / "output.md").read_text()
    section = page.partition("### The program in a VM\n")[2].partition("\n## ")[0]
    keys = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)

    assert set(re.findall("`(.*?)`", " ".join(keys))) == set(Program.model_fields)


def test_what_only_a_daemon_lists_has_the_documented_keys() -> None:
    known = documented("output.md", LOOKED)
    starting, limits = ONLY_OF_A_DAEMON

    fields = {f"{starting}{name}" for name in StartingVm.model_fields}
    fields |= {f"{limits}{name}" for name in LimitFault.model_fields}
    assert {key for key in known if key.startswith(ONLY_OF_A_DAEMON)} == fields


def test_explain_has_the_documented_keys(barostat: Shell, looked: tuple[str | Path, ...]) -> None:
    known = documented("output.md", "`barostat explain VM`") | one_guest(
        documented("output.md", LOOKED)
    )

    run = barostat("explain", "web", *looked)

    check(run, known - {"host", "guest"})
    assert barostat("explain", "db", *looked).document["guest"]["settings"] is None


def test_show_has_the_documented_keys(barostat: Shell, looked: tuple[str | Path, ...]) -> None:
    listed = {key for key in one_guest(documented("output.md", LOOKED)) if key.startswith("guest.")}
    known = documented("output.md", "`barostat show VM`") | listed

    run = barostat("show", "web", *looked)

    check(run, known - {"host", "guest"})
    assert barostat("show", "db", *looked).document["settings"]["written"] is None


@pytest.mark.parametrize("words", ["set web --weight 1", "enable db", "disable web", "pause web"])
def test_a_change_has_the_documented_keys(
    barostat: Shell, looked: tuple[str | Path, ...], words: str
) -> None:
    shown = documented("output.md", "`barostat show VM`")
    settings = {key.removeprefix("settings.") for key in shown if key.startswith("settings.")}

    document = barostat(*words.split(), *looked).document

    assert set(document) == {"before", "after"}
    found = set(keys_of(document["after"]))
    assert found == settings


def one_guest(keys: set[str]) -> set[str]:
    """Name what stands in a document about the host and one of its VMs."""
    named = {key.replace("guests[]", "guest") for key in keys}
    return {key for key in named if key.startswith(("host.", "guest."))}


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
