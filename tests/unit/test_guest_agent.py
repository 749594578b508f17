"""The real agent, as a program at a port of its own, heard by the host's own protocol."""

from __future__ import annotations

import ast
import json
import os
import re
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.agent_guest import AGENT, PATIENCE_S, SESSION, AgentGuest, Inside

from barostat import __version__
from barostat.guest import agent
from barostat.units import MIB

NEWER_THAN_3_6 = frozenset(
    {"dataclasses", "contextvars", "importlib", "zoneinfo", "tomllib", "graphlib", "typing"}
)


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[AgentGuest]:
    with AgentGuest(tmp_path) as made:
        yield made


@pytest.fixture
def running(guest: AgentGuest) -> AgentGuest:
    """A guest whose agent was welcomed."""
    guest.start()
    guest.welcome()
    while guest.hello().session != SESSION:
        pass
    return guest


@pytest.fixture
def inside(guest: AgentGuest) -> Iterator[Inside]:
    with Inside(guest) as made:
        guest.say("welcome", session=SESSION, every_ms=1000, least_ms=50)
        made.after(0)
        assert guest.report().why == "calm"
        yield made


def wait_for(guest: AgentGuest, text: str) -> None:
    """Read on until the status file says so: it is written beside the port."""
    limit = time.monotonic() + PATIENCE_S
    while not guest.status.exists() or text not in guest.status.read_text():
        assert time.monotonic() < limit
        select.select([], [], [], 0.01)


# The file


def test_the_agent_is_python_3_6_and_nothing_but_its_standard_library() -> None:
    text = AGENT.read_text()

    tree = ast.parse(text, feature_version=(3, 6))

    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {alias.name for node in imports for alias in node.names}
    assert names <= sys.stdlib_module_names - NEWER_THAN_3_6
    assert not re.search(r"capture_output|text=True|removeprefix|\{\w+=\}|:=", text)


def test_no_program_of_the_hosts_imports_the_agent() -> None:
    sources = (AGENT.parent.parent).rglob("*.py")

    users = [path for path in sources if "guest.agent " in path.read_text().replace("\n", " ")]

    assert users == []


def test_the_agent_is_of_barostats_version() -> None:
    assert __version__ == agent.VERSION


# What is said


def test_an_agent_greets_until_it_is_welcomed_and_then_in_the_hosts_session(
    guest: AgentGuest,
) -> None:
    guest.start()
    first = guest.hello()
    second = guest.hello()
    guest.welcome()
    welcomed = guest.hello()

    assert [first.session, second.session, welcomed.session] == ["", "", SESSION]
    assert welcomed.boot == "4a1b7d3c-0000-4000-8000-000000000001"
    assert welcomed.agent == __version__
    assert welcomed.kernel == os.uname().release
    assert welcomed.block_bytes == 128 * MIB
    assert welcomed.online == "online_movable"
    assert welcomed.hook is False


def test_a_report_holds_what_the_kernel_says_in_bytes(running: AgentGuest) -> None:
    report = running.report()

    page = os.sysconf("SC_PAGE_SIZE")
    assert (report.session, report.seq, report.why) == (SESSION, 1, "calm")
    assert report.total_bytes == 512 * MIB
    assert report.available_bytes == 200 * MIB
    assert report.free_bytes == 100 * MIB
    assert report.caches_bytes == 21300 * 1024
    assert report.committed_bytes == 333333 * 1024
    assert (report.swap_total_bytes, report.swap_free_bytes) == (262144 * 1024, 200000 * 1024)
    assert (report.swap_in_bytes, report.swap_out_bytes) == (11 * page, 13 * page)
    assert (report.major_faults, report.oom_kills, report.alloc_stalls) == (17, 1, 5)
    assert report.refaulted_bytes == 7 * page
    assert report.scanned_bytes == 42 * page
    assert (report.stalled_us, report.full_stalled_us) == (0, 0)


def test_an_old_kernel_says_what_it_knows_and_null_for_the_rest(guest: AgentGuest) -> None:
    (guest.root / "proc/pressure/memory").unlink()
    guest.file("proc/vmstat", "pgmajfault 1\nworkingset_refault 2\npgscan_kswapd_normal 3\n")

    with Inside(guest) as inside:
        figures = inside.agent.kernel.figures()

    page = os.sysconf("SC_PAGE_SIZE")
    assert (figures["refaulted"], figures["scanned"]) == (2 * page, 3 * page)
    silent = ("oom_kills", "alloc_stalls", "stalled_us", "full_stalled_us")
    assert [figures[key] for key in silent] == [None] * 4
    assert (figures["swap_in"], figures["swap_out"]) == (0, 0)


def test_a_kernel_that_does_not_know_what_is_available_ends_the_agent_in_words(
    guest: AgentGuest,
) -> None:
    guest.file("proc/meminfo", "MemTotal: 1 kB\nMemFree: 1 kB\nBuffers: 1 kB\n")

    with Inside(guest) as inside, pytest.raises(SystemExit, match=r"Linux 3\.14"):
        inside.agent.kernel.available()


@pytest.mark.parametrize(
    ("blocks", "policy", "rule", "said"),
    [
        ("online_movable", "contig-zones", False, "online_movable"),
        ("online", "auto-movable", False, "auto-movable"),
        ("offline", "auto-movable", False, "offline"),
        ("offline", "contig-zones", True, "online_movable"),
        ("some day", "contig-zones", False, None),
    ],
)
def test_what_happens_with_plugged_memory_is_said(
    guest: AgentGuest, *, blocks: str, policy: str, rule: bool, said: str | None
) -> None:
    guest.file("sys/devices/system/memory/auto_online_blocks", blocks + "\n")
    guest.file("sys/module/memory_hotplug/parameters/online_policy", policy + "\n")
    if rule:
        guest.file("etc/udev/rules.d/90-barostat-memory.rules", "")

    with Inside(guest) as inside:
        facts = inside.agent.kernel.facts()

    assert facts["online"] == said


def test_who_asks_is_answered_and_reports_are_counted_by_one(running: AgentGuest) -> None:
    running.report()
    running.say("ask")

    asked = running.report("asked")

    assert running.report().seq == asked.seq + 1


# When it is said


def test_falling_memory_is_reported_out_of_turn_for_as_long_as_it_falls(
    running: AgentGuest,
) -> None:
    running.welcome(session="b" * 16, every_ms=60000)
    running.hello()
    running.report("calm")

    for available in (180, 160, 140):
        running.memory(available_mib=available)
        assert running.report("falling").available_bytes == available * MIB


@pytest.mark.parametrize(
    ("said_mib", "now_mib", "total_mib", "falling", "tells"),
    [
        (200, 194, 512, False, True),  # over 1 % of all
        (200, 196, 512, False, False),
        (200, 198, 512, True, True),  # falls already
        (200, 203, 512, True, False),
        (16, 13.5, 512, False, True),  # an eighth of what was left
        (2, 1.5, 512, False, False),  # each CPU counts for itself
        (8000, 7900, 16000, False, False),
        (8000, 7840, 16000, False, True),
    ],
)
def test_a_fall_that_matters_is_one_of_all_or_of_what_is_left(
    *, said_mib: float, now_mib: float, total_mib: int, falling: bool, tells: bool
) -> None:
    sizes = [int(size * MIB) for size in (said_mib, now_mib, total_mib)]

    assert agent.falls(*sizes, falling=falling) is tells


def test_what_was_given_since_the_last_report_is_seen_to_fall_as_well(
    guest: AgentGuest, inside: Inside
) -> None:
    guest.memory(available_mib=150)
    inside.after(0.2)
    assert guest.report().why == "falling"

    guest.memory(available_mib=300)
    inside.after(0.2)
    assert guest.silent()
    guest.memory(available_mib=280)
    inside.after(0.2)

    report = guest.report()
    assert (report.why, report.available_bytes) == ("falling", 280 * MIB)


def test_after_a_second_without_a_fall_all_is_calm(guest: AgentGuest, inside: Inside) -> None:
    guest.memory(available_mib=150)
    inside.after(0.2)
    assert guest.report().why == "falling"

    guest.memory(available_mib=148)
    inside.after(0.1)
    still_falling = guest.report().why
    inside.after(1.1)
    calm = guest.report().why
    guest.memory(available_mib=146)
    inside.after(0.2)

    assert (still_falling, calm) == ("falling", "calm")
    assert guest.silent()


def test_programs_that_wait_for_memory_are_reported_while_they_wait(
    guest: AgentGuest, inside: Inside
) -> None:
    guest.stalls(60000)
    inside.after(0.2, called=True)
    assert guest.report().why == "stalled"

    guest.stalls(90000)
    inside.after(0.1)
    waiting = guest.report()
    inside.after(0.1)

    assert (waiting.why, waiting.stalled_us) == ("stalled", 90000)
    assert guest.silent()


def test_nothing_is_reported_more_often_than_the_host_wants(
    guest: AgentGuest, inside: Inside
) -> None:
    for _ in range(10):
        guest.say("ask")
        inside.after(0.01)
    inside.after(0.05)

    assert [guest.report().seq, guest.report().seq] == [2, 3]
    assert guest.silent()


@pytest.mark.parametrize(("available_mib", "pause_s"), [(50, 0.045), (1024, 0.0625), (9000, 0.2)])
def test_the_more_is_available_the_rarer_is_looked(
    guest: AgentGuest, inside: Inside, available_mib: int, pause_s: float
) -> None:
    guest.memory(available_mib=available_mib, total_mib=16384)
    inside.after(1.0)
    inside.after(2.0)

    assert inside.agent.look_at == pytest.approx(inside.now + pause_s)


# Whom it is said to


def test_a_host_that_goes_and_comes_back_begins_anew(running: AgentGuest) -> None:
    running.report()
    running.leave()
    wait_for(running, '"heard": false')
    running.connect()

    greeting = running.hello()
    running.welcome(session="f" * 16)
    while running.hello().session != "f" * 16:
        pass

    assert greeting.session == ""
    assert running.report().seq == 1


def test_a_port_without_a_host_is_not_waited_for_in_circles(
    guest: AgentGuest, inside: Inside
) -> None:
    guest.leave()
    inside.after(0.1)

    assert not inside.agent.connected
    assert inside.agent.poll.poll(0) == []


def test_a_port_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    with AgentGuest(tmp_path) as guest:
        link = guest.port.readlink()
        guest.port.unlink()
        guest.start()
        wait_for(guest, '"heard": false')
        guest.port.symlink_to(link)

        assert guest.hello().session == ""


def test_a_host_that_does_not_read_costs_no_memory_and_then_hears_what_is_new(
    guest: AgentGuest, inside: Inside
) -> None:
    for number in range(600):
        guest.say("ask")
        guest.say("shrink", id=number, to=1, deadline_ms=100)
        inside.after(0.1)
    kept = len(inside.agent.port.outbox)
    assert 0 < kept < agent.QUEUE_BYTES + agent.LINE_BYTES

    numbers = []
    while not guest.silent():
        numbers.append(getattr(guest.next(), "seq", None))
        inside.after(0.01)
    reports = [number for number in numbers if number is not None]

    assert reports == list(range(2, 2 + len(reports)))
    assert inside.agent.port.outbox == b""


def test_the_port_is_found_by_udevs_name_or_by_the_kernels(guest: AgentGuest) -> None:
    port = agent.Port(None, str(guest.root))
    with pytest.raises(OSError, match="barostat prepare"):
        port.find()

    guest.file("sys/class/virtio-ports/vport1p1/name", "org.qemu.guest_agent.0\n")
    guest.file("sys/class/virtio-ports/vport1p2/name", "org.barostat.agent.0\n")
    by_the_kernel = port.find()
    guest.file("dev/virtio-ports/org.barostat.agent.0", "")

    assert by_the_kernel == f"{guest.root}/dev/vport1p2"
    assert port.find() == f"{guest.root}/dev/virtio-ports/org.barostat.agent.0"


@pytest.mark.parametrize(
    "line",
    [
        b"x" * 100_000,
        b"[" * 4000,
        b"[[]]",
        b"\xff\xfe",
        b'{"v":2,"type":"ask"}',
        b'{"v":true,"type":"ask"}',
        b'{"v":1,"type":["ask"]}',
        b'{"v":1,"type":"of a newer host","and":{"more":[]}}',
        b'{"v":1,"type":"__class__"}',
        b'{"v":1,"type":"welcome","session":"","every_ms":1,"least_ms":1}',
        b'{"v":1,"type":"welcome","session":"a","every_ms":-1,"least_ms":1}',
        b'{"v":1,"type":"word","status":"ok"}',
        b'{"v":1,"type":"word","status":"\\u001b[2J"}',
        b'{"v":1,"type":"shrink","id":1.5,"to":1,"deadline_ms":1}',
        b'{"v":1,"type":"shrink","id":true,"to":1,"deadline_ms":1}',
        b'{"v":1,"type":"grown","to":99999999999999999999}',
    ],
    ids=lambda line: str(line[:44]),
)
def test_nonsense_from_the_host_changes_nothing(
    guest: AgentGuest, inside: Inside, line: bytes
) -> None:
    for at in range(0, len(line), 3000):
        guest.say_raw(line[at : at + 3000])
        inside.after(0)
    guest.say_raw(b"\n")
    guest.say("ask")
    inside.after(0.2)

    assert guest.report().why == "asked"


def test_nonsense_without_end_fills_no_journal(
    guest: AgentGuest, inside: Inside, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(100):
        guest.say_raw(b"nonsense\n")
        inside.after(0)

    assert len(capfd.readouterr().err.splitlines()) <= agent.LOG_LINES


# What programs in the guest can know


def test_programs_in_the_guest_can_read_what_it_may_have(
    running: AgentGuest, capsys: pytest.CaptureFixture[str]
) -> None:
    running.word()
    wait_for(running, "maximum")

    codes = [agent.main(["status", f"--root={running.root}", *it]) for it in ([], ["--json"])]

    *shown, said = capsys.readouterr().out.splitlines()
    assert codes == [0, 0]
    assert "maximum   2048 MiB" in shown
    assert "heard     yes" in shown
    words = json.loads(said)
    assert (words["maximum"], words["minimum"]) == (2048 * MIB, 256 * MIB)
    assert (words["assigned"], words["status"]) == (512 * MIB, "ok")
    assert running.status.stat().st_mode & 0o777 == 0o644


def test_a_host_that_is_not_heard_is_said_with_an_exit_code(
    running: AgentGuest, capsys: pytest.CaptureFixture[str]
) -> None:
    running.leave()
    wait_for(running, '"heard": false')

    assert agent.main(["status", f"--root={running.root}"]) == 3
    assert "heard     no" in capsys.readouterr().out.splitlines()


def test_an_agent_that_ended_leaves_nothing_that_speaks_for_it(running: AgentGuest) -> None:
    assert running.process is not None
    running.process.terminate()
    assert running.process.wait(PATIENCE_S) == 0

    assert not running.status.exists()
    assert agent.main(["status", f"--root={running.root}"]) == 3


def test_what_an_agent_that_was_killed_has_left_is_not_believed(
    guest: AgentGuest, capsys: pytest.CaptureFixture[str]
) -> None:
    guest.file("run/barostat-agent/status.json", '{"v": 1, "pid": 0, "heard": true}')

    assert agent.main(["status", "--json", f"--root={guest.root}"]) == 3
    assert capsys.readouterr().out == '{"v": 1, "heard": false}\n'


@pytest.mark.parametrize("words", [[], ["stauts"], ["status", "--jsn"], ["run", "--port"]])
def test_a_command_that_is_none_is_answered_with_those_that_are(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert agent.main(words) == 2
    assert capsys.readouterr().err.startswith("usage: barostat-agent run")


# What it costs


def test_the_agent_fits_in_16_mib_that_stay_in_memory(tmp_path: Path) -> None:
    (tmp_path / "guest").mkdir()
    root = tmp_path / "real"
    root.mkdir()
    for folder in ("proc", "sys"):
        (root / folder).symlink_to(f"/{folder}")
    with AgentGuest(tmp_path / "guest") as guest:
        guest.start(root=root)
        guest.welcome()
        for _ in range(3):
            guest.report()
        assert guest.process is not None
        status = Path(f"/proc/{guest.process.pid}/status").read_text()

    sizes = {key: int(size) for key, size in re.findall(r"(Vm\w+):\s+(\d+) kB", status)}
    assert sizes["VmHWM"] < 16 * 1024
    assert sizes["VmLck"] > 0 or "not locked" in guest.errors.read_text()
