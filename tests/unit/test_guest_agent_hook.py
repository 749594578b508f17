"""The operator's program in a guest: told in time, ended in time, and nobody waits for it."""

from __future__ import annotations

import json
import os
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.agent_guest import SESSION, AgentGuest, Inside

from barostat.units import MIB


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[AgentGuest]:
    with AgentGuest(tmp_path) as made:
        yield made


def welcomed(guest: AgentGuest) -> None:
    guest.start()
    guest.welcome()
    while guest.hello().session != SESSION:
        pass


def test_without_a_hook_a_shrink_waits_for_nothing(guest: AgentGuest) -> None:
    welcomed(guest)

    guest.say("shrink", id=7, to=256 * MIB, deadline_ms=2000)

    done = guest.done()
    assert (done.session, done.id, done.ok) == (SESSION, 7, True)


def test_a_hook_is_announced_and_told_what_is_planned_and_what_may_be(guest: AgentGuest) -> None:
    told = guest.root / "told"
    guest.write_hook(f'echo "$@" >> {shlex.quote(str(told))}\n')
    guest.start()
    guest.welcome()
    assert guest.hello().hook is True
    guest.word()
    guest.say("shrink", id=1, to=256 * MIB, deadline_ms=20000)
    assert guest.done().ok is True
    guest.say("grown", to=512 * MIB)
    guest.say("shrink", id=2, to=128 * MIB, deadline_ms=20000)
    assert guest.done().id == 2

    maximum = 2048 * MIB
    lines = [f"shrink {256 * MIB} {maximum}", f"shrink {128 * MIB} {maximum}"]
    assert told.read_text().splitlines() in (
        lines,
        [lines[0], f"grow {512 * MIB} {maximum}", lines[1]],
    )


def test_a_hook_runs_as_any_other_program_would(guest: AgentGuest) -> None:
    told = shlex.quote(str(guest.root / "told"))
    guest.write_hook(
        f"exec > {told}\n"
        "cat /proc/self/oom_score_adj; grep VmLck /proc/self/status; env; ls -l /proc/$$/fd\n"
        "[ $(cut -d' ' -f5 /proc/$$/stat) = $$ ] && echo its own group\n"
    )
    welcomed(guest)
    guest.say("shrink", id=1, to=1, deadline_ms=20000)

    assert guest.done().ok is True
    lines = (guest.root / "told").read_text().splitlines()
    assert lines[0] == "0"
    assert lines[1].split() == ["VmLck:", "0", "kB"]
    assert lines[-1] == "its own group"
    names = {line.split("=")[0] for line in lines if "=" in line}
    assert names <= {"PATH", "LANG", "PWD", "_", "SHLVL", "OLDPWD"}
    assert "meminfo" not in "".join(lines)


def test_a_hook_that_fails_is_told_to_the_host_and_to_the_guests_log(guest: AgentGuest) -> None:
    guest.write_hook("exit 3\n")
    welcomed(guest)
    guest.say("shrink", id=1, to=1, deadline_ms=20000)

    assert guest.done().ok is False
    assert "hook shrink ended with 3" in guest.errors.read_text()


def test_a_file_that_is_no_program_fails_like_a_program(guest: AgentGuest) -> None:
    guest.hook.write_bytes(b"\x7fELF, but not really")
    guest.hook.chmod(0o755)
    welcomed(guest)
    guest.say("shrink", id=1, to=1, deadline_ms=20000)

    assert guest.done().ok is False
    assert "was not started" in guest.errors.read_text()


def test_a_hook_that_takes_too_long_is_killed_with_all_it_started_while_reports_go_on(
    guest: AgentGuest,
) -> None:
    group = guest.root / "group"
    guest.write_hook(f"sleep 600 & echo $$ > {shlex.quote(str(group))}; wait\n")
    welcomed(guest)
    guest.say("shrink", id=9, to=1, deadline_ms=1000)
    meanwhile = [guest.report(), guest.report()]
    answer = guest.done()

    assert [report.why for report in meanwhile] == ["calm", "calm"]
    assert (answer.id, answer.ok) == (9, False)
    assert "took too long" in guest.errors.read_text()
    limit = time.monotonic() + 10
    while _alive(int(group.read_text())):
        assert time.monotonic() < limit
        guest.report()


def _alive(group: int) -> bool:
    """Say whether a process of the group runs; one that nobody reaped yet does not."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            return True
    return False


def test_two_hooks_never_run_at_once_and_the_newest_waits(guest: AgentGuest) -> None:
    gate, begun = guest.root / "gate", guest.root / "begun"
    os.mkfifo(gate)
    guest.write_hook(f"> {shlex.quote(str(begun))}; read line < {shlex.quote(str(gate))}\n")
    welcomed(guest)
    guest.say("shrink", id=1, to=1, deadline_ms=20000)
    while not begun.exists():
        guest.report()
    guest.say("shrink", id=2, to=2, deadline_ms=20000)
    guest.say("shrink", id=3, to=3, deadline_ms=20000)

    replaced = guest.done()
    gate.write_text("\n")
    first = guest.done()
    gate.write_text("\n")
    last = guest.done()

    assert [(it.id, it.ok) for it in (replaced, first, last)] == [(2, False), (1, True), (3, True)]


def test_a_hook_whose_turn_never_came_is_answered_in_time(guest: AgentGuest) -> None:
    guest.write_hook("sleep 600\n")
    with Inside(guest) as inside:
        guest.welcome()
        inside.after(0)
        guest.say("shrink", id=1, to=1, deadline_ms=60000)
        inside.after(0)
        guest.say("shrink", id=2, to=1, deadline_ms=1000)
        inside.after(0)
        inside.after(55)
        killed = guest.done()
        child = inside.agent.hook.child
        assert child is not None
        child.wait()
        inside.after(0)
        late = guest.done()

    assert [(it.id, it.ok) for it in (killed, late)] == [(1, False), (2, False)]


def test_a_hook_that_others_may_write_to_is_not_run(guest: AgentGuest) -> None:
    guest.write_hook("exit 3\n")
    guest.hook.chmod(0o777)
    guest.start()
    guest.welcome()

    assert guest.hello().hook is False
    guest.say("shrink", id=1, to=1, deadline_ms=1000)
    assert guest.done().ok is True
    assert "others than root may write to it" in guest.errors.read_text()


def test_a_guest_that_never_heard_its_maximum_says_0(guest: AgentGuest) -> None:
    told = guest.root / "told"
    guest.write_hook(f'echo "$@" >> {shlex.quote(str(told))}\n')
    welcomed(guest)
    guest.say("shrink", id=1, to=5, deadline_ms=20000)

    assert guest.done().ok is True
    assert told.read_text() == "shrink 5 0\n"
    assert "maximum" not in json.loads(guest.status.read_text())
