"""Who in a guest is heard: the daemon's own process, and an agent at the end of a real socket."""

from __future__ import annotations

import json
import signal
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.cli.played_qemu import PlayedQemu
from tests.unit.agent_peer import hello, report

from barostat.units import MIB

from .conftest import Running, until


class PlayedAgent:
    """An agent in a guest of 512 MiB, as the test wants it to be."""

    def __init__(self) -> None:
        self.available_mib = 400
        self.nonsense = False
        self.words: list[dict[str, Any]] = []
        self._ended = threading.Event()

    def serve(self, connection: Any) -> None:
        """Answer the welcome, and report ten times a second until the host leaves."""
        came = connection.makefile("r")
        session = json.loads(came.readline())["session"]
        threading.Thread(target=self._listen, args=(came,), daemon=True).start()
        connection.sendall(hello(session))
        seq = 0
        while not self._ended.wait(0.1):
            seq += 1
            free = self.available_mib * MIB
            said = report(
                session, seq, total=480 * MIB, available=free, free=free, caches=0, swap_out=0
            )
            connection.sendall(b"nonsense\n" * 5 if self.nonsense else said)

    def _listen(self, came: Any) -> None:
        for line in came:
            self.words.append(json.loads(line))

    @contextmanager
    def at(self, path: Path) -> Iterator[None]:
        """Speak at a socket until the body ends."""
        agent = self

        class Session(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    agent.serve(self.request)
                except OSError:
                    return  # the host has hung up

        server = socketserver.ThreadingUnixStreamServer(str(path), Session)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            server.shutdown()
            thread.join()
            server.server_close()


@pytest.fixture
def agent(tmp_path: Path, vms: dict[str, PlayedQemu]) -> Iterator[PlayedAgent]:
    """An agent in `db`, which may have more."""
    assert "db" in vms
    (tmp_path / "vms" / "db.toml").write_text('minimum = "256MiB"\nmaximum = "1GiB"\n')
    played = PlayedAgent()
    with played.at(tmp_path / "vms" / "db.agent"):
        yield played


def db(daemon: Running) -> dict[str, Any]:
    found: dict[str, Any] = daemon.ask("show", "db")["guest"]
    return found


def heard(daemon: Running) -> dict[str, Any]:
    """Wait until the agent in `db` is believed."""

    def look() -> dict[str, Any]:
        guest = db(daemon)
        return guest if guest["depth"] == "agent" else {}

    return until(look, "an agent that is believed")


def test_an_agent_is_heard_and_told_what_its_vm_may_have(
    daemon: Running, agent: PlayedAgent
) -> None:
    daemon.start()

    program = heard(daemon)["program"]
    told = until(lambda: [word for word in agent.words if word["type"] == "word"], "a word")

    assert (program["depth"], program["version"], program["fault"]) == ("agent", "0.1.0", None)
    assert told[-1]["maximum"] == 1024 * MIB


def test_a_guest_whose_agent_says_that_it_is_short_is_served_before_the_next_look(
    daemon: Running, agent: PlayedAgent
) -> None:
    daemon.write('[policy]\ntick_s = 10\nstale_s = 20\n[log]\nlevel = "debug"\n')
    daemon.start()
    until(lambda: agent.words[1:], "an agent that is spoken to")

    agent.available_mib = 4

    moved = daemon.told("at once: db: grow from 512 MiB")
    assert moved["to_bytes"] > 512 * MIB


def test_an_agent_that_talks_nonsense_is_not_believed_and_its_guest_is_seen_as_without(
    daemon: Running, agent: PlayedAgent
) -> None:
    daemon.start()
    heard(daemon)

    agent.nonsense = True

    guest = until(lambda: found if (found := db(daemon))["program"]["fault"] else {}, "a fault")
    assert guest["depth"] == "balloon"
    assert "nonsense" not in json.dumps(guest)
    assert "nonsense" not in json.dumps(daemon.log())
    assert daemon.ask("list")["guests"][1]["name"] == "web"


def test_where_agents_are_not_to_be_heard_nobody_is_spoken_to(
    daemon: Running, agent: PlayedAgent
) -> None:
    daemon.write("[agent]\nenabled = false\nguest_agent = false\n[policy]\ntick_s = 0.2\n")
    daemon.start()
    daemon.hear("WATCHDOG=1")

    guest = db(daemon)

    assert (guest["depth"], guest["program"]) == ("balloon", None)
    assert not agent.words
    assert daemon.end(signal.SIGTERM) == 0
