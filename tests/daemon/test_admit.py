"""`barostat admit` and libvirt's hook, asked of a daemon that runs: what they say and exit with."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from tests.cli.played_qemu import PlayedQemu

from barostat.units import GIB

from .conftest import BAROSTAT, Running

HOOK: Final = Path(__file__).parent.parent.parent / "deploy" / "libvirt" / "hooks" / "qemu"
XML: Final = """
<domain type="kvm" id="7">
  <name>new</name>
  <memory unit="MiB">{mib}</memory>
  <currentMemory unit="MiB">{mib}</currentMemory>
  <devices/>
</domain>
"""


def admit(daemon: Running, *words: str, said: str = "") -> subprocess.CompletedProcess[str]:
    """Ask by the command."""
    return subprocess.run(
        [BAROSTAT, "admit", *words, "--socket", daemon.socket],
        input=said,
        capture_output=True,
        text=True,
        env=daemon.environment,
        check=False,
    )


def hook(
    folder: Path,
    daemon: Running,
    *words: str,
    mib: int = 512,
    told: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Call the hook as libvirt does, with lines at its top changed as an operator may."""
    text = HOOK.read_text()
    for name, value in {"barostat": str(BAROSTAT), "timeout_s": "2", **(told or {})}.items():
        [line] = [line for line in text.splitlines() if line.startswith(f"{name}=")]
        text = text.replace(line, f"{name}={shlex.quote(value)}")
    script = folder / "qemu"
    script.write_text(text)
    script.chmod(0o755)
    return subprocess.run(
        [script, *words],
        input=XML.format(mib=mib),
        capture_output=True,
        text=True,
        env={**daemon.environment, "BAROSTAT_SOCKET": str(daemon.socket)},
        check=False,
        timeout=40,
    )


def starting(daemon: Running) -> list[dict[str, object]]:
    """Say who is about to start."""
    found: list[dict[str, object]] = daemon.ask("list")["host"]["starting"]
    return found


def test_a_vm_that_may_start_is_shown_until_its_memory_is_given_up(
    daemon: Running, vms: dict[str, PlayedQemu]
) -> None:
    assert vms
    daemon.start()

    may = admit(daemon, "new", "--size", "512MiB")
    document = daemon.ask("admit", "new", "--size", "512MiB")
    before = starting(daemon)
    shown = subprocess.run(
        [BAROSTAT, "list", "--socket", daemon.socket],
        capture_output=True,
        text=True,
        env=daemon.environment,
        check=False,
    )
    released = [admit(daemon, "new", "--release") for _ in range(2)]

    assert (may.returncode, may.stdout) == (0, "")
    assert "new may start" in may.stderr
    assert document["may_start"] is True
    assert [item["name"] for item in before] == ["new"]
    assert "new may: 512 MiB are set aside for it" in shown.stdout
    assert [done.returncode for done in released] == [0, 0]
    assert "512 MiB are not set aside for new any more" in released[0].stderr
    assert "nothing was set aside for new" in released[1].stderr


@pytest.mark.trust("start", "a VM starts for which there is no memory")
def test_a_vm_that_may_not_start_is_told_the_figures(
    daemon: Running, vms: dict[str, PlayedQemu]
) -> None:
    assert vms
    daemon.start()

    refused = admit(daemon, "new", "--size", "9GiB", "--weight", "0")

    assert refused.returncode == 1
    assert "not enough memory to start new: it needs 9216 MiB, and" in refused.stderr
    assert starting(daemon) == []


def test_size_and_weight_come_from_a_domains_xml(
    daemon: Running, vms: dict[str, PlayedQemu]
) -> None:
    assert vms
    daemon.start()

    may = admit(daemon, "new", "--xml", "-", said=XML.format(mib=300))

    assert may.returncode == 0, may
    assert "new may start: 300 MiB are set aside for it for 120 s" in may.stderr


@pytest.mark.trust("input", "the XML of a VM that starts is garbled")
@pytest.mark.parametrize("said", ["", "<domain>", "no\0xml", "<domain><memory>x</memory></domain>"])
def test_xml_that_is_none_is_an_error_in_words(daemon: Running, said: str) -> None:
    done = admit(daemon, "new", "--xml", "-", said=said)

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "--size" in done.stderr


def test_how_long_memory_is_set_aside_is_configured_and_read_anew(
    daemon: Running, vms: dict[str, PlayedQemu]
) -> None:
    assert vms
    daemon.write('[log]\nlevel = "debug"\n[admission]\nreserve_s = 60\n')
    daemon.start()

    assert daemon.ask("admit", "new", "--size", "64MiB", "--weight", "1")["kept_s"] == 60


def test_without_a_daemon_nobody_can_tell(daemon: Running) -> None:
    done = admit(daemon, "new", "--size", "64MiB")

    assert done.returncode == 3
    assert "no daemon" in done.stderr


def test_a_daemon_that_only_observes_cannot_tell(
    daemon: Running, vms: dict[str, PlayedQemu]
) -> None:
    assert vms
    daemon.start("--observe")

    done = admit(daemon, "new", "--size", "64MiB", "--weight", "1")

    assert done.returncode == 3
    assert "only observes" in done.stderr


def test_the_hook_sets_memory_aside_at_a_start_and_gives_it_up_at_the_end(
    daemon: Running, vms: dict[str, PlayedQemu], tmp_path: Path
) -> None:
    assert vms
    daemon.start()

    begun = hook(tmp_path, daemon, "new", "prepare", "begin", "-")
    before = starting(daemon)
    others = [
        hook(tmp_path, daemon, "new", *words, "-")
        for words in (("start", "begin"), ("started", "begin"), ("stopped", "end"))
    ]
    between = starting(daemon)
    ended = hook(tmp_path, daemon, "new", "release", "end", "-")

    for done in (begun, *others, ended):
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert before == between != []
    assert starting(daemon) == []


@pytest.mark.trust("start", "libvirt starts a VM for which there is no memory")
def test_the_hook_refuses_a_start_with_the_figures(
    daemon: Running, vms: dict[str, PlayedQemu], tmp_path: Path
) -> None:
    assert vms
    daemon.start()

    done = hook(tmp_path, daemon, "new", "prepare", "begin", "-", mib=9 * GIB // 2**20)

    assert done.returncode == 1
    assert "not enough memory to start new: it needs 9216 MiB, and" in done.stderr


@pytest.mark.parametrize(("otherwise", "code"), [("open", 0), ("closed", 1)])
@pytest.mark.trust("start", "a VM is to start while the daemon does not run")
def test_without_a_daemon_the_hook_does_what_its_operator_chose(
    daemon: Running, tmp_path: Path, otherwise: str, code: int
) -> None:
    told = {"otherwise": otherwise}

    done = hook(tmp_path, daemon, "new", "prepare", "begin", "-", told=told)

    assert done.returncode == code
    assert ('nobody could tell whether VM "new" may start' in done.stderr) is bool(code)


@contextmanager
def deaf(path: Path) -> Iterator[None]:
    """Have something listen at the daemon's socket that never answers."""
    path.parent.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as ear:
        ear.bind(str(path))
        ear.listen()
        yield


@pytest.mark.trust("start", "a VM is to start while the daemon hangs")
def test_a_daemon_that_hangs_does_not_keep_libvirt_for_ever(
    daemon: Running, tmp_path: Path
) -> None:
    told = {"otherwise": "closed", "timeout_s": "1"}

    with deaf(daemon.socket):
        done = hook(tmp_path, daemon, "new", "prepare", "begin", "-", told=told)

    assert done.returncode == 1
    assert "did not answer within 11 s" in done.stderr


def test_the_hook_is_plain_sh_and_can_be_run() -> None:
    assert os.access(HOOK, os.X_OK)
    assert HOOK.read_text().startswith("#!/bin/sh\n")
    assert subprocess.run(["dash", "-n", HOOK], check=False).returncode == 0
