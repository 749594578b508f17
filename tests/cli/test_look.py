"""`list`, `plan` and `explain`: what is, what would be done, and why; nothing is touched."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from barostat.cli import direct
from barostat.hypervisors import qmp_link, qmp_socket
from barostat.units import MIB

from .conftest import Shell, assert_refused, without_codes
from .played_qemu import PlayedQemu


@contextmanager
def answering(path: Path, words: bytes) -> Iterator[None]:
    """A socket at which something sends these words to its first caller, and nothing more."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        callers: list[socket.socket] = []

        def answer() -> None:
            caller, _ = server.accept()
            callers.append(caller)
            caller.sendall(words)

        thread = threading.Thread(target=answer)
        thread.start()
        yield
        thread.join()
        for caller in callers:
            caller.close()


def test_list_shows_every_vm_and_why_and_how_the_host_stands(barostat: Shell, vms: Path) -> None:
    run = barostat("list", "--qmp", vms, "--capacity", "2GiB")

    assert (run.code, run.err) == (0, "")
    lines = run.out.splitlines()
    assert lines[0].split()[:4] == ["VM", "Status", "Assigned", "Demand"]
    assert lines[1].split()[:4] == ["db", "-", "512", "MiB"]
    assert lines[2].split()[:6] == ["web", "Low", "512", "MiB", "492", "MiB"]
    assert "db: hold at 512 MiB: it has no Dynamic Memory settings" in lines
    assert any(line.startswith("web: grow from 512 MiB to ") for line in lines)
    assert lines[-1].startswith("host: capacity 2048 MiB, promised ")


def test_plan_says_what_would_be_done(barostat: Shell, vms: Path) -> None:
    run = barostat("plan", "--qmp", vms, "--capacity", "2GiB")

    assert (run.code, run.err) == (0, "")
    assert "web: grow from 512 MiB to 590 MiB: it needs 492 MiB" in run.out
    assert "VM " not in run.out


def test_what_is_promised_beyond_the_capacity_is_an_alarm(barostat: Shell, vms: Path) -> None:
    run = barostat("plan", "--qmp", vms, "--capacity", "900MiB")

    assert "ALARM: more is promised than the host has, by 124 MiB" in run.out


def test_a_look_changes_nothing(tmp_path: Path, barostat: Shell) -> None:
    with PlayedQemu(tmp_path / "web.qmp", available_mib=20) as qemu:
        barostat("plan", "--qmp", tmp_path / "web.qmp", "--capacity", "2GiB")

    assert "query-balloon" in qemu.asked
    assert "balloon" not in qemu.asked


def test_explain_says_what_a_vm_has_needs_and_may_have(barostat: Shell, vms: Path) -> None:
    run = barostat("explain", "web", "--qmp", vms, "--capacity", "2GiB")

    assert (run.code, run.err) == (0, "")
    assert run.out.startswith("web has 512 MiB: 512 MiB of boot RAM, less 0 in its balloon, plus 0")
    for words in (
        "It needs 492 MiB",
        "Status Low, pressure 96 %: it has what it needs, but less than 80 % of its buffer.",
        "It may have 256 MiB to 1536 MiB (startup 512 MiB), with 20 % buffer and weight 7000.",
        "With plenty it would get 590 MiB",
        "What would be done now: web: grow from 512 MiB",
        "The host: capacity 2048 MiB",
    ):
        assert words in run.out


def test_explain_does_not_judge_a_vm_without_settings(barostat: Shell, vms: Path) -> None:
    run = barostat("explain", "db", "--qmp", vms)

    assert "Status -, pressure 22 %: Dynamic Memory is not at work in it." in run.out
    assert "Left as it is: it has no Dynamic Memory settings." in run.out
    assert "It may have" not in run.out


def test_explain_says_of_a_vm_that_says_nothing_that_it_does(
    barostat: Shell, tmp_path: Path
) -> None:
    with PlayedQemu(tmp_path / "web.qmp", available_mib=-1):
        run = barostat("explain", "web", "--qmp", tmp_path)

    assert "Status -: it says nothing about its memory that can be believed." in run.out
    assert "It needs" not in run.out


def test_a_name_that_no_vm_has_is_answered_with_the_nearest(barostat: Shell, vms: Path) -> None:
    assert_refused(barostat("explain", "wbe", "--qmp", vms), 'no VM "wbe"', 'did you mean "web"?')


def test_a_name_like_no_vms_is_answered_with_those_there_are(barostat: Shell, vms: Path) -> None:
    assert_refused(barostat("explain", "mail", "--qmp", vms), "there are: db, web")


def test_a_single_socket_is_a_vm_of_its_name(barostat: Shell, vms: Path) -> None:
    run = barostat("list", "--qmp", vms / "web.qmp", "--output", "json")

    assert [guest["name"] for guest in run.document["guests"]] == ["web"]
    assert run.document["guests"][0]["want_bytes"] > 512 * MIB


def test_a_socket_that_is_not_qmp_is_told_while_the_others_are_shown(
    barostat: Shell, vms: Path
) -> None:
    with answering(vms / "ssh.qmp", b"SSH-2.0-OpenSSH\r\n"):
        run = barostat("list", "--qmp", vms)

    assert run.code == 0
    assert run.err.count('VM "ssh": what answers') == 1
    assert "hint: give the socket of QEMU's -qmp" in run.err
    assert "web" in run.out


def test_a_busy_socket_is_waited_for_and_told(
    barostat: Shell, vms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct, "BETWEEN_LOOKS_S", 0.3)
    monkeypatch.setattr(qmp_socket, "FIRST_ATTEMPT_S", 0.3)
    monkeypatch.setattr(qmp_link, "CONNECT_DEADLINE_S", 0.5)

    with answering(vms / "busy.qmp", b""):
        run = barostat("list", "--qmp", vms)

    assert run.code == 0
    assert 'VM "busy"' in run.err
    assert "serves one client" in run.err


def test_sockets_that_all_are_not_qmp_are_an_error(barostat: Shell, tmp_path: Path) -> None:
    with answering(tmp_path / "a.qmp", b"hello\n"), answering(tmp_path / "b.qmp", b"hello\n"):
        run = barostat("list", "--qmp", tmp_path)

    assert_refused(run, 'VM "a": what answers', 'VM "b": what answers', code=3)


def test_a_terminal_gets_colour_and_wrapped_sentences(barostat: Shell, vms: Path) -> None:
    run = barostat.on_terminal("list", "--qmp", vms, "--capacity", "1GiB", columns=60)

    assert "\x1b[33mLow" in run.out
    lines = without_codes(run.out).splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 60
    assert not any("…" in line for line in lines)


def test_a_narrow_terminal_loses_the_least_important_columns(barostat: Shell, vms: Path) -> None:
    run = barostat.on_terminal("list", "--qmp", vms, columns=50)

    header = without_codes(run.out).splitlines()[0].split()
    assert header == ["VM", "Status", "Assigned", "Demand", "Pressure", "Balloon"]


def test_a_terminal_too_narrow_for_anything_still_shows_what_matters_most(
    barostat: Shell, vms: Path
) -> None:
    run = barostat.on_terminal("list", "--qmp", vms, columns=26)

    header = without_codes(run.out).splitlines()[0].split()
    assert len(header) == 4  # VM, status, assigned and demand, each as far as it fits


def test_no_color_spares_a_terminal_all_codes(
    barostat: Shell, vms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    assert "\x1b" not in barostat.on_terminal("list", "--qmp", vms).out


def test_what_is_no_terminal_gets_no_codes_whatever_the_environment_says(
    barostat: Shell, vms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")

    run = barostat("list", "--qmp", vms)

    assert "\x1b" not in run.out
    assert "Plugged" in run.out
