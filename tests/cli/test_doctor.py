"""`barostat doctor` as a person gives it: it works with nothing there, too."""

from __future__ import annotations

from pathlib import Path

from barostat.doctor.guest_checks import GUEST_CHECKS
from barostat.doctor.host_checks import HOST_CHECKS

from .conftest import Shell, assert_refused, without_codes


def test_doctor_finds_what_there_is_of_guests_and_host(barostat: Shell, vms: Path) -> None:
    run = barostat("doctor", "--qmp", vms, "--output", "json")

    findings = run.document["findings"]
    assert run.code == int(run.document["blocks"])
    assert {item["subject"] for item in findings} == {"host", "web", "db"}
    known = {check.id for check in (*HOST_CHECKS, *GUEST_CHECKS)}
    assert {item["check"] for item in findings} <= known
    assert all(set(item) == {"subject", "check", "level", "says", "remedy"} for item in findings)
    assert all(bool(item["remedy"]) == (item["level"] != "ok") for item in findings)


def test_doctor_says_that_nobody_can_be_asked(barostat: Shell, tmp_path: Path) -> None:
    run = barostat("doctor", "--qmp", tmp_path)

    assert run.code == 1
    assert "host: connection: blocks: there is no VM at" in run.out
    assert "host: daemon: advice: no daemon runs" in run.out
    assert run.err == ""


def test_doctor_says_what_to_do_below_what_it_found(barostat: Shell, tmp_path: Path) -> None:
    run = barostat.on_terminal("doctor", "--qmp", tmp_path, columns=100)

    said = without_codes(run.out)
    assert "-> start it: systemctl enable --now barostat" in said
    assert "BLOCKS" in said
    assert max(map(len, said.splitlines())) <= 100


def test_doctor_tells_a_vm_with_settings_from_one_without(barostat: Shell, vms: Path) -> None:
    run = barostat("doctor", "--qmp", vms)

    assert "web: settings: ok: it may have 256 MiB to" in run.out
    assert "db: settings: advice: it has no Dynamic Memory settings" in run.out


def test_doctor_says_which_settings_cannot_be_used(barostat: Shell, vms: Path) -> None:
    (vms / "db.toml").write_text('minimum = "lots"\n')

    run = barostat("doctor", "--qmp", vms)

    assert run.code == 1
    assert "db: settings: blocks: its settings cannot be used" in run.out


def test_doctor_refuses_two_ways_at_once(barostat: Shell, tmp_path: Path) -> None:
    run = barostat("doctor", "--qmp", tmp_path, "--connect", "qemu:///system")

    assert_refused(run, "--qmp and --connect")
