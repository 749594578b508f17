"""`barostat watch`: a line for every change, 0 when it is so, 1 when it was not in time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tui.conftest import World

from barostat.cli import watch
from barostat.errors import ServiceError
from barostat.service.documents import Explanation
from barostat.units import MIB

from .conftest import Shell, assert_refused
from .played_daemon import PlayedDaemon


@pytest.fixture
def _daemon(tmp_path: Path) -> Iterator[None]:
    """A daemon that answers where the commands look for one."""
    folder = tmp_path / "settings"
    folder.mkdir()
    with PlayedDaemon(folder, tmp_path / "barostat.sock"):
        yield


@pytest.mark.usefixtures("_daemon")
def test_what_is_so_already_ends_it_at_once(barostat: Shell) -> None:
    run = barostat("watch", "web", "--until", "ok")

    assert (run.code, run.err) == (0, "")
    [line] = run.out.splitlines()
    assert line[10:].startswith("web: OK, has 512 MiB: hold at 512 MiB: ")


@pytest.mark.usefixtures("_daemon")
def test_what_is_not_so_in_time_ends_with_1(barostat: Shell) -> None:
    words = ("watch", "web", "--until", "low", "--until", "warning", "--timeout", "0.3")
    run = barostat(*words)

    assert run.code == 1
    assert run.err == "web was not low or warning within 0.3 s\n"
    assert len(run.out.splitlines()) == 1


@pytest.mark.usefixtures("_daemon")
def test_a_vm_that_is_off_is_off_and_one_that_nobody_knows_is_refused(
    barostat: Shell, tmp_path: Path
) -> None:
    (tmp_path / "settings" / "mail.toml").write_text("")

    assert "mail: it does not run" in barostat("watch", "mail", "--until", "off").out
    assert_refused(barostat("watch", "wbe", "--until", "ok"), 'did you mean "web"?')


def test_named_guests_are_looked_at_every_second(barostat: Shell, vms: Path) -> None:
    run = barostat("watch", "web", "--until", "low", "--qmp", vms, "--output", "json")

    assert run.code == 0
    assert json.loads(run.out.splitlines()[-1])["guest"]["status"] == "Low"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--until happy", "'happy' is not one of"),
        ("--timeout 5", "Missing option '--until'"),
        ("--until ok --timeout never", "'never' is not a valid float"),
        ("--until ok --timeout 0", "0 is not in the range"),
    ],
)
def test_what_cannot_be_waited_for_is_refused(barostat: Shell, words: str, said: str) -> None:
    assert_refused(barostat("watch", "web", *words.split()), said)


class Living(World):
    """A host on which a second passes with every question, and things happen as they are told."""

    def happens(self, second: int) -> None:
        """Let something happen."""
        match second:
            case 3:
                self.hypervisor.guests["web"].use(700 * MIB)
            case 5 | 6:
                raise ServiceError("no daemon runs at /run/test.sock", hint="start it")
            case 8:
                self.hypervisor.guests["web"].die()

    async def explanation(self, guest: str) -> Explanation:
        await self.look()
        self.happens(int(self.clock.now_s) - 100)
        return await super().explanation(guest)


@pytest.mark.parametrize("output", ["table", "json"])
async def test_every_change_has_a_line_and_a_lost_daemon_is_said_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    output: str,
) -> None:
    monkeypatch.setattr(watch, "EVERY_S", 0)
    world = Living(tmp_path)
    world.add("web", settings='minimum = "256MiB"\n', use_mib=200)
    wait = watch._Wait(vm="web", until=("off",), timeout_s=60, output=output)

    await watch._reach(wait, world)

    out, err = capsys.readouterr()
    assert err.count("no daemon runs at /run/test.sock") == 1
    if output == "table":
        said = [line.split()[2].strip(",") for line in out.splitlines()]
    else:
        told = [json.loads(line) for line in out.splitlines()]
        assert [document["reached"] for document in told] == [False] * (len(told) - 1) + [True]
        said = [(document["guest"] or {"status": "it"})["status"] for document in told]
    assert (said[0], said[-2:]) == ("OK", ["Warning", "it"])
    assert len(said) < 7
